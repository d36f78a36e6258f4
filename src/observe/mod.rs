//! Reads from the registries what the planner compares with the declaration. Writes nothing, decides nothing.
//!
//! Everything independent is asked for at once. Only a confirmed not-found is "absent": an answer that leaves it open
//! is kept as such, and any other failure ends the run.

mod contents;
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
use crate::plan::{FoundImage, ObservedImage, ObservedPlace, ObservedTag, ObservedTarget};
use crate::reference::{Reference, Repository};
use crate::registry::{Fetched, Registry, RegistryError};

pub use self::contents::contents;
pub use self::inspect::{Inspected, InspectedImage, inspect};
pub use self::released::released_now;

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
/// It takes two rounds: what references and tags serve, then what that leads to. An image that is itself an index
/// takes one more.
///
/// # Errors
///
/// A registry that cannot be reached, refuses the credentials, or serves what is no manifest.
pub async fn observe(registry: &Registry, target: &Target, sources: &[Source]) -> Result<ObservedTarget> {
    let repositories = &target.repositories;
    let looks = try_join_all(
        target.images.iter().zip(sources).map(|(image, source)| observe_source(registry, image, source)),
    );
    let places = try_join_all(repositories.iter().map(|repository| async move {
        let tags = try_join_all(target.tags.iter().map(|tag| observe_tag(registry, target, repository, tag)));
        let released = released(registry, target, repository);
        try_join(tags, released).await
    }));
    let (looks, places) = try_join(looks, places).await?;

    let images = try_join_all(looks.iter().map(|look| look.image(registry)));
    let present = try_join_all(
        repositories
            .iter()
            .zip(&places)
            .map(|(repository, (tags, _))| present(registry, repository, tags, &looks)),
    );
    let (images, present) = try_join(images, present).await?;
    let places =
        repositories.iter().zip(places).zip(present).map(|((repository, (tags, released)), present)| {
            ObservedPlace { repository: repository.clone(), tags, present, released }
        });
    Ok(ObservedTarget { images, places: places.collect(), known: BTreeSet::new() })
}

async fn observe_source(registry: &Registry, image: &Image, source: &Source) -> Result<Look> {
    match source {
        Source::Built => Ok(Look::Settled(ObservedImage::Pending)),
        Source::Found(found) => Ok(Look::Settled(ObservedImage::Found(found.clone()))),
        Source::At(reference) => look_up(registry, image, reference).await,
    }
}

/// Which of the images' manifests `repository` is known to hold: those that are in it, and of those that are elsewhere
/// the ones that a list in it names and that are really there.
///
/// What no list names is not asked about: bringing it where it is already costs no more than asking would.
async fn present(
    registry: &Registry,
    repository: &Repository,
    tags: &[ObservedTag],
    looks: &[Look],
) -> Result<BTreeSet<Digest>> {
    let listed: BTreeSet<&Digest> = tags
        .iter()
        .filter_map(ObservedTag::list)
        .flat_map(|published| published.list.entries.iter().map(|entry| &entry.digest))
        .collect();
    let mut here = BTreeSet::new();
    let mut elsewhere = BTreeSet::new();
    for (source, digest) in looks.iter().flat_map(Look::manifests) {
        if source == repository {
            here.insert(digest.clone());
        } else if listed.contains(digest) {
            elsewhere.insert(digest.clone());
        }
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
