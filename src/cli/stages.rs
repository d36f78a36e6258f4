//! `build`, `smoke` and `push`: a stage of a release and what it needs.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::args::{Push, Stage};
use super::context::Context;
use super::metadata_file::MetadataFile;
use crate::build::pipeline::{Produced, Until};
use crate::config::{Declaration, Strictness, Target, working_folder_of};
use crate::error::{Exit, Failure};
use crate::lock;
use crate::release::metadata::Metadata;
use crate::release::pushed::for_other_machines;
use crate::release::run::{Run, Settings};
use crate::report;
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
    let settings = Settings { smoke: !skip_smoke, ..context.settings(&arguments.targets) };
    let run = Run {
        declaration: &declaration,
        registry: &registry,
        events: &context.events,
        folder: &working_folder_of(&declaration.root),
        lock_file: &declaration.root.join(lock::FILE_NAME),
        settings: &settings,
    };
    let (produced, survey) = run.produce(&work, until, metadata.is_some()).await?;
    if let (Some((file, text)), Some(survey)) = (metadata, &survey) {
        let pushed = for_other_machines(&registry, survey, &produced).await;
        let metadata = Metadata::new(declaration.revision.clone(), &text, pushed);
        file.write(&metadata.to_text(), "everything is pushed")?;
    }
    context.print(
        |_| produced.iter().map(line).collect(),
        || json!({ "version": 1, "images": produced.iter().map(|one| report::image(one.event())).collect::<Vec<_>>() }),
    );
    Ok(Exit::Done)
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
