//! The main job in its stages: observe → plan → build, smoke, push → observe → plan → apply. `release`, `plan` and
//! `reconcile` are this with more or fewer of the stages.

use anyhow::Result;
use futures_util::future::{join_all, try_join_all};

use crate::apply::{Applied, Event, apply};
use crate::config::{Declaration, Target};
use crate::error::{Exit, Failure, exit_of};
use crate::observe::{Source, observe};
use crate::pipeline::{Pipeline, Produced};
use crate::plan::{ObservedTarget, Options, Pin, TargetPlan, pin, plan};
use crate::registry::{Access, Registry};

/// One target on its way: what is declared, where its images come from, what is planned.
#[derive(Debug)]
pub struct Planned<'a> {
    /// As declared.
    pub target: &'a Target,
    /// One for each declared image.
    pub sources: Vec<Source>,
    /// What is to be done, as far as is known.
    pub plan: TargetPlan,
}

impl Planned<'_> {
    /// The positions of the images that this run builds.
    fn to_build(&self) -> impl Iterator<Item = usize> {
        self.sources
            .iter()
            .enumerate()
            .filter(|(_, source)| **source == Source::Built)
            .map(|(index, _)| index)
    }
}

/// Where the images of a target come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Those with `build` are built in this run, the others are there.
    Build,
    /// All are there, under their declared references.
    Registry,
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
    from: From,
    options: Options,
) -> Result<Vec<Planned<'a>>> {
    try_join_all(declaration.targets.iter().map(|target| async move {
        let sources: Vec<Source> = target
            .images
            .iter()
            .map(|image| match (&image.build, from) {
                (Some(_), From::Build) => Source::Built,
                _ => Source::At(image.reference.clone()),
            })
            .collect();
        let observed = observe(registry, target, &sources).await?;
        match pin(target, &observed, declaration.revision.as_deref()) {
            Pin::Free => Ok(Planned { plan: plan(target, &observed, options), target, sources }),
            // Without a build there is nothing to pin: the images themselves are compared.
            Pin::Conflict(_) | Pin::Pinned(_) if from == From::Registry => {
                Ok(Planned { plan: plan(target, &observed, options), target, sources })
            }
            Pin::Conflict(problem) => {
                let mut plan = plan(target, &observed, options);
                plan.problems.push(problem);
                Ok(Planned { plan, target, sources })
            }
            Pin::Pinned(images) => pinned(registry, target, images, options).await,
        }
    }))
    .await
}

/// An immutable tag's own images take the place of those that would be built.
async fn pinned<'a>(
    registry: &Registry,
    target: &'a Target,
    images: Vec<crate::plan::FoundImage>,
    options: Options,
) -> Result<Planned<'a>> {
    let sources: Vec<Source> = images.into_iter().map(Source::Found).collect();
    let observed: ObservedTarget = observe(registry, target, &sources).await?;
    let mut plan = plan(target, &observed, options);
    plan.notes
        .push("an immutable tag is published from this revision already: its images are taken".to_owned());
    Ok(Planned { target, sources, plan })
}

/// Stops with every problem of every plan.
///
/// # Errors
///
/// One failure that lists them, when there is any.
pub fn stop_on_problems(planned: &[Planned<'_>]) -> Result<()> {
    let problems: Vec<_> = planned.iter().flat_map(|planned| &planned.plan.problems).collect();
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
/// As [`Pipeline::run`] and [`observe`].
pub async fn produce(
    registry: &Registry,
    pipeline: Option<&Pipeline<'_>>,
    planned: Vec<Planned<'_>>,
    options: Options,
) -> Result<Vec<TargetPlan>> {
    let work: Vec<(&Target, usize)> =
        planned.iter().flat_map(|planned| planned.to_build().map(|index| (planned.target, index))).collect();
    let produced: Vec<Produced> = match pipeline {
        Some(pipeline) if !work.is_empty() => pipeline.run(&work).await?,
        _ => Vec::new(),
    };
    try_join_all(planned.into_iter().map(|planned| {
        let produced = &produced;
        async move {
            if planned.to_build().next().is_none() {
                return Ok(planned.plan);
            }
            let mut sources = planned.sources;
            for one in produced.iter().filter(|one| one.target == planned.target.name) {
                if let Some(digest) = &one.digest {
                    sources[one.index] = Source::At(one.reference.repository.digest(digest));
                }
            }
            let observed = observe(registry, planned.target, &sources).await?;
            Ok(plan(planned.target, &observed, options))
        }
    }))
    .await
}

/// Stage 5: carry the plans out, target by target side by side. When one fails the others go on to their end.
///
/// # Errors
///
/// Exit code 4 when anything was tagged, else that of the first failure.
pub async fn apply_all(
    registry: &Registry,
    plans: &[TargetPlan],
    on_event: &(dyn Fn(Event) + Sync),
) -> Result<Vec<Applied>> {
    let results = join_all(plans.iter().map(|plan| apply(registry, plan, on_event))).await;
    let mut applied = Vec::new();
    let mut failures = Vec::new();
    for (plan, result) in plans.iter().zip(results) {
        match result {
            Ok(one) => applied.push((plan, one)),
            Err(error) => failures.push(error),
        }
    }
    let published = applied.iter().any(|(plan, _)| plan.is_change());
    let partial = failures.iter().any(|error| exit_of(error) == Exit::Partial) || published;
    match failures.len() {
        0 => Ok(applied.into_iter().map(|(_, one)| one).collect()),
        1 if plans.len() == 1 => Err(failures.remove(0)),
        count => {
            let texts: Vec<String> = failures
                .iter()
                .map(|error| {
                    format!("\n  - {}", crate::error::render(error).trim_end().replace('\n', "\n    "))
                })
                .collect();
            let exit = if partial { Exit::Partial } else { exit_of(&failures[0]) };
            Err(Failure::new(format!("{count} of {} targets failed:{}", plans.len(), texts.concat()))
                .exit(exit)
                .into())
        }
    }
}
