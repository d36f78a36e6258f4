//! Reads from the registries what the planner compares with the declaration. Writes nothing, decides nothing.
//!
//! Everything independent is asked for at once. Only a confirmed not-found is "absent": an answer that leaves it open
//! is kept as such, and any other failure ends the run.

mod image;
mod inspect;
mod released;
mod tag;

use std::collections::BTreeSet;

use anyhow::Result;
use futures_util::future::{try_join, try_join_all};

use crate::config::{Image, Target};
use crate::digest::Digest;
use crate::manifest::{self, Descriptor, Manifest};
use crate::plan::{FoundImage, ObservedImage, ObservedPlace, ObservedTarget};
use crate::reference::{Reference, Repository};
use crate::registry::{Fetched, Registry, RegistryError};

pub use self::inspect::{Inspected, InspectedImage, images, inspect};

use self::image::observe_image;
use self::released::released;
use self::tag::observe_tag;

/// Where a declared image is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: it will be built.
    Built,
    /// Under this reference: as declared, or by the digest that its push reported.
    At(Reference),
    /// Nowhere: it was found before.
    Found(FoundImage),
}

/// Reads all that [`crate::plan::plan`] needs for `target`. `sources` has one item for each declared image.
///
/// # Errors
///
/// A registry that cannot be reached, refuses the credentials, or serves what is no manifest.
pub async fn observe(registry: &Registry, target: &Target, sources: &[Source]) -> Result<ObservedTarget> {
    let images = try_join_all(
        target.images.iter().zip(sources).map(|(image, source)| observe_source(registry, image, source)),
    );
    let places = try_join_all(target.repositories.iter().map(|repository| async move {
        let tags = try_join_all(target.tags.iter().map(|tag| observe_tag(registry, target, repository, tag)));
        let released = released(registry, target, repository);
        try_join(tags, released).await
    }));
    let (images, places) = try_join(images, places).await?;
    let places =
        try_join_all(target.repositories.iter().zip(places).map(|(repository, (tags, released))| {
            let images = &images;
            async move {
                let present = present(registry, repository, images).await?;
                anyhow::Ok(ObservedPlace { repository: repository.clone(), tags, present, released })
            }
        }))
        .await?;
    Ok(ObservedTarget { images, places })
}

async fn observe_source(registry: &Registry, image: &Image, source: &Source) -> Result<ObservedImage> {
    match source {
        Source::Built => Ok(ObservedImage::Pending),
        Source::Found(found) => Ok(ObservedImage::Found(found.clone())),
        Source::At(reference) => observe_image(registry, image, reference).await,
    }
}

/// Which of the found images, and of their attestations, `repository` holds already.
async fn present(
    registry: &Registry,
    repository: &Repository,
    images: &[ObservedImage],
) -> Result<BTreeSet<Digest>> {
    let mut here = BTreeSet::new();
    let mut elsewhere = BTreeSet::new();
    for image in images {
        let ObservedImage::Found(found) = image else { continue };
        let digests = std::iter::once(&found.descriptor).chain(&found.attestations).map(|d| d.digest.clone());
        if found.source == *repository { here.extend(digests) } else { elsewhere.extend(digests) }
    }
    let found = try_join_all(elsewhere.into_iter().map(|digest| async move {
        let head = match registry.head_manifest(repository, digest.as_str()).await {
            Ok(head) => head.is_some(),
            // Not readable is not there: bringing it is what shows whether it can be written.
            Err(error) => unreadable(error).map(|_| false)?,
        };
        anyhow::Ok(head.then_some(digest))
    }))
    .await?;
    here.extend(found.into_iter().flatten());
    Ok(here)
}

/// The registry's answer when it leaves open whether something exists; any other error is passed on.
fn unreadable(error: RegistryError) -> Result<String> {
    if error.is_unreadable() { Ok(error.answer()) } else { Err(error.into()) }
}

fn descriptor_of(fetched: &Fetched) -> Descriptor {
    // A registry that serves a generic type is outdone by the bytes, which say their own.
    let media_type = match manifest::parse(&fetched.bytes, &fetched.media_type) {
        Ok(Manifest::Image(image)) => image.media_type,
        Ok(Manifest::List(list)) => list.kind.media_type().to_owned(),
        Err(_) => fetched.media_type.clone(),
    };
    Descriptor::new(&media_type, fetched.digest.clone(), fetched.bytes.len() as u64)
}
