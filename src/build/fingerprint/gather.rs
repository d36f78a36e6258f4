//! Gathers the inputs of builds from the file system. I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::command_line::{Extra, secret_id};
use super::context::{Found, Kind, reached};
use super::hashes::Hashes;
use super::key::Key;
use super::outputs::kept_out;
use super::surroundings::Surroundings;
use super::{Input, Inputs, summary};
use crate::build::dockerfile::{Asked, Dockerfile, Ignore, Needs, Use};
use crate::config::Build;
use crate::model::digest::Digest;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::model::secret::is_secret_name;
use crate::workspace::bounded;
use crate::workspace::load::dockerfile_in;

/// What was gathered of one build: everything but the digests of the images that it uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    inputs: Inputs,
    images: BTreeSet<Reference>,
    foreign: BTreeSet<Reference>,
    syntax: Option<Reference>,
    base: Option<Reference>,
    undecided: Vec<String>,
    /// Inputs that may be secrets.
    secrets: BTreeSet<String>,
}

impl Gathered {
    /// The images whose digests are inputs too.
    pub fn images(&self) -> impl Iterator<Item = &Reference> {
        self.images.iter()
    }

    /// Whether `image` is used for the platform of the build alone, wherever it is used.
    pub fn is_for_platform(&self, image: &Reference) -> bool {
        !self.foreign.contains(image)
    }

    /// The image of the Dockerfile's syntax.
    pub fn syntax(&self) -> Option<&Reference> {
        self.syntax.as_ref()
    }

    /// The image whose layers lie under those that the build adds; `None` for `FROM scratch`, and where it cannot be
    /// told.
    pub fn base(&self) -> Option<&Reference> {
        self.base.as_ref()
    }

    /// Why the inputs do not decide what comes out; empty when they do.
    pub fn undecided(&self) -> &[String] {
        &self.undecided
    }

