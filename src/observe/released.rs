//! The versions that a repository has released: what the tag policy `newest` compares with.

use anyhow::Result;
use semver::Version;

use super::unreadable;
use crate::config::{TagPolicy, Target};
use crate::plan::Release;
use crate::reference::Repository;
use crate::registry::Registry;

/// The released versions among a repository's tags, when a tag's policy asks for them.
pub(super) async fn released(
    registry: &Registry,
    target: &Target,
    repository: &Repository,
) -> Result<Vec<Version>> {
    if target.tags.iter().all(|tag| tag.policy != TagPolicy::Newest) {
        return Ok(Vec::new());
    }
    match Release::of(target) {
        Some(release) => released_now(registry, repository, &release).await,
        None => Ok(Vec::new()),
    }
}

/// The versions that `repository` has released of what `release` is one of, as its tags say now.
///
/// # Errors
///
/// The registry does not list the tags. Where even a tag cannot be read, the tag itself is what is reported.
pub async fn released_now(
    registry: &Registry,
    repository: &Repository,
    release: &Release,
) -> Result<Vec<Version>> {
    let tags = match registry.tags(repository).await {
        Ok(tags) => tags.unwrap_or_default(),
        Err(error) => unreadable(error).map(|_| Vec::new())?,
    };
    Ok(release.released(&tags))
}
