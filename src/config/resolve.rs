//! Templates filled in, defaults applied, the meaning checked: [`Document`] → [`Declaration`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::document::{Document, RegistryTable, TagEntry, TargetTable};
use super::expand::{Expander, NoPackage, Scope, Strictness, TargetScope};
use super::facts::{Facts, Package};
use super::images;
use super::model::{Declaration, Format, RegistrySettings, Tag, TagPolicy, Target};
use super::problems::{Problem, Problems, Span};
use super::template::Form;
use super::tree::Text;
use crate::reference::{Reference, Repository, tag_problem};

/// Something declared, and where.
pub(super) type Placed<T> = (T, Span);

/// The references of one target, with their places, for the checks that look at all targets.
struct References {
    target: String,
    lists: Vec<Placed<Reference>>,
    images: Vec<Placed<Reference>>,
}

impl Document {
    /// Fills templates in from `facts` and checks the whole.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the file, in its order.
    pub fn resolve(&self, facts: &Facts, strictness: Strictness) -> Result<Declaration, Problems> {
        let mut expander =
            Expander { source: &self.text, facts, strictness, problems: self.problems.clone() };
        let root = self.path.parent().map(Path::to_path_buf).unwrap_or_default();
        let mut targets = Vec::new();
        let mut references = Vec::new();
        for table in &self.targets {
            if let Some((target, used)) = target(&mut expander, table, &root) {
                targets.push(target);
                references.push(used);
            }
        }
        let registries = self.registries.iter().map(|table| registry(&mut expander, table, &root)).collect();
        let mut problems = expander.problems;
        clashes(&references, &mut problems);
        match Problems::of(&self.path, &self.text, problems) {
            Some(problems) => Err(problems),
            None => Ok(Declaration { path: self.path.clone(), root, targets, registries }),
        }
    }
}

/// `None` after reporting what keeps the target from being one.
fn target(expander: &mut Expander<'_>, table: &TargetTable, root: &Path) -> Option<(Target, References)> {
    let package = package(expander, table);
    let of_target = TargetScope { name: &table.name.value, package };
    let scope = |place| Scope { place, target: Some(&of_target), tag: None, platform: None };

    let repositories = repositories(expander, table, scope("`repository`"));
    let tags = tags(expander, table, scope("`tags`"));
    let annotations = pairs(expander, &table.annotations, scope("`annotations`"));
    if let (Format::Docker, Some((key, _))) = (table.format, table.annotations.first()) {
        let message = "a Docker manifest list has no annotations";
        expander
            .problems
            .push(Problem::new(&key.span, message).help("set `format = \"oci\"`, or leave them out"));
    }
    let version = of_target.package.as_ref().ok().map(|package| package.version.to_string());
    // Without a repository or a tag of its own the images are looked at all the same, for what is wrong with them.
    let nowhere = Repository { host: "docker.io".to_owned(), path: format!("library/{}", table.name.value) };
    let repository = repositories.first().map_or(&nowhere, |(repository, _)| repository);
    let tag = tags.first().map_or("latest", |(tag, _)| tag.name.as_str());
    let images = images::images(expander, &images::Place { table, of_target: &of_target, root, repository, tag })?;
    if tags.is_empty() || repositories.is_empty() {
        return None;
    }
    if tags.len() != table.tags.len() || repositories.len() != table.repositories.len() {
        return None;
    }
    let lists = repositories
        .iter()
        .flat_map(|(repository, _)| tags.iter().map(|(tag, span)| (repository.tag(&tag.name), span.clone())))
        .collect();
    let used = References {
        target: table.name.value.clone(),
        lists,
        images: images.iter().map(|(image, span)| (image.reference.clone(), span.clone())).collect(),
    };
    let target = Target {
        name: table.name.value.clone(),
        repositories: repositories.into_iter().map(|(repository, _)| repository).collect(),
        tags: tags.into_iter().map(|(tag, _)| tag).collect(),
        images: images.into_iter().map(|(image, _)| image).collect(),
        undeclared: table.undeclared,
        attestations: table.attestations,
        format: table.format,
        annotations,
        version,
    };
    Some((target, used))
}

/// The package named by `package`, else the one named like the target, else the only one.
fn package<'a>(expander: &mut Expander<'a>, table: &TargetTable) -> Result<&'a Package, NoPackage> {
    let packages = expander.facts.packages.as_ref().map_err(|reason| NoPackage::Here(reason.clone()))?;
    let named = |name: &str| packages.iter().find(|package| package.name == name);
    if let Some(wanted) = &table.package {
        return named(&wanted.value).ok_or_else(|| {
            let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
            let message = format!("no package `{}` in this workspace", wanted.value);
            expander.problems.push(Problem::new(&wanted.span, message).meant(&wanted.value, &names));
            NoPackage::Reported
        });
    }
    match (named(&table.name.value), &packages[..]) {
        (Some(package), _) => Ok(package),
        (None, [only]) => Ok(only),
        (None, []) => Err(NoPackage::Here("there is no Cargo package here".to_owned())),
        (None, many) => {
            Err(NoPackage::Open(format!("none of the {} packages is named like the target", many.len())))
        }
    }
}

