//! Writes tags: looked up just before, side by side, one class after the other.

use anyhow::Result;
use futures_util::future::join_all;

use super::{Event, partial};
use crate::config::TagPolicy;
use crate::digest::Digest;
use crate::error::Failure;
use crate::plan::{PlacePlan, PlannedList, TagAction, TagPlan, TargetPlan};
use crate::reference::{Reference, Repository};
use crate::registry::Registry;

/// Writes the tags of one class in all repositories, side by side.
pub(super) async fn tag_all(
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
