//! Build → smoke run → push, one pipeline per platform, all side by side: a platform is pushed as soon as it is built
//! and has passed its smoke run. When one fails the others go on to their end, and the list is left alone.

mod account;
mod bases;
mod check;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use crate::build::fingerprint::{self, WithoutOutputs};
use crate::build::freshness::Survey;
use crate::build::programs::{Looked, Programs};
use crate::children::Lines;
use crate::config::{BinaryCheck, Build, Image, Target, WithoutEmulator};
use crate::engine::{BuildJob, Engine, Runnable};
use crate::error::Failure;
use crate::events::{Event, Events, ImageEvent, Task};
use crate::invocation::program;
use crate::lock::{Check, Checks};
use crate::model::digest::Digest;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::registry::Registry;
use crate::workspace::facts;

pub(crate) use account::{Pushes, all_failures};
pub(crate) use check::Unchecked;

/// How far the pipelines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Until {
    /// Images are in the engine.
    Built,
    /// And have passed their smoke run.
    Smoked,
    /// And are in their registry.
    Pushed,
}

/// What the pipelines work with.
pub struct Pipeline<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// Where images are pushed to.
    pub registry: &'a Registry,
    /// The declaration's folder, where `before` runs.
    pub root: &'a Path,
    /// Which platforms this machine runs.
    pub runnable: &'a Runnable,
    /// Whether the engine's daemon reaches registries on this machine's loopback; when not, images for them are exported
    /// and pushed from here.
    pub engine_reaches_loopback: bool,
    /// What images are made of, to see whether it stays so while they are built.
    pub survey: Option<&'a Survey>,
    /// How far to go.
    pub until: Until,
    /// `--skip-smoke`.
    pub skip_smoke: bool,
    /// How much engine work at once.
    pub jobs: usize,
    /// Where what happens is told.
    pub events: &'a Events,
}

/// One platform's image after its pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Produced {
    /// The target's name.
    pub target: String,
    /// Which of the target's images.
    pub index: usize,
    /// The platform.
    pub platform: Platform,
    /// The image's reference.
    pub reference: Reference,
    /// The digest that its push reported, or under which the registry held it already; `None` before a push.
    pub digest: Option<Digest>,
    /// Whether bytes went to the registry.
    pub pushed: bool,
    /// What was checked of it, and was well.
    pub checked: Checks,
    /// Why it is not known what it is made of, although its inputs were.
    pub unknown: Option<String>,
}

impl Produced {
    /// As events have it.
    pub fn event(&self) -> ImageEvent<'_> {
        ImageEvent {
            target: &self.target,
            platform: &self.platform,
            reference: &self.reference,
            digest: self.digest.as_ref(),
            pushed: self.pushed,
        }
    }
}

