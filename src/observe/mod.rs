//! Reads from the registries what the planner compares with the declaration. Writes nothing, decides nothing.
//!
//! Everything independent is asked for at once. Only a confirmed not-found is "absent": an answer that leaves it open
//! is kept as such, and any other failure ends the run.

mod copy;
mod hanging;
mod image;
mod inspect;
mod released;
mod tag;

use anyhow::Result;
use futures_util::future::{try_join, try_join_all, try_join3};

use crate::config::{Attestations, Image, Target};
use crate::digest::Digest;
use crate::manifest::{self, Descriptor, Manifest};
use crate::plan::{FoundImage, Hanging, ObservedImage, ObservedPlace, ObservedTarget};
use crate::reference::{Reference, Repository};
use crate::registry::{Fetched, Registry, RegistryError};

pub use self::copy::observe_copy;
pub use self::inspect::{Inspected, InspectedImage, inspect};

use self::hanging::Finder;
use self::image::{Look, look_up};
use self::released::released;
use self::tag::{TagLookup, observe_tag};

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
    let tags: Vec<Vec<TagLookup<'_>>> = repositories
        .iter()
        .map(|repository| target.tags.iter().map(|tag| TagLookup::new(registry, repository, tag)).collect())
        .collect();
    let finder = Finder::new(registry);
    let around = Around { registry, target, tags: &tags, finder: &finder };
    let images = try_join_all(
        target.images.iter().zip(sources).map(|(image, source)| observe_source(&around, image, source)),
    );
    let places = try_join_all(repositories.iter().zip(&tags).map(|(repository, tags)| async move {
        let tags = try_join_all(tags.iter().map(|tag| observe_tag(target, tag)));
        let released = released(registry, target, repository);
        try_join(tags, released).await
    }));
    let (images, places) = try_join(images, places).await?;
    let places =
        repositories.iter().zip(places).enumerate().map(|(index, (repository, (tags, released)))| {
            let present = images.iter().flat_map(|image| image.present.get(index)).flatten().cloned();
            ObservedPlace { repository: repository.clone(), tags, present: present.collect(), released }
        });
    let places = places.collect();
    let mut hanging = Hanging::default();
    let mut observed = Vec::new();
    for image in images {
        hanging.on.extend(image.hanging.on);
        hanging.served.extend(image.hanging.served);
        observed.push(image.image);
    }
    Ok(ObservedTarget { places, images: observed, hanging })
}

/// What the images of a target are looked for with.
struct Around<'a> {
    registry: &'a Registry,
    target: &'a Target,
    /// By repository.
    tags: &'a [Vec<TagLookup<'a>>],
    finder: &'a Finder<'a>,
}

/// One image, for each of the target's repositories which of its manifests are there already, and what hangs on those
/// that are not.
struct ObservedSource {
    image: ObservedImage,
    present: Vec<Vec<Digest>>,
    hanging: Hanging,
}

impl From<ObservedImage> for ObservedSource {
    fn from(image: ObservedImage) -> Self {
        Self { image, present: Vec::new(), hanging: Hanging::default() }
    }
}

async fn observe_source(around: &Around<'_>, image: &Image, source: &Source) -> Result<ObservedSource> {
    let registry = around.registry;
    match source {
        Source::Built => Ok(ObservedImage::Pending.into()),
        Source::Found(found) => {
            let image = async { Ok(ObservedImage::Found(found.clone())) };
            observe_found(around, image, &found.source, found.digests()).await
        }
        Source::At(reference) => match look_up(registry, image, reference).await? {
            Look::Absent => Ok(ObservedImage::Absent.into()),
            Look::Unusable(why) => Ok(ObservedImage::Unusable(why).into()),
            Look::Image(seen) => {
                observe_found(around, seen.found(registry), seen.source(), seen.digests()).await
            }
        },
    }
}

/// What there is to know of an image and its attestations, the `digests` in `source`: all at once.
async fn observe_found(
    around: &Around<'_>,
    image: impl Future<Output = Result<ObservedImage>>,
    source: &Repository,
    digests: Vec<Digest>,
) -> Result<ObservedSource> {
    let Around { registry, target, tags, finder } = around;
    let repositories = &target.repositories;
    let keeps = target.attestations == Attestations::Keep;
    let hanging = async {
        if !keeps {
            return Ok(None);
        }
        finder.unless_listed(source, &digests, repositories, tags).await
    };
    let there = present(registry, repositories, source, digests.clone());
    let (image, present, hanging) = try_join3(image, there, hanging).await?;
    let is_everywhere = present.iter().all(|there| there.len() == digests.len());
    let hanging = match hanging {
        _ if is_everywhere => Hanging::default(),
        Some(hanging) => hanging,
        // Listed, and not there all the same.
        None if keeps => finder.hanging(source, &digests, repositories).await?,
        None => Hanging::default(),
    };
    Ok(ObservedSource { image, present, hanging })
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
