//! Carries a plan out. Decides nothing: what is written, and in which order, was planned.
//!
//! Children before their list, the list everywhere before any tag, moving tags last. Registries have no conditional
//! write: looking a tag up just before it is written narrows the race with another writer and cannot close it.

use std::fmt;

use anyhow::Result;
use futures_util::future::{join_all, try_join_all};

use crate::config::TagPolicy;
use crate::digest::Digest;
use crate::error::{Exit, Failure};
use crate::manifest::{self, Descriptor, Manifest};
use crate::plan::{CopyPlan, PlacePlan, PlannedList, TagAction, TagPlan, TargetPlan};
use crate::reference::{Reference, Repository};
use crate::registry::Registry;

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
    let copies =
        places.iter().flat_map(|(place, _)| place.copies.iter().map(|copy| (copy, &place.repository)));
    try_join_all(copies.map(|(copy, to)| async move {
        copy_manifest(registry, copy, to).await?;
        on_event(Event::Copied(to.digest(&copy.manifest.digest)));
        anyhow::Ok(())
    }))
    .await?;
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

/// Brings one manifest with its blobs into `to`.
async fn copy_manifest(registry: &Registry, copy: &CopyPlan, to: &Repository) -> Result<()> {
    let Descriptor { digest, .. } = &copy.manifest;
    let fetched = registry.get_manifest(&copy.from, digest.as_str()).await?.ok_or_else(|| {
        Failure::new(format!("{} is no longer there", copy.from.digest(digest)))
            .hint("somebody deleted it since the plan was made; run again")
    })?;
    if let Manifest::Image(image) = manifest::parse(&fetched.bytes, &fetched.media_type)? {
        try_join_all(
            image.blobs().into_iter().map(|blob| registry.copy_blob(&copy.from, to, &blob.digest, blob.size)),
        )
        .await?;
    }
    registry.put_manifest(to, digest.as_str(), &copy.manifest.media_type, &fetched.bytes).await?;
    Ok(())
}

/// Writes the tags of one class in all repositories, side by side.
async fn tag_all(
    registry: &Registry,
    plan: &TargetPlan,
    places: &[(&PlacePlan, &PlannedList)],
    moving: bool,
    tagged: &mut Vec<Reference>,
    on_event: &(dyn Fn(Event) + Sync),
) -> Result<()> {
    let tags = places.iter().flat_map(|(place, list)| {
        place
            .tags
            .iter()
            .filter(move |tag| tag.action.is_write() && (tag.policy != TagPolicy::Immutable) == moving)
            .map(move |tag| (*place, *list, tag))
    });
    let written = join_all(tags.map(|(place, list, tag)| async move {
        let reference = place.repository.tag(&tag.name);
        write_tag(registry, &place.repository, list, tag).await?;
        on_event(Event::Tagged(reference.clone(), list.digest.clone()));
        anyhow::Ok(reference)
    }))
    .await;
    let mut failed = None;
    for result in written {
        match result {
            Ok(reference) => tagged.push(reference),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(()), |error| Err(partial(plan, tagged, error)))
}

async fn write_tag(
    registry: &Registry,
    repository: &Repository,
    list: &PlannedList,
    tag: &TagPlan,
) -> Result<()> {
    let now = match registry.head_manifest(repository, &tag.name).await {
        Ok(head) => head.map(|head| head.digest),
        // Planned with `--first-publish`: it was unreadable then, too.
        Err(error) if error.is_unreadable() && tag.action == TagAction::Create => None,
        Err(error) => return Err(error.into()),
    };
    if now.as_ref() == Some(&list.digest) {
        return Ok(());
    }
    if now.as_ref() != tag.action.observed() {
        let digest = |digest: Option<&Digest>| digest.map_or("nothing".to_owned(), ToString::to_string);
        return Err(Failure::new(format!(
            "{} was moved by somebody else: it served {} when the plan was made, and {} now",
            repository.tag(&tag.name),
            digest(tag.action.observed()),
            digest(now.as_ref())
        ))
        .hint("run again to plan against what is there now")
        .into());
    }
    registry.put_manifest(repository, &tag.name, list.kind.media_type(), &list.bytes).await?;
    Ok(())
}

/// Every tag written serves the list, and the repository holds every child of it.
async fn confirm(registry: &Registry, places: &[(&PlacePlan, &PlannedList)]) -> Result<()> {
    let tags = places.iter().flat_map(|(place, list)| {
        place
            .tags
            .iter()
            .filter(|tag| tag.action.is_write())
            .map(move |tag| (*place, *list, tag.name.as_str()))
    });
    let tags = try_join_all(tags.map(|(place, list, tag)| async move {
        let reference = place.repository.tag(tag);
        let served = registry.head_written(&place.repository, tag).await?.map(|head| head.digest);
        match served {
            Some(digest) if digest == list.digest => Ok(()),
            Some(digest) => Err(anyhow::Error::from(
                Failure::new(format!(
                    "{reference} was overtaken: {} was written, somebody else's {digest} is served now",
                    list.digest
                ))
                .hint("run `plan` to see the difference"),
            )),
            None => {
                Err(Failure::new(format!("{reference} was written, but the registry does not serve it"))
                    .into())
            }
        }
    }));
    let changed = places.iter().filter(|(place, _)| place.is_change());
    let children = changed.flat_map(|(place, list)| list.children.iter().map(|child| (*place, child)));
    let children = try_join_all(children.map(|(place, child)| async move {
        match registry.head_written(&place.repository, child.as_str()).await? {
            Some(_) => anyhow::Ok(()),
            None => Err(Failure::new(format!(
                "the registry took the list but does not hold {}",
                place.repository.digest(child)
            ))
            .hint("run again: missing images are brought along")
            .into()),
        }
    }));
    futures_util::future::try_join(tags, children).await?;
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
