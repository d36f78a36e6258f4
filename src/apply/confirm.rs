//! Looks at what was written: the registry holds the list with every child, and every tag serves it.

use anyhow::Result;
use futures_util::future::try_join;

use crate::digest::Digest;
use crate::error::Failure;
use crate::many;
use crate::plan::{PlacePlan, PlannedList};
use crate::reference::Repository;
use crate::registry::Registry;

/// The repository holds the list, and every child of it.
pub(super) async fn confirm_staged(
    registry: &Registry,
    repository: &Repository,
    list: &PlannedList,
) -> Result<()> {
    try_join(held(registry, repository, &list.digest), confirm_children(registry, repository, list)).await?;
    Ok(())
}

/// The repository holds every child of the list.
pub(super) async fn confirm_children(
    registry: &Registry,
    repository: &Repository,
    list: &PlannedList,
) -> Result<()> {
    many::try_over(&list.children, |child| held(registry, repository, child)).await?;
    Ok(())
}

async fn held(registry: &Registry, repository: &Repository, digest: &Digest) -> Result<()> {
    match registry.head_written(repository, digest.as_str()).await? {
        Some(_) => Ok(()),
        None => Err(Failure::new(format!(
            "the registry took the list but does not hold {}",
            repository.digest(digest)
        ))
        .hint("run again: missing images are brought along")
        .into()),
    }
}

/// The tag serves the list.
pub(super) async fn confirm_tag(
    registry: &Registry,
    place: &PlacePlan,
    list: &PlannedList,
    tag: &str,
) -> Result<()> {
    let reference = place.repository.tag(tag);
    let served = registry.head_written(&place.repository, tag).await?.map(|head| head.digest);
    match served {
        Some(digest) if digest == list.digest => Ok(()),
        Some(digest) => Err(Failure::new(format!(
            "{reference} was overtaken: {} was written, somebody else's {digest} is served now",
            list.digest
        ))
        .hint("run `plan` to see the difference")
        .into()),
        None => {
            Err(Failure::new(format!("{reference} was written, but the registry does not serve it")).into())
        }
    }
}
