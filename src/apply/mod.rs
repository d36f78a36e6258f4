//! Carries a plan out. Decides nothing: what is written, and in which order, was planned.
//!
//! Children before their list, the list everywhere before any tag, moving tags last. Registries have no conditional
//! write: looking a tag up just before it is written narrows the race with another writer and cannot close it.

mod confirm;
mod copy;
mod tags;

use std::fmt;

use anyhow::Result;
use futures_util::future::try_join_all;

use crate::digest::Digest;
use crate::error::{Exit, Failure};
use crate::plan::{PlacePlan, PlannedList, TagAction, TargetPlan};
use crate::reference::{Reference, Repository};
use crate::registry::Registry;

use self::confirm::confirm;

pub use self::copy::bring;
use self::tags::tag_all;

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
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copied(reference) => write!(f, "brought {reference}"),
            Self::Staged(reference) => write!(f, "staged {reference}"),
            Self::Tagged(reference, digest) => write!(f, "tagged {reference} → {}", digest.short()),
        }
    }
}

/// Carries `plan` out; `on_event` hears of each step once it is done.
///
/// # Errors
///
/// Exit code 1 when nothing was tagged, 4 when some tag was; in both cases the same command run again finishes.
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
    let places: Vec<(&PlacePlan, &PlannedList)> =
        plan.places.iter().filter_map(|place| place.list.as_ref().map(|list| (place, list))).collect();
    if places.len() != plan.places.len() {
        return Err(Failure::new(format!("target {} still has images to build", plan.target)).into());
    }

    stage(registry, &places, on_event).await?;
    let mut tagged = Vec::new();
    for moving in [false, true] {
        tag_all(registry, plan, &places, moving, &mut tagged, on_event).await?;
    }
    confirm(registry, &places).await.map_err(|error| partial(plan, &tagged, error))?;

    Ok(Applied {
        target: plan.target.clone(),
        places: places.iter().map(|(place, list)| applied(place, list)).collect(),
    })
}

fn applied(place: &PlacePlan, list: &PlannedList) -> AppliedPlace {
    let tags = place.tags.iter().map(|tag| AppliedTag {
        name: tag.name.clone(),
        written: tag.action.is_write(),
        skipped: match &tag.action {
            TagAction::Skipped { why, .. } => Some(why.clone()),
            _ => None,
        },
    });
    AppliedPlace {
        repository: place.repository.clone(),
        digest: list.digest.clone(),
        copied: place.copies.iter().map(|copy| copy.manifest.digest.clone()).collect(),
        tags: tags.collect(),
    }
}

/// Brings every child, and then, when there are several repositories, the list itself into all of them. With one
/// repository the list arrives with its first tag, which saves a round trip and shows nobody a half-made list.
async fn stage(
    registry: &Registry,
    places: &[(&PlacePlan, &PlannedList)],
    on_event: &(dyn Fn(Event) + Sync),
) -> Result<()> {
    let copies = places.iter().map(|(place, _)| bring(registry, &place.copies, &place.repository, on_event));
    try_join_all(copies).await?;
    let writes = places.iter().filter(|(place, _)| place.tags.iter().any(|tag| tag.action.is_write()));
    if places.len() > 1 {
        try_join_all(writes.map(|(place, list)| async move {
            let digest = list.digest.as_str();
            registry.put_manifest(&place.repository, digest, list.kind.media_type(), &list.bytes).await?;
            on_event(Event::Staged(place.repository.digest(&list.digest)));
            anyhow::Ok(())
        }))
        .await?;
    }
    Ok(())
}

/// `error`, with the account of what is done and what is not.
fn partial(plan: &TargetPlan, tagged: &[Reference], error: anyhow::Error) -> anyhow::Error {
    let mut pending = Vec::new();
    for place in &plan.places {
        for tag in place.tags.iter().filter(|tag| tag.action.is_write()) {
            let reference = place.repository.tag(&tag.name);
            if !tagged.contains(&reference) {
                pending.push(reference.to_string());
            }
        }
    }
    if tagged.is_empty() {
        return Failure::new(format!("nothing of target {} was published", plan.target))
            .because(error)
            .into();
    }
    let done: Vec<String> = tagged.iter().map(ToString::to_string).collect();
    let pending = if pending.is_empty() { "nothing".to_owned() } else { pending.join(", ") };
    Failure::new(format!(
        "target {} was published in part: done {}; pending {pending}",
        plan.target,
        done.join(", ")
    ))
    .hint("run the same command again to finish")
    .exit(Exit::Partial)
    .because(error)
    .into()
}
