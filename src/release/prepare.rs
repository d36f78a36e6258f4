//! The main job in its stages: observe → plan → build, smoke, push → observe → plan → apply. `release`, `plan` and
//! `reconcile` are this with more or fewer of the stages.

mod checks;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use futures_util::future::try_join;

use crate::apply::{Applied, apply};
use crate::build::freshness::{Place, Survey};
use crate::build::pipeline::{Pipeline, Produced};
use crate::concurrency;
use crate::config::{Declaration, Image, Target};
use crate::error::{Exit, Failure, exit_of};
use crate::events::Events;
use crate::lock::{Checks, Lock, LockedTarget, Origin};
use crate::model::digest::Digest;
use crate::model::reference::Reference;
use crate::observe::{Known, Source, observe};
use crate::plan::{Evidence, FoundImage, ObservedImage, ObservedTarget, Options, Pin, TargetPlan, pin, plan};
use crate::registry::{Access, Registry};
use crate::release::journal::{Entry, Inputs, Pushed};

use self::checks::{checked_before, origins_before};

/// One target on its way: what is declared, where its images come from, what is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned<'a> {
    /// As declared.
    pub target: &'a Target,
    /// One for each declared image.
    pub sources: Vec<Source>,
    /// What is to be done, as far as is known.
    pub plan: TargetPlan,
    /// What became of an interrupted run that this one may finish.
    pub interrupted: Interrupted,
    /// The positions of images that were taken for fresh, and are not where they should be.
    pub gone: BTreeSet<usize>,
    /// What was checked of images in this run, or in the interrupted one, by their positions.
    pub checked: BTreeMap<usize, Checks>,
    /// What images were built from, in this run or in the interrupted one, by their positions.
    pub origins: BTreeMap<usize, Origin>,
    /// The positions of images that were built in this run, and of which it is not known what they are made of: the digest
    /// that each was pushed as, and why.
    pub unknown: BTreeMap<usize, (Digest, String)>,
}

/// What becomes of an interrupted run's images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// There is no such run.
    No,
    /// They are taken.
    Finished,
    /// They cannot be taken; the text says why.
    Lost(String),
}

impl AsRef<TargetPlan> for Planned<'_> {
    fn as_ref(&self) -> &TargetPlan {
        &self.plan
    }
}

impl Planned<'_> {
    /// The positions of the images that this run builds.
    pub fn to_build(&self) -> impl Iterator<Item = usize> {
        self.sources
            .iter()
            .enumerate()
            .filter(|(_, source)| **source == Source::Built)
            .map(|(index, _)| index)
    }

    /// What another run needs to finish this one; `None` when there is nothing to finish, or when nothing that was built
    /// would be lost.
    pub fn to_finish(&self, inputs: Inputs) -> Option<Entry> {
        let place = self.plan.places.first().filter(|_| self.plan.is_change())?;
        let images = self.target.images.iter().zip(&self.sources).zip(&place.entries);
        let images = images.enumerate().filter(|(_, ((image, _), _))| image.build.is_some());
        let built = images.map(|(index, ((image, source), entry))| {
            // What an immutable tag lists is found there again.
            let reference = match source {
                Source::At(reference) => reference,
                Source::Known(known) => known.at.first()?,
                Source::Built | Source::Found(_) => return None,
            };
            Some(Pushed {
                platform: image.platform.to_string(),
                reference: reference.clone(),
                image: entry.change.entry()?.digest.clone(),
                checked: self.checked.get(&index).cloned().unwrap_or_default(),
                origin: self.origins.get(&index).cloned(),
            })
        });
        let images: Vec<Pushed> = built.collect::<Option<_>>()?;
        let lists = self.plan.places.iter();
        let lists = lists
            .filter_map(|place| Some((place.repository.to_string(), place.list.as_ref()?.digest.clone())));
        (!images.is_empty()).then(|| Entry { inputs, images, lists: lists.collect() })
    }
}

/// Where the images of a target come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From<'a> {
    /// Those with `build` are built in this run, unless it may finish an interrupted one, by target, or they are fresh.
    /// The others are there.
    Build(&'a BTreeMap<String, Entry>, &'a Survey),
    /// All are there, under their declared references.
    Registry,
    /// All are there; those that were pushed elsewhere by the digests that those pushes reported.
    Pushed(&'a BTreeMap<Place, Reference>),
}