impl Pipeline<'_> {
    /// Runs the pipelines of all images in `work`, given with their target and their position in it.
    ///
    /// # Errors
    ///
    /// After all have ended, one error that names every platform that failed and why.
    pub async fn run(&self, work: &[(&Target, usize)]) -> Result<Vec<Produced>> {
        self.check_emulators(work)?;
        let pushes = Pushes::default();
        self.each(work, &pushes, async |position: usize, task: &Task| {
            let (target, index) = work[position];
            let produced = self.run_one(target, index, &pushes, task).await?;
            task.done(&self.outcome(&produced));
            self.events.tell(Event::Produced(produced.event()));
            Ok(produced)
        })
        .await
    }

    /// Does the same to all images of `work` side by side, given their positions.
    async fn each<T>(
        &self,
        work: &[(&Target, usize)],
        pushes: &Pushes,
        run: impl AsyncFn(usize, &Task) -> Result<T>,
    ) -> Result<Vec<T>> {
        let permits = Semaphore::new(self.jobs.max(1));
        let several = work.iter().any(|(target, _)| target.name != work[0].0.name);
        let runs = join_all(work.iter().enumerate().map(|(position, (target, index))| {
            let image = &target.images[*index];
            let name = match several {
                true => format!("{} {}", target.name, image.platform),
                false => image.platform.to_string(),
            };
            let task = self.events.task(name.clone(), &target.name, image.platform.to_string());
            let (permits, run) = (&permits, &run);
            async move {
                let result = async {
                    let _permit = permits.acquire().await?;
                    run(position, &task).await
                };
                let result = result.await;
                if result.is_err() {
                    task.failed();
                }
                result.map_err(|error| (name, error))
            }
        }))
        .await;

        let mut produced = Vec::new();
        let mut failures = Vec::new();
        for run in runs {
            match run {
                Ok(one) => produced.push(one),
                Err(failure) => failures.push(failure),
            }
        }
        if failures.is_empty() {
            return Ok(produced);
        }
        Err(all_failures(failures, work.len(), pushes))
    }

    fn outcome(&self, produced: &Produced) -> String {
        match (&produced.digest, produced.pushed) {
            (Some(digest), true) => format!("pushed {} {}", produced.reference, digest.short()),
            (Some(digest), false) => format!("unchanged {} {}", produced.reference, digest.short()),
            (None, _) => format!("built {}", produced.reference),
        }
    }

    /// A declared smoke run that cannot run here is found out before anything is built.
    fn check_emulators(&self, work: &[(&Target, usize)]) -> Result<()> {
        if self.until == Until::Built || self.skip_smoke {
            return Ok(());
        }
        let missing: Vec<String> = work
            .iter()
            .map(|(target, index)| &target.images[*index])
            .filter(|image| {
                let fails = |smoke: &crate::config::Smoke| smoke.without_emulator == WithoutEmulator::Fail;
                image.smoke.as_ref().is_some_and(fails) && !self.runnable.can_run(&image.platform)
            })
            .map(|image| image.platform.to_string())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        // `smoke` is nothing without it.
        let skip = if self.until == Until::Pushed { "`--skip-smoke` or " } else { "" };
        Err(Failure::new(format!("the smoke run of {} needs an emulator, which this machine does not have", missing.join(", ")))
            .hint(format!(
                "`{} doctor --fix` registers emulators; {skip}`smoke.without-emulator = \"warn\"` goes on without",
                program()
            ))
            .into())
    }

    async fn run_one(&self, target: &Target, index: usize, pushes: &Pushes, task: &Task) -> Result<Produced> {
        let image = &target.images[index];
        let mut produced = Produced {
            target: target.name.clone(),
            index,
            platform: image.platform.clone(),
            reference: image.reference.clone(),
            digest: None,
            pushed: false,
            checked: Checks::default(),
            unknown: None,
        };
        let Some(build) = &image.build else { return Ok(produced) };

        task.stage("building");
        let mut dated = self.dated(build, &image.platform).await?;
        let (asked, platform) = (dated.clone(), image.platform.clone());
        let without = tokio::task::spawn_blocking(move || WithoutOutputs::of(&asked, &platform)).await??;
        let footing = self.footing(target, index, build).await?;
        dated.pull |= footing.pull();
        if let Some(without) = &without {
            dated.dockerfile = Some(without.dockerfile.clone());
        }
        let job = BuildJob {
            target: target.name.clone(),
            platform: image.platform.clone(),
            reference: image.reference.clone(),
            root: self.root.to_owned(),
            build: dated,
        };
        let built = self.engine.build(&job, lines(task, "building")).await?;
        drop(without);
        produced.unknown = self.unknown(&footing, target, index, &built.image_id).await?;
        if let Some(why) = &produced.unknown {
            self.events.warn(&format!(
                "{} for {}: {why}; what it is made of is not recorded, and the next release builds it again",
                image.reference, image.platform
            ));
        }

        if self.until >= Until::Smoked {
            let programs = self.check_programs(target, image, &built.image_id, task).await?;
            let smoke = self.smoke(image, &built.image_id, task).await?;
            produced.checked = programs.into_iter().chain(smoke).collect();
        }
        if self.until >= Until::Pushed {
            task.stage("pushing");
            let (digest, pushed) = self.push(&built.image_id, image, pushes, task).await?;
            (produced.digest, produced.pushed) = (Some(digest), pushed);
        }
        Ok(produced)
    }

    /// With the time that an image gets, where the builder heeds it (reproducible-builds.org, `SOURCE_DATE_EPOCH`): that
    /// of the environment, else that of the last commit that touches what it is built from. The latter follows from the
    /// inputs, and is none.
    async fn dated(&self, build: &Build, platform: &Platform) -> Result<Build> {
        const EPOCH: &str = "SOURCE_DATE_EPOCH";
        let mut build = build.clone();
        if build.args.contains_key(EPOCH) {
            return Ok(build);
        }
        if let Some(time) = std::env::var(EPOCH).ok().filter(|time| !time.is_empty()) {
            build.args.insert(EPOCH.to_owned(), time);
            return Ok(build);
        }
        let (root, asked, platform) = (self.root.to_owned(), build.clone(), platform.clone());
        let time = tokio::task::spawn_blocking(move || {
            facts::last_commit(&root, &fingerprint::paths(&asked, &platform))
        });
        if let Some(time) = time.await? {
            build.args.insert(EPOCH.to_owned(), time);
        }
        Ok(build)
    }

    /// An image is what it says: its programs are for its platform, and find their loader. Gives the check that was
    /// passed.
    async fn check_programs(
        &self,
        target: &Target,
        image: &Image,
        image_id: &str,
        task: &Task,
    ) -> Result<Option<Check>> {
        if target.binary_check == BinaryCheck::Off {
            return Ok(None);
        }
        task.stage("looking at programs");
        let programs = Programs { engine: self.engine, registry: self.registry, root: self.root };
        let Looked { findings, unread } = programs.findings(image, image_id).await?;
        let whole = unread.is_empty();
        for why in unread {
            self.events.warn(&format!("{}: {why}", image.reference));
        }
        if findings.is_empty() {
            return Ok(Some(if whole { Check::programs() } else { Check::programs_in_part() }));
        }
        let reference = &image.reference;
        let listed: String = findings.iter().map(|finding| format!("\n  {finding}")).collect();
        let message = format!("{reference} cannot be for {}:{listed}", image.platform);
        if target.binary_check == BinaryCheck::Warn {
            self.events.warn(&message);
            return Ok(Some(Check::programs_with_warnings()));
        }
        Err(Failure::new(message)
            .hint("if that is meant so, say `binary-check = \"warn\"` or \"off\" in the target")
            .into())
    }

    /// The declared smoke run. Gives the check that was passed.
    async fn smoke(&self, image: &Image, image_id: &str, task: &Task) -> Result<Option<Check>> {
        let Some(smoke) = &image.smoke else { return Ok(None) };
        if self.skip_smoke {
            return Ok(None);
        }
        if !self.runnable.can_run(&image.platform) {
            self.events.warn(&format!(
                "{}: no smoke run, as this machine has no emulator for it (`doctor` says how to get one)",
                image.platform
            ));
            return Ok(None);
        }
        task.stage("smoke run");
        let lines = lines(task, "smoke run");
        self.engine.smoke(image_id, &image.reference, &image.platform, smoke, lines).await?;
        Ok(Some(Check::smoke(smoke)))
    }

    /// Brings the image to its reference, unless it is there: an engine would send its manifest every time. Gives its
    /// digest, and whether anything was sent.
    async fn push(
        &self,
        image_id: &str,
        image: &Image,
        pushes: &Pushes,
        task: &Task,
    ) -> Result<(Digest, bool)> {
        let reference = &image.reference;
        let repository = &reference.repository;
        if self.engine_reaches_loopback || !repository.is_loopback() {
            let recorded = self.engine.recorded_digests(image_id, repository).await?;
            if let Some(digest) = self.served(reference, &recorded).await {
                return Ok((digest, false));
            }
            pushes.begin(reference);
            let pushed = self.engine.push(reference, lines(task, "pushing")).await?;
            pushes.end(reference, &pushed.digest);
            return Ok((pushed.digest, true));
        }
        let folder = tempfile::tempdir().context("could not make a temporary folder")?;
        let exported = self.engine.export(image_id, &image.platform, folder.path()).await?;
        let Some((root, children)) = exported.manifests.split_last() else {
            return Err(Failure::new(format!("the export of {reference} holds no manifest")).into());
        };
        if let Some(digest) = self.served(reference, &[Digest::of(&root.bytes)]).await {
            return Ok((digest, false));
        }
        for blob in &exported.blobs {
            self.registry.upload_file(repository, &blob.digest, blob.size, &blob.path).await?;
        }
        for child in children {
            let digest = Digest::of(&child.bytes);
            self.registry.put_manifest(repository, digest.as_str(), &child.media_type, &child.bytes).await?;
        }
        pushes.begin(reference);
        let put =
            self.registry.put_manifest(repository, reference.lookup(), &root.media_type, &root.bytes).await?;
        pushes.end(reference, &put);
        Ok((put, true))
    }

    /// The digest that `reference` serves, when it is one of `known`.
    async fn served(&self, reference: &Reference, known: &[Digest]) -> Option<Digest> {
        if known.is_empty() {
            return None;
        }
        // What cannot be read is pushed: the engine has credentials of its own.
        let head =
            self.registry.head_manifest(&reference.repository, reference.lookup()).await.ok().flatten()?;
        known.contains(&head.digest).then_some(head.digest)
    }
}

/// A sink that shows a child's lines on the task's own line.
pub(crate) fn lines(task: &Task, stage: &'static str) -> Lines {
    let task = task.clone();
    Arc::new(move |line: &str| task.output(stage, line))
}
