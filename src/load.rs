//! Finds and reads the declaration: the one place where `manifests.toml` is opened.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::config::{Declaration, Strictness, read};
use crate::error::{Exit, Failure};
use crate::facts;

/// The file's name.
pub const FILE_NAME: &str = "manifests.toml";

/// Reads the declaration at `path`, or, without one, the first found from the current folder upwards.
///
/// # Errors
///
/// Exit code 2: there is none, it cannot be read, or something is wrong with it.
pub fn load(path: Option<&Path>, strictness: Strictness) -> Result<Declaration> {
    let here = std::env::current_dir()?;
    let path = match path {
        Some(path) => here.join(path),
        None => find(&here).ok_or_else(|| {
            Failure::new(format!("there is no {FILE_NAME} in {} or above it", here.display()))
                .hint("`init` writes a first one from your Dockerfile; `--config FILE` names another")
                .exit(Exit::Usage)
        })?,
    };
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::new(format!("could not read {}", path.display())).because(error).exit(Exit::Usage)
    })?;
    let shown = path.strip_prefix(&here).unwrap_or(&path).to_owned();
    let fail = |problems: crate::config::Problems| Failure::from(problems.shown_as(&shown));
    let document = read(&path, &text).map_err(fail)?;
    let root = path.parent().unwrap_or(&here);
    let facts = facts::gather(root, document.needs());
    Ok(document.resolve(&facts, strictness).map_err(fail)?)
}

/// The declaration in `start` or in the nearest folder above it.
pub fn find(start: &Path) -> Option<PathBuf> {
    start.ancestors().map(|folder| folder.join(FILE_NAME)).find(|path| path.is_file())
}
