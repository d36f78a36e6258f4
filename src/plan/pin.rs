//! An immutable tag that exists pins its target: what it lists is what this release is made of, or the release stops.

use std::collections::BTreeSet;

use super::{FoundImage, ObservedTarget, Problem, PublishedList};
use crate::config::{TagPolicy, Target};
use crate::model::digest::Digest;
use crate::model::manifest::{ImageConfig, Role};
use crate::model::platform::Platform;
use crate::model::reference::Repository;

/// The label that says which revision an image was built from (image-spec, annotations.md).
const REVISION: &str = "org.opencontainers.image.revision";

/// Whether a target's images are decided before anything is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// No immutable tag exists: the images are built.
    Free,
    /// An immutable tag lists the declared platforms, built from this revision: those images are taken. One item for each
    /// declared image; `None` for one that is not built, which stays as declared.
    Pinned(Vec<Option<FoundImage>>),
    /// An immutable tag lists something else.
    Conflict(Problem),
}

/// What shows that a published image was built from what is checked out.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The commit of this checkout, when it is known: an image may carry it as a label.
    pub revision: Option<&'a str>,
    /// Images that an earlier run of this very revision recorded as its own.
    pub recorded: &'a BTreeSet<Digest>,
}

/// Looks for a published immutable tag of `target`, and whether its images are of this revision.
///
/// Only for targets that build: images that exist already are compared by digest.
pub fn pin(target: &Target, observed: &ObservedTarget, evidence: Evidence<'_>) -> Pin {
    if target.images.iter().all(|image| image.build.is_none()) {
        return Pin::Free;
    }
    for place in &observed.places {
        for (tag, state) in target.tags.iter().zip(&place.tags) {
            let (TagPolicy::Immutable, Some(published)) = (tag.policy, state.list()) else { continue };
            return match pinned(target, published, &place.repository, evidence) {
                Ok(images) => Pin::Pinned(images),
                Err(why) => Pin::Conflict(Problem::new(
                    format!("{} is immutable and published already: {why}", place.repository.tag(&tag.name)),
                    "raise the version, or declare the tag as `{ name, policy = \"moving\" }`",
                )),
            };
        }
    }
    Pin::Free
}

fn pinned(
    target: &Target,
    published: &PublishedList,
    repository: &Repository,
    evidence: Evidence<'_>,
) -> Result<Vec<Option<FoundImage>>, String> {
    let entries: Vec<(Platform, _)> = published
        .list
        .entries
        .iter()
        .filter_map(|entry| match entry.role() {
            Role::Image(platform) => Some((platform, entry)),
            _ => None,
        })
        .collect();
    let mut images = Vec::new();
    for image in &target.images {
        let (_, entry) = entries
            .iter()
            .find(|(platform, _)| platform.same_as(&image.platform))
            .or_else(|| entries.iter().find(|(platform, _)| platform.base() == image.platform.base()))
            .ok_or_else(|| format!("it does not list {}", image.platform))?;
        if image.build.is_none() {
            images.push(None);
            continue;
        }
        let config = published
            .configs
            .get(&entry.digest)
            .ok_or_else(|| format!("the image for {} cannot be read", image.platform))?;
        if !evidence.recorded.contains(&entry.digest) {
            of_this_revision(&image.platform, config, evidence.revision)?;
        }
        let mut descriptor = (*entry).clone();
        descriptor.platform = None;
        descriptor.annotations.clear();
        images.push(Some(FoundImage {
            descriptor,
            config: config.clone(),
            attestations: published.list.attestations_of(&entry.digest),
            source: repository.clone(),
        }));
    }
    Ok(images)
}

/// Whether the image's label says that it was built from `revision`; if not, why that is not known.
fn of_this_revision(platform: &Platform, config: &ImageConfig, revision: Option<&str>) -> Result<(), String> {
    match (config.labels.get(REVISION).map(String::as_str), revision) {
        (Some(found), Some(own)) if found == own => Ok(()),
        (Some(found), Some(own)) => {
            Err(format!("its image for {platform} is of revision {found}, this is {own}"))
        }
        (None, _) => Err(format!("its image for {platform} does not say its revision")),
        (_, None) => Err("the revision of this checkout is not known".to_owned()),
    }
}
