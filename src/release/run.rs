//! The main job: `release` as its numbered stages, and `plan`, `reconcile` and `push` as the same stages, fewer. Whoever
//! calls parses arguments, makes the adapters, and prints what comes back; what happens meanwhile is told as events.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::journal::{Entry, Inputs, Journal};
use super::keeper::{Keeper, shown};
use super::metadata::PushedImage;
use super::prepare::{
    Carried, From, Interrupted, Planned, announce, apply_all, prepare, prepare_release, produce,
    stop_on_problems,
};
use super::pushed::{records, references};
use crate::build::freshness::{Place, Survey, Trust};
use crate::build::groundwork;
use crate::build::pipeline::{Pipeline, Produced, Until};
use crate::build::readiness::{Readiness, ready};
use crate::config::{Declaration, Target};
use crate::events::{Event, Events};
use crate::lock::{ImageRecord, Lock};
use crate::plan::{Options, TargetPlan};
use crate::registry::{Access, Registry};
use crate::workspace::lock_file::{self, Written};

/// A run of the main job, or of a part of it.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    /// What is declared.
    pub declaration: &'a Declaration,
    /// Registries.
    pub registry: &'a Registry,
    /// Where what happens is told.
    pub events: &'a Events,
    /// Where the journal and the notes are.
    pub folder: &'a Path,
    /// What was published.
    pub lock_file: &'a Path,
    /// What was asked for.
    pub settings: &'a Settings,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// What the plan may do.
    pub options: Options,
    /// Whether declared smoke runs are made.
    pub smoke: bool,
    /// Whether nothing is taken for fresh.
    pub rebuild: bool,
    /// Whether the run stops where it would change something.
    pub locked: bool,
    /// Whether the run is about all targets of the declaration: the lock forgets others.
    pub all: bool,
    /// How much engine work at once.
    pub jobs: usize,
    /// The engine to use; `None` to look for one.
    pub engine: Option<PathBuf>,
}

/// How a release ended.
#[derive(Debug)]
pub(crate) enum Released<'a> {
    /// The plans were carried out, perhaps in part.
    Carried(Carried, Vec<Planned<'a>>),
    /// It would change something, and was not to; the text says what.
    NotAsLocked(String),
}

impl<'a> Run<'a> {
    /// `release`: everything.
    ///
    /// # Errors
    ///
    /// What stops it before anything of a list changes; what fails from then on is in [`Carried::failure`].
    pub(crate) async fn release(&self) -> Result<Released<'a>> {
        let Self { declaration, registry, settings, .. } = *self;
        announce(registry, declaration, Access::Push)?;
        let journal = self.open_journal()?;
        let inputs = Inputs::of_run(declaration, settings.smoke)?;
        let lock = lock_file::read(self.lock_file)?;
        let keeper = self.keeper(&lock);

        // 1. What runs before builds, always: what it makes is an input.
        groundwork::lay(&declaration.root, &self.images(), settings.jobs, self.events).await?;

        // 2. Observe and plan: what is fresh is taken, the rest will be built.
        self.events.stage("Planning", &self.target_names());
        let unfinished = journal.sort(&declaration.targets, |target| inputs.get(&target.name).cloned());
        self.put_aside(&journal, &unfinished.stale)?;
        let trust = if settings.rebuild { Trust::Nothing } else { Trust::Lock };
        let (planned, survey) =
            self.observe_and_plan(&unfinished.usable, &lock, trust, settings.smoke).await?;
        self.put_aside(&journal, &lost(&planned))?;
        self.tell_plans(&planned);
        stop_on_problems(&planned)?;
        if settings.locked
            && let Some(why) = keeper.differs(&planned, settings.smoke)
        {
            return Ok(Released::NotAsLocked(why));
        }