impl From<'_> {
    fn interrupted(&self, target: &Target) -> Option<&Entry> {
        match self {
            Self::Build(interrupted, _) => interrupted.get(&target.name),
            Self::Registry | Self::Pushed(_) => None,
        }
    }

    fn sources(&self, target: &Target, interrupted: Option<&Entry>) -> Vec<Source> {
        let source = |(index, image): (usize, &Image)| match (&image.build, self) {
            (Some(_), Self::Build(_, survey)) => {
                let fresh = survey.fresh(&target.name, index);
                let pushed = interrupted.and_then(|entry| entry.image(&image.platform.to_string()));
                let pushed = pushed.map(|pushed| {
                    let digest = pushed.image.clone();
                    let fresh = fresh.filter(|fresh| fresh.digest == digest);
                    let also = fresh.into_iter().flat_map(|fresh| fresh.at.iter().cloned());
                    let attested = pushed.reference.digest.as_ref() != Some(&digest);
                    let at = std::iter::once(pushed.reference.clone()).chain(also).collect();
                    Known { digest, attested, at }
                });
                pushed.or_else(|| fresh.cloned()).map_or(Source::Built, Source::Known)
            }
            (_, Self::Pushed(pushed)) => {
                let reported = pushed.get(&(target.name.clone(), index));
                Source::At(reported.unwrap_or(&image.reference).clone())
            }
            _ => Source::At(image.reference.clone()),
        };
        target.images.iter().enumerate().map(source).collect()
    }

    /// The images of `target` that the lock shows to be of what is checked out.
    fn proven(
        &self,
        target: &Target,
        locked: Option<&LockedTarget>,
        revision: Option<&str>,
    ) -> BTreeSet<Digest> {
        let Some(locked) = locked else { return BTreeSet::new() };
        let same_revision = revision.is_some() && locked.revision.as_deref() == revision;
        let fresh =
            |index| matches!(self, Self::Build(_, survey) if survey.fresh(&target.name, index).is_some());
        let images = target.images.iter().enumerate();
        images
            .filter(|(index, _)| same_revision || fresh(*index))
            .filter_map(|(_, image)| locked.image(&image.platform).map(|locked| locked.digest.clone()))
            .collect()
    }
}

/// Says beforehand which repositories a run reads, and which ones it gives `access` to, so that one token for each
/// registry covers all of it.
///
/// # Errors
///
/// As [`Registry::announce`].
pub fn announce(registry: &Registry, declaration: &Declaration, access: Access) -> Result<()> {
    for target in &declaration.targets {
        for repository in &target.repositories {
            registry.announce(repository, access)?;
        }
        for image in &target.images {
            registry.announce(&image.reference.repository, Access::Pull)?;
        }
    }
    Ok(())
}

/// Stages 1 and 2: observe every target, and plan.
///
/// # Errors
///
/// As [`observe`]. What the plan itself objects to is in [`TargetPlan::problems`].
pub async fn prepare<'a>(
    registry: &Registry,
    declaration: &'a Declaration,
    from: From<'_>,
    lock: &Lock,
    options: Options,
) -> Result<Vec<Planned<'a>>> {
    let revision = declaration.revision.as_deref();
    concurrency::try_each(declaration.targets.iter().map(|target| {
        let locked = lock.targets.get(&target.name);
        prepare_target(registry, target, from, locked, revision, options)
    }))
    .await
}

/// As [`prepare`] for a release that makes smoke runs or not, with what is fresh. The images that builds use are looked up meanwhile; what turns out
/// not to be fresh is planned to be built.
///
/// # Errors
///
/// As [`prepare`].
pub async fn prepare_release<'a>(
    registry: &Registry,
    declaration: &'a Declaration,
    interrupted: &BTreeMap<String, Entry>,
    survey: &mut Survey,
    lock: &Lock,
    options: Options,
    smoke: bool,
) -> Result<Vec<Planned<'a>>> {
    let prepared =
        async { prepare(registry, declaration, From::Build(interrupted, survey), lock, options).await };
    let now = async { Ok(survey.look_up(registry).await) };
    let (mut planned, now) = try_join(prepared, now).await?;
    let mut again = survey.confirm(now);
    for planned in planned.iter().filter(|planned| !planned.gone.is_empty()) {
        survey.gone(&planned.target.name, &planned.gone);
        again = true;
    }
    if again {
        planned = prepare(registry, declaration, From::Build(interrupted, survey), lock, options).await?;
    }
    for planned in &mut planned {
        planned.plan.explain(&survey.stale(&planned.target.name));
        for unchecked in planned.unchecked(lock.targets.get(&planned.target.name), smoke) {
            let image = &planned.target.images[unchecked.index];
            let built = if image.build.is_some() { "again" } else { "here" };
            for outstanding in unchecked.outstanding {
                planned.plan.notes.push(format!(
                    "{} is not built {built}, but its {} is not recorded as passed: a release makes it",
                    image.platform, outstanding.check
                ));
            }
        }
    }
    Ok(planned)
}

