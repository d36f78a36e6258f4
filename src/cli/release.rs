//! `release`: check → plan → build → smoke run → push → reconcile, and the same as a rehearsal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

use super::args::Release;
use super::ci;
use super::context::Context;
use super::metadata_file::MetadataFile;
#[cfg(feature = "embedded-registry")]
use super::rehearse;
use super::stages::{Readiness, ready};
use crate::build::freshness::{Place, Survey, Trust};
use crate::build::groundwork;
use crate::build::pipeline::{Pipeline, Until};
use crate::config::{Declaration, Strictness, working_folder_of};
use crate::error::{Exit, Failure};
use crate::lock::{self, ImageRecord, Lock};
use crate::registry::{Access, Registry};
use crate::release::journal::{Inputs, Journal};
use crate::release::keeper::{Keeper, shown};
use crate::release::prepare::{
    Interrupted, Planned, announce, apply_all, prepare_release, produce, stop_on_problems,
};
use crate::report;
use crate::workspace::facts;
use crate::workspace::lock_file::{self, Written};

pub(super) async fn run(context: &Context, arguments: &Release) -> Result<Exit> {
    let declaration = context.declaration(&arguments.targets, Strictness::Release)?;
    #[cfg(feature = "embedded-registry")]
    if arguments.rehearse {
        return rehearse::release(context, arguments, declaration).await;
    }
    let _turn = context.take_turn(&declaration.root).await?;
    if !arguments.allow_dirty {
        refuse_dirty(&declaration)?;
    }
    let lock = declaration.root.join(lock::FILE_NAME);
    publish(context, arguments, &declaration, &working_folder_of(&declaration.root), &lock).await
}

