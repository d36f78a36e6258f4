//! What we write ourselves is kept out of contexts: a lock, or the images of rehearsals, would make each image the input of
//! the next, and be part of it. I/O.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::gather::{Survey, ignore_file};
use super::surroundings::Surroundings;
use crate::build::dockerfile::Ignore;
use crate::config::Build;
use crate::model::platform::Platform;
use crate::workspace::bounded;

/// The paths of `build.outputs` in its context that one of `sources` takes in with others. What a source names stays: who
/// copies the lock wants it.
pub(super) fn kept_out(build: &Build, sources: &BTreeSet<String>) -> Vec<String> {
    let context = resolved(&build.context);
    let paths = build.outputs.iter().filter_map(|output| {
        let path = resolved(output).strip_prefix(&context).ok()?.to_str()?.replace('\\', "/");
        (!path.is_empty()).then_some(path)
    });
    let within = |path: &str, folder: &str| {
        folder.is_empty()
            || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let named = |path: &str| sources.iter().any(|source| !source.is_empty() && within(source, path));
    let plain = |source: &String| {
        let parts = source.split('/').take_while(|part| !part.contains(['*', '?', '[', '\\']));
        parts.collect::<Vec<_>>().join("/")
    };
    let taken = |path: &str| sources.iter().any(|source| within(path, &plain(source)));
    paths.filter(|path| taken(path) && !named(path)).collect()
}

/// What we write that a build takes in with the rest of its context, unless [`WithoutOutputs`] keeps it out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TakenIn {
    /// The file that can leave it out; it may not exist.
    pub ignore_file: PathBuf,
    /// What is taken in, as lines of that file.
    pub lines: Vec<String>,
}

impl TakenIn {
    /// What `build` takes in; `None` for nothing, and where that cannot be read: the build itself tells why.
    pub(crate) fn of(build: &Build, platform: &Platform) -> Option<Self> {
        let survey = Survey::of(build, platform, &Surroundings::here()).ok()?;
        let found = ignore_file(&survey.dockerfile, &build.context).ok()?;
        let text = found.as_ref().map(std::fs::read_to_string).transpose().ok()?.unwrap_or_default();
        let rules = Ignore::parse(&text);
        let taken = survey.kept_out.into_iter().filter(|path| !rules.look_at(path).ignored());
        let lines = Ignore::patterns(&taken.collect::<Vec<_>>());
        let ignore_file = found.unwrap_or_else(|| build.context.join(".dockerignore"));
        (!lines.is_empty()).then_some(Self { ignore_file, lines })
    }
}

/// A copy of a Dockerfile with an ignore file of its own beside it, which keeps our outputs out as well; it goes when this
/// is dropped.
#[derive(Debug)]
pub(crate) struct WithoutOutputs {
    _folder: TempDir,
    /// The copy.
    pub dockerfile: PathBuf,
}

impl WithoutOutputs {
    /// Makes it, where `build` would send an output of ours to the engine. Builders take `DOCKERFILE.dockerignore` before
    /// the context's `.dockerignore` (BuildKit since 19.03).
    ///
    /// # Errors
    ///
    /// The files cannot be read or written.
    pub(crate) fn of(build: &Build, platform: &Platform) -> Result<Option<Self>> {
        // What cannot be read is told by the build itself, and has no fingerprint.
        let Ok(survey) = Survey::of(build, platform, &Surroundings::here()) else { return Ok(None) };
        if survey.named_elsewhere || survey.kept_out.is_empty() {
            return Ok(None);
        }
        let text = match ignore_file(&survey.dockerfile, &build.context)? {
            Some(file) => bounded::bytes(&file)?,
            None => Vec::new(),
        };
        // Engines take a file that is not UTF-8, too.
        let rules = std::str::from_utf8(&text).map(Ignore::parse);
        if rules.is_ok_and(|rules| survey.kept_out.iter().all(|path| rules.look_at(path).ignored())) {
            return Ok(None);
        }
        let folder = tempfile::tempdir().context("could not make a temporary folder")?;
        let name = survey.dockerfile.file_name().unwrap_or_default();
        let dockerfile = folder.path().join(name);
        let mut own = dockerfile.clone().into_os_string();
        own.push(".dockerignore");
        let kept_out = Ignore::patterns(&survey.kept_out).join("\n");
        let all = [&text, format!("\n{kept_out}\n").as_bytes()].concat();
        std::fs::copy(&survey.dockerfile, &dockerfile)
            .and_then(|_| std::fs::write(own, all))
            .with_context(|| format!("could not copy {}", survey.dockerfile.display()))?;
        Ok(Some(Self { _folder: folder, dockerfile }))
    }
}

/// `path` without links, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let mut ancestors = path.ancestors();
    let found = ancestors.find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    match found {
        Some((ancestor, real)) => path.strip_prefix(ancestor).map_or(real.clone(), |rest| real.join(rest)),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignore_file_is_kept_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let build = Build { context: at(""), outputs: vec![at("manifests.lock")], ..Build::default() };
        std::fs::write(at("Dockerfile"), "FROM scratch\nCOPY . /\n").unwrap();
        let platform = "linux/amd64".parse().unwrap();
        for (ignore, expected) in [
            (&b"manifests.lock\n"[..], None),
            (b"a\n", Some(&b"a\n\n/manifests.lock\n"[..])),
            (b"# caf\xe9\nmanifests.lock\n", Some(b"# caf\xe9\nmanifests.lock\n\n/manifests.lock\n")),
        ] {
            std::fs::write(at(".dockerignore"), ignore).unwrap();
            let made = WithoutOutputs::of(&build, &platform).unwrap();
            let own = made.map(|made| {
                let own = made.dockerfile.with_file_name("Dockerfile.dockerignore");
                std::fs::read(own).unwrap()
            });
            assert_eq!(own.as_deref(), expected);
        }
    }

    #[test]
    fn outputs_that_come_along_are_kept_out_and_those_named_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let outputs = vec![at("manifests.lock"), at("target/manifests")];
        let both = ["manifests.lock", "target/manifests"];
        for (context, sources, expected) in [
            ("", &[][..], &[][..]),
            ("", &["src"], &[]),
            ("", &[""], &both),
            ("", &["*"], &both),
            ("", &["*.lock"], &both),
            ("", &["target"], &["target/manifests"]),
            ("", &["target/*/app"], &["target/manifests"]),
            ("", &["targets", "src/*"], &[]),
            ("", &["", "manifests.lock"], &["target/manifests"]),
            ("", &["", "target/manifests/cargo/app"], &["manifests.lock"]),
            ("target/manifests/cargo/app", &[""], &[]),
            ("other", &[""], &[]),
        ] {
            let build = Build { context: at(context), outputs: outputs.clone(), ..Build::default() };
            let sources = sources.iter().map(|source| (*source).to_owned()).collect();
            assert_eq!(kept_out(&build, &sources), expected, "{context} {sources:?}");
        }
    }
}
