//! One declared tag: what it serves, and the configurations behind it where its policy asks for them.

use std::collections::BTreeMap;

use anyhow::Result;
use futures_util::future::try_join_all;

use super::image::image_config;
use super::{descriptor_of, unreadable};
use crate::config::{Tag, TagPolicy, Target};
use crate::digest::Digest;
use crate::manifest::{self, ImageConfig, List, Manifest, Role};
use crate::plan::{ObservedTag, PublishedList, VERSION};
use crate::reference::Repository;
use crate::registry::Registry;

pub(super) async fn observe_tag(
    registry: &Registry,
    target: &Target,
    repository: &Repository,
    tag: &Tag,
) -> Result<ObservedTag> {
    let fetched = match registry.manifest(repository, &tag.name).await {
        Ok(Some(fetched)) => fetched,
        Ok(None) => return Ok(ObservedTag::Absent),
        Err(error) => return unreadable(error).map(ObservedTag::Unreadable),
    };
    let descriptor = descriptor_of(&fetched);
    let list = match manifest::parse(&fetched.bytes, &fetched.media_type) {
        Ok(Manifest::List(list)) => list,
        // Whatever else it holds, an image of any schema or an artifact, is not a list and would be replaced by one.
        Ok(Manifest::Image(_)) | Err(_) => return Ok(ObservedTag::Image(descriptor)),
    };
    let builds = target.images.iter().any(|image| image.build.is_some());
    let asks = match tag.policy {
        TagPolicy::Immutable => builds,
        // Where the list itself does not say its version, its images may.
        TagPolicy::Newest => !list.annotations.contains_key(VERSION),
        TagPolicy::Moving => false,
    };
    let configs = if asks { configs(registry, repository, &list).await? } else { BTreeMap::new() };
    Ok(ObservedTag::List(Box::new(PublishedList {
        descriptor,
        bytes: fetched.bytes.to_vec(),
        list,
        configs,
    })))
}

/// The configurations of a list's images; those that the registry no longer holds are left out.
async fn configs(
    registry: &Registry,
    repository: &Repository,
    list: &List,
) -> Result<BTreeMap<Digest, ImageConfig>> {
    let images = list.entries.iter().filter(|entry| matches!(entry.role(), Role::Image(_)));
    let configs = try_join_all(images.map(|entry| async move {
        let Some(fetched) = registry.named_manifest(repository, entry).await? else {
            return anyhow::Ok(None);
        };
        let Ok(Manifest::Image(manifest)) = manifest::parse(&fetched.bytes, &fetched.media_type) else {
            return Ok(None);
        };
        let config = image_config(registry, repository, &manifest).await?;
        Ok(config.map(|config| (entry.digest.clone(), config)))
    }))
    .await?;
    Ok(configs.into_iter().flatten().collect())
}
