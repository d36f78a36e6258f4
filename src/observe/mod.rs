//! Reads from the registries what the planner compares with the declaration. Writes nothing, decides nothing.
//!
//! Everything independent is asked for at once. Only a confirmed not-found is "absent": an answer that leaves it open
//! is kept as such, and any other failure ends the run.

mod image;
mod inspect;
mod released;
mod tag;

use anyhow::Result;
use futures_util::future::{try_join, try_join_all};

use crate::config::{Image, Target};
use crate::digest::Digest;
use crate::manifest::{self, Descriptor, Manifest};
use crate::plan::{FoundImage, ObservedImage, ObservedPlace, ObservedTarget};
use crate::reference::{Reference, Repository};
use crate::registry::{Fetched, Registry, RegistryError};

pub use self::inspect::{Inspected, InspectedImage, inspect};

use self::image::{Look, look_up};
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
    let repositories = &target.repositories;
    let images = try_join_all(
        target
            .images
            .iter()
            .zip(sources)
            .map(|(image, source)| observe_source(registry, image, source, repositories)),
    );
    let places = try_join_all(repositories.iter().map(|repository| async move {
        let tags = try_join_all(target.tags.iter().map(|tag| observe_tag(registry, target, repository, tag)));
        let released = released(registry, target, repository);
        try_join(tags, released).await
    }));
    let (images, places) = try_join(images, places).await?;
    let places =
        repositories.iter().zip(places).enumerate().map(|(index, (repository, (tags, released)))| {
            let present = images.iter().flat_map(|(_, present)| present.get(index)).flatten().cloned();
            ObservedPlace { repository: repository.clone(), tags, present: present.collect(), released }
        });
    Ok(ObservedTarget {
        places: places.collect(),
        images: images.iter().map(|(image, _)| image.clone()).collect(),
    })
}

/// What is known of one image, and for each of the `repositories` which of its manifests are there already.
async fn observe_source(
    registry: &Registry,
    image: &Image,
    source: &Source,
    repositories: &[Repository],
) -> Result<(ObservedImage, Vec<Vec<Digest>>)> {
    let look = match source {
        Source::Built => return Ok((ObservedImage::Pending, Vec::new())),
        Source::Found(found) => {
            let there = present(registry, repositories, &found.source, found.digests()).await?;
            return Ok((ObservedImage::Found(found.clone()), there));
        }
        Source::At(reference) => look_up(registry, image, reference).await?,
    };
    match look {
        Look::Absent => Ok((ObservedImage::Absent, Vec::new())),
        Look::Unusable(why) => Ok((ObservedImage::Unusable(why), Vec::new())),
        Look::Image(seen) => {
            let config = seen.found(registry);
            let there = present(registry, repositories, seen.source(), seen.digests());
            try_join(config, there).await
        }
    }
}

/// Which of the `digests`, all in `source`, each of the `repositories` holds already.
async fn present(
    registry: &Registry,
    repositories: &[Repository],
    source: &Repository,
    digests: Vec<Digest>,
) -> Result<Vec<Vec<Digest>>> {
    let digests = &digests;
    try_join_all(repositories.iter().map(|repository| async move {
        if repository == source {
            return Ok(digests.clone());
        }
        let found = digests.iter().map(|digest| async move {
            match registry.head_manifest(repository, digest.as_str()).await {
                Ok(head) => anyhow::Ok(head.map(|_| digest.clone())),
                // Not readable is not there: bringing it is what shows whether it can be written.
                Err(error) => unreadable(error).map(|_| None),
            }
        });
        Ok(try_join_all(found).await?.into_iter().flatten().collect())
    }))
    .await
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
