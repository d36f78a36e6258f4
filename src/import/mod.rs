//! What is published or described elsewhere → targets to declare. Pure: it is given what a registry served or what a
//! file holds. What has no equivalent becomes a note; nothing is dropped silently.

pub(crate) mod go_template;
mod goreleaser;
mod manifest_tool;
mod published;
pub(crate) mod yaml;

use crate::edit::NewTarget;

pub(crate) use goreleaser::{docker_platform, goreleaser};
pub(crate) use manifest_tool::manifest_tool;
pub(crate) use published::published;

/// Targets to declare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Imported {
    /// With the names that they would like to have.
    pub targets: Vec<NewTarget>,
    /// What was assumed, and what has no equivalent, one line each.
    pub notes: Vec<String>,
}

/// Reads another tool's file, of whichever tool it is.
///
/// # Errors
///
/// Why it is no file of a tool that is known, in words.
pub(crate) fn file(text: &str) -> Result<Imported, String> {
    let root = yaml::read(text)?;
    let has = |key: &str| root.get(key).is_some();
    if has("manifests") && has("image") {
        return manifest_tool(&root);
    }
    if ["docker_manifests", "dockers_v2", "dockers"].into_iter().any(has) {
        return goreleaser(&root);
    }
    Err("it is neither a manifest-tool spec (`image` and `manifests`) nor a GoReleaser file with `docker_manifests` or \
         `dockers_v2`"
        .to_owned())
}

/// The last part of a repository's name, as a target's name; of a template only what is literal.
fn name_of(repository: &str) -> String {
    let last = repository.rsplit('/').next().unwrap_or(repository);
    let literal: String = last.chars().filter(|c| !matches!(c, '{' | '}')).collect();
    if literal.is_empty() { "target".to_owned() } else { literal }
}

/// A reference or template of one, split into repository and tag.
fn split_tag(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (reference, "latest"),
    }
}

/// Adds what is not there yet.
pub(crate) fn push_new(values: &mut Vec<String>, value: String) {
    if !values.contains(&value) {
        values.push(value);
    }
}

#[cfg(test)]
mod tests;
