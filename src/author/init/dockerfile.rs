//! What a Dockerfile tells without being built.

use std::fs::DirEntry;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use toml_edit::DocumentMut;

use crate::build::dockerfile::{self, Instruction};
use crate::model::platform::Platform;

/// How deep below the folder a Dockerfile is looked for.
const DEPTH: usize = 3;

/// Folders that hold no sources.
const SKIPPED: &[&str] = &["target", "node_modules", "vendor"];

/// A Dockerfile, its paths relative to the declaration's folder, with `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dockerfile {
    /// The file.
    pub path: String,
    /// The folder that it is built in.
    pub context: String,
    /// Its content.
    pub text: String,
    /// The Cargo package whose folder it is in, below the declaration's.
    pub package: Option<String>,
}

/// The Dockerfiles in `root` and below, sorted, those of the upper folders first; folders below that may not be read are
/// left out and noted.
pub(super) fn below(root: &Path, notes: &mut Vec<String>) -> Result<Vec<Dockerfile>> {
    let mut paths = Vec::new();
    collect(root, entries(root)?, DEPTH, &mut paths, notes)?;
    paths.sort_by_key(|path| (path.components().count(), path.clone()));
    paths.iter().map(|path| read(root, path)).collect()
}

/// Collects from `entries`, which are those of a folder in `root` or `root` itself.
fn collect(
    root: &Path,
    entries: Vec<DirEntry>,
    depth: usize,
    paths: &mut Vec<PathBuf>,
    notes: &mut Vec<String>,
) -> Result<()> {
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().with_context(|| could_not_read(&entry.path()))?;
        if kind.is_dir() && depth > 0 && !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
            let path = entry.path();
            if let Some(entries) = permitted(self::entries(&path), &relative(root, &path), notes)? {
                collect(root, entries, depth - 1, paths, notes)?;
            }
        }
        if kind.is_file() && is_dockerfile(&name) {
            paths.push(entry.path());
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<DirEntry>> {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect);
    entries.with_context(|| could_not_read(folder))
}

/// What was read of `folder`; nothing, and a note, where that is not permitted, as of another program's data.
fn permitted<T>(read: Result<T>, folder: &str, notes: &mut Vec<String>) -> Result<Option<T>> {
    let denied = |error: &anyhow::Error| {
        error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == ErrorKind::PermissionDenied)
    };
    match read {
        Err(error) if denied(&error) => {
            notes.push(format!("did not look into {folder}, which may not be read"));
            Ok(None)
        }
        read => read.map(Some),
    }
}

fn could_not_read(path: &Path) -> String {
    format!("could not read {}", path.display())
}

fn is_dockerfile(name: &str) -> bool {
    let known = ["Dockerfile", "Containerfile"];
    known.contains(&name)
        || name.ends_with(".Dockerfile")
        || (name.starts_with("Dockerfile.") && !name.ends_with(".dockerignore"))
}

fn read(root: &Path, path: &Path) -> Result<Dockerfile> {
    let text = std::fs::read(path).with_context(|| could_not_read(path))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let folder = path.parent().unwrap_or(root);
    let package = (folder != root).then(|| package_in(folder)).flatten();
    let mut dockerfile =
        Dockerfile { path: relative(root, path), context: relative(root, folder), text, package };
    // A Dockerfile in a folder of its own is often meant to be built from the top: what it copies tells.
    let copied = dockerfile.copied();
    if copied.iter().any(|source| !folder.join(source).exists() && root.join(source).exists()) {
        dockerfile.context = ".".to_owned();
    }
    Ok(dockerfile)
}

/// The name of the Cargo package in `folder`, when there is one that can be read.
fn package_in(folder: &Path) -> Option<String> {
    let manifest: DocumentMut = std::fs::read_to_string(folder.join("Cargo.toml")).ok()?.parse().ok()?;
    Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
}

fn relative(root: &Path, path: &Path) -> String {
    let parts = path.strip_prefix(root).unwrap_or(path).iter();
    let path = parts.map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
    if path.is_empty() { ".".to_owned() } else { path }
}