/// The release itself, against whatever registries `declaration` names; `folder` is where its journal and its notes
/// are, `lock_file` what was published.
pub(super) async fn publish(
    context: &Context,
    arguments: &Release,
    declaration: &Declaration,
    folder: &Path,
    lock_file: &Path,
) -> Result<Exit> {
    let progress = &context.progress;
    let metadata = arguments.metadata_file.as_deref().map(MetadataFile::open).transpose()?;
    let registry = context.registry(Some(declaration))?;
    announce(&registry, declaration, Access::Push)?;
    let options = arguments.first.options();
    let journal = open_journal(context, folder)?;
    let smoke = !arguments.skip_smoke;
    let inputs = Inputs::of_run(declaration, smoke)?;
    let lock = lock_file::read(lock_file)?;

    // 1. What runs before builds, always: what it makes is an input.
    let all = declaration
        .targets
        .iter()
        .flat_map(|target| (0..target.images.len()).map(move |index| (target, index)));
    groundwork::lay(&declaration.root, &all.collect::<Vec<_>>(), context.jobs(), progress).await?;

    // 2. Observe and plan: what is fresh is taken, the rest will be built.
    let names: Vec<&str> = declaration.targets.iter().map(|target| target.name.as_str()).collect();
    progress.stage("Planning", &names.join(", "));
    let unfinished = journal.sort(&declaration.targets, |target| inputs.get(&target.name).cloned());
    put_aside(context, &journal, &unfinished.stale)?;
    let trust = if arguments.rebuild { Trust::Nothing } else { Trust::Lock };
    let mut survey = Survey::of(declaration, &lock, folder, trust).await?;
    let planned =
        prepare_release(&registry, declaration, &unfinished.usable, &mut survey, &lock, options, smoke)
            .await?;
    put_aside(context, &journal, &lost(&planned))?;
    progress.line(plans_shown(context, &planned).trim_end());
    progress.event("planned", report::plan::json(&planned));
    stop_on_problems(&planned)?;
    let keep =
        Keeper { file: lock_file, lock: &lock, declaration, all: arguments.targets.targets.is_empty() };
    if arguments.locked
        && let Some(why) = keep.differs(&planned, smoke)
    {
        progress.line(&format!("not as locked: {why}"));
        return Ok(Exit::Differs);
    }
    let built: BTreeSet<Place> = planned
        .iter()
        .flat_map(|planned| planned.to_build().map(|index| (planned.target.name.clone(), index)))
        .collect();

    // 3. Build, smoke run, push: only what is pending needs an engine at all.
    let pending = planned.iter().any(|planned| planned.plan.is_pending());
    let readiness = if pending { Some(ready(context, declaration).await?) } else { None };
    let work = Work { context, declaration, registry: &registry, survey: &survey, skip_smoke: !smoke };
    let pipeline = readiness.as_ref().map(|ready| work.pipeline(ready));
    let mut settled = produce(&registry, pipeline.as_ref(), planned, &lock, options).await?;
    if pending {
        progress.stage("Planned", "with the images that were built");
        progress.line(plans_shown(context, &settled).trim_end());
        progress.event("planned", report::plan::json(&settled));
    }
    stop_on_problems(&settled)?;
    work.check(&mut settled, &lock, readiness).await?;

    // 4. Reconcile. From here on the journal knows what is to come, until it is confirmed.
    let entries = settled.iter().filter_map(|planned| {
        let name = &planned.target.name;
        let inputs = match unfinished.usable.get(name) {
            Some(entry) if planned.interrupted == Interrupted::Finished => entry.inputs.clone(),
            _ => inputs.get(name)?.clone(),
        };
        Some((name.clone(), planned.to_finish(inputs)?))
    });
    journal.keep(entries.collect())?;
    let carried = apply_all(&registry, &settled, &|event| context.on_event(&event)).await;

    // 5. The lock says what was applied, also where another target failed. The journal goes once the lock is written.
    let unknown = |(target, index): &Place| {
        settled.iter().any(|planned| planned.target.name == *target && planned.unknown.contains(index))
    };
    let known = built.into_iter().filter(|place| !unknown(place)).collect();
    let mut origins = survey.origins(&registry, &known).await;
    let made: BTreeSet<Place> = origins.keys().cloned().collect();
    let records = settled.iter().flat_map(|planned| {
        let images = (0..planned.target.images.len()).map(|index| (planned.target.name.clone(), index));
        images.map(|place| (planned.checked.get(&place.1).cloned().unwrap_or_default(), place))
    });
    let records = records.map(|(checked, place)| {
        let origin = origins.remove(&place);
        (place, ImageRecord { origin, checked })
    });
    let (carried, written) = keep.settle(&settled, carried, &records.collect());
    if written.is_some() {
        for applied in carried.applied.iter().filter(|applied| applied.complete) {
            forget(context, &journal, &applied.target);
        }
    }
    if written == Some(Written::Changed) {
        progress.stage("Locked", &shown(lock_file));
    }
    // Without the notes a later plan has fewer words for its reasons.
    if let Err(error) = survey.note(declaration, &made, folder) {
        progress.warn(&format!("{error:#}"));
    }
    let heading = if arguments.is_rehearsal() { "Rehearsed" } else { "Released" };
    ci::summarise_result(context, &carried, heading);
    let applied = carried.complete()?;
    if let Some(file) = metadata {
        let text = format!("{:#}\n", report::metadata::json(&applied, &settled));
        file.write(&text, "everything is published")?;
    }
    context.print(|style| report::summary::text(&applied, style), || report::summary::json(&applied));
    Ok(Exit::Done)
}

/// What building and checking work with.
struct Work<'a> {
    context: &'a Context,
    declaration: &'a Declaration,
    registry: &'a Registry,
    survey: &'a Survey,
    skip_smoke: bool,
}

