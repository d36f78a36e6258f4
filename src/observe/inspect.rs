//! A published reference, looked at for people: `inspect`.

use std::collections::BTreeMap;

use anyhow::Result;
use futures_util::future::try_join_all;

use super::descriptor_of;
use super::image::image_config;
use crate::digest::Digest;
use crate::manifest::{self, Descriptor, ImageConfig, ImageManifest, List, Manifest};
use crate::media;
use crate::reference::{Reference, Repository};
use crate::registry::{Fetched, Registry};

/// What a reference serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// What was asked for.
    pub reference: Reference,
    /// Media type, digest and size of what it serves.
    pub descriptor: Descriptor,
    /// The bytes served.
    pub bytes: Vec<u8>,
    /// The list, or `None` for a plain image.
    pub list: Option<List>,
    /// Images by digest; all of a list's when details were asked for, else only a plain image itself.
    pub images: BTreeMap<Digest, InspectedImage>,
}

/// One image's details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectedImage {
    /// Its manifest.
    pub manifest: ImageManifest,
    /// The manifest's bytes.
    pub bytes: Vec<u8>,
    /// Its configuration, when it is an image's.
    pub config: Option<ImageConfig>,
}

/// Looks at what `reference` serves; `details` reads every image of a list too. `None`: the registry has no such thing.
///
/// # Errors
///
/// As [`super::observe`], and a manifest that is neither a list nor an image.
pub async fn inspect(registry: &Registry, reference: &Reference, details: bool) -> Result<Option<Inspected>> {
    let repository = &reference.repository;
    let Some(fetched) = registry.manifest(repository, reference.lookup()).await? else { return Ok(None) };
    let descriptor = descriptor_of(&fetched);
    let bytes = fetched.bytes.to_vec();
    let mut inspected =
        Inspected { reference: reference.clone(), descriptor, bytes, list: None, images: BTreeMap::new() };
    match manifest::parse(&fetched.bytes, &fetched.media_type)? {
        Manifest::Image(manifest) => {
            let image = inspect_image(registry, repository, &fetched, manifest).await?;
            inspected.images.insert(fetched.digest.clone(), image);
        }
        Manifest::List(list) => {
            if details {
                let entries = list.entries.iter().filter(|entry| media::is_image(&entry.media_type));
                let images = try_join_all(entries.map(|entry| async move {
                    let Some(fetched) = registry.manifest(repository, entry.digest.as_str()).await? else {
                        return anyhow::Ok(None);
                    };
                    let Manifest::Image(manifest) = manifest::parse(&fetched.bytes, &fetched.media_type)?
                    else {
                        return Ok(None);
                    };
                    let image = inspect_image(registry, repository, &fetched, manifest).await?;
                    Ok(Some((entry.digest.clone(), image)))
                }));
                inspected.images = images.await?.into_iter().flatten().collect();
            }
            inspected.list = Some(list);
        }
    }
    Ok(Some(inspected))
}

async fn inspect_image(
    registry: &Registry,
    repository: &Repository,
    fetched: &Fetched,
    manifest: ImageManifest,
) -> Result<InspectedImage> {
    let config = image_config(registry, repository, &manifest).await?;
    Ok(InspectedImage { manifest, bytes: fetched.bytes.to_vec(), config })
}
