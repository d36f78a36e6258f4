//! What is published or described elsewhere → targets to declare. Pure: it is given what a registry served or what a
//! file holds. What has no equivalent becomes a note; nothing is dropped silently.

pub(crate) mod go_template;
mod goreleaser;
mod manifest_tool;
mod published;
pub(crate) mod yaml;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::author::edit::{NewPlatform, NewTarget};
use crate::model::platform::Platform;

pub(crate) use goreleaser::{docker_platform, goreleaser};
pub(crate) use published::published;

/// Targets to declare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Imported {
    /// With the names that they would like to have.
    pub targets: Vec<NewTarget>,
    /// What was assumed, and what has no equivalent, one line each.
    pub notes: Vec<String>,
}

/// The images of another tool's file whose platforms have to be looked up before [`file`] can declare them.
///
/// # Errors
///
/// It is not YAML.
pub(crate) fn without_platform(text: &str) -> Result<Vec<String>, String> {
    let root = yaml::read(text)?;
    Ok(if is_manifest_tool(&root) { manifest_tool::without_platform(&root) } else { Vec::new() })
}

/// Reads another tool's file, of whichever tool it is; `known` has the platforms of the images that
/// [`without_platform`] names.
///
/// # Errors
///
/// Why it is no file of a tool that is known, in words.
pub(crate) fn file(text: &str, known: &BTreeMap<String, Platform>) -> Result<Imported, String> {
    let root = yaml::read(text)?;
    let has = |key: &str| root.get(key).is_some();
    if is_manifest_tool(&root) {
        return without_doubles(manifest_tool::manifest_tool(&root, known)?);
    }
    if ["docker_manifests", "dockers_v2", "dockers"].into_iter().any(has) {
        return without_doubles(goreleaser(&root)?);
    }
    Err("it is neither a manifest-tool spec (`image` and `manifests`) nor a GoReleaser file with `docker_manifests` or \
         `dockers_v2`"
        .to_owned())
}

/// Declares once what is listed twice: a target has one image for a platform.
fn without_doubles(mut imported: Imported) -> Result<Imported, String> {
    for target in &mut imported.targets {
        let mut platforms: Vec<NewPlatform> = Vec::new();
        for new in std::mem::take(&mut target.platforms) {
            let (name, platform) = (&target.name, &new.platform);
            match platforms.iter().find(|other| other.platform.same_as(platform)) {
                None => platforms.push(new),
                Some(other) if other.image == new.image => {
                    imported
                        .notes
                        .push(format!("target {name}: {platform} is listed twice, and declared once"));
                }
                Some(other) => {
                    let image = |new: &NewPlatform| new.image.clone().unwrap_or_default();
                    return Err(format!(
                        "target {name} lists two images for {platform}, `{}` and `{}`; take one of them out",
                        image(other),
                        image(&new)
                    ));
                }
            }
        }
        target.platforms = platforms;
    }
    Ok(imported)
}

fn is_manifest_tool(root: &Map<String, Value>) -> bool {
    ["image", "manifests"].into_iter().all(|key| root.contains_key(key))
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