    /// The names of inputs that may be secrets, if there are any.
    pub(crate) fn secrets(&self) -> Option<String> {
        let names: Vec<&str> = self.secrets.iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// With `key` for an input, where a secret is one: the fingerprint is published with the lock, and whoever knows all
    /// other inputs could try values until it comes out. `None` for a key that is not to be had, without which nothing is
    /// decided.
    #[must_use]
    pub(crate) fn keyed(mut self, key: Option<&Key>) -> Self {
        let Some(names) = self.secrets() else { return self };
        match key {
            Some(key) => self.inputs.add(Input::Key(names), key.reveal()),
            None => self.undecided.push(format!(
                "{names} may hold a secret, and this machine's key for fingerprints cannot be kept"
            )),
        }
        self
    }

    /// What differs from an earlier look, in a few words; `None` when nothing does.
    pub fn difference(&self, before: &Self) -> Option<String> {
        if self == before {
            return None;
        }
        let differences = self.inputs.since(&before.inputs);
        Some(match (differences.is_empty(), self.undecided.first()) {
            (_, Some(why)) if self.undecided != before.undecided => why.clone(),
            (false, _) => summary(&differences),
            (true, _) => "what it uses has changed".to_owned(),
        })
    }

    /// All inputs, with the digests of the images in `bases`. Those that are missing there are left out: what is
    /// gathered without them has no fingerprint that means anything.
    pub fn with_bases(&self, bases: &BTreeMap<Reference, Digest>) -> Inputs {
        let mut inputs = self.inputs.clone();
        for image in &self.images {
            if let Some(digest) = image.digest.as_ref().or_else(|| bases.get(image)) {
                inputs.add(Input::Base(image.to_string()), digest.as_str());
            }
        }
        inputs
    }
}

/// Gathers what decides each of `builds`. Every file is read once, however many of them it reaches. What cannot be read
/// is a reason not to trust what was: the build itself will say what is wrong.
pub fn gather(builds: &[(&Build, &Platform)]) -> Vec<Gathered> {
    gather_in(&Surroundings::here(), builds)
}

/// The same for an engine's client with these `surroundings`.
pub fn gather_in(surroundings: &Surroundings, builds: &[(&Build, &Platform)]) -> Vec<Gathered> {
    gather_all(surroundings, builds, &Hashes::default()).0
}

/// As [`gather`], without reading what was not written since `earlier`. Gives what the next look needs.
pub fn gather_after(builds: &[(&Build, &Platform)], earlier: &Hashes) -> (Vec<Gathered>, Hashes) {
    gather_all(&Surroundings::here(), builds, earlier)
}

fn gather_all(
    surroundings: &Surroundings,
    builds: &[(&Build, &Platform)],
    earlier: &Hashes,
) -> (Vec<Gathered>, Hashes) {
    let surveys: Vec<Result<Looked>> = builds
        .iter()
        .map(|(build, platform)| {
            let mut survey = Survey::of(build, platform, surroundings)?;
            let found = survey.look(build)?;
            Ok((survey, found))
        })
        .collect();
    let files = surveys.iter().flatten().flat_map(|(_, found)| files(found)).collect();
    let digests = Hashes::after(earlier, &files);
    let finish = |survey: Result<Looked>| match (survey, &digests) {
        (Ok((survey, found)), Ok(digests)) => survey.finish(found, digests),
        (Err(error), _) => Gathered { undecided: vec![format!("{error:#}")], ..Gathered::default() },
        (_, Err(error)) => Gathered { undecided: vec![format!("{error:#}")], ..Gathered::default() },
    };
    let gathered = surveys.into_iter().map(finish).collect();
    (gathered, digests.unwrap_or_default())
}

/// A build with what it reaches, which is not hashed yet.
type Looked = (Survey, Vec<(Input, Found)>);

/// A build before its context is read.
pub(super) struct Survey {
    gathered: Gathered,
    needs: Needs,
    /// Named contexts that are folders.
    contexts: BTreeMap<String, PathBuf>,
    /// The Dockerfile.
    pub(super) dockerfile: PathBuf,
    /// Whether `extra-args` names it.
    pub(super) named_elsewhere: bool,
    /// Paths of the context that are kept from the engine.
    pub(super) kept_out: Vec<String>,
}

/// Variables that the engine's client itself heeds: labels that it adds, and what its builds may reach.
const HEEDED: &[&str] = &["BUILDX_GIT_LABELS", "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"];

/// The time that images get, which clients pass on as an argument (reproducible-builds.org).
const EPOCH: &str = "SOURCE_DATE_EPOCH";

impl Survey {
    pub(super) fn of(build: &Build, platform: &Platform, surroundings: &Surroundings) -> Result<Self> {
        let extra = Extra::of(&build.extra_args);
        let dockerfile = dockerfile(build, &extra)?;
        let args = arguments(build, &extra, surroundings);
        let needs = needs(build, platform, &extra, &args, &dockerfile)?;
        let mut inputs = Inputs::default();
        inputs.add(Input::Dockerfile, Digest::of(needs.instructions.join("\n").as_bytes()).hex());
        inputs.add(Input::Platform, platform.normal().for_engine());
        for (name, value) in &build.args {
            match needs.arguments.get(name) {
                Some(Use::Value) => inputs.add(Input::Argument(name.clone()), value),
                Some(Use::Emptiness) => {
                    inputs.add(Input::Argument(name.clone()), emptiness(value.is_empty()))
                }
                None => {}
            }
        }
        for (name, value) in &build.labels {
            inputs.add(Input::Label(name.clone()), value);
        }
        for secret in build.secrets.iter().chain(&build.ssh) {
            inputs.add(Input::Secret(secret_id(secret)), "");
        }
        if let Some(stage) = &build.stage {
            inputs.add(Input::Stage, stage);
        }
        if !build.extra_args.is_empty() {
            inputs.add(Input::ExtraArguments, serde_json::to_string(&build.extra_args)?);
        }

        let mut undecided: Vec<String> = needs.undecided.iter().map(ToString::to_string).collect();
        let given = |name: &str| build.args.contains_key(name) || extra.arguments.contains_key(name);
        let epoch = (!given(EPOCH)).then_some(EPOCH);
        // What it holds may be a secret: only a digest of it is kept.
        let passed = extra.passed.iter().filter(|name| given(name) || needs.arguments.contains_key(*name));
        for name in passed.map(String::as_str).chain(HEEDED.iter().copied()).chain(epoch) {
            match surroundings.variable(name).filter(|value| name != EPOCH || !value.is_empty()) {
                Some(value) => {
                    let state = match needs.arguments.get(name) {
                        Some(Use::Emptiness) if !given(name) => emptiness(value.is_empty()).to_owned(),
                        _ => Digest::of(value.as_encoded_bytes()).hex().to_owned(),
                    };
                    inputs.add(Input::Environment(name.to_owned()), state);
                }
                // Whether it then keeps the value that it has elsewhere differs from client to client.
                None if extra.passed.contains(name) && given(name) => {
                    undecided.push(format!(
                        "`--build-arg {name}` has a value elsewhere, and none in the environment"
                    ));
                }
                None => {}
            }
        }
        if surroundings.variable(HEEDED[1]).is_some() {
            undecided.push(format!("{} is set", HEEDED[1]));
        }
        let named = build.args.keys().chain(extra.arguments.keys()).chain(&extra.passed);
        let mut secrets: BTreeSet<String> = named.filter(|name| is_secret_name(name)).cloned().collect();
        if needs.proxies {
            match surroundings.proxies() {
                Ok(None) => {}
                Ok(Some(proxies)) => {
                    if proxies.contains('@') {
                        secrets.insert("proxies".to_owned());
                    }
                    inputs
                        .add(Input::Environment("proxies".to_owned()), Digest::of(proxies.as_bytes()).hex());
                }
                Err(why) => undecided.push(why),
            }
        }
        undecided.extend(
            extra.unknown.iter().map(|option| format!("`{option}` of `build.extra-args` is not understood")),
        );

        let kept_out = kept_out(build, &needs.sources);
        let folder = |name: &String| {
            let path = extra.contexts.get(name).map(std::path::absolute)?;
            Some(path.map(|path| (name.clone(), path)))
        };
        let contexts = needs.contexts.iter().filter_map(folder).collect::<std::io::Result<_>>()?;
        let gathered = Gathered {
            inputs,
            images: needs.images.clone(),
            foreign: needs.foreign.clone(),
            syntax: needs.syntax.clone(),
            base: needs.base.clone(),
            undecided,
            secrets,
        };
        let named_elsewhere = extra.dockerfile.is_some();
        Ok(Self { gathered, needs, contexts, dockerfile, named_elsewhere, kept_out })
    }

