//! An immutable tag that exists pins its target: what it lists is what this release is made of, or the release stops.

use super::{FoundImage, ObservedTarget, Problem, PublishedList};
use crate::config::{TagPolicy, Target};
use crate::manifest::Role;
use crate::platform::Platform;
use crate::reference::Repository;

/// The label that says which revision an image was built from (image-spec, annotations.md).
const REVISION: &str = "org.opencontainers.image.revision";

/// Whether a target's images are decided before anything is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// No immutable tag exists: the images are built.
    Free,
    /// An immutable tag lists the declared platforms, built from this revision: those images are taken, one for each
    /// declared one.
    Pinned(Vec<FoundImage>),
    /// An immutable tag lists something else.
    Conflict(Problem),
}

/// Looks for a published immutable tag of `target` and compares it with `revision`, the commit of this checkout.
///
/// Only for targets that build: images that exist already are compared by digest.
pub fn pin(target: &Target, observed: &ObservedTarget, revision: Option<&str>) -> Pin {
    if target.images.iter().all(|image| image.build.is_none()) {
        return Pin::Free;
    }
    for place in &observed.places {
        for (tag, state) in target.tags.iter().zip(&place.tags) {
            let (TagPolicy::Immutable, Some(published)) = (tag.policy, state.list()) else { continue };
            return match pinned(target, published, &place.repository, revision) {
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
    revision: Option<&str>,
) -> Result<Vec<FoundImage>, String> {
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
        let config = published
            .configs
            .get(&entry.digest)
            .ok_or_else(|| format!("the image for {} cannot be read", image.platform))?;
        match (config.labels.get(REVISION).map(String::as_str), revision) {
            (Some(found), Some(own)) if found == own => {}
            (Some(found), Some(own)) => {
                return Err(format!(
                    "its image for {} is of revision {found}, this is {own}",
                    image.platform
                ));
            }
            (None, _) => return Err(format!("its image for {} does not say its revision", image.platform)),
            (_, None) => return Err("the revision of this checkout is not known".to_owned()),
        }
        let mut descriptor = (*entry).clone();
        descriptor.platform = None;
        descriptor.annotations.clear();
        images.push(FoundImage {
            descriptor,
            config: config.clone(),
            attestations: published.list.attestations_of(&entry.digest),
            source: repository.clone(),
        });
    }
    Ok(images)
}