async fn prepare_target<'a>(
    registry: &Registry,
    target: &'a Target,
    from: From<'_>,
    locked: Option<&LockedTarget>,
    revision: Option<&str>,
    options: Options,
) -> Result<Planned<'a>> {
    let known = locked.map(LockedTarget::digests).unwrap_or_default();
    let observe = async |sources: &[Source]| -> Result<ObservedTarget> {
        Ok(ObservedTarget { known: known.clone(), ..observe(registry, target, sources).await? })
    };
    let entry = from.interrupted(target);
    let mut sources = from.sources(target, entry);
    let mut observed = observe(&sources).await?;
    let mut interrupted = if entry.is_some() { Interrupted::Finished } else { Interrupted::No };
    if let Some(why) = entry.and_then(|_| lost(target, &sources, &observed)) {
        interrupted = Interrupted::Lost(why);
        sources = from.sources(target, None);
        observed = observe(&sources).await?;
    }
    let mut recorded = entry.map(Entry::digests).unwrap_or_default();
    recorded.extend(from.proven(target, locked, revision));
    let gone = observed.images.iter().enumerate().filter(|(index, image)| {
        let taken = matches!(from, From::Build(_, survey) if survey.fresh(&target.name, *index).is_some());
        taken && interrupted != Interrupted::Finished && matches!(image, ObservedImage::Absent)
    });
    let gone = gone.map(|(index, _)| index).collect();
    let mut note = (interrupted == Interrupted::Finished)
        .then_some("a release of this revision was interrupted: its images are taken, nothing is built");
    let mut conflict = None;
    // Without a build there is nothing to pin: the images themselves are compared.
    if let From::Build(..) = from {
        match pin(target, &observed, Evidence { revision, recorded: &recorded }) {
            Pin::Free => {}
            Pin::Pinned(images) if are_found(&images, &observed) => {}
            Pin::Pinned(images) => {
                let pinned = images.into_iter().zip(sources);
                sources = pinned.map(|(image, declared)| image.map_or(declared, Source::Found)).collect();
                observed = observe(&sources).await?;
                note = Some("an immutable tag is published from this revision already: its images are taken");
            }
            Pin::Conflict(problem) => conflict = Some(problem),
        }
    }
    let mut plan = plan(target, &observed, options);
    plan.problems.extend(conflict);
    plan.notes.extend(note.map(str::to_owned));
    if let (Some(entry), Interrupted::Finished) = (entry, &interrupted) {
        plan.notes.extend(other_lists(entry, &plan));
    }
    let (checked, origins) = match (entry, &interrupted) {
        (Some(entry), Interrupted::Finished) => {
            (checked_before(entry, target), origins_before(entry, target, &plan))
        }
        _ => (BTreeMap::new(), BTreeMap::new()),
    };
    Ok(Planned { target, sources, plan, interrupted, gone, checked, origins, unknown: BTreeMap::new() })
}

/// Why an interrupted run's images cannot be taken: one of them is not there any more.
fn lost(target: &Target, sources: &[Source], observed: &ObservedTarget) -> Option<String> {
    let gone = |reference: &Reference| format!("{reference} is not in the registry any more");
    let built = target.images.iter().zip(sources).zip(&observed.images);
    built.filter(|((image, _), _)| image.build.is_some()).find_map(|((_, source), observed)| {
        match (source, observed) {
            (_, ObservedImage::Found(_)) => None,
            (_, ObservedImage::Unusable(why)) => Some(why.clone()),
            (Source::At(reference), _) => Some(gone(reference)),
            (Source::Known(known), _) => known.at.first().map(gone),
            (_, _) => Some("it does not say where every image is".to_owned()),
        }
    })
}

/// Where the list is not the one that the interrupted run was about to publish: what is served there, and goes into the
/// list or decides its type, has changed since.
fn other_lists(entry: &Entry, plan: &TargetPlan) -> Vec<String> {
    let lists =
        plan.places.iter().filter_map(|place| Some((&place.repository, &place.list.as_ref()?.digest)));
    lists
        .filter_map(|(repository, digest)| {
            let promised = entry.lists.get(&repository.to_string()).filter(|promised| *promised != digest)?;
            Some(format!(
                "{repository} gets the list {digest}, not {promised} as the interrupted run would have given it: what it \
                 serves has changed since"
            ))
        })
        .collect()
}

