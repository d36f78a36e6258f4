//! `build`, `smoke` and `push`: a stage of a release and what it needs.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::args::{Push, Stage};
use super::context::Context;
use super::metadata_file::MetadataFile;
use crate::build::freshness::{Survey, Trust};
use crate::build::groundwork;
use crate::build::pipeline::{Pipeline, Produced, Until};
use crate::config::{Declaration, Strictness, Target, working_folder_of};
use crate::engine::doctor::{loopback_is_declared, require};
use crate::engine::{Engine, Request, Runnable};
use crate::error::{Exit, Failure};
use crate::lock::Lock;
use crate::registry::Registry;
use crate::release::metadata::{Metadata, PushedImage};
use crate::workspace::load;
use crate::workspace::working_folder;

pub(super) async fn build(context: &Context, arguments: &Stage) -> Result<Exit> {
    run(context, arguments, Until::Built, true, None).await
}

pub(super) async fn smoke(context: &Context, arguments: &Stage) -> Result<Exit> {
    run(context, arguments, Until::Smoked, false, None).await
}

pub(super) async fn push(context: &Context, arguments: &Push) -> Result<Exit> {
    let file = arguments.metadata_file.as_deref();
    run(context, &arguments.stage, Until::Pushed, arguments.skip_smoke, file).await
}

async fn run(
    context: &Context,
    arguments: &Stage,
    until: Until,
    skip_smoke: bool,
    metadata_file: Option<&Path>,
) -> Result<Exit> {
    let declaration = context.declaration(&arguments.targets, Strictness::Release)?;
    working_folder::create(&declaration.root)?;
    let metadata = match metadata_file {
        // As it is now: what is built is of this text, whatever comes of the file meanwhile.
        Some(path) => Some((MetadataFile::open(path)?, load::text(&declaration)?)),
        None => None,
    };
    let work = work(&declaration, arguments)?;
    let registry = context.registry(Some(&declaration))?;
    let ready = ready(context, &declaration).await?;
    groundwork::lay(&declaration.root, &work, context.jobs(), &context.progress).await?;
    let survey = match &metadata {
        Some(_) => {
            let folder = working_folder_of(&declaration.root);
            let mut survey = Survey::of(&declaration, &Lock::default(), &folder, Trust::Nothing).await?;
            survey.confirm(survey.heads(&registry).await);
            Some(survey)
        }
        None => None,
    };
    let pipeline = Pipeline {
        engine: &ready.engine,
        registry: &registry,
        root: &declaration.root,
        runnable: &ready.runnable,
        engine_reaches_loopback: ready.engine_reaches_loopback,
        survey: survey.as_ref(),
        until,
        skip_smoke,
        jobs: context.jobs(),
        progress: &context.progress,
    };
    let produced = pipeline.run(&work).await?;
    if let (Some((file, text)), Some(survey)) = (metadata, &survey) {
        let pushed = pushed(&registry, survey, &produced).await;
        let metadata = Metadata::new(declaration.revision.clone(), &text, pushed);
        file.write(&metadata.to_text(), "everything is pushed")?;
    }
    context.print(
        |_| produced.iter().map(line).collect(),
        || json!({ "version": 1, "images": produced.iter().map(Produced::to_json).collect::<Vec<_>>() }),
    );
    Ok(Exit::Done)
}

/// What was pushed, for another machine.
async fn pushed(registry: &Registry, survey: &Survey, produced: &[Produced]) -> Vec<PushedImage> {
    let known = produced.iter().filter(|one| one.unknown.is_none());
    let places = known.map(|one| (one.target.clone(), one.index)).collect();
    let mut origins = survey.origins(registry, &places).await;
    let images = produced.iter().filter_map(|one| {
        let origin = origins.remove(&(one.target.clone(), one.index));
        let (fingerprint, bases) = origin.map(|origin| (origin.fingerprint, origin.bases)).unzip();
        Some(PushedImage {
            target: one.target.clone(),
            platform: one.platform.to_string(),
            reference: one.reference.to_string(),
            digest: one.digest.clone()?,
            fingerprint,
            checked: one.checked.clone(),
            bases: bases.unwrap_or_default(),
        })
    });
    images.collect()
}

/// `TAG: digest: …` as the engine prints it after a push, with the whole reference; the reference alone before one.
fn line(produced: &Produced) -> String {
    match &produced.digest {
        Some(digest) => format!("{}: digest: {digest}\n", produced.reference),
        None => format!("{}\n", produced.reference),
    }
}

/// The images with a build, of the platforms asked for.
fn work<'a>(declaration: &'a Declaration, arguments: &Stage) -> Result<Vec<(&'a Target, usize)>> {
    let images = declaration.targets.iter().flat_map(|target| {
        target.images.iter().enumerate().map(move |(index, image)| (target, index, image))
    });
    for wanted in &arguments.platform {
        if !images.clone().any(|(_, _, image)| image.platform.base() == wanted.base()) {
            let declared: BTreeSet<String> = images.map(|(_, _, image)| image.platform.to_string()).collect();
            let declared: Vec<String> = declared.into_iter().collect();
            return Err(Failure::new(format!("no target declares the platform {wanted}"))
                .hint(format!("declared are {}", declared.join(", ")))
                .exit(Exit::Usage)
                .into());
        }
    }
    let wanted = |platform: &crate::model::platform::Platform| {
        arguments.platform.is_empty()
            || arguments.platform.iter().any(|wanted| wanted.base() == platform.base())
    };
    let work: Vec<_> = images
        .filter(|(_, _, image)| image.build.is_some() && wanted(&image.platform))
        .map(|(target, index, _)| (target, index))
        .collect();
    if work.is_empty() {
        let wanted: Vec<String> = arguments.platform.iter().map(ToString::to_string).collect();
        let what = match wanted.is_empty() {
            true => "every image".to_owned(),
            false => format!("every image for {}", wanted.join(", ")),
        };
        return Err(Failure::new(format!("nothing here is built: {what} is declared as existing"))
            .hint("add `build` to a target, or publish what exists with `reconcile`")
            .exit(Exit::Usage)
            .into());
    }
    Ok(work)
}

/// An engine that was found able, and what it and this machine can do.
#[derive(Debug)]
pub(super) struct Readiness {
    pub(super) engine: Engine,
    pub(super) runnable: Runnable,
    pub(super) engine_reaches_loopback: bool,
}

/// Finds the engine, and compares its settings with the declared registries before anything is built.
pub(super) async fn ready(context: &Context, declaration: &Declaration) -> Result<Readiness> {
    let request = Request { explicit: context.global.engine.as_deref() };
    let engine = Engine::find(&request).await?;
    context.progress.stage("Engine", &engine.describe());
    let info = engine.info().await?;
    let runnable = engine.runnable(&info).await;
    // Where it does not matter nobody is made to come by.
    let engine_reaches_loopback = !loopback_is_declared(declaration) || engine.reaches_loopback().await?;
    require(&info, engine_reaches_loopback, declaration)?;
    Ok(Readiness { engine, runnable, engine_reaches_loopback })
}
