//! Writes tags: looked up just before, side by side, one class after the other.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::{join, join_all, try_join, try_join_all};

use super::Outcome;
use super::account::{Account, At};
use crate::config::TagPolicy;
use crate::error::Failure;
use crate::events::{Event, Events};
use crate::model::digest::Digest;
use crate::observe::released_now;
use crate::plan::{PlacePlan, PlannedList, TagAction, TagPlan};
use crate::registry::{Conditional, Expected, Registry};

/// How old a look may be when the tag is written. Looks are taken while the step before ends; should that take longer
/// than usual, the tag is looked up again.
const FRESH: Duration = Duration::from_secs(1);

/// The same for a tag that must never move: shorter than others wait for a second writer
/// ([`SETTLES`](super::confirm::SETTLES)).
const FRESH_IMMUTABLE: Duration = Duration::from_millis(250);

/// A tag to write, with its position in the plan.
#[derive(Clone, Copy)]
struct Job<'a> {
    at: At,
    place: &'a PlacePlan,
    list: &'a PlannedList,
    tag: &'a TagPlan,
}

/// What a tag serves just before it is written.
struct Look {
    taken: Instant,
    digest: Option<Digest>,
    /// Why a tag with the policy `newest` stays after all.
    why_not: Option<String>,
}

/// Writes the tags in all repositories: first those that never change, then those that move. The first ones are looked
/// up beside `before`, which must succeed before anything is written; the second ones while the first are written.
pub(super) async fn write_tags(
    registry: &Registry,
    account: &mut Account<'_>,
    before: impl Future<Output = Result<()>>,
    events: &Events,
) -> Result<()> {
    let (first, second) = (jobs(account, false), jobs(account, true));
    // With nothing in the first class its turn would only make the looks at the second older.
    let (first, second) = if first.is_empty() { (second, first) } else { (first, second) };
    let ((), looks) = try_join(before, look_at(registry, &first)).await?;
    let writes = write_class(registry, first.into_iter().zip(looks).collect(), events);
    let (written, looks) = join(writes, look_at(registry, &second)).await;
    note(account, written)?;
    let writes = write_class(registry, second.into_iter().zip(looks?).collect(), events);
    note(account, writes.await)
}

fn jobs<'a>(account: &Account<'a>, moving: bool) -> Vec<Job<'a>> {
    let places = account.places().enumerate();
    let jobs = places.flat_map(|(index, (place, list))| {
        let tags = place.tags.iter().enumerate();
        tags.map(move |(position, tag)| Job { at: (index, position), place, list, tag })
    });
    jobs.filter(|job| job.tag.action.is_write() && (job.tag.policy != TagPolicy::Immutable) == moving)
        .collect()
}

async fn look_at(registry: &Registry, jobs: &[Job<'_>]) -> Result<Vec<Look>> {
    try_join_all(jobs.iter().map(|job| look(registry, *job))).await
}

async fn look(registry: &Registry, job: Job<'_>) -> Result<Look> {
    let Job { place, tag, .. } = job;
    let taken = Instant::now();
    let digest = async {
        match registry.head_manifest(&place.repository, &tag.name).await {
            Ok(head) => anyhow::Ok(head.map(|head| head.digest)),
            Err(error) if error.is_unreadable() && tag.action == (TagAction::Create { unseen: true }) => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    };
    let why_not = async {
        let Some(release) = &tag.release else { return Ok(None) };
        let released = released_now(registry, &place.repository, release).await?;
        Ok(release.why_not(&tag.name, &released))
    };
    let (digest, why_not) = try_join(digest, why_not).await?;
    Ok(Look { taken, digest, why_not })
}

/// Where the tag stands in the plan, what became of it, and the error if it could not be written.
type Written = (At, Outcome, Option<anyhow::Error>);

/// Writes the tags of one class side by side; when one fails the others go on to their end.
async fn write_class(registry: &Registry, class: Vec<(Job<'_>, Look)>, events: &Events) -> Vec<Written> {
    join_all(class.into_iter().map(|(job, look)| async move {
        let (outcome, error) = match write_tag(registry, job, look, events).await {
            Ok(result) => result,
            Err(error) => (Outcome::Pending, Some(error)),
        };
        let reference = job.place.repository.tag(&job.tag.name);
        match &outcome {
            Outcome::Written => events.tell(Event::Tagged(&reference, &job.list.digest)),
            Outcome::Skipped(why) => events.tell(Event::Skipped(&reference, why)),
            _ => {}
        }
        (job.at, outcome, error)
    }))
    .await
}

fn note(account: &mut Account<'_>, written: Vec<Written>) -> Result<()> {
    let mut failed = None;
    for (at, outcome, error) in written {
        account.note(at, outcome);
        failed = failed.or(error);
    }
    failed.map_or(Ok(()), Err)
}

/// What became of the tag; with the error when that is open.
async fn write_tag(
    registry: &Registry,
    job: Job<'_>,
    seen: Look,
    events: &Events,
) -> Result<(Outcome, Option<anyhow::Error>)> {
    let Job { place, list, tag, .. } = job;
    let fresh = if tag.policy == TagPolicy::Immutable { FRESH_IMMUTABLE } else { FRESH };
    let seen = if seen.taken.elapsed() > fresh { look(registry, job).await? } else { seen };
    if seen.digest.as_ref() == Some(&list.digest) {
        return Ok((Outcome::There, None));
    }
    if let Some(why) = seen.why_not {
        return Ok((Outcome::Skipped(why), None));
    }
    if seen.digest.as_ref() != tag.action.observed() {
        return Err(moved(job, seen.digest.as_ref()));
    }
    let media_type = list.kind.media_type();
    events.tell(Event::Tagging(&place.repository.tag(&tag.name)));
    let expected = Expected::from_lookup(seen.digest.as_ref());
    match registry.put_tag(&place.repository, &tag.name, media_type, &list.bytes, expected).await {
        Ok(Conditional::Written) => Ok((Outcome::Written, None)),
        Ok(Conditional::Differs(served)) => Err(moved(job, served.as_ref())),
        Err(error) if error.is_open() => Ok((Outcome::Open, Some(error.into()))),
        Err(error) => Err(error.into()),
    }
}

/// Another writer was there first.
fn moved(Job { place, tag, .. }: Job<'_>, served: Option<&Digest>) -> anyhow::Error {
    let digest = |digest: Option<&Digest>| digest.map_or("nothing".to_owned(), ToString::to_string);
    Failure::new(format!(
        "{} was moved by somebody else: it served {} when the plan was made, and {} now",
        place.repository.tag(&tag.name),
        digest(tag.action.observed()),
        digest(served)
    ))
    .hint("run again to plan against what is there now")
    .into()
}
