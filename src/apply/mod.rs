//! Carries a plan out. Decides nothing: what is written, and in which order, was planned.
//!
//! Children before their list, the list everywhere and confirmed before any tag, moving tags last. Registries have no conditional
//! write: looking a tag up just before it is written narrows the race with another writer and cannot close it.

mod account;
mod confirm;
mod copy;
mod references;
mod tags;
mod unpublish;

use std::fmt;

use anyhow::Result;
use futures_util::future::{try_join, try_join_all};

use crate::digest::Digest;
use crate::error::Failure;
use crate::plan::{PlacePlan, PlannedList, ReferencePlan, TargetPlan};
use crate::reference::{Reference, Repository};
use crate::registry::Registry;

pub use self::copy::bring;
pub use self::unpublish::{UnpublishEvent, Unpublished, UnpublishedPlace, keep, unpublish};

use self::account::Account;
use self::confirm::{confirm_children, confirm_staged, confirm_tag};
use self::references::write_references;
use self::tags::write_tags;

/// What became of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The target's name.
    pub target: String,
    /// One for each repository, in declaration order.
    pub places: Vec<AppliedPlace>,
}

/// What became of one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedPlace {
    /// The repository.
    pub repository: Repository,
    /// The list's digest.
    pub digest: Digest,
    /// Manifests that were brought into the repository.
    pub copied: Vec<Digest>,
    /// The tags, in declaration order.
    pub tags: Vec<AppliedTag>,
}

/// What became of one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedTag {
    /// Its name.
    pub name: String,
    /// Whether it was written; when not, it served the list before or was skipped.
    pub written: bool,
    /// Why it stays as it is, when it was skipped.
    pub skipped: Option<String>,
}

/// What happens while a plan is carried out, for progress and for the account that an interrupted run gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A manifest and all its blobs came into a repository.
    Copied(Reference),
    /// A list is in a repository, under its digest only.
    Staged(Reference),
    /// A tag serves the list.
    Tagged(Reference, Digest),
    /// Everything of a target was looked at once more, and is as planned.
    Confirmed(String),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copied(reference) => write!(f, "brought {}", reference.short()),
            Self::Staged(reference) => write!(f, "staged {}", reference.short()),
            Self::Tagged(reference, digest) => write!(f, "tagged {reference} → {}", digest.short()),
            Self::Confirmed(target) => write!(f, "confirmed {target}"),
        }
    }
}

/// Carries `plan` out; `on_event` hears of each step once it is done.
///
/// # Errors
///
/// Exit code 1 when nothing was tagged, 4 when some tag was; in both cases the same command run again finishes. The
/// message says for each repository what is done and what is pending.
pub async fn apply(
    registry: &Registry,
    plan: &TargetPlan,
    on_event: &(dyn Fn(Event) + Sync),
) -> Result<Applied> {
    if let Some(problem) = plan.problems.first() {
        return Err(Failure::new(problem.message.clone())
            .hint(problem.hint.clone().unwrap_or_default())
            .into());
    }
    let mut account = Account::new(plan)
        .ok_or_else(|| Failure::new(format!("target {} still has images to build", plan.target)))?;
    match carry_out(registry, &mut account, &plan.references, on_event).await {
        Ok(()) => {
            on_event(Event::Confirmed(plan.target.clone()));
            Ok(account.applied())
        }
        Err(error) => Err(account.failure(error)),
    }
}

async fn carry_out(
    registry: &Registry,
    account: &mut Account<'_>,
    references: &[ReferencePlan],
    on_event: &(dyn Fn(Event) + Sync),
) -> Result<()> {
    let changed: Vec<_> = account.places().filter(|(place, _)| place.is_change()).collect();
    let children = bring_children(registry, &changed, on_event);
    try_join(children, write_references(registry, references, on_event)).await?;
    // With one repository the list arrives with its first tag, which saves round trips and shows nobody a half-made
    // list. With several it is first in all of them.
    if changed.len() > 1 {
        stage(registry, &changed, on_event).await?;
        account.staged();
        let staged = changed.iter().map(|(place, list)| confirm_staged(registry, &place.repository, list));
        let confirmed = async { try_join_all(staged).await.map(drop) };
        write_tags(registry, account, confirmed, on_event).await?;
    } else {
        write_tags(registry, account, std::future::ready(Ok(())), on_event).await?;
    }
    let children = changed.iter().filter(|_| changed.len() == 1);
    let children =
        children.map(|(place, list)| confirm_children(registry, &place.repository, list)).collect::<Vec<_>>();
    let tags = account.written().map(|(place, list, tag)| confirm_tag(registry, place, list, tag));
    try_join(try_join_all(children), try_join_all(tags)).await?;
    Ok(())
}

/// Brings every image that is missing into the list's repository.
async fn bring_children(
    registry: &Registry,
    places: &[(&PlacePlan, &PlannedList)],
    on_event: &(dyn Fn(Event) + Sync),
) -> Result<()> {
    let copies = places.iter().map(|(place, _)| bring(registry, &place.copies, &place.repository, on_event));
    try_join_all(copies).await?;
    Ok(())
}

/// Puts the list into every repository, under its digest: nobody sees it yet.
async fn stage(
    registry: &Registry,
    places: &[(&PlacePlan, &PlannedList)],
    on_event: &(dyn Fn(Event) + Sync),
) -> Result<()> {
    try_join_all(places.iter().map(|(place, list)| async move {
        let digest = list.digest.as_str();
        registry.put_manifest(&place.repository, digest, list.kind.media_type(), &list.bytes).await?;
        on_event(Event::Staged(place.repository.digest(&list.digest)));
        anyhow::Ok(())
    }))
    .await?;
    Ok(())
}