impl Work<'_> {
    fn pipeline<'a>(&'a self, ready: &'a Readiness) -> Pipeline<'a> {
        Pipeline {
            engine: &ready.engine,
            registry: self.registry,
            root: &self.declaration.root,
            runnable: &ready.runnable,
            engine_reaches_loopback: ready.engine_reaches_loopback,
            survey: Some(self.survey),
            until: Until::Pushed,
            skip_smoke: self.skip_smoke,
            jobs: self.context.jobs(),
            progress: &self.context.progress,
        }
    }

    /// Does the declared checks of images that this run did not build, unless the lock has them as passed.
    async fn check(
        &self,
        settled: &mut [Planned<'_>],
        lock: &Lock,
        readiness: Option<Readiness>,
    ) -> Result<()> {
        let unchecked = settled
            .iter()
            .flat_map(|planned| planned.unchecked(lock.targets.get(&planned.target.name), !self.skip_smoke));
        let unchecked: Vec<_> = unchecked.collect();
        if unchecked.is_empty() {
            return Ok(());
        }
        let readiness = match readiness {
            Some(ready) => ready,
            None => ready(self.context, self.declaration).await?,
        };
        let places = unchecked.iter().map(|unchecked| (unchecked.target.name.clone(), unchecked.index));
        let places: Vec<Place> = places.collect();
        let checked = self.pipeline(&readiness).check(&unchecked).await?;
        for ((target, index), checked) in places.into_iter().zip(checked) {
            for planned in settled.iter_mut().filter(|planned| planned.target.name == target) {
                planned.checked.entry(index).or_default().extend(&checked);
            }
        }
        Ok(())
    }
}

/// The plans for stderr: of many targets only those that change, unless all was asked for.
fn plans_shown(context: &Context, plans: &[Planned<'_>]) -> String {
    let style = context.progress.style();
    match context.progress.is_verbose() {
        true => report::plan::text(plans, style),
        false => report::plan::brief(plans, style),
    }
}

/// The interrupted runs whose images are no longer there, by target.
fn lost(planned: &[Planned<'_>]) -> BTreeMap<String, String> {
    let why = |planned: &Planned<'_>| match &planned.interrupted {
        Interrupted::Lost(why) => Some((planned.target.name.clone(), why.clone())),
        Interrupted::No | Interrupted::Finished => None,
    };
    planned.iter().filter_map(why).collect()
}

/// The journal; one that cannot be understood is put aside.
fn open_journal(context: &Context, folder: &Path) -> Result<Journal> {
    let journal = Journal::open(folder)?;
    if let Some(why) = journal.unreadable() {
        let aside = journal.put_aside(None)?;
        context.progress.warn(&format!(
            "the journal of an earlier release cannot be understood: {why}; it is {} now",
            aside.display()
        ));
    }
    Ok(journal)
}

/// Puts aside what this run cannot finish, and says so.
fn put_aside(context: &Context, journal: &Journal, stale: &BTreeMap<String, String>) -> Result<()> {
    for (target, why) in stale {
        let aside = journal.put_aside(Some(target))?;
        context.progress.warn(&format!(
            "an interrupted release of {target} is not finished, as {why}; its journal is in {} now",
            aside.display()
        ));
    }
    Ok(())
}

/// Nothing is left to finish. A journal that stays does no harm: the next run finds everything done.
fn forget(context: &Context, journal: &Journal, target: &str) {
    if let Err(error) = journal.remove(target) {
        context.progress.warn(&format!("{error:#}"));
    }
}

/// A release is made from a commit, so that its revision says what is in it.
fn refuse_dirty(declaration: &Declaration) -> Result<()> {
    let changed = facts::dirty(&declaration.root, &declaration.root.join(lock::FILE_NAME));
    let changed = changed.map_err(|error| {
        Failure::new("it is not known whether the git tree has uncommitted changes")
            .because(error)
            .hint("mend what git says, or release the files as they are with `--allow-dirty`")
    })?;
    if changed.is_empty() {
        return Ok(());
    }
    let shown: Vec<&str> = changed.iter().take(5).map(String::as_str).collect();
    let more = if changed.len() > shown.len() { ", …" } else { "" };
    Err(Failure::new(format!("the git tree has uncommitted changes: {}{more}", shown.join(", ")))
        .hint("commit or stash them, or release them as they are with `--allow-dirty`")
        .into())
}