/// Whether the images that an immutable tag lists are those that were observed anyway.
fn are_found(pinned: &[Option<FoundImage>], observed: &ObservedTarget) -> bool {
    pinned.iter().zip(&observed.images).all(|(pinned, observed)| match (pinned, observed) {
        (None, _) => true,
        (Some(pinned), ObservedImage::Found(found)) => pinned.descriptor.digest == found.descriptor.digest,
        (Some(_), _) => false,
    })
}

/// Stops with every problem of every plan.
///
/// # Errors
///
/// One failure that lists them, when there is any.
pub fn stop_on_problems(plans: &[impl AsRef<TargetPlan>]) -> Result<()> {
    let problems: Vec<_> = plans.iter().flat_map(|plan| &plan.as_ref().problems).collect();
    let message = match problems[..] {
        [] => return Ok(()),
        [problem] => problem.message.clone(),
        _ => {
            let all: Vec<String> =
                problems.iter().map(|problem| format!("\n  - {}", problem.message)).collect();
            format!("{} problems stand in the way:{}", problems.len(), all.concat())
        }
    };
    let mut hints: Vec<&str> = problems.iter().filter_map(|problem| problem.hint.as_deref()).collect();
    hints.dedup();
    Err(Failure::new(message).hint(hints.join("; ")).into())
}

/// Stages 3 and 4: build, smoke, push what is to be built; then observe again and plan with the digests that the
/// pushes reported, never with a tag looked up again.
///
/// # Errors
///
/// As `Pipeline::run` and [`observe`].
pub async fn produce<'a>(
    registry: &Registry,
    pipeline: Option<&Pipeline<'_>>,
    planned: Vec<Planned<'a>>,
    lock: &Lock,
    options: Options,
) -> Result<Vec<Planned<'a>>> {
    let work: Vec<(&Target, usize)> =
        planned.iter().flat_map(|planned| planned.to_build().map(|index| (planned.target, index))).collect();
    let produced: Vec<Produced> = match pipeline {
        Some(pipeline) if !work.is_empty() => pipeline.run(&work).await?,
        _ => Vec::new(),
    };
    concurrency::try_each(planned.into_iter().map(|mut planned| {
        let produced = &produced;
        async move {
            if planned.to_build().next().is_none() {
                return Ok(planned);
            }
            for one in produced.iter().filter(|one| one.target == planned.target.name) {
                if let Some(digest) = &one.digest {
                    planned.sources[one.index] = Source::At(one.reference.repository.digest(digest));
                    planned.checked.insert(one.index, one.checked.clone());
                    if let Some(why) = &one.unknown {
                        planned.unknown.insert(one.index, (digest.clone(), why.clone()));
                    }
                }
            }
            let mut observed = observe(registry, planned.target, &planned.sources).await?;
            observed.known =
                lock.targets.get(&planned.target.name).map(LockedTarget::digests).unwrap_or_default();
            planned.plan = plan(planned.target, &observed, options);
            Ok(planned)
        }
    }))
    .await
}

/// What carrying plans out came to.
#[derive(Debug)]
pub struct Carried {
    /// What became of each target that was begun, also of those that failed.
    pub applied: Vec<Applied>,
    /// What went wrong: exit code 4 when anything was tagged, else that of the first failure.
    pub failure: Option<anyhow::Error>,
}

impl Carried {
    /// Everything, when nothing went wrong.
    ///
    /// # Errors
    ///
    /// The failure.
    pub fn complete(self) -> Result<Vec<Applied>> {
        self.failure.map_or(Ok(self.applied), Err)
    }
}

/// Stage 5: carry the plans out, target by target side by side. When one fails the others go on to their end.
pub async fn apply_all(registry: &Registry, plans: &[impl AsRef<TargetPlan>], events: &Events) -> Carried {
    let plans: Vec<&TargetPlan> = plans.iter().map(AsRef::as_ref).collect();
    let results = concurrency::each(plans.iter().map(|plan| apply(registry, plan, events))).await;
    let (mut applied, mut failures) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(one) => applied.push(one),
            Err(unfinished) => {
                applied.extend(unfinished.applied);
                failures.push(unfinished.error);
            }
        }
    }
    let published = applied.iter().any(Applied::is_written);
    let partial = failures.iter().any(|error| exit_of(error) == Exit::Partial) || published;
    let failure = match failures.len() {
        0 => None,
        1 if plans.len() == 1 => Some(failures.remove(0)),
        count => {
            let exit = if partial { Exit::Partial } else { exit_of(&failures[0]) };
            let what = format!("{count} of {} targets failed", plans.len());
            Some(Failure::of_several(&what, &failures).exit(exit).into())
        }
    };
    Carried { applied, failure }
}
