//! One declared tag: what it serves, and the configurations behind it where its policy asks for them.

use std::collections::BTreeMap;

use anyhow::Result;

use super::image::image_config;
use super::{descriptor, unreadable};
use crate::concurrency;
use crate::config::{Tag, TagPolicy, Target};
use crate::model::digest::Digest;
use crate::model::manifest::{self, Descriptor, ImageConfig, List, Manifest, ManifestError, Role};
use crate::model::reference::Repository;
use crate::plan::{ObservedTag, PublishedList, VERSION};
use crate::registry::Registry;

/// What a declared tag serves, with the configurations of its images where its policy asks for them.
pub(super) async fn observe_tag(
    registry: &Registry,
    target: &Target,
    repository: &Repository,
    tag: &Tag,
) -> Result<ObservedTag> {
    let mut observed = served_at(registry, repository, &tag.name).await?;
    if let ObservedTag::List(published) = &mut observed {
        let builds = target.images.iter().any(|image| image.build.is_some());
        let asks = match tag.policy {
            TagPolicy::Immutable => builds,
            // Where the list itself does not say its version, its images may.
            TagPolicy::Newest => !published.list.annotations.contains_key(VERSION),
            TagPolicy::Moving => false,
        };
        if asks {
            published.configs = configs(registry, repository, &published.list).await?;
        }
    }
    Ok(observed)
}

/// What the tag `name` serves; of a list, no configurations.
///
/// # Errors
///
/// As [`super::observe`].
pub(crate) async fn served_at(
    registry: &Registry,
    repository: &Repository,
    name: &str,
) -> Result<ObservedTag> {
    let fetched = match registry.manifest(repository, name).await {
        Ok(Some(fetched)) => fetched,
        Ok(None) => return Ok(ObservedTag::Absent),
        Err(error) => return unreadable(error).map(ObservedTag::Unreadable),
    };
    let served = |media_type: &str| descriptor(&fetched, media_type);
    Ok(match manifest::parse(&fetched.bytes, &fetched.media_type) {
        Ok(Manifest::List(list)) => ObservedTag::List(Box::new(PublishedList {
            descriptor: served(list.kind.media_type()),
            bytes: fetched.bytes.to_vec(),
            list,
            configs: BTreeMap::new(),
        })),
        Ok(Manifest::Image(image)) => {
            let descriptor = served(&image.media_type);
            let artifact = match image.artifact() {
                Some(_) if image.has_vague_config() => {
                    let is_image = image_config(registry, repository, &image).await?.is_some();
                    image.artifact().filter(|_| !is_image)
                }
                artifact => artifact,
            };
            match artifact {
                Some(artifact) => {
                    ObservedTag::Other { descriptor, what: format!("an artifact of type {artifact:?}") }
                }
                None => ObservedTag::Image(descriptor),
            }
        }
        // An image all the same; that it cannot be listed does not matter for a tag that is to serve a list.
        Err(ManifestError::Schema1) => ObservedTag::Image(served(&fetched.media_type)),
        Err(error) => {
            let what = match error {
                ManifestError::Malformed { .. } => format!("what is {error}"),
                _ => format!("a manifest that is {error}"),
            };
            ObservedTag::Other { descriptor: served(&fetched.media_type), what }
        }
    })
}

/// The configurations of a list's images; those that the registry no longer holds, and those of other
/// things than images, are left out.
///
/// # Errors
///
/// As [`super::observe`]; also a manifest or configuration that cannot be read.
async fn configs(
    registry: &Registry,
    repository: &Repository,
    list: &List,
) -> Result<BTreeMap<Digest, ImageConfig>> {
    let is_image = |entry: &&Descriptor| matches!(entry.role(), Role::Image(_));
    let images: Vec<&Descriptor> = list.entries.iter().filter(is_image).collect();
    let configs = concurrency::try_over(&images, |entry| async move {
        let Some(fetched) = registry.named_manifest(repository, entry).await? else {
            return Ok(None);
        };
        let manifest = match manifest::parse(&fetched.bytes, &fetched.media_type) {
            Ok(Manifest::Image(manifest)) => manifest,
            // Listed for a platform, and yet it has no configuration of an image's.
            Ok(Manifest::List(_)) | Err(ManifestError::Schema1 | ManifestError::Unknown(_)) => {
                return Ok(None);
            }
            Err(error) => {
                return Err(error.at(repository.digest(&entry.digest)).into());
            }
        };
        let config = image_config(registry, repository, &manifest).await?;
        Ok(config.map(|config| (entry.digest.clone(), config)))
    })
    .await?;
    Ok(configs.into_iter().flatten().collect())
}
