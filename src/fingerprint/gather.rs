//! Gathers the inputs of builds from the file system. I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::command_line::{Extra, secret_id};
use super::context::{Found, Kind, reached};
use super::hashes::Hashes;
use super::{Input, Inputs, summary};
use crate::config::Build;
use crate::digest::Digest;
use crate::dockerfile::{Asked, Dockerfile, Ignore, Needs};
use crate::platform::Platform;
use crate::reference::Reference;

/// What was gathered of one build: everything but the digests of the images that it uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    inputs: Inputs,
    images: BTreeSet<Reference>,
    undecided: Vec<String>,
}

impl Gathered {
    /// The images whose digests are inputs too.
    pub fn images(&self) -> impl Iterator<Item = &Reference> {
        self.images.iter()
    }

    /// Why the inputs do not decide what comes out; empty when they do.
    pub fn undecided(&self) -> &[String] {
        &self.undecided
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
    gather_after(builds, &Hashes::default()).0
}

/// As [`gather`], without reading what was not written since `earlier`. Gives what the next look needs.
pub fn gather_after(builds: &[(&Build, &Platform)], earlier: &Hashes) -> (Vec<Gathered>, Hashes) {
    let surveys: Vec<Result<Survey>> =
        builds.iter().map(|(build, platform)| Survey::of(build, platform)).collect();
    let files = surveys.iter().flatten().flat_map(Survey::files).collect();
    let digests = Hashes::after(earlier, &files);
    let finish = |survey: Result<Survey>| match (survey, &digests) {
        (Ok(survey), Ok(digests)) => survey.finish(digests),
        (Err(error), _) => Gathered { undecided: vec![format!("{error:#}")], ..Gathered::default() },
        (_, Err(error)) => Gathered { undecided: vec![format!("{error:#}")], ..Gathered::default() },
    };
    let gathered = surveys.into_iter().map(finish).collect();
    (gathered, digests.unwrap_or_default())
}

/// A build before its files are hashed.
struct Survey {
    gathered: Gathered,
    found: Vec<(Input, Found)>,
}

impl Survey {
    fn of(build: &Build, platform: &Platform) -> Result<Self> {
        let extra = Extra::of(&build.extra_args);
        let dockerfile = dockerfile(build, &extra)?;
        let needs = needs(build, platform, &extra, &dockerfile)?;
        let mut inputs = Inputs::default();
        inputs.add(Input::Dockerfile, Digest::of(needs.instructions.join("\n").as_bytes()).hex());
        inputs.add(Input::Platform, platform.normal().for_engine());
        for (name, value) in &build.args {
            inputs.add(Input::Argument(name.clone()), value);
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

        let ignore = ignore(&dockerfile, &build.context)?;
        let mut found: Vec<(Input, Found)> = Vec::new();
        let reached_here = reached(&build.context, &needs.sources, &ignore)?;
        found.extend(reached_here.into_iter().map(|(path, found)| (Input::Path(path), found)));
        for name in &needs.contexts {
            let Some(folder) = extra.contexts.get(name) else { continue };
            let everything = BTreeSet::from([String::new()]);
            let reached_there = reached(&std::path::absolute(folder)?, &everything, &Ignore::default())?;
            let input = |path| Input::PathOf(name.clone(), path);
            found.extend(reached_there.into_iter().map(|(path, found)| (input(path), found)));
        }
        let undecided = needs.undecided.iter().map(ToString::to_string).collect();
        Ok(Self { gathered: Gathered { inputs, images: needs.images, undecided }, found })
    }

    fn files(&self) -> impl Iterator<Item = (PathBuf, u64)> {
        self.found.iter().filter_map(|(_, found)| match found.kind {
            Kind::File(_, size) => Some((found.location.clone(), size)),
            _ => None,
        })
    }

    fn finish(self, digests: &Hashes) -> Gathered {
        let mut gathered = self.gathered;
        for (input, found) in self.found {
            let state = match found.kind {
                Kind::File(mode, _) => {
                    let digest = digests.get(&found.location).unwrap_or_default();
                    format!("file {mode:o} {digest}")
                }
                Kind::Folder(mode) => format!("folder {mode:o}"),
                Kind::Link(target) => format!("link {target}"),
            };
            gathered.inputs.add(input, state);
        }
        gathered
    }
}

/// The files and folders that decide `build`, as far as they have names: the Dockerfile, and what it reaches.
pub fn paths(build: &Build, platform: &Platform) -> Vec<PathBuf> {
    let extra = Extra::of(&build.extra_args);
    let Ok(dockerfile) = dockerfile(build, &extra) else { return Vec::new() };
    let sources = needs(build, platform, &extra, &dockerfile).map(|needs| needs.sources).unwrap_or_default();
    // Of a pattern, the folder that it is held against.
    let named = |source: &String| {
        let parts = source.split('/').take_while(|part| !part.contains(['*', '?', '[', '\\']));
        parts.fold(build.context.clone(), |path, part| path.join(part))
    };
    sources.iter().map(named).chain([dockerfile.clone()]).collect()
}

/// The image whose layers lie under those that `build` adds; `None` for `FROM scratch`, and where it cannot be told.
pub fn base(build: &Build, platform: &Platform) -> Option<Reference> {
    let extra = Extra::of(&build.extra_args);
    let dockerfile = dockerfile(build, &extra).ok()?;
    needs(build, platform, &extra, &dockerfile).ok()?.base
}

fn dockerfile(build: &Build, extra: &Extra) -> Result<PathBuf> {
    Ok(match (&build.dockerfile, &extra.dockerfile) {
        (_, Some(named)) => std::path::absolute(named)?,
        (Some(named), None) => named.clone(),
        (None, None) => build.context.join("Dockerfile"),
    })
}

fn needs(build: &Build, platform: &Platform, extra: &Extra, dockerfile: &Path) -> Result<Needs> {
    let text = std::fs::read_to_string(dockerfile)
        .with_context(|| format!("could not read {}", dockerfile.display()))?;
    let parsed = Dockerfile::parse(&text).with_context(|| format!("{}", dockerfile.display()))?;
    let mut args = build.args.clone();
    args.extend(extra.arguments.clone());
    let stage = extra.stage.as_deref().or(build.stage.as_deref());
    Ok(parsed.needs(Asked { args: &args, stage, platform, contexts: &extra.contexts }))
}

/// What stands in `DOCKERFILE.dockerignore` or, when there is none, in the context's `.dockerignore`.
fn ignore(dockerfile: &Path, context: &Path) -> Result<Ignore> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    for path in [PathBuf::from(own), context.join(".dockerignore")] {
        match std::fs::read_to_string(&path) {
            Ok(text) => return Ignore::parse(&text).with_context(|| format!("{}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("could not read {}", path.display())),
        }
    }
    Ok(Ignore::default())
}
