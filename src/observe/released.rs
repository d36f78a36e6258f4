//! The versions that a repository has released: what the tag policy `newest` compares with.

use anyhow::Result;

use crate::config::{Tag, TagPolicy, Target};
use crate::model::reference::Repository;
use crate::plan::{ComparableVersion, ObservedTag, Release, Released};
use crate::registry::{Kind, Registry};

/// What is known of the versions that a repository has released, when a tag's policy asks for them. `tags` are those
/// that `target` declares, each with what it serves; `listed` was asked for beside them.
///
/// # Errors
///
/// As [`list`], which is asked again when the list lacks a tag that is served: it may have been written in between.
pub(super) async fn released(
    registry: &Registry,
    target: &Target,
    repository: &Repository,
    listed: Listed,
    tags: &[ObservedTag],
) -> Result<Released> {
    let Some(release) = Release::of(target).filter(|_| asks(target)) else { return Ok(Released::default()) };
    let lacking = |names: &[String]| {
        let mut observed = target.tags.iter().zip(tags);
        let lacks = |(tag, observed): &(&Tag, &ObservedTag)| {
            observed.digest().is_some() && !names.contains(&tag.name)
        };
        observed.find(lacks).map(|(tag, _)| &tag.name)
    };
    let listed = match listed {
        Ok(names) if lacking(&names).is_some() => list(registry, target, repository).await?,
        listed => listed,
    };
    Ok(match listed {
        Ok(names) => match lacking(&names) {
            // A list that lacks one tag may lack others.
            Some(tag) => Released::Unlisted(format!("its list lacks `{tag}`, which it serves")),
            None => Released::Versions(release.released(&names)),
        },
        Err(why) => Released::Unlisted(why),
    })
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
