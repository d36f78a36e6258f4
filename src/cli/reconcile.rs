//! `reconcile`: only the list. Every image is found in the registry, or named by the files of `push`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::args::Reconcile;
use super::ci;
use super::context::{Context, narrow};
use crate::build::freshness::Place;
use crate::config::{Declaration, Strictness};
use crate::error::{Exit, Failure};
use crate::lock::{self, ImageRecord, Origin};
use crate::model::reference::Reference;
use crate::registry::Access;
use crate::release::keeper::{Keeper, shown};
use crate::release::metadata::{Metadata, PushedImage, together};
use crate::release::prepare::{From, announce, apply_all, prepare, stop_on_problems};
use crate::report;
use crate::workspace::load;
use crate::workspace::lock_file::{self, Written};

pub(super) async fn run(context: &Context, arguments: &Reconcile) -> Result<Exit> {
    let whole = load::load(context.global.config.as_deref(), Strictness::Release)?;
    let declaration = narrow(whole.clone(), &arguments.targets)?;
    let _turn = context.take_turn(&declaration.root).await?;
    let registry = context.registry(Some(&declaration))?;
    announce(&registry, &declaration, Access::Push)?;
    let options = arguments.first.options();
    let lock_file = declaration.root.join(lock::FILE_NAME);
    let lock = lock_file::read(&lock_file)?;

    let pushed = pushed(&whole, &declaration, &arguments.images)?;
    let references = references(&pushed)?;
    let from = if arguments.images.is_empty() { From::Registry } else { From::Pushed(&references) };
    let planned = prepare(&registry, &declaration, from, &lock, options).await?;
    stop_on_problems(&planned)?;
    context.progress.line(&report::plan::text(&planned, context.progress.style()));

    let carried = apply_all(&registry, &planned, &|event| context.on_event(&event)).await;
    let keeper = Keeper {
        file: &lock_file,
        lock: &lock,
        declaration: &declaration,
        all: arguments.targets.targets.is_empty(),
    };
    let (carried, written) = keeper.settle(&planned, carried, &records(pushed));
    if written == Some(Written::Changed) {
        context.progress.stage("Locked", &shown(&lock_file));
    }
    ci::summarise_result(context, &carried, "Reconciled");
    let applied = carried.complete()?;
    context.print(|style| report::summary::text(&applied, style), || report::summary::json(&applied));
    Ok(Exit::Done)
}

/// What the files say was pushed of the targets of `declaration`; nothing without files. The files may have images of
/// every target of the `whole` declaration.
fn pushed(
    whole: &Declaration,
    declaration: &Declaration,
    files: &[PathBuf],
) -> Result<BTreeMap<Place, PushedImage>> {
    if files.is_empty() {
        return Ok(BTreeMap::new());
    }
    let text = load::text(whole)?;
    let read = files.iter().map(|file| {
        let name = file.display().to_string();
        let content = std::fs::read_to_string(file).with_context(|| format!("could not read {name}"))?;
        let metadata = Metadata::parse(&name, &content)?;
        anyhow::Ok((name, metadata))
    });
    let read = read.collect::<Result<Vec<_>>>()?;
    let is_wanted = |name: &str| declaration.targets.iter().any(|target| target.name == name);
    Ok(together(whole, &text, &read, is_wanted).map_err(|error| {
        Failure::new("the images that were pushed do not make up what is declared")
            .because(error)
            .hint("give the file of each machine's `push --metadata-file FILE`, all from this commit and declaration")
            .exit(Exit::Usage)
    })?)
}

/// Where the images are, by the digests that their pushes reported.
fn references(pushed: &BTreeMap<Place, PushedImage>) -> Result<BTreeMap<Place, Reference>> {
    let reference = |(place, image): (&Place, &PushedImage)| {
        let reference: Reference = image.reference.parse()?;
        Ok((place.clone(), reference.repository.digest(&image.digest)))
    };
    pushed.iter().map(reference).collect()
}

/// What the machines that pushed have learned of the images.
fn records(pushed: BTreeMap<Place, PushedImage>) -> BTreeMap<Place, ImageRecord> {
    let record = |(place, image): (Place, PushedImage)| {
        let origin = image.fingerprint.map(|fingerprint| Origin { fingerprint, bases: image.bases });
        (place, ImageRecord { origin, checked: image.checked })
    };
    pushed.into_iter().map(record).collect()
}
