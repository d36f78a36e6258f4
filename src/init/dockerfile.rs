//! What a Dockerfile tells without being built.

use std::path::{Path, PathBuf};

use crate::dockerfile::{self, Instruction};
use crate::platform::Platform;

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
}

/// The Dockerfiles in `root` and below, sorted, those of the upper folders first.
pub(super) fn below(root: &Path) -> std::io::Result<Vec<Dockerfile>> {
    let mut paths = Vec::new();
    collect(root, DEPTH, &mut paths)?;
    paths.sort_by_key(|path| (path.components().count(), path.clone()));
    paths.iter().map(|path| read(root, path)).collect()
}

fn collect(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        if kind.is_dir() && depth > 0 && !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
            collect(&entry.path(), depth - 1, paths)?;
        }
        if kind.is_file() && is_dockerfile(&name) {
            paths.push(entry.path());
        }
    }
    Ok(())
}

fn is_dockerfile(name: &str) -> bool {
    let known = ["Dockerfile", "Containerfile"];
    known.contains(&name)
        || name.ends_with(".Dockerfile")
        || (name.starts_with("Dockerfile.") && !name.ends_with(".dockerignore"))
}

fn read(root: &Path, path: &Path) -> std::io::Result<Dockerfile> {
    let text = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
    let folder = path.parent().unwrap_or(root);
    let mut dockerfile = Dockerfile { path: relative(root, path), context: relative(root, folder), text };
    // A Dockerfile in a folder of its own is often meant to be built from the top: what it copies tells.
    let copied = dockerfile.copied();
    if copied.iter().any(|source| !folder.join(source).exists() && root.join(source).exists()) {
        dockerfile.context = ".".to_owned();
    }
    Ok(dockerfile)
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
        affix.or(folder.filter(|name| !matches!(*name, "docker" | "container" | "build" | "deploy")))
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
            let of_context = option("from").is_none() && option("type").is_none_or(|(_, kind)| kind == "bind");
            let source = option("source").or_else(|| option("src")).filter(|_| of_context);
            sources.extend(source.map(|(_, path)| path.to_owned()));
        }
        sources
    }

    /// Those that begin with `keyword`, in order; none of a file that is no Dockerfile.
    fn instructions(&self, keyword: &str) -> Vec<Instruction> {
        let parsed = dockerfile::Dockerfile::parse(&self.text);
        let instructions = parsed.map(|parsed| parsed.instructions).unwrap_or_default();
        instructions.into_iter().filter(|instruction| instruction.keyword == keyword).collect()
    }
}
