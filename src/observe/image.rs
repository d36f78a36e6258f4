//! One declared image: its manifest, its configuration, and within an index the entry of its platform.

use anyhow::Result;

use super::{descriptor_of, unreadable};
use crate::config::Image;
use crate::manifest::{self, Descriptor, ImageConfig, ImageManifest, List, Manifest, Role};
use crate::plan::{FoundImage, ObservedImage, disagreement};
use crate::reference::{Reference, Repository};
use crate::registry::Registry;

/// Looks up one image, and within it, when it is itself an index, the entry of the declared platform.
pub(super) async fn observe_image(
    registry: &Registry,
    image: &Image,
    reference: &Reference,
) -> Result<ObservedImage> {
    let repository = &reference.repository;
    let fetched = match registry.get_manifest(repository, reference.lookup()).await {
        Ok(Some(fetched)) => fetched,
        Ok(None) => return Ok(ObservedImage::Absent),
        Err(error) => {
            return unreadable(error)
                .map(|answer| ObservedImage::Unusable(format!("{reference} cannot be read: {answer}")));
        }
    };
    let unusable = |why: String| Ok(ObservedImage::Unusable(format!("{reference} {why}")));
    let (descriptor, manifest, attestations) = match manifest::parse(&fetched.bytes, &fetched.media_type) {
        Err(error) => return unusable(format!("is {error}")),
        Ok(Manifest::Image(manifest)) => (descriptor_of(&fetched), manifest, Vec::new()),
        Ok(Manifest::List(list)) => match only_entry(&list, image) {
            Err(why) => return unusable(why),
            Ok(entry) => {
                let Some(inner) = registry.get_manifest(repository, entry.digest.as_str()).await? else {
                    return unusable(format!(
                        "lists {} for {}, which the registry does not hold",
                        entry.digest, image.platform
                    ));
                };
                match manifest::parse(&inner.bytes, &inner.media_type) {
                    Ok(Manifest::Image(manifest)) => {
                        (descriptor_of(&inner), manifest, list.attestations_of(&entry.digest))
                    }
                    Ok(Manifest::List(_)) => {
                        return unusable(format!(
                            "lists another list for {}; only one level is looked into",
                            image.platform
                        ));
                    }
                    Err(error) => return unusable(format!("lists, for {}, what is {error}", image.platform)),
                }
            }
        },
    };
    match image_config(registry, repository, &manifest).await? {
        Some(config) => Ok(ObservedImage::Found(FoundImage {
            descriptor,
            config,
            attestations,
            source: repository.clone(),
        })),
        None => unusable(format!(
            "has a configuration of type {}, which is no image's",
            manifest.config.media_type
        )),
    }
}

/// The one entry of an index that is for the image's platform, or why there is no such one.
fn only_entry<'a>(list: &'a List, image: &Image) -> Result<&'a Descriptor, String> {
    let mut platforms = Vec::new();
    let mut fitting = Vec::new();
    for entry in &list.entries {
        if let Role::Image(platform) = entry.role() {
            let same_base = platform.base() == image.platform.base();
            if same_base && disagreement(&image.platform, &platform).is_none() {
                fitting.push(entry);
            }
            platforms.push(platform.to_string());
        }
    }
    match fitting[..] {
        [entry] => Ok(entry),
        [] => Err(format!("is an index without {}; it lists {}", image.platform, platforms.join(", "))),
        _ => {
            let digests: Vec<String> = fitting.iter().map(|entry| entry.digest.to_string()).collect();
            Err(format!("is an index with several entries for {}: {}", image.platform, digests.join(", ")))
        }
    }
}

/// The image's configuration; `None` when it is of a type that no image has.
pub(super) async fn image_config(
    registry: &Registry,
    repository: &Repository,
    manifest: &ImageManifest,
) -> Result<Option<ImageConfig>> {
    const TYPES: [&str; 2] =
        ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
    if !TYPES.contains(&manifest.config.media_type.as_str()) {
        return Ok(None);
    }
    let bytes = registry.get_blob(repository, &manifest.config.digest, manifest.config.size).await?;
    Ok(Some(ImageConfig::parse(&bytes)?))
}