    /// What it reaches of its contexts.
    fn look(&mut self, build: &Build) -> Result<Vec<(Input, Found)>> {
        let ignore = ignore(&self.dockerfile, &build.context)?;
        let ignore = if self.named_elsewhere { ignore } else { ignore.without(&self.kept_out) };
        let mut found: Vec<(Input, Found)> = Vec::new();
        let here = reached(&build.context, &self.needs.sources, &ignore)?;
        found.extend(here.into_iter().map(|(path, found)| (Input::Path(path), found)));
        let everything = BTreeSet::from([String::new()]);
        for (name, folder) in &self.contexts {
            let there = reached(folder, &everything, &Ignore::default())?;
            let input = |path| Input::PathOf(name.clone(), path);
            found.extend(there.into_iter().map(|(path, found)| (input(path), found)));
        }
        Ok(found)
    }

    fn finish(self, found: Vec<(Input, Found)>, digests: &Hashes) -> Gathered {
        let mut gathered = self.gathered;
        for (input, found) in found {
            let mut state = match found.kind {
                Kind::File(mode, _) => {
                    let digest = digests.get(&found.location).unwrap_or_default();
                    format!("file {mode:o} {digest}")
                }
                Kind::Folder(mode) => format!("folder {mode:o}"),
                Kind::Link(target) => format!("link {target}"),
                Kind::Special(what) => what,
            };
            if !found.attributes.is_empty() {
                state.push_str(&format!(" attributes {}", found.attributes));
            }
            if !found.only.is_empty() {
                state.push_str(&format!(" of {} clients", found.only));
            }
            gathered.inputs.add(input, state);
        }
        gathered
    }
}

/// The state of an argument of which only that matters. No argument can have it as its value.
fn emptiness(is_empty: bool) -> &'static str {
    if is_empty { "\0empty" } else { "\0not empty" }
}

