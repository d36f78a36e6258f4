//! What another tool's file publishes, in our words, and how image names with their tags become repositories and tags.
//! Pure.

use std::collections::BTreeMap;

use crate::author::import::push_new;
use crate::model::reference::Reference;

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
    /// Labels of the images.
    pub labels: BTreeMap<String, String>,
    /// Further keys of `build` that are lists, by their names here.
    pub lists: BTreeMap<&'static str, Vec<String>>,
    /// The stage of the Dockerfile.
    pub stage: Option<String>,
    /// What differs for single platforms.
    pub own: Vec<Own>,
    /// What has no counterpart here or could not be read, one line each.
    pub notes: Vec<String>,
}

/// What differs for one platform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// The platform.
    pub platform: String,
    /// Where its image goes.
    pub image: Option<String>,
    /// Relative to the file.
    pub dockerfile: Option<String>,
    /// Build arguments that are not the service's, or have another value.
    pub args: BTreeMap<String, String>,
}

/// What a file of another tool publishes.
#[derive(Debug, Default)]
pub(super) struct Published {
    pub(super) services: Vec<Service>,
    /// What is left out, one line each.
    pub(super) notes: Vec<String>,
}

impl Service {
    /// The Dockerfile, relative to the file.
    pub(super) fn dockerfile(&self) -> String {
        self.dockerfile.clone().unwrap_or_else(|| joined(&self.context, "Dockerfile"))
    }

    /// Whether `path` is its Dockerfile, or that of a platform.
    pub(super) fn builds(&self, path: &str) -> bool {
        self.dockerfile() == path || self.own.iter().any(|own| own.dockerfile.as_deref() == Some(path))
    }

    /// What is built, and where it is listed; the names of the images and the tags may differ.
    fn built(&self) -> Self {
        let mut own: Vec<Own> = self.own.iter().map(|own| Own { image: None, ..own.clone() }).collect();
        own.retain(|own| own.dockerfile.is_some() || !own.args.is_empty());
        Self { tags: Vec::new(), notes: Vec::new(), image: None, own, ..self.clone() }
    }

    /// Takes the tags of `other`, which builds the same.
    fn merge(&mut self, other: Self) {
        let images = |service: &Self| {
            let own: Vec<_> = service.own.iter().map(|own| own.image.clone()).collect();
            (service.image.clone(), own)
        };
        if images(self) != images(&other) {
            let (repository, first, tags) = (&self.repositories[0], &self.tags[0], other.tags.join(", "));
            let note = format!("{repository}:{tags} lists what {first} does; the images have one name here");
            push_new(&mut self.notes, note);
        }
        other.tags.into_iter().for_each(|tag| push_new(&mut self.tags, tag));
        other.notes.into_iter().for_each(|note| push_new(&mut self.notes, note));
    }
}

impl Published {
    /// Adds `service`, which is published as `names`, each a `repository[:tag]`. A target has each of its tags in each of
    /// its repositories; repositories with other tags are a service of their own. Without a name only the notes stay.
    pub(super) fn add(&mut self, mut service: Service, names: &[String]) {
        let groups = groups(names);
        if groups.is_empty() {
            self.notes.append(&mut service.notes);
        }
        if groups.len() > 1 {
            service.notes.push(format!(
                "{} has other tags in other repositories: a target for each set of tags",
                service.name
            ));
        }
        for (repositories, tags) in groups {
            let notes = std::mem::take(&mut service.notes);
            let service = Service { repositories, tags, notes, ..service.clone() };
            match self.services.iter_mut().find(|known| known.built() == service.built()) {
                Some(known) => known.merge(service),
                None => self.services.push(service),
            }
        }
    }
}

/// Sets of repositories that have the same tags, with these, in the order of `names`.
fn groups(names: &[String]) -> Vec<(Vec<String>, Vec<String>)> {
    let mut tags_of: Vec<(String, Vec<String>)> = Vec::new();
    for (repository, tag) in names.iter().map(|name| split(name)) {
        match tags_of.iter_mut().find(|(known, _)| *known == repository) {
            Some((_, tags)) => push_new(tags, tag),
            None => tags_of.push((repository, vec![tag])),
        }
    }
    let mut groups: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for (repository, tags) in tags_of {
        let same = |known: &[String]| known.len() == tags.len() && tags.iter().all(|tag| known.contains(tag));
        match groups.iter_mut().find(|(_, known)| same(known)) {
            Some((repositories, _)) => repositories.push(repository),
            None => groups.push((vec![repository], tags)),
        }
    }
    groups
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

/// A repository as it is read, when no template is in it.
pub(super) fn repository(text: &str) -> Option<crate::model::reference::Repository> {
    text.parse::<Reference>().ok().map(|reference| reference.repository)
}

/// `folder` and `path` in it, with `/`; without `.`, and without `..` but for those that lead out of the first folder.
pub(super) fn joined(folder: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    // The path of a URL is its server's to read.
    if whole.contains("://") {
        return whole;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let root = if whole.starts_with('/') { "/" } else { "" };
    let joined = format!("{root}{}", parts.join("/"));
    if joined.is_empty() { ".".to_owned() } else { joined }
}
