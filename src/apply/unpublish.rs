//! Carries out what `unpublish` planned: tags first, by name where the registry can, else by digest; then what only
//! they held. Decides nothing: what may go was planned.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::Result;
use futures_util::future::{join_all, try_join_all};

use crate::digest::Digest;
use crate::error::{Exit, Failure, render};
use crate::plan::{Holder, UnpublishPlace, UnpublishPlan};
use crate::reference::{Reference, Repository};
use crate::registry::{Kind, Registry, RegistryError};

/// What became of one target's tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpublished {
    /// The target's name.
    pub target: String,
    /// One for each repository, in declaration order.
    pub places: Vec<UnpublishedPlace>,
}

/// What became of one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpublishedPlace {
    /// The repository.
    pub repository: Repository,
    /// Tags that are gone now.
    pub tags: Vec<String>,
    /// Manifests that are gone now.
    pub manifests: Vec<Digest>,
    /// Manifests that nothing holds any more, but that the registry does not delete.
    pub left: Vec<Digest>,
}

/// Deletes what `plan` says; `on_deleted` hears of each reference that is gone.
///
/// # Errors
///
/// Exit code 1 when nothing was deleted, 4 when something was; the other repositories are gone through in any case.
pub async fn unpublish(
    registry: &Registry,
    plan: &UnpublishPlan,
    on_deleted: &(dyn Fn(&Reference) + Sync),
) -> Result<Unpublished> {
    let results = join_all(plan.places.iter().map(|place| async move {
        let mut done = UnpublishedPlace {
            repository: place.repository.clone(),
            tags: Vec::new(),
            manifests: Vec::new(),
            left: Vec::new(),
        };
        let result = delete(registry, place, &mut done, on_deleted).await;
        (done, result.err())
    }))
    .await;

    let (mut places, mut failures) = (Vec::new(), String::new());
    for (done, error) in results {
        if let Some(error) = error {
            let why = render(&error).trim_end().replace('\n', "\n    ");
            let gone = if done.tags.is_empty() { "nothing".to_owned() } else { done.tags.join(", ") };
            let _ = write!(failures, "\n  {}: deleted {gone}\n    {why}", done.repository);
        }
        places.push(done);
    }
    if failures.is_empty() {
        return Ok(Unpublished { target: plan.target.clone(), places });
    }
    let some = places.iter().any(|place| !place.tags.is_empty() || !place.manifests.is_empty());
    let failure = Failure::new(format!("target {} could not be unpublished{failures}", plan.target));
    Err(if some { failure.exit(Exit::Partial) } else { failure }.into())
}

async fn delete(
    registry: &Registry,
    place: &UnpublishPlace,
    done: &mut UnpublishedPlace,
    on_deleted: &(dyn Fn(&Reference) + Sync),
) -> Result<()> {
    let repository = &place.repository;
    let tags: Vec<(&str, &Digest)> =
        place.tags.iter().filter_map(|tag| Some((tag.name.as_str(), tag.serves.as_ref()?))).collect();
    try_join_all(tags.iter().map(|(tag, planned)| unmoved(registry, repository, tag, planned))).await?;

    // By name, which touches nothing else. Those that are not gone then go by digest, with their list.
    let by_name = join_all(tags.iter().map(|(tag, _)| delete_tag(registry, repository, tag))).await;
    let mut by_digest = Vec::new();
    let mut failed = None;
    for ((tag, digest), result) in tags.into_iter().zip(by_name) {
        match result {
            Ok(None) => {
                on_deleted(&repository.tag(tag));
                done.tags.push(tag.to_owned());
            }
            Ok(Some(answer)) => by_digest.push((tag, digest, answer)),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    for (tag, digest, answer) in &by_digest {
        if let Some(holder) = place.holder(digest) {
            return Err(Failure::new(format!(
                "{} deletes no tags ({answer}), and {} cannot be deleted by its digest {digest}: {}",
                repository.host,
                repository.tag(tag),
                held(holder)
            ))
            .hint("delete the tag with the registry's own tools, or unpublish what shares its digest first")
            .into());
        }
    }

    let needed: BTreeSet<&Digest> = by_digest.iter().map(|(_, digest, _)| *digest).collect();
    for manifest in place.manifests.iter().filter(|manifest| manifest.held_by.is_none()) {
        let digest = &manifest.digest;
        match registry.delete_manifest(repository, digest.as_str()).await {
            Ok(_) => {
                on_deleted(&repository.digest(digest));
                done.manifests.push(digest.clone());
            }
            Err(error) if error.kind() == Kind::Unsupported && !needed.contains(digest) => {
                done.left.push(digest.clone());
            }
            Err(error) if error.kind() == Kind::Unsupported => return Err(cannot(&error)),
            Err(error) => return Err(error.into()),
        }
    }
    for (tag, digest, _) in by_digest {
        if still_served(registry, repository, tag, digest).await? {
            let reference = repository.tag(tag);
            return Err(Failure::new(format!(
                "{} took the deletion of {digest}, and {reference} still serves it",
                repository.host
            ))
            .hint("some registries take a while: look again with `tags`")
            .into());
        }
        on_deleted(&repository.tag(tag));
        done.tags.push(tag.to_owned());
    }
    Ok(())
}

/// Just before a tag goes it is looked up: one that moved since is somebody else's.
async fn unmoved(registry: &Registry, repository: &Repository, tag: &str, planned: &Digest) -> Result<()> {
    match registry.head_manifest(repository, tag).await? {
        Some(head) if head.digest != *planned => Err(Failure::new(format!(
            "{} was moved by somebody else: it served {planned} when the plan was made, and {} now",
            repository.tag(tag),
            head.digest
        ))
        .hint("run again to see what is there now")
        .into()),
        _ => Ok(()),
    }
}

/// Deletes a tag by its name. `Some` is the registry's answer when it does not do that.
async fn delete_tag(registry: &Registry, repository: &Repository, tag: &str) -> Result<Option<String>> {
    match registry.delete_manifest(repository, tag).await {
        Ok(true) => Ok(None),
        // Some take a tag for a digest that they do not know.
        Ok(false) => {
            let there = registry.head_manifest(repository, tag).await?.is_some();
            Ok(there.then(|| "it says that there is no such thing".to_owned()))
        }
        Err(error) if error.kind() == Kind::Unsupported => Ok(Some(error.answer())),
        Err(error) => Err(error.into()),
    }
}

async fn still_served(
    registry: &Registry,
    repository: &Repository,
    tag: &str,
    digest: &Digest,
) -> Result<bool> {
    Ok(registry.head_manifest(repository, tag).await?.is_some_and(|head| head.digest == *digest))
}

fn cannot(error: &RegistryError) -> anyhow::Error {
    Failure::new(format!("{} deletes nothing: {}", error.host(), error.answer()))
        .hint("its operator may have switched deletion off; else delete with the registry's own tools")
        .into()
}

fn held(holder: &Holder) -> String {
    match holder {
        Holder::Tag(tag) => format!("the tag {tag} serves it too"),
        Holder::ListAt(tag) => format!("the list at {tag} holds it"),
    }
}