fn files(found: &[(Input, Found)]) -> impl Iterator<Item = (PathBuf, u64)> {
    found.iter().filter_map(|(_, found)| match found.kind {
        Kind::File(_, size) => Some((found.location.clone(), size)),
        _ => None,
    })
}

/// The files and folders that decide `build`, as far as they have names: the Dockerfile, and what it reaches.
pub fn paths(build: &Build, platform: &Platform) -> Vec<PathBuf> {
    let Ok(survey) = Survey::of(build, platform, &Surroundings::here()) else { return Vec::new() };
    // Of a pattern, the folder that it is held against.
    let named = |source: &String| {
        let parts = source.split('/').take_while(|part| !part.contains(['*', '?', '[', '\\']));
        parts.fold(build.context.clone(), |path, part| path.join(part))
    };
    survey.needs.sources.iter().map(named).chain([survey.dockerfile.clone()]).collect()
}

/// The image whose layers lie under those that `build` adds; `None` for `FROM scratch`, and where it cannot be told.
pub fn base(build: &Build, platform: &Platform) -> Option<Reference> {
    Survey::of(build, platform, &Surroundings::here()).ok()?.needs.base
}

/// All arguments that the build gets.
fn arguments(build: &Build, extra: &Extra, surroundings: &Surroundings) -> BTreeMap<String, String> {
    let mut args = build.args.clone();
    args.extend(extra.arguments.clone());
    let passed = extra
        .passed
        .iter()
        .filter_map(|name| Some((name.clone(), surroundings.variable(name)?.to_string_lossy().into_owned())));
    args.extend(passed);
    args
}

fn dockerfile(build: &Build, extra: &Extra) -> Result<PathBuf> {
    Ok(match (&build.dockerfile, &extra.dockerfile) {
        (_, Some(named)) => std::path::absolute(named)?,
        (Some(named), None) => named.clone(),
        (None, None) => dockerfile_in(&build.context),
    })
}

fn needs(
    build: &Build,
    platform: &Platform,
    extra: &Extra,
    args: &BTreeMap<String, String>,
    dockerfile: &Path,
) -> Result<Needs> {
    let text = bounded::text(dockerfile)?;
    let stage = extra.stage.as_deref().or(build.stage.as_deref());
    Ok(Dockerfile::parse(&text).needs(Asked { args, stage, platform, contexts: &extra.contexts }))
}

/// What the engine's client leaves out of the context. Clients do not agree on links: nothing is left out for one.
fn ignore(dockerfile: &Path, context: &Path) -> Result<Ignore> {
    let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
    match ignore_file(dockerfile, context)? {
        Some(path) if !is_link(&path) && !is_link(dockerfile) => Ok(Ignore::parse(&bounded::text(&path)?)),
        _ => Ok(Ignore::default()),
    }
}

/// `DOCKERFILE.dockerignore` or, when there is none, the context's `.dockerignore`.
pub(super) fn ignore_file(dockerfile: &Path, context: &Path) -> Result<Option<PathBuf>> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    for path in [PathBuf::from(own), context.join(".dockerignore")] {
        match path.symlink_metadata() {
            Ok(_) => return Ok(Some(path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("could not look at {}", path.display())),
        }
    }
    Ok(None)
}
