//! The document with templates filled in, defaults applied and texts read: what the checks and the rest of the
//! program see.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::document::Document;
use super::expand::{Expander, NoPackage, Scope, Strictness, TargetScope};
use super::facts::{Facts, Package};
use super::helps;
use super::model::{Declaration, Image, RegistrySettings, Tag, TagPolicy, Target};
use super::platforms::{self, Declared};
use super::problems::{Problem, Problems, Span};
use super::tables::{PlatformTable, RegistryTable, TagEntry, TargetTable};
use super::template::{Form, Template};
use super::tree::Text;
use super::validate;
use crate::model::reference::{Reference, Repository, tag_problem};

/// A file that the declaration names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Anything that can be read.
    File,
    /// The Dockerfile of a context, for which no name is declared: see `load::dockerfile_in`.
    Dockerfile,
    /// A folder.
    Folder,
}

/// What is resolved, with the places it came from.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) targets: Vec<ResolvedTarget>,
    pub(super) registries: Vec<(RegistryTable, RegistrySettings)>,
    pub(super) files: Vec<NamedFile>,
}

/// A target and its places. What could not be resolved is missing from both.
#[derive(Debug)]
pub(super) struct ResolvedTarget {
    pub(super) target: Target,
    pub(super) name: Span,
    pub(super) repositories: Vec<Span>,
    pub(super) tags: Vec<Span>,
    pub(super) images: Vec<ImagePlaces>,
    /// Where its annotations, or those of its platforms, begin.
    pub(super) annotations: Option<Span>,
}

#[derive(Debug)]
pub(super) struct ImagePlaces {
    pub(super) platform: Span,
    pub(super) reference: Span,
    pub(super) build: Option<Span>,
}

/// A file that must be there.
#[derive(Debug)]
pub(super) struct NamedFile {
    pub(super) path: PathBuf,
    pub(super) kind: FileKind,
    pub(super) span: Span,
    pub(super) help: Option<&'static str>,
}

impl Document {
    /// Resolves templates, fills defaults in and checks everything but the files that the declaration names.
    pub fn resolve(&self, facts: &Facts, strictness: Strictness) -> Result<Declaration, Problems> {
        self.resolve_with(facts, strictness, &|_, _| true)
    }

    /// As [`Self::resolve`], and every file that `exists` denies is a problem too.
    pub fn resolve_with(
        &self,
        facts: &Facts,
        strictness: Strictness,
        exists: &dyn Fn(&Path, FileKind) -> bool,
    ) -> Result<Declaration, Problems> {
        let expander = Expander {
            source: &self.text,
            facts,
            strictness,
            problems: self.problems.clone(),
            unresolved: BTreeMap::new(),
        };
        let root = self.path.parent().unwrap_or(Path::new("")).to_owned();
        let mut resolver = Resolver { expander, root, files: Vec::new() };
        let targets = self.targets.iter().map(|table| resolver.target(table)).collect();
        let registries =
            self.registries.iter().map(|table| (table.clone(), resolver.registry(table))).collect();
        let Resolver { expander: Expander { mut problems, unresolved, .. }, root, files } = resolver;
        let resolved = Resolved { targets, registries, files };
        validate::all(&resolved, &mut problems);
        validate::files(&resolved, &root, exists, &mut problems);
        if let Some(problems) = Problems::of(&self.path, &self.text, problems) {
            return Err(problems);
        }
        Ok(Declaration {
            path: self.path.clone(),
            root,
            revision: facts.git_sha.as_ref().ok().cloned(),
            targets: resolved.targets.into_iter().map(|resolved| resolved.target).collect(),
            registries: resolved
                .registries
                .into_iter()
                .map(|(table, settings)| (table.host.value, settings))
                .collect(),
            unresolved,
        })
    }
}

/// Turns tables into values and keeps what is wrong with them.
pub(super) struct Resolver<'a> {
    pub(super) expander: Expander<'a>,
    pub(super) root: PathBuf,
    pub(super) files: Vec<NamedFile>,
}

