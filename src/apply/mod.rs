//! Carries a plan out. Decides nothing: what is written, and in which order, was planned.
//!
//! Children before their list, the list everywhere and confirmed before any tag, moving tags last. A tag is written on the
//! condition that it serves what it did a moment ago; where a registry takes no conditions, that narrows the race with
//! another writer and cannot close it.

mod account;
mod confirm;
mod copy;
mod references;
mod tags;
mod unpublish;

use anyhow::Result;
use futures_util::future::{join, join_all, try_join, try_join_all};

use crate::error::Failure;
use crate::events::{Event, Events};
use crate::model::digest::Digest;
use crate::model::reference::Repository;
use crate::plan::{PlacePlan, PlannedList, ReferencePlan, TargetPlan};
use crate::registry::Registry;

pub use self::copy::bring;
pub use self::unpublish::{UnpublishEvent, Unpublished, UnpublishedPlace, keep, unpublish};

use self::account::Account;
use self::confirm::{confirm_children, confirm_staged, look_again, overtaken};
use self::references::write_references;
use self::tags::write_tags;

/// What became of one target. The report, the lock, the events and the files for other programs are all written from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The target's name.
    pub target: String,
    /// Whether everything is as planned, and was confirmed.
    pub complete: bool,
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
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It served the list before; nothing was to be done.
    Unchanged,
    /// It is still to be written, and serves what it served before.
    Pending,
    /// It was written, and serves the list.
    Written,
    /// It was to be written, and the registry went silent before it said whether it was.
    Open,
    /// It serves the list, written by another writer since the plan was made.
    There,
    /// It stays as it is; the text says why.
    Skipped(String),
    /// It was written, and by the time it was looked at again another writer had moved or deleted it.
    Overtaken,
}

impl Outcome {
    /// Whether the tag serves the list.
    pub fn serves(&self) -> bool {
        matches!(self, Self::Unchanged | Self::Written | Self::There)
    }

    /// Whether this run wrote the tag, whatever it serves by now.
    pub fn is_written(&self) -> bool {
        matches!(self, Self::Written | Self::Overtaken)
    }
}

impl Applied {
    /// What carrying out `plan` comes to when nothing is to be written; `None` when an image is still to be built.
    pub fn without_change(plan: &TargetPlan) -> Option<Self> {
        Some(Self { complete: true, ..Account::new(plan)?.applied() })
    }

    /// Whether this run wrote a tag of it.
    pub fn is_written(&self) -> bool {
        self.places.iter().flat_map(|place| &place.tags).any(|tag| tag.outcome.is_written())
    }
}

/// A plan that was not carried out to its end.
#[derive(Debug)]
pub struct Unfinished {
    /// What became of it; `None` when it could not be begun.
    pub applied: Option<Applied>,
    /// What went wrong.
    pub error: anyhow::Error,
}

/// Carries `plan` out; `events` hear of each step once it is done.
///
/// # Errors
///
/// Exit code 1 when nothing was tagged, 4 when some tag was; in both cases the same command run again finishes. The
/// message says for each repository what is done and what is pending, and so does [`Unfinished::applied`].
pub async fn apply(registry: &Registry, plan: &TargetPlan, events: &Events) -> Result<Applied, Unfinished> {
    let not_begun = |failure: Failure| Unfinished { applied: None, error: failure.into() };
    if let Some(problem) = plan.problems.first() {
        let failure = Failure::new(problem.message.clone());
        return Err(not_begun(match &problem.hint {
            Some(hint) => failure.hint(hint.clone()),
            None => failure,
        }));
    }
    let mut account = Account::new(plan).ok_or_else(|| {
        not_begun(Failure::new(format!("target {} still has images to build", plan.target)))
    })?;
    match carry_out(registry, &mut account, &plan.references, events).await {
        Ok(()) => {
            events.tell(Event::Confirmed(&plan.target));
            Ok(Applied { complete: true, ..account.applied() })
        }
        Err(error) => {
            let error = account.failure(error);
            Err(Unfinished { applied: Some(account.applied()), error })
        }
    }
}

async fn carry_out(
    registry: &Registry,
    account: &mut Account<'_>,
    references: &[ReferencePlan],
    events: &Events,
) -> Result<()> {
    let changed: Vec<_> = account.places().filter(|(place, _)| place.is_change()).collect();
    let children = bring_children(registry, &changed, events);
    try_join(children, write_references(registry, references, events)).await?;
    // With one repository the list arrives with its first tag, which saves round trips and shows nobody a half-made
    // list. With several it is first in all of them.
    if changed.len() > 1 {
        stage(registry, &changed, events).await?;
        account.staged();
        let staged = changed.iter().map(|(place, list)| confirm_staged(registry, &place.repository, list));
        let confirmed = async { try_join_all(staged).await.map(drop) };
        write_tags(registry, account, confirmed, events).await?;
    } else {
        write_tags(registry, account, std::future::ready(Ok(())), events).await?;
    }
    let children = changed.iter().filter(|_| changed.len() == 1);
    let children =
        children.map(|(place, list)| confirm_children(registry, &place.repository, list)).collect::<Vec<_>>();
    let written: Vec<_> = account.written().collect();
    let looks = written.iter().map(|written| look_again(registry, written));
    // Every tag is looked at, also when another one turns out to be wrong: what is said of each is what was seen.
    let (children, looks) = join(try_join_all(children), join_all(looks)).await;
    let mut failed = children.err();
    for (written, look) in written.into_iter().zip(looks) {
        match look {
            Ok(Some(served)) if served == written.list.digest => {}
            Ok(served) => {
                account.note(written.at, Outcome::Overtaken);
                failed = failed.or(Some(overtaken(&written, served)));
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Brings every image that is missing into the list's repository.
async fn bring_children(
    registry: &Registry,
    places: &[(&PlacePlan, &PlannedList)],
    events: &Events,
) -> Result<()> {
    let copies = places.iter().map(|(place, _)| bring(registry, &place.copies, &place.repository, events));
    try_join_all(copies).await?;
    Ok(())
}

/// Puts the list into every repository, under its digest: nobody sees it yet.
async fn stage(registry: &Registry, places: &[(&PlacePlan, &PlannedList)], events: &Events) -> Result<()> {
    try_join_all(places.iter().map(|(place, list)| async move {
        let digest = list.digest.as_str();
        registry.put_manifest(&place.repository, digest, list.kind.media_type(), &list.bytes).await?;
        events.tell(Event::Staged(&place.repository.digest(&list.digest)));
        anyhow::Ok(())
    }))
    .await?;
    Ok(())
}
