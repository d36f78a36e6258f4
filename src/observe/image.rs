//! One declared image: its manifest, its configuration, and within an index the entry of its platform.

use anyhow::Result;

use super::{descriptor_of, unreadable};
use crate::config::Image;
use crate::model::digest::Digest;
use crate::model::manifest::{self, Descriptor, ImageConfig, ImageManifest, List, Manifest, Role};
use crate::model::media;
use crate::model::reference::{Reference, Repository};
use crate::plan::{FoundImage, ObservedImage, disagreement};
use crate::registry::Registry;

/// What is known of a declared image before its configuration is read.
pub(super) enum Look {
    /// All there is to know.
    Settled(ObservedImage),
    /// An image, of which the configuration is still to be read.
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
        Ok(None) => return Ok(Look::Settled(ObservedImage::Absent)),
        Err(error) => {
            let answer = unreadable(error)?;
            let why = format!("{reference} cannot be read: {answer}");
            return Ok(Look::Settled(ObservedImage::Unusable(why)));
        }
    };
    let unusable = |why: String| Ok(Look::Settled(ObservedImage::Unusable(format!("{reference} {why}"))));
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

impl Look {
    /// The image's digest, when it was found.
    pub(super) fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Image(seen) => Some(&seen.descriptor.digest),
            Self::Settled(ObservedImage::Found(found)) => Some(&found.descriptor.digest),
            Self::Settled(_) => None,
        }
    }

    /// Whether attestations were found with the image.
    pub(super) fn is_attested(&self) -> bool {
        self.found().is_some_and(|(_, manifests)| manifests.len() > 1)
    }

    /// Where the image was found, its attestations, and itself.
    pub(super) fn found(&self) -> Option<(&Repository, Vec<Descriptor>)> {
        let (source, descriptor, attestations) = match self {
            Self::Image(seen) => (&seen.reference.repository, &seen.descriptor, &seen.attestations),
            Self::Settled(ObservedImage::Found(found)) => {
                (&found.source, &found.descriptor, &found.attestations)
            }
            Self::Settled(_) => return None,
        };
        Some((source, attestations.iter().chain([descriptor]).cloned().collect()))
    }

    /// The manifests that come into the list, the image's and its attestations', and where they are.
    pub(super) fn manifests(&self) -> impl Iterator<Item = (&Repository, &Digest)> {
        let (source, descriptor, attestations) = match self {
            Self::Image(seen) => (&seen.reference.repository, &seen.descriptor, &seen.attestations),
            Self::Settled(ObservedImage::Found(found)) => {
                (&found.source, &found.descriptor, &found.attestations)
            }
            Self::Settled(_) => return None.into_iter().flatten(),
        };
        let all = std::iter::once(descriptor).chain(attestations);
        Some(all.map(move |named| (source, &named.digest))).into_iter().flatten()
    }

    /// The image, with its configuration.
    pub(super) async fn image(&self, registry: &Registry) -> Result<ObservedImage> {
        let seen = match self {
            Self::Settled(image) => return Ok(image.clone()),
            Self::Image(seen) => seen,
        };
        let source = &seen.reference.repository;
        Ok(match image_config(registry, source, &seen.manifest).await? {
            Some(config) => ObservedImage::Found(FoundImage {
                descriptor: seen.descriptor.clone(),
                config,
                attestations: seen.attestations.clone(),
                source: source.clone(),
            }),
            None => ObservedImage::Unusable(format!(
                "{} has a configuration of type {:?}, which is no image's",
                seen.reference, seen.manifest.config.media_type
            )),
        })
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

/// The image's configuration; `None` when it is no image's: by its type, or by what it holds where the type is vague.
pub(super) async fn image_config(
    registry: &Registry,
    repository: &Repository,
    manifest: &ImageManifest,
) -> Result<Option<ImageConfig>> {
    let is_vague = manifest.has_vague_config();
    if !is_vague && !media::is_image_config(&manifest.config.media_type) {
        return Ok(None);
    }
    let bytes = registry.get_blob(repository, &manifest.config.digest, manifest.config.size).await?;
    let reference = || repository.digest(&manifest.config.digest);
    match ImageConfig::parse(&bytes) {
        Ok(config) if is_vague && (config.platform.os.is_empty() || config.platform.arch.is_empty()) => {
            Ok(None)
        }
        Err(_) if is_vague => Ok(None),
        read => Ok(Some(read.map_err(|error| error.at(reference()))?)),
    }
}