impl Resolver<'_> {
    pub(super) fn problem(&mut self, problem: Problem) {
        self.expander.problems.push(problem);
    }

    fn target(&mut self, table: &TargetTable) -> ResolvedTarget {
        if let Some(message) = name_problem(&table.name.value) {
            self.problem(Problem::new(&table.name.span, message));
        }
        let facts = self.expander.facts;
        let package = self.package(table, &facts.packages);
        let of_target = TargetScope { name: &table.name.value, package };
        let scope = Scope { place: "`repository`", target: Some(&of_target), tag: None, platform: None };
        let (repositories, repository_spans): (Vec<_>, Vec<_>) =
            table.repositories.iter().filter_map(|text| self.repository(text, scope)).unzip();
        let scope = Scope { place: "`tags`", ..scope };
        let (tags, tag_spans): (Vec<_>, Vec<_>) =
            table.tags.iter().filter_map(|entry| self.tag(entry, scope)).unzip();
        let scope =
            Scope { place: "the keys of a target", tag: tags.first().map(|tag| tag.name.as_str()), ..scope };
        let annotations = self.strings(&table.annotations, scope);
        let mut images = Vec::new();
        let mut image_places = Vec::new();
        for declared in platforms::declared(table, scope, &mut self.expander) {
            let scope =
                Scope { place: "the keys of a platform", platform: Some(&declared.platform), ..scope };
            let default =
                Fallback { repository: repositories.first(), tag: tags.first().zip(table.tags.first()) };
            if let Some((image, places)) = self.image(table, &declared, scope, &default) {
                images.push(image);
                image_places.push(places);
            }
        }
        let annotated = table
            .annotations
            .first()
            .or_else(|| table.tables.iter().find_map(|platform| platform.annotations.first()))
            .map(|(key, _)| key.span.clone());
        ResolvedTarget {
            target: Target {
                name: table.name.value.clone(),
                version: of_target.package.ok().map(|package| package.version.clone()),
                repositories,
                tags,
                images,
                undeclared: table.undeclared,
                attestations: table.attestations,
                format: table.format,
                annotations,
                binary_check: table.binary_check,
            },
            name: table.name.span.clone(),
            repositories: repository_spans,
            tags: tag_spans,
            images: image_places,
            annotations: annotated,
        }
    }

    /// The package whose version and metadata the templates of a target use.
    fn package<'f>(
        &mut self,
        table: &TargetTable,
        packages: &'f Result<Vec<Package>, String>,
    ) -> Result<&'f Package, NoPackage> {
        let packages = packages.as_ref().map_err(|reason| NoPackage::Here(reason.clone()))?;
        let named = |name: &str| packages.iter().find(|package| package.name == name);
        let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
        match (&table.package, packages.as_slice()) {
            (Some(text), _) => named(&text.value).ok_or_else(|| {
                let message = format!("unknown package `{}`", text.value);
                self.problem(Problem::new(&text.span, message).meant(&text.value, &names));
                NoPackage::Reported
            }),
            (None, []) => Err(NoPackage::Here("the workspace has no package".to_owned())),
            (None, [only]) => Ok(only),
            (None, _) => named(&table.name.value).ok_or_else(|| {
                NoPackage::Open(format!(
                    "none of the packages {} is named like target `{}`",
                    names.join(", "),
                    table.name.value
                ))
            }),
        }
    }

    fn repository(&mut self, text: &Text, scope: Scope<'_>) -> Option<(Repository, Span)> {
        let expanded = self.expander.expand(text, scope, Form::Reference)?;
        match expanded.text.parse::<Repository>() {
            Ok(repository) => Some((repository, text.span.clone())),
            // Only the placeholder is to blame: any repository will do.
            Err(_) if expanded.guessed => {
                let name = scope.target.map_or("repository", |target| target.name);
                Some((format!("docker.io/unresolved/{name}").parse().ok()?, text.span.clone()))
            }
            Err(error) => {
                let message = format!("`{}` is not a repository: {}", expanded.text, error.reason());
                let help = match error.reason().contains("no tag") {
                    true => Some("tags go into `tags`".to_owned()),
                    false => helps::reference::<Repository>(&expanded.text),
                };
                self.problem(Problem::new(&text.span, message).maybe_help(help));
                None
            }
        }
    }

    fn tag(&mut self, entry: &TagEntry, scope: Scope<'_>) -> Option<(Tag, Span)> {
        let name = self.expander.expand(&entry.name, scope, Form::Tag)?.text;
        if let Some(reason) = tag_problem(&name) {
            let message = format!("`{name}` is not a tag: {reason}");
            let help = helps::tag(&name, &entry.name.value);
            self.problem(Problem::new(&entry.name.span, message).maybe_help(help));
            return None;
        }
        let pinned = Template::parse(&entry.name.value)
            .is_ok_and(|template| template.names().any(|name| matches!(name, "version" | "git.sha")));
        let default = if pinned { TagPolicy::Immutable } else { TagPolicy::Moving };
        Some((Tag { name, policy: entry.policy.unwrap_or(default) }, entry.name.span.clone()))
    }

    fn image(
        &mut self,
        table: &TargetTable,
        declared: &Declared<'_>,
        scope: Scope<'_>,
        default: &Fallback<'_>,
    ) -> Option<(Image, ImagePlaces)> {
        let own = declared.table;
        let text = own.and_then(|own| own.image.as_ref()).or(table.image.as_ref());
        let build_table = own.map_or(table.build.as_ref(), |own| own.build.as_ref());
        let smoke_table = own.map_or(table.smoke.as_ref(), |own| own.smoke.as_ref());
        // All of them before anything is given up, so that every problem comes at once.
        let build = build_table.map(|build| self.build(build, scope));
        let smoke = smoke_table.map(|smoke| self.smoke(smoke, scope));
        let annotations = self.strings(own.map_or(&[], |own: &PlatformTable| &own.annotations), scope);
        let (reference, span) = match text {
            Some(text) => (self.reference(text, scope, default)?, text.span.clone()),
            None => (self.default_reference(default, declared)?, declared.span.clone()),
        };
        let places = ImagePlaces {
            platform: declared.span.clone(),
            reference: span,
            build: build_table.map(|build| build.span.clone()),
        };
        let platform = declared.platform.clone();
        Some((Image { platform, reference, build, smoke, annotations }, places))
    }

    fn reference(&mut self, text: &Text, scope: Scope<'_>, default: &Fallback<'_>) -> Option<Reference> {
        let scope = Scope { place: "`image`", ..scope };
        let expanded = self.expander.expand(text, scope, Form::Reference)?;
        match expanded.text.parse() {
            Ok(reference) => Some(reference),
            Err(_) if expanded.guessed => default.reference(scope.platform?),
            Err(error) => {
                let help = helps::reference::<Reference>(&expanded.text);
                self.problem(Problem::new(&text.span, error.to_string()).maybe_help(help));
                None
            }
        }
    }

    /// The target's first repository, tagged `<first tag>-<platform, dashed>`.
    fn default_reference(&mut self, default: &Fallback<'_>, declared: &Declared<'_>) -> Option<Reference> {
        let reference = default.reference(&declared.platform)?;
        let Some(reason) = reference.tag.as_deref().and_then(tag_problem) else { return Some(reference) };
        let (_, entry) = default.tag?;
        let message = format!("the default image of {} has no valid tag: {reason}", declared.platform);
        self.problem(Problem::new(&entry.name.span, message).help("shorten the tag or declare `image`"));
        None
    }

    /// A table of strings with its templates filled in.
    pub(super) fn strings(&mut self, table: &[(Text, Text)], scope: Scope<'_>) -> BTreeMap<String, String> {
        table
            .iter()
            .filter_map(|(key, text)| Some((key.value.clone(), self.expander.plain(text, scope)?)))
            .collect()
    }

    /// What `text` names, as seen from the declaration's folder, and whether a placeholder is in it.
    pub(super) fn path(&mut self, text: &Text, scope: Scope<'_>) -> Option<(PathBuf, bool)> {
        let expanded = self.expander.expand(text, scope, Form::Plain)?;
        Some((self.root.join(expanded.text).components().collect(), expanded.guessed))
    }

    /// A file that must be there.
    fn file(&mut self, text: Option<&Text>, scope: Scope<'_>) -> Option<PathBuf> {
        let text = text?;
        let (path, guessed) = self.path(text, scope)?;
        if !guessed {
            let (path, span) = (path.clone(), text.span.clone());
            self.files.push(NamedFile { path, kind: FileKind::File, span, help: None });
        }
        Some(path)
    }

    fn registry(&mut self, table: &RegistryTable) -> RegistrySettings {
        let scope = Scope { place: "a registry's keys", target: None, tag: None, platform: None };
        RegistrySettings {
            ca_file: self.file(table.ca_file.as_ref(), scope),
            client_cert: self.file(table.client_cert.as_ref(), scope),
            client_key: self.file(table.client_key.as_ref(), scope),
            insecure: table.insecure,
            plain_http: table.plain_http.as_ref().map(|(plain, _)| *plain),
            max_connections: table
                .max_connections
                .unwrap_or_else(|| RegistrySettings::default().max_connections),
        }
    }
}

/// What an image's reference is made of when none is declared.
struct Fallback<'a> {
    repository: Option<&'a Repository>,
    tag: Option<(&'a Tag, &'a TagEntry)>,
}

impl Fallback<'_> {
    fn reference(&self, platform: &crate::model::platform::Platform) -> Option<Reference> {
        let (tag, _) = self.tag?;
        Some(self.repository?.tag(&format!("{}-{}", tag.name, platform.dashed())))
    }
}

/// Why a target cannot be called `name`.
fn name_problem(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("a target has no name".to_owned());
    }
    if name.starts_with('-') {
        return Some(format!("a target's name cannot start with `-`, found `{name}`"));
    }
    let wrong = name.chars().find(|c| c.is_whitespace() || c.is_control())?;
    Some(format!("a target's name cannot hold {wrong:?}"))
}
