//! Looks at what was written: the registry holds the list with every child, and every tag serves it.

use anyhow::Result;
use futures_util::future::try_join;

use super::account::Written;
use crate::concurrency;
use crate::error::Failure;
use crate::model::digest::Digest;
use crate::model::reference::Repository;
use crate::plan::{PlacePlan, PlannedList};
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
    concurrency::try_over(&list.children, |child| held(registry, repository, child)).await?;
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

/// What the tag serves, once it was written.
pub(super) async fn look_again(registry: &Registry, place: &PlacePlan, tag: &str) -> Result<Option<Digest>> {
    Ok(registry.head_written(&place.repository, tag).await?.map(|head| head.digest))
}

/// The tag does not serve the list that it was given.
pub(super) fn overtaken(written: &Written<'_>, served: Option<Digest>) -> anyhow::Error {
    let reference = written.place.repository.tag(written.tag);
    match served {
        Some(digest) => Failure::new(format!(
            "{reference} was overtaken: {} was written, somebody else's {digest} is served now",
            written.list.digest
        ))
        .hint("run `plan` to see the difference")
        .into(),
        None => Failure::new(format!("{reference} was written, but the registry does not serve it")).into(),
    }
}
