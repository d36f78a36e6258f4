//! The versions that a repository has released: what the tag policy `newest` compares with.

use anyhow::Result;
use semver::Version;

use super::unreadable;
use crate::config::{TagPolicy, Target};
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
    let tags = match registry.tags(repository).await {
        Ok(tags) => tags.unwrap_or_default(),
        // Where even the tag cannot be read, the tag itself is the problem to report.
        Err(error) => unreadable(error).map(|_| Vec::new())?,
    };
    let version = |tag: &String| Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok();
    Ok(tags.iter().filter_map(version).collect())
}