fn repositories(
    expander: &mut Expander<'_>,
    table: &TargetTable,
    scope: Scope<'_>,
) -> Vec<Placed<Repository>> {
    let mut repositories: Vec<Placed<Repository>> = Vec::new();
    for text in &table.repositories {
        let Some(expanded) = expander.expand(text, scope, Form::Reference) else { continue };
        match expanded.text.parse::<Repository>() {
            Ok(repository) => {
                if let Some((_, first)) = repositories.iter().find(|(known, _)| *known == repository) {
                    let message = format!("{repository} is declared twice");
                    expander.problems.push(Problem::new(&text.span, message).also(first, "first here"));
                }
                repositories.push((repository, text.span.clone()));
            }
            Err(_) if expanded.guessed => {}
            Err(error) => {
                let message = format!("`{}` is not a repository", expanded.text);
                expander.problems.push(Problem::new(&text.span, message).label(error.reason()));
            }
        }
    }
    repositories
}

fn tags(expander: &mut Expander<'_>, table: &TargetTable, scope: Scope<'_>) -> Vec<Placed<Tag>> {
    let mut tags: Vec<Placed<Tag>> = Vec::new();
    for TagEntry { name: text, policy } in &table.tags {
        let Some(expanded) = expander.expand(text, scope, Form::Tag) else { continue };
        let name = expanded.text;
        if let Some(reason) = tag_problem(&name)
            && !expanded.guessed
        {
            expander.problems.push(Problem::new(&text.span, format!("`{name}` is not a tag")).label(reason));
        }
        if let Some((_, first)) = tags.iter().find(|(known, _)| known.name == name) {
            let message = format!("the tag `{name}` is declared twice");
            expander.problems.push(Problem::new(&text.span, message).also(first, "first here"));
        }
        // A tag that names a version or a commit promises that it will not change.
        let promises = text.value.contains("{version}") || text.value.contains("{git.sha}");
        let default = if promises { TagPolicy::Immutable } else { TagPolicy::Moving };
        tags.push((Tag { name, policy: policy.unwrap_or(default) }, text.span.clone()));
    }
    tags
}

/// Keys as they are, values with templates filled in.
pub(super) fn pairs(
    expander: &mut Expander<'_>,
    pairs: &[(Text, Text)],
    scope: Scope<'_>,
) -> BTreeMap<String, String> {
    pairs.iter().filter_map(|(key, value)| Some((key.value.clone(), expander.plain(value, scope)?))).collect()
}

/// What two places may not both name: a list's tag of two targets, an image that is a list's tag, one image twice.
fn clashes(references: &[References], problems: &mut Vec<Problem>) {
    let mut lists: BTreeMap<&Reference, (&str, &Span)> = BTreeMap::new();
    for used in references {
        for (reference, span) in &used.lists {
            match lists.get(reference) {
                Some((target, first)) if *target != used.target => {
                    let message = format!("targets {target} and {} both publish {reference}", used.target);
                    problems.push(Problem::new(span, message).also(first, "also here"));
                }
                Some(_) => {}
                None => {
                    lists.insert(reference, (&used.target, span));
                }
            }
        }
    }
    let mut images: BTreeMap<&Reference, (&str, &Span)> = BTreeMap::new();
    for used in references {
        for (reference, span) in &used.images {
            if let Some((target, list)) = lists.get(reference) {
                let message = format!("{reference} is to be an image, and the list of target {target}");
                problems.push(Problem::new(span, message).also(list, "the list's tag"));
            }
            match images.get(reference) {
                Some((_, first)) if *first == span => {
                    let message = format!("this names one image, {reference}, for two platforms");
                    let help = "tell them apart, e.g. with `{platform}` or `{arch}`";
                    problems.push(Problem::new(span, message).help(help));
                }
                Some((_, first)) => {
                    let message = format!("two images resolve to {reference}");
                    problems.push(Problem::new(span, message).also(first, "the other one"));
                }
                None => {
                    images.insert(reference, (&used.target, span));
                }
            }
        }
    }
}

fn registry(expander: &mut Expander<'_>, table: &RegistryTable, root: &Path) -> (String, RegistrySettings) {
    let host = &table.host;
    if host.value.contains('/')
        || host.value.is_empty()
        || format!("{}/x", host.value).parse::<Repository>().is_err()
    {
        let message = format!("`{}` is not a registry's host", host.value);
        expander
            .problems
            .push(Problem::new(&host.span, message).help("write HOST or HOST:PORT, e.g. \"ghcr.io\""));
    }
    for (one, other, name) in [
        (&table.client_cert, &table.client_key, "client-key"),
        (&table.client_key, &table.client_cert, "client-cert"),
    ] {
        if let (Some(text), None) = (one, other) {
            let message = format!("a client's certificate and key go together: `{name}` is missing");
            expander.problems.push(Problem::new(&text.span, message));
        }
    }
    let tls = table.ca_file.as_ref().or(table.client_cert.as_ref());
    if let (Some((true, span)), Some(tls)) = (&table.plain_http, tls) {
        let message = "plain HTTP has no use for certificates";
        expander.problems.push(Problem::new(span, message).also(&tls.span, "declared here"));
    }
    let scope = Scope { place: "`[registry]`", target: None, tag: None, platform: None };
    let mut path = |text: &Option<Text>| -> Option<PathBuf> {
        text.as_ref().and_then(|text| expander.plain(text, scope)).map(|text| root.join(text))
    };
    let settings = RegistrySettings {
        ca_file: path(&table.ca_file),
        client_cert: path(&table.client_cert),
        client_key: path(&table.client_key),
        insecure: table.insecure,
        plain_http: table.plain_http.as_ref().map(|(plain, _)| *plain),
        max_connections: table.max_connections.unwrap_or(RegistrySettings::default().max_connections),
    };
    // `index.docker.io` and `docker.io` are one registry.
    let name =
        format!("{}/x", host.value).parse::<Repository>().map_or(host.value.clone(), |known| known.host);
    (name, settings)
}
