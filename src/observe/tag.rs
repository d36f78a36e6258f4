//! One declared tag: what it serves, and the configurations behind it where its policy asks for them.

use std::collections::BTreeMap;

use anyhow::Result;
use futures_util::future::try_join_all;
use tokio::sync::OnceCell;

use super::image::image_config;
use super::{descriptor_of, unreadable};
use crate::config::{Tag, TagPolicy, Target};
use crate::digest::Digest;
use crate::manifest::{self, ImageConfig, List, Manifest, Role};
use crate::plan::{ObservedTag, PublishedList};
use crate::reference::Repository;
use crate::registry::{Fetched, Registry};

/// A declared tag, read once for all who want to know what it serves.
pub(super) struct TagLookup<'a> {
    registry: &'a Registry,
    repository: &'a Repository,
    tag: &'a Tag,
    served: OnceCell<Served>,
}

enum Served {
    Nothing,
    /// The registry does not say; the text is its answer.
    Unreadable(String),
    Manifest(Fetched),
}

impl<'a> TagLookup<'a> {
    pub(super) fn new(registry: &'a Registry, repository: &'a Repository, tag: &'a Tag) -> Self {
        Self { registry, repository, tag, served: OnceCell::new() }
    }

    /// Whether the tag serves a list with this entry.
    pub(super) async fn lists(&self, digest: &Digest) -> Result<bool> {
        let Served::Manifest(fetched) = self.served().await? else { return Ok(false) };
        Ok(match manifest::parse(&fetched.bytes, &fetched.media_type) {
            Ok(Manifest::List(list)) => list.entries.iter().any(|entry| entry.digest == *digest),
            _ => false,
        })
    }

    async fn served(&self) -> Result<&Served> {
        let read = || async {
            match self.registry.manifest(self.repository, &self.tag.name).await {
                Ok(Some(fetched)) => Ok(Served::Manifest(fetched)),
                Ok(None) => Ok(Served::Nothing),
                Err(error) => unreadable(error).map(Served::Unreadable),
            }
        };
        self.served.get_or_try_init(read).await
    }
}

pub(super) async fn observe_tag(target: &Target, lookup: &TagLookup<'_>) -> Result<ObservedTag> {
    let TagLookup { registry, repository, tag, .. } = lookup;
    let fetched = match lookup.served().await? {
        Served::Manifest(fetched) => fetched,
        Served::Nothing => return Ok(ObservedTag::Absent),
        Served::Unreadable(answer) => return Ok(ObservedTag::Unreadable(answer.clone())),
    };
    let descriptor = descriptor_of(fetched);
    let list = match manifest::parse(&fetched.bytes, &fetched.media_type) {
        Ok(Manifest::List(list)) => list,
        // Whatever else it holds, an image of any schema or an artifact, is not a list and would be replaced by one.
        Ok(Manifest::Image(_)) | Err(_) => return Ok(ObservedTag::Image(descriptor)),
    };
    let builds = target.images.iter().any(|image| image.build.is_some());
    let configs = match tag.policy {
        TagPolicy::Immutable if builds => configs(registry, repository, &list).await?,
        _ => BTreeMap::new(),
    };
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