impl Dockerfile {
    /// What tells it from others: the folder that it is in, or its suffix.
    pub(super) fn own_name(&self) -> Option<&str> {
        let (folder, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let affix = file.strip_prefix("Dockerfile.").or_else(|| file.strip_suffix(".Dockerfile"));
        let folder = folder.rsplit('/').next().filter(|name| !name.is_empty());
        // These say what is in them, not what it is for.
        affix
            .filter(|name| !matches!(*name, "prod" | "production" | "release"))
            .or(folder.filter(|name| !matches!(*name, "docker" | "container" | "build" | "deploy")))
    }

    /// Whether the engine takes it without being told.
    pub(super) fn is_default(&self) -> bool {
        let default = if self.context == "." {
            "Dockerfile".to_owned()
        } else {
            format!("{}/Dockerfile", self.context)
        };
        self.path == default
    }

    /// The platforms that its base allows, as far as it says so.
    pub(super) fn platforms(&self) -> Vec<String> {
        let last = self.instructions("FROM").pop();
        let pinned = last.as_ref().and_then(|from| from.flag("platform"));
        let exists = |text: &&str| text.parse().is_ok_and(|platform: Platform| platform.problem().is_none());
        let windows = |from: &Instruction| from.arguments.contains("mcr.microsoft.com/windows");
        match pinned.filter(exists) {
            Some(platform) => vec![platform.to_owned()],
            None if last.as_ref().is_some_and(windows) => vec!["windows/amd64".to_owned()],
            None => vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()],
        }
    }

    /// The arguments without a default, but for those that the engine sets.
    pub(super) fn open_arguments(&self) -> Vec<String> {
        let automatic = |name: &str| {
            let name = name.to_ascii_uppercase();
            ["TARGET", "BUILD", "SOURCE_DATE_EPOCH"].iter().any(|known| name.starts_with(known))
                || name.ends_with("_PROXY")
        };
        let declared: Vec<String> = self.instructions("ARG").iter().flat_map(Instruction::words).collect();
        let has_default =
            |name: &str| declared.iter().any(|word| word.split_once('=').is_some_and(|(it, _)| it == name));
        let mut open: Vec<String> = Vec::new();
        for name in &declared {
            if !name.contains('=') && !automatic(name) && !has_default(name) && !open.contains(name) {
                open.push(name.clone());
            }
        }
        open
    }

    /// What its stages are built on, but for other stages and `scratch`.
    pub(super) fn bases(&self) -> Vec<String> {
        let mut stages = Vec::new();
        let mut bases = Vec::new();
        for from in self.instructions("FROM") {
            let words = from.words();
            if let Some(base) = words.first().filter(|base| !stages.contains(*base) && **base != "scratch")
                && !bases.contains(base)
            {
                bases.push(base.clone());
            }
            stages.extend(words.get(2).cloned());
        }
        bases
    }

    /// Whether it says that it listens.
    pub(super) fn serves(&self) -> bool {
        !self.instructions("EXPOSE").is_empty()
    }

    /// What it copies from its context, without patterns and variables.
    pub(super) fn copied(&self) -> Vec<String> {
        let mut sources = self.sources();
        sources.retain(|source| !source.contains(['*', '?', '$', '[', '"', ':', '<']));
        sources.iter().map(|source| source.trim_start_matches('/').to_owned()).collect()
    }

    /// What it copies or mounts from its context, as written; URLs and here-documents are among it.
    pub(super) fn sources(&self) -> Vec<String> {
        let mut instructions = self.instructions("COPY");
        instructions.extend(self.instructions("ADD"));
        let mut sources = Vec::new();
        for instruction in instructions.iter().filter(|instruction| instruction.flag("from").is_none()) {
            let mut words = instruction.words();
            words.pop();
            sources.extend(words);
        }
        let run = self.instructions("RUN");
        let mounts = run.iter().flat_map(|run| &run.flags).filter(|(name, _)| name == "mount");
        for (_, mount) in mounts {
            let option = |name: &str| {
                mount.split(',').filter_map(|option| option.split_once('=')).find(|(known, _)| *known == name)
            };
            let of_context =
                option("from").is_none() && option("type").is_none_or(|(_, kind)| kind == "bind");
            let source = option("source").or_else(|| option("src")).filter(|_| of_context);
            sources.extend(source.map(|(_, path)| path.to_owned()));
        }
        sources
    }

    /// Those that begin with `keyword`, in order; none of a file that is no Dockerfile.
    fn instructions(&self, keyword: &str) -> Vec<Instruction> {
        let instructions = dockerfile::Dockerfile::parse(&self.text).instructions;
        instructions.into_iter().filter(|instruction| instruction.keyword == keyword).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_may_not_be_read_is_noted_and_other_errors_name_their_path() {
        let failed =
            |kind: ErrorKind| Err::<(), _>(std::io::Error::from(kind)).context("could not read /a/data");
        let mut notes = Vec::new();
        assert_eq!(permitted(failed(ErrorKind::PermissionDenied), "data", &mut notes).unwrap(), None);
        assert_eq!(notes, ["did not look into data, which may not be read"]);
        let error = permitted(failed(ErrorKind::NotADirectory), "data", &mut notes).unwrap_err();
        assert_eq!(error.to_string(), "could not read /a/data");
        assert_eq!(notes.len(), 1);
    }
}
