//! `unpublish` in its stages: what an earlier run left, what the registries hold, the plan; then keep, delete, look again.

mod journal;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use futures_util::future::try_join_all;

use crate::apply::{UnpublishEvent, Unpublished, keep, unpublish};
use crate::config::Target;
use crate::error::Failure;
use crate::lock::LockedTarget;
use crate::model::digest::Digest;
use crate::model::reference::Repository;
use crate::observe::contents;
use crate::plan::{self, Contents, Kept, UnpublishPlan};
use crate::registry::Registry;

pub use journal::Journal;

/// Reads all that the repositories of `target` hold, and plans what is to be deleted: the declared tags, what only they
/// hold, and what an earlier run left.
///
/// That comes from the journal. Where it is lost, the lock names the list that a tag served which is not there any more,
/// and its images.
///
/// # Errors
///
/// As [`contents`].
pub async fn survey(
    registry: &Registry,
    target: &Target,
    locked: Option<&LockedTarget>,
    journal: &Journal,
) -> Result<UnpublishPlan> {
    let names: Vec<&str> = target.tags.iter().map(|tag| tag.name.as_str()).collect();
    let kept: Vec<Vec<Kept>> =
        target.repositories.iter().map(|repository| journal.kept(&target.name, repository)).collect();
    let read = target.repositories.iter().zip(&kept).map(|(repository, kept)| {
        let names = &names;
        async move {
            let locked = locked.map(|locked| Locked::of(locked, repository, names)).unwrap_or_default();
            let kept: BTreeSet<Digest> = kept.iter().map(|one| one.digest.clone()).collect();
            let left = kept.iter().chain(locked.all()).cloned().collect();
            let mut contents = contents(registry, repository, names, &[], &left).await?;
            locked.retain_remains(&mut contents, &kept);
            anyhow::Ok(contents)
        }
    });
    let contents = try_join_all(read).await.map_err(|error| {
        Failure::new(format!("nothing was deleted: what {} publishes is not known", target.name))
            .because(error)
    })?;
    Ok(plan::unpublish(target, &contents, &kept))
}

/// Carries `plan` out. What it deletes is in the journal until nothing remains and nothing turned out to be needed.
///
/// # Errors
///
/// As [`unpublish`], and those of the journal's file.
pub async fn carry_out(
    registry: &Registry,
    target: &Target,
    plan: &UnpublishPlan,
    journal: &Journal,
    on_event: &(dyn Fn(UnpublishEvent) + Sync),
) -> Result<Unpublished> {
    let mut kept = keep(registry, plan).await?;
    let entries = target.repositories.iter().zip(&mut kept).map(|(repository, kept)| {
        // What an earlier run deleted may be needed yet.
        let earlier = journal.kept(&target.name, repository);
        let earlier = earlier.into_iter().filter(|old| kept.iter().all(|new| new.digest != old.digest));
        kept.extend(earlier.collect::<Vec<_>>());
        (repository.clone(), kept.clone())
    });
    let entries: BTreeMap<Repository, Vec<Kept>> = entries.collect();
    if !plan.is_change() {
        journal.remove(&target.name)?;
        return unpublish(registry, plan, &kept, on_event).await;
    }
    journal.keep(&target.name, &entries)?;
    let unpublished = unpublish(registry, plan, &kept, on_event).await?;
    journal.remove(&target.name)?;
    Ok(unpublished)
}

/// What the lock says of one repository.
#[derive(Default)]
struct Locked {
    /// The declared tags with the lists behind them.
    tags: BTreeMap<String, Digest>,
    /// Images and attestations.
    images: BTreeSet<Digest>,
}

impl Locked {
    fn of(locked: &LockedTarget, repository: &Repository, names: &[&str]) -> Self {
        let tags = locked.repositories.get(&repository.to_string()).cloned().unwrap_or_default();
        let tags: BTreeMap<_, _> =
            tags.into_iter().filter(|(tag, _)| names.contains(&tag.as_str())).collect();
        let images = if tags.is_empty() { BTreeSet::new() } else { locked.digests() };
        Self { tags, images }
    }

    fn all(&self) -> impl Iterator<Item = &Digest> {
        self.tags.values().chain(&self.images)
    }

    /// Of what is still served, keeps what `kept` has, and what a tag of the lock led to that is not there any more. The
    /// list of a tag that serves another one by now is not what is left of an unpublished target.
    fn retain_remains(&self, contents: &mut Contents, kept: &BTreeSet<Digest>) {
        let gone: BTreeSet<&Digest> = self
            .tags
            .iter()
            .filter(|(tag, _)| !contents.tags.contains_key(*tag))
            .map(|(_, list)| list)
            .collect();
        let is_left =
            |digest: &Digest| gone.contains(digest) || (!gone.is_empty() && self.images.contains(digest));
        contents.remains.retain(|digest| kept.contains(digest) || is_left(digest));
    }
}
