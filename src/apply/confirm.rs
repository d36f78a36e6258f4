//! Looks at what was written: the registry holds the list with every child, and every tag serves it.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::{join, try_join};

use super::account::Written;
use crate::concurrency;
use crate::error::Failure;
use crate::model::digest::Digest;
use crate::model::reference::Repository;
use crate::plan::PlannedList;
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

/// How long a tag that must never move is looked up after it was written, where the registry takes no conditions: a
/// writer that looked before this one wrote comes no later, unless it is slower than this.
pub(super) const SETTLES: Duration = Duration::from_millis(500);

/// What the tag serves, once it was written.
pub(super) async fn look_again(registry: &Registry, written: &Written<'_>) -> Result<Option<Digest>> {
    let Written { place, list, tag, .. } = written;
    let look = || async {
        let head = registry.head_written(&place.repository, tag).await?;
        anyhow::Ok(head.map(|head| head.digest))
    };
    if !written.must_stay {
        return look().await;
    }
    let takes_conditions = registry.takes_conditions(&place.repository, list.kind.media_type(), &list.bytes);
    let (served, takes_conditions) = join(look(), takes_conditions).await;
    let mut served = served?;
    let (since, mut pause) = (Instant::now(), SETTLES / 8);
    while !takes_conditions && served.as_ref() == Some(&list.digest) && since.elapsed() < SETTLES {
        tokio::time::sleep(pause).await;
        pause *= 2;
        served = look().await?;
    }
    Ok(served)
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
