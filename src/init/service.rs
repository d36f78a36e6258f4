//! What another tool's file publishes, in our words, and how image names with their tags become repositories and tags.
//! Pure.

use std::collections::BTreeMap;

use crate::reference::Reference;

/// One thing that a file of another tool publishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// What the file calls it.
    pub name: String,
    /// The file.
    pub file: String,
    /// Where it is published; strings from here on are templates of ours.
    pub repositories: Vec<String>,
    /// The tags.
    pub tags: Vec<String>,
    /// Where each platform's image goes, when the file says so.
    pub image: Option<String>,
    /// As the file has them; none when it does not say.
    pub platforms: Vec<String>,
    /// The folder that is built, relative to the file.
    pub context: String,
    /// Relative to the file; none for the context's own.
    pub dockerfile: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// The stage of the Dockerfile.
    pub stage: Option<String>,
    /// What has no counterpart here or could not be read, one line each.
    pub notes: Vec<String>,
}

impl Service {
    /// The Dockerfile, relative to the file.
    pub(super) fn dockerfile(&self) -> String {
        self.dockerfile.clone().unwrap_or_else(|| joined(&self.context, "Dockerfile"))
    }

    /// Takes `repository[:tag]` apart into the repositories and tags; everything is published in every repository.
    pub(super) fn publishes(&mut self, name: &str) {
        let (repository, tag) = split(name);
        if !self.repositories.contains(&repository) {
            self.repositories.push(repository);
        }
        if !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
    }
}

/// Repository and tag; a colon before the last slash is a port's.
fn split(name: &str) -> (String, String) {
    let name = name.split('@').next().unwrap_or(name);
    let at = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[at..].find(':') {
        Some(colon) => (name[..at + colon].to_owned(), name[at + colon + 1..].to_owned()),
        None => (name.to_owned(), "latest".to_owned()),
    }
}

/// `text` as a template that gives the same text.
pub(super) fn literal(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// A repository as it is read, when no template is in it.
pub(super) fn repository(text: &str) -> Option<crate::reference::Repository> {
    text.parse::<Reference>().ok().map(|reference| reference.repository)
}

/// `folder` and `path` in it, with `/`.
pub(super) fn joined(folder: &str, path: &str) -> String {
    let folder = folder.trim_start_matches("./").trim_end_matches('/');
    match folder {
        "" | "." => path.to_owned(),
        folder => format!("{folder}/{path}"),
    }
}
