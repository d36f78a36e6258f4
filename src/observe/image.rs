//! One declared image: its manifest, its configuration, and within an index the entry of its platform.

use anyhow::Result;

use super::{descriptor_of, unreadable};
use crate::config::Image;
use crate::digest::Digest;
use crate::manifest::{self, Descriptor, ImageConfig, ImageManifest, List, Manifest, Role};
use crate::plan::{FoundImage, ObservedImage, disagreement};
use crate::reference::{Reference, Repository};
use crate::registry::Registry;

/// What a declared image's reference serves.
pub(super) enum Look {
    /// Confirmed: nothing.
    Absent,
    /// Something that cannot be listed, or that cannot be read; the text says why.
    Unusable(String),
    /// An image, of which everything but the configuration is known.
    Image(Seen),
}

/// An image's manifest, found.
pub(super) struct Seen {
    reference: Reference,
    descriptor: Descriptor,
    manifest: ImageManifest,
    attestations: Vec<Descriptor>,
}

/// Looks up one image, and within it, when it is itself an index, the entry of the declared platform.
pub(super) async fn look_up(registry: &Registry, image: &Image, reference: &Reference) -> Result<Look> {
    let repository = &reference.repository;
    let fetched = match registry.manifest(repository, reference.lookup()).await {
        Ok(Some(fetched)) => fetched,
        Ok(None) => return Ok(Look::Absent),
        Err(error) => {
            return unreadable(error)
                .map(|answer| Look::Unusable(format!("{reference} cannot be read: {answer}")));
        }
    };
    let unusable = |why: String| Ok(Look::Unusable(format!("{reference} {why}")));
    let seen = |descriptor, manifest, attestations| {
        Ok(Look::Image(Seen { reference: reference.clone(), descriptor, manifest, attestations }))
    };
    let list = match manifest::parse(&fetched.bytes, &fetched.media_type) {
        Err(error) => return unusable(format!("is {error}")),
        Ok(Manifest::Image(manifest)) => return seen(descriptor_of(&fetched), manifest, Vec::new()),
        Ok(Manifest::List(list)) => list,
    };
    let entry = match only_entry(&list, image) {
        Err(why) => return unusable(why),
        Ok(entry) => entry,
    };
    let Some(inner) = registry.manifest(repository, entry.digest.as_str()).await? else {
        return unusable(format!(
            "lists {} for {}, which the registry does not hold",
            entry.digest, image.platform
        ));
    };
    match manifest::parse(&inner.bytes, &inner.media_type) {
        Ok(Manifest::Image(manifest)) => {
            seen(descriptor_of(&inner), manifest, list.attestations_of(&entry.digest))
        }
        Ok(Manifest::List(_)) => {
            unusable(format!("lists another list for {}; only one level is looked into", image.platform))
        }
        Err(error) => unusable(format!("lists, for {}, what is {error}", image.platform)),
    }
}

impl Seen {
    /// Where it is.
    pub(super) fn source(&self) -> &Repository {
        &self.reference.repository
    }

    /// The manifests that come into the list: the image's and its attestations'.
    pub(super) fn digests(&self) -> Vec<Digest> {
        std::iter::once(&self.descriptor)
            .chain(&self.attestations)
            .map(|named| named.digest.clone())
            .collect()
    }

    /// With its configuration it can be listed.
    pub(super) async fn found(&self, registry: &Registry) -> Result<ObservedImage> {
        match image_config(registry, self.source(), &self.manifest).await? {
            Some(config) => Ok(ObservedImage::Found(FoundImage {
                descriptor: self.descriptor.clone(),
                config,
                attestations: self.attestations.clone(),
                source: self.source().clone(),
            })),
            None => Ok(ObservedImage::Unusable(format!(
                "{} has a configuration of type {}, which is no image's",
                self.reference, self.manifest.config.media_type
            ))),
        }
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
