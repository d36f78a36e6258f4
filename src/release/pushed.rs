//! Images that other machines have pushed, as the files of `push --metadata-file` say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::metadata::{Metadata, PushedImage, together};
use crate::build::freshness::{Place, Survey};
use crate::build::pipeline::Produced;
use crate::config::Declaration;
use crate::error::{Exit, Failure};
use crate::lock::{ImageRecord, Origin};
use crate::model::reference::Reference;
use crate::registry::Registry;
use crate::workspace::load;

/// What `files` say was pushed of the targets of `declaration`; `None` without files. The files may have images of every
/// target of the `whole` declaration.
///
/// # Errors
///
/// One of them cannot be read, or together they are not what is declared.
pub(crate) fn read_pushed(
    whole: &Declaration,
    declaration: &Declaration,
    files: &[PathBuf],
) -> Result<Option<BTreeMap<Place, PushedImage>>> {
    if files.is_empty() {
        return Ok(None);
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
    let pushed = together(whole, &text, &read, is_wanted).map_err(|error| {
        Failure::new("the images that were pushed do not make up what is declared")
            .because(error)
            .hint("give the file of each machine's `push --metadata-file FILE`, all from this commit and declaration")
            .exit(Exit::Usage)
    })?;
    Ok(Some(pushed))
}

/// Where the images are, by the digests that their pushes reported.
///
/// # Errors
///
/// A reference is not one.
pub(super) fn references(pushed: &BTreeMap<Place, PushedImage>) -> Result<BTreeMap<Place, Reference>> {
    let reference = |(place, image): (&Place, &PushedImage)| {
        let reference: Reference = image.reference.parse()?;
        Ok((place.clone(), reference.repository.digest(&image.digest)))
    };
    pushed.iter().map(reference).collect()
}

/// What the machines that pushed have learned of the images.
pub(super) fn records(pushed: BTreeMap<Place, PushedImage>) -> BTreeMap<Place, ImageRecord> {
    let record = |(place, image): (Place, PushedImage)| {
        let origin = image.fingerprint.map(|fingerprint| Origin { fingerprint, bases: image.bases });
        (place, ImageRecord { origin, checked: image.checked })
    };
    pushed.into_iter().map(record).collect()
}

/// What was pushed, for another machine.
pub(crate) async fn for_other_machines(
    registry: &Registry,
    survey: &Survey,
    produced: &[Produced],
) -> Vec<PushedImage> {
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
