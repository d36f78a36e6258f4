//! The versions that a repository has released: what the tag policy `newest` compares with.

use anyhow::Result;

use crate::config::{TagPolicy, Target};
use crate::plan::{ComparableVersion, ObservedTag, Release, Released};
use crate::reference::Repository;
use crate::registry::{Kind, Registry};

/// What is known of the versions that a repository has released, when a tag's policy asks for them. `tags` are those
/// that `target` declares, each with what it serves.
pub(super) fn released(target: &Target, listed: Listed, tags: &[ObservedTag]) -> Released {
    let Some(release) = Release::of(target).filter(|_| asks(target)) else { return Released::default() };
    match listed {
        Ok(names) => {
            let mut observed = target.tags.iter().zip(tags);
            let lacking =
                observed.find(|(tag, observed)| observed.digest().is_some() && !names.contains(&tag.name));
            match lacking {
                // A list that lacks one tag may lack others.
                Some((tag, _)) => {
                    Released::Unlisted(format!("its list lacks `{}`, which it serves", tag.name))
                }
                None => Released::Versions(release.released(&names)),
            }
        }
        Err(why) => Released::Unlisted(why),
    }
}

/// The names of a repository's tags, or the registry's answer when it does not list them for this account.
pub(super) type Listed = Result<Vec<String>, String>;

/// Lists the tags of `repository`, when a tag's policy asks for it.
///
/// An account that may read manifests may not be allowed to list tags (GitLab's and Harbor's push-only roles), and some
/// registries list none.
///
/// # Errors
///
/// The registry gives another answer than a list or a refusal.
pub(super) async fn list(registry: &Registry, target: &Target, repository: &Repository) -> Result<Listed> {
    if !asks(target) {
        return Ok(Ok(Vec::new()));
    }
    match registry.tags(repository).await {
        Ok(tags) => Ok(Ok(tags.unwrap_or_default())),
        Err(error)
            if matches!(
                error.kind(),
                Kind::Unreadable | Kind::Denied | Kind::Unauthorized | Kind::Unsupported
            ) =>
        {
            Ok(Err(error.answer()))
        }
        Err(error) => Err(error.into()),
    }
}

fn asks(target: &Target) -> bool {
    target.tags.iter().any(|tag| tag.policy == TagPolicy::Newest)
}

/// The versions that `repository` has released of what `release` is one of, as its tags say now.
///
/// # Errors
///
/// The registry does not list the tags.
pub async fn released_now(
    registry: &Registry,
    repository: &Repository,
    release: &Release,
) -> Result<Vec<ComparableVersion>> {
    Ok(release.released(&registry.tags(repository).await?.unwrap_or_default()))
}