        // 3. Build, smoke run, push: only what is pending needs an engine at all. Then plan with what came out.
        let built: BTreeSet<Place> = places_to_build(&planned);
        let pending = planned.iter().any(|planned| planned.plan.is_pending());
        let readiness = if pending { Some(self.ready().await?) } else { None };
        let pipeline = readiness.as_ref().map(|ready| self.pipeline(ready, Some(&survey), Until::Pushed));
        let mut planned = produce(registry, pipeline.as_ref(), planned, &lock, settings.options).await?;
        if pending {
            self.events.stage("Planned", "with the images that were built");
            self.tell_plans(&planned);
        }
        stop_on_problems(&planned)?;

        // 4. Declared checks of images that this run did not build, unless the lock has them as passed.
        self.check(&mut planned, &lock, readiness, &survey).await?;

        // 5. Apply. From here on the journal knows what is to come, until it is confirmed.
        let made = self.note_origins(&mut planned, built, &survey).await;
        journal.keep(entries(&planned, &unfinished.usable, &inputs))?;
        let carried = apply_all(registry, &planned, self.events).await;

        // 6. The lock says what was applied, also where another target failed. The journal goes once the lock is written.
        let records = image_records(&planned);
        let (carried, written) = keeper.settle(&planned, carried, &records);
        self.tell_written(written);
        if written.is_some() {
            self.forget(&journal, &carried);
        }
        // Without the notes a later plan has fewer words for its reasons.
        let unknown = planned.iter().flat_map(|planned| {
            let place = |index: &usize| (planned.target.name.clone(), *index);
            planned.unknown.iter().map(move |(index, why)| (place(index), why.clone()))
        });
        if let Err(error) = survey.note(declaration, &made, &unknown.collect(), self.folder) {
            self.events.warn(&format!("{error:#}"));
        }
        Ok(Released::Carried(carried, planned))
    }

    /// `plan`: what a release would do. Writes nothing; nothing is built, so what `before` would make is not known.
    ///
    /// # Errors
    ///
    /// As [`Self::release`] up to its plan. What the plans themselves object to is in them.
    pub(crate) async fn plan(&self) -> Result<Vec<Planned<'a>>> {
        announce(self.registry, self.declaration, Access::Pull)?;
        let lock = lock_file::read(self.lock_file)?;
        let journal = Journal::open(self.folder)?;
        // What differs from the commit is read to its last byte: only for a run that could be finished.
        let inputs = match journal.is_empty() {
            true => BTreeMap::new(),
            false => Inputs::of_run(self.declaration, true)?,
        };
        let unfinished = journal.sort(&self.declaration.targets, |target| inputs.get(&target.name).cloned());
        let (planned, _) = self.observe_and_plan(&unfinished.usable, &lock, Trust::LockAlone, true).await?;
        Ok(planned)
    }

    /// `reconcile`: only the list. Every image is in the registry, or was `pushed` by another machine, as the files say
    /// that came from there; `None` without such files.
    ///
    /// # Errors
    ///
    /// As [`Self::release`].
    pub(crate) async fn reconcile(&self, pushed: Option<BTreeMap<Place, PushedImage>>) -> Result<Carried> {
        announce(self.registry, self.declaration, Access::Push)?;
        let lock = lock_file::read(self.lock_file)?;
        let references = pushed.as_ref().map(references).transpose()?;
        let from = references.as_ref().map_or(From::Registry, From::Pushed);
        let planned = prepare(self.registry, self.declaration, from, &lock, self.settings.options).await?;
        stop_on_problems(&planned)?;
        self.tell_plans(&planned);
        let carried = apply_all(self.registry, &planned, self.events).await;
        let records = pushed.map(records).unwrap_or_default();
        let (carried, written) = self.keeper(&lock).settle(&planned, carried, &records);
        self.tell_written(written);
        Ok(carried)
    }

    /// `build`, `smoke` and `push`: the images of `work`, given with their target and their position in it, `until` a
    /// stage. `surveyed` also gives what the images are made of, for another machine.
    ///
    /// # Errors
    ///
    /// As [`Self::release`].
    pub(crate) async fn produce(
        &self,
        work: &[(&Target, usize)],
        until: Until,
        surveyed: bool,
    ) -> Result<(Vec<Produced>, Option<Survey>)> {
        let ready = self.ready().await?;
        groundwork::lay(&self.declaration.root, work, self.settings.jobs, self.events).await?;
        let survey = match surveyed {
            true => {
                let lock = Lock::default();
                let mut survey = Survey::of(self.declaration, &lock, self.folder, Trust::Nothing).await?;
                survey.confirm(survey.look_up(self.registry).await);
                Some(survey)
            }
            false => None,
        };
        let produced = self.pipeline(&ready, survey.as_ref(), until).run(work).await?;
        Ok((produced, survey))
    }

    async fn observe_and_plan(
        &self,
        unfinished: &BTreeMap<String, Entry>,
        lock: &Lock,
        trust: Trust,
        smoke: bool,
    ) -> Result<(Vec<Planned<'a>>, Survey)> {
        let Self { declaration, registry, folder, settings, .. } = *self;
        let mut survey = Survey::of(declaration, lock, folder, trust).await?;
        let planned =
            prepare_release(registry, declaration, unfinished, &mut survey, lock, settings.options, smoke)
                .await?;
        Ok((planned, survey))
    }

    async fn ready(&self) -> Result<Readiness> {
        ready(self.settings.engine.as_deref(), self.declaration, self.events).await
    }

    fn pipeline<'b>(
        &'b self,
        ready: &'b Readiness,
        survey: Option<&'b Survey>,
        until: Until,
    ) -> Pipeline<'b> {
        Pipeline {
            engine: &ready.engine,
            registry: self.registry,
            root: &self.declaration.root,
            runnable: &ready.runnable,
            engine_reaches_loopback: ready.engine_reaches_loopback,
            survey,
            until,
            skip_smoke: !self.settings.smoke,
            jobs: self.settings.jobs,
            events: self.events,
        }
    }

    async fn check(
        &self,
        planned: &mut [Planned<'_>],
        lock: &Lock,
        readiness: Option<Readiness>,
        survey: &Survey,
    ) -> Result<()> {
        let unchecked = planned.iter().flat_map(|planned| {
            planned.unchecked(lock.targets.get(&planned.target.name), self.settings.smoke)
        });
        let unchecked: Vec<_> = unchecked.collect();
        if unchecked.is_empty() {
            return Ok(());
        }
        let ready = match readiness {
            Some(ready) => ready,
            None => self.ready().await?,
        };
        let places = unchecked.iter().map(|unchecked| (unchecked.target.name.clone(), unchecked.index));
        let places: Vec<Place> = places.collect();
        let checked = self.pipeline(&ready, Some(survey), Until::Pushed).check(&unchecked).await?;
        for ((target, index), checked) in places.into_iter().zip(checked) {
            for planned in planned.iter_mut().filter(|planned| planned.target.name == target) {
                planned.checked.entry(index).or_default().extend(&checked);
            }
        }
        Ok(())
    }

    /// Takes down what the images that were `built` in this run are made of, and gives those of which it is known.
    async fn note_origins(
        &self,
        planned: &mut [Planned<'_>],
        built: BTreeSet<Place>,
        survey: &Survey,
    ) -> BTreeSet<Place> {
        let of = |planned: &Planned<'_>, place: &Place| planned.target.name == place.0;
        let unknown = |place: &Place| {
            planned.iter().any(|planned| of(planned, place) && planned.unknown.contains_key(&place.1))
        };
        let known = built.iter().filter(|place| !unknown(place)).cloned().collect();
        let mut origins = survey.origins(self.registry, &known).await;
        let made = origins.keys().cloned().collect();
        for place in &built {
            for planned in planned.iter_mut().filter(|planned| of(planned, place)) {
                match origins.remove(place) {
                    Some(origin) => planned.origins.insert(place.1, origin),
                    None => planned.origins.remove(&place.1),
                };
            }
        }
        made
    }

    fn keeper(&self, lock: &'a Lock) -> Keeper<'a> {
        Keeper { file: self.lock_file, lock, declaration: self.declaration, all: self.settings.all }
    }

    /// All images, with their target and their position in it.
    fn images(&self) -> Vec<(&'a Target, usize)> {
        let targets = self.declaration.targets.iter();
        targets.flat_map(|target| (0..target.images.len()).map(move |index| (target, index))).collect()
    }

    fn target_names(&self) -> String {
        let names: Vec<&str> = self.declaration.targets.iter().map(|target| target.name.as_str()).collect();
        names.join(", ")
    }

    fn tell_plans(&self, planned: &[Planned<'_>]) {
        let plans: Vec<&TargetPlan> = planned.iter().map(|planned| &planned.plan).collect();
        self.events.tell(Event::Planned(&plans));
    }

    fn tell_written(&self, written: Option<Written>) {
        if written == Some(Written::Changed) {
            self.events.stage("Locked", &shown(self.lock_file));
        }
    }

    /// The journal; one that cannot be understood is put aside.
    fn open_journal(&self) -> Result<Journal> {
        let journal = Journal::open(self.folder)?;
        if let Some(why) = journal.unreadable() {
            let aside = journal.put_aside(None)?;
            self.events.warn(&format!(
                "the journal of an earlier release cannot be understood: {why}; it is {} now",
                aside.display()
            ));
        }
        Ok(journal)
    }

    /// Puts aside what this run cannot finish, and says so.
    fn put_aside(&self, journal: &Journal, stale: &BTreeMap<String, String>) -> Result<()> {
        for (target, why) in stale {
            let aside = journal.put_aside(Some(target))?;
            self.events.warn(&format!(
                "an interrupted release of {target} is not finished, as {why}; its journal is in {} now",
                aside.display()
            ));
        }
        Ok(())
    }

    /// Nothing is left to finish. A journal that stays does no harm: the next run finds everything done.
    fn forget(&self, journal: &Journal, carried: &Carried) {
        for applied in carried.applied.iter().filter(|applied| applied.complete) {
            if let Err(error) = journal.remove(&applied.target) {
                self.events.warn(&format!("{error:#}"));
            }
        }
    }
}

/// What the lock is to remember of each image.
fn image_records(planned: &[Planned<'_>]) -> BTreeMap<Place, ImageRecord> {
    let images = planned
        .iter()
        .flat_map(|planned| (0..planned.target.images.len()).map(move |index| (planned, index)));
    let record = |(planned, index): (&Planned<'_>, usize)| {
        let checked = planned.checked.get(&index).cloned().unwrap_or_default();
        let origin = planned.origins.get(&index).cloned();
        ((planned.target.name.clone(), index), ImageRecord { origin, checked })
    };
    images.map(record).collect()
}

fn places_to_build(planned: &[Planned<'_>]) -> BTreeSet<Place> {
    let places = |planned: &Planned<'_>| -> Vec<Place> {
        planned.to_build().map(|index| (planned.target.name.clone(), index)).collect()
    };
    planned.iter().flat_map(places).collect()
}

/// What another run needs to finish this one, by target.
fn entries(
    planned: &[Planned<'_>],
    unfinished: &BTreeMap<String, Entry>,
    inputs: &BTreeMap<String, Inputs>,
) -> BTreeMap<String, Entry> {
    let entries = planned.iter().filter_map(|planned| {
        let name = &planned.target.name;
        let inputs = match unfinished.get(name) {
            Some(entry) if planned.interrupted == Interrupted::Finished => entry.inputs.clone(),
            _ => inputs.get(name)?.clone(),
        };
        Some((name.clone(), planned.to_finish(inputs)?))
    });
    entries.collect()
}

/// The interrupted runs whose images are no longer there, by target.
fn lost(planned: &[Planned<'_>]) -> BTreeMap<String, String> {
    let why = |planned: &Planned<'_>| match &planned.interrupted {
        Interrupted::Lost(why) => Some((planned.target.name.clone(), why.clone())),
        Interrupted::No | Interrupted::Finished => None,
    };
    planned.iter().filter_map(why).collect()
}
