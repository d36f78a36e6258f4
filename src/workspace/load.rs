//! Finds `manifests.toml`, reads it and asks the world around it what it needs. I/O.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::config::{self, Declaration, FileKind, Problems, Strictness};
use crate::error::{Exit, Failure};
use crate::invocation::program;
use crate::workspace::facts;

/// What the file is called.
pub const FILE_NAME: &str = "manifests.toml";

/// The checked declaration in `path`, or in the `manifests.toml` of this folder or one above. Files that it names must
/// be there. An error about its content has the [`Problems`] in its chain.
pub fn load(path: Option<&Path>, strictness: Strictness) -> anyhow::Result<Declaration> {
    let path = match path {
        Some(path) => std::path::absolute(path)?,
        None => find_declaration(&std::env::current_dir()?)?,
    };
    let bytes = std::fs::read(&path).map_err(|error| {
        let failure = Failure::new(format!("could not read {}", path.display())).exit(Exit::Usage);
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let failure =
            if missing { failure.hint(format!("`{} init` writes a first one", program())) } else { failure };
        failure.because(error)
    })?;
    let text = String::from_utf8(bytes)
        .map_err(|error| not_utf8(&path, error.as_bytes(), error.utf8_error().valid_up_to()))?;
    let failed = |problems: Problems| Failure::from(problems.shown_as(&shown(&path)));
    let document = config::read(&path, &text).map_err(failed)?;
    let facts = facts::gather(folder(&path), document.needs());
    Ok(document.resolve_with(&facts, strictness, &exists).map_err(failed)?)
}

/// Where the file stops to be UTF-8, as TOML files are ("Spec" in TOML 1.0): after `valid` bytes.
fn not_utf8(path: &Path, bytes: &[u8], valid: usize) -> Failure {
    let before = String::from_utf8_lossy(&bytes[..valid]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let is_wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let found = if is_wide { ", but UTF-16" } else { "" };
    Failure::new(format!("{}:{line}:{column}: the file is not UTF-8{found}", shown(path).display()))
        .hint("save it as UTF-8")
        .exit(Exit::Usage)
}

/// The declaration in `text`, which is or will be the content of the file at `path`, for a change of it: a file without
/// targets is fine, files that it names need not be there, and templates need not resolve here.
pub fn for_change(path: &Path, text: &str) -> anyhow::Result<Declaration> {
    let failed = |problems: Problems| Failure::from(problems.shown_as(&shown(path)));
    let document = config::read(path, text).map_err(failed)?.without_targets();
    let facts = facts::gather(folder(path), document.needs());
    Ok(document.resolve(&facts, Strictness::Check).map_err(failed)?)
}

/// The content of the declaration's file as it is now.
pub(crate) fn text(declaration: &Declaration) -> anyhow::Result<String> {
    let path = &declaration.path;
    std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// The `manifests.toml` in `start` or the nearest folder above it, as cargo finds its own.
pub fn find_declaration(start: &Path) -> anyhow::Result<PathBuf> {
    let found = start.ancestors().map(|folder| folder.join(FILE_NAME)).find(|path| path.is_file());
    found.ok_or_else(|| {
        Failure::new(format!("there is no {FILE_NAME} in {} or any folder above", start.display()))
            .hint(format!("`{} init` writes a first one, `--config FILE` names another", program()))
            .exit(Exit::Usage)
            .into()
    })
}

fn exists(path: &Path, kind: FileKind) -> bool {
    match kind {
        FileKind::File => path.is_file(),
        FileKind::Dockerfile => path.parent().is_some_and(|context| dockerfile_in(context).is_file()),
        FileKind::Folder => path.is_dir(),
    }
}

/// The Dockerfile of `context` where no name is declared: `Dockerfile`, else `dockerfile`, as engines look for it.
pub(crate) fn dockerfile_in(context: &Path) -> PathBuf {
    let usual = context.join("Dockerfile");
    let other = context.join("dockerfile");
    if !usual.is_file() && other.is_file() { other } else { usual }
}

/// `path` as seen from the current folder, if it is below it.
pub fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{exit_of, render};

    #[test]
    fn a_file_of_another_encoding_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let latin1: &[u8] = b"# a\n# caf\xe9\n";
        let utf16: &[u8] = b"\xff\xfe#\0";
        for (bytes, expected) in [
            (latin1, "manifests.toml:2:6: the file is not UTF-8\n"),
            (utf16, "manifests.toml:1:1: the file is not UTF-8, but UTF-16\n"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = load(Some(&path), Strictness::Check).unwrap_err();
            assert_eq!(exit_of(&error), Exit::Usage);
            assert!(render(&error).contains(expected), "{}", render(&error));
        }
    }

    #[test]
    fn the_file_is_found_from_any_folder_below() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b");
        std::fs::create_dir_all(&below).unwrap();
        let error = find_declaration(&below).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Usage);
        assert!(render(&error).contains("hint: `manifests init` writes a first one"));
        let path = folder.path().join(FILE_NAME);
        std::fs::write(&path, "").unwrap();
        assert_eq!(find_declaration(&below).unwrap(), path);
    }

    #[test]
    fn problems_travel_in_the_chain() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let error = load(Some(&path), Strictness::Check).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Usage);
        let text = "[target.app]\nrepository = \"ghcr.io/acme/app\"\ntags = [\"1\"]\nplatforms = [\"linux/amd64\"]\n";
        std::fs::write(&path, text).unwrap();
        assert_eq!(load(Some(&path), Strictness::Check).unwrap().root, folder.path());
        std::fs::write(&path, format!("{text}build.context = \"docker\"\n")).unwrap();
        let error = load(Some(&path), Strictness::Check).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Usage);
        let problems = error.chain().find_map(|cause| cause.downcast_ref::<Problems>()).unwrap();
        let located = problems.located().next().unwrap();
        assert_eq!((located.line, located.column, located.message), (5, 17, "there is no folder `docker`"));
    }
}
