//! Reads from the registries what the planner compares with the declaration. Writes nothing, decides nothing.
//!
//! Everything independent is asked for at once. Only a confirmed not-found is "absent": an answer that leaves it open
//! is kept as such, and any other failure ends the run.

mod budget;
mod contents;
mod copy;
mod image;
mod inspect;
mod parts;
mod referrers;
mod released;
mod tag;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use futures_util::future::{try_join, try_join_all, try_join3};

use crate::config::{Attestations, Image, Target};
use crate::model::digest::Digest;
use crate::model::manifest::{self, Descriptor, Manifest};
use crate::model::reference::{Reference, Repository};
use crate::plan::{FoundImage, ObservedImage, ObservedPlace, ObservedTag, ObservedTarget, Unserved};
use crate::registry::{Fetched, Registry, RegistryError};

pub use self::budget::{
    DEEPEST, LONGEST_WALK, MOST_BYTES, MOST_CONTENTS, MOST_PARTS, MOST_REFERRERS, MOST_REFERRERS_TOGETHER,
};
pub use self::contents::contents;
pub use self::copy::{CopyState, observe_copy};
pub use self::inspect::{Inspected, InspectedImage, images, inspect};
pub use self::released::released_now;
pub(crate) use self::tag::served_at;

use self::copy::observe_manifests;
use self::image::{Look, look_up};
use self::referrers::{Finder, Wanted};
use self::released::{list, released};
use self::tag::observe_tag;

/// Where a declared image is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: it will be built.
    Built,
    /// Under this reference: as declared, or by the digest that its push reported.
    At(Reference),
    /// Under its declared reference if that serves it, else where it was before.
    Known(Known),
    /// Nowhere: it was found before.
    Found(FoundImage),
}

/// An image that was published before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its manifest's digest.
    pub digest: Digest,
    /// Whether attestations came with it, which a reference to the image alone would lose.
    pub attested: bool,
    /// References by digest that may have it, itself or in a list; the first one that does counts.
    pub at: Vec<Reference>,
}

/// Reads all that [`crate::plan::plan`] needs for `target`. `sources` has one item for each declared image.
///
/// It takes two rounds: what references and tags serve, then what that leads to. An image that is itself an index
/// takes one more, and so does an image that its declared reference does not serve yet.
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
        let (tags, listed) = try_join(tags, list(registry, target, repository)).await?;
        let released = released(registry, target, repository, listed, &tags).await?;
        anyhow::Ok((tags, released))
    }));
    let (looks, places) = try_join(looks, places).await?;
    let (looks, served): (Vec<Look>, Vec<Option<Elsewhere>>) = looks.into_iter().unzip();

    let listed: Vec<BTreeSet<&Digest>> = places.iter().map(|(tags, _)| listed(tags)).collect();
    let finder = Finder::new(registry);
    let images = try_join_all(looks.iter().map(|look| look.image(registry)));
    let present = try_join_all(
        repositories
            .iter()
            .zip(&listed)
            .map(|(repository, listed)| present(registry, repository, listed, &looks)),
    );
    let unlisted = wanted(target, &looks, |index, digest| listed[index].contains(digest));
    let unserved = unserved(registry, target, &looks, &served);
    let images = try_join(images, unserved);
    let ((images, unserved), present, mut referrers) =
        try_join3(images, present, finder.referrers(unlisted)).await?;
    // What a list names, and is not there all the same.
    let lost = wanted(target, &looks, |index, digest| {
        !listed[index].contains(digest) || present[index].contains(digest)
    });
    referrers.extend(finder.referrers(lost).await?);

    let places =
        repositories.iter().zip(places).zip(present).map(|((repository, (tags, released)), present)| {
            ObservedPlace { repository: repository.clone(), tags, present, released }
        });
    let places = places.collect();
    Ok(ObservedTarget { images, places, referrers, known: BTreeSet::new(), unserved })
}

/// The images' manifests on which it matters what hangs, with the repositories for which it does: those that lack them.
fn wanted<'a>(
    target: &'a Target,
    looks: &'a [Look],
    is_there: impl Fn(usize, &Digest) -> bool,
) -> Vec<Wanted<'a>> {
    if target.attestations == Attestations::Drop {
        return Vec::new();
    }
    let all = looks.iter().flat_map(Look::manifests).map(|(from, digest)| {
        let repositories = target.repositories.iter().enumerate();
        let to = repositories.filter(|(index, to)| *to != from && !is_there(*index, digest));
        Wanted { from, digest, to: to.map(|(_, to)| to).collect() }
    });
    all.filter(|wanted| !wanted.to.is_empty()).collect()
}

/// What the lists that tags serve name.
fn listed(tags: &[ObservedTag]) -> BTreeSet<&Digest> {
    let lists = tags.iter().filter_map(ObservedTag::list);
    lists.flat_map(|published| published.list.entries.iter().map(|entry| &entry.digest)).collect()
}

/// An image that was found elsewhere than under its declared reference, which serves this image, as far as is known.
struct Elsewhere(Option<Digest>);

async fn observe_source(
    registry: &Registry,
    image: &Image,
    source: &Source,
) -> Result<(Look, Option<Elsewhere>)> {
    let look = match source {
        Source::Built => Look::Settled(ObservedImage::Pending),
        Source::Found(found) => Look::Settled(ObservedImage::Found(found.clone())),
        Source::At(reference) => look_up(registry, image, reference).await?,
        Source::Known(known) => return observe_known(registry, image, known).await,
    };
    Ok((look, None))
}

/// Looks for a known image. When everything that may have it confirms that it does not, it is absent.
async fn observe_known(
    registry: &Registry,
    image: &Image,
    known: &Known,
) -> Result<(Look, Option<Elsewhere>)> {
    let declared = look_up(registry, image, &image.reference).await?;
    let is_known =
        |look: &Look| look.digest() == Some(&known.digest) && (look.is_attested() || !known.attested);
    if is_known(&declared) {
        return Ok((declared, None));
    }
    let mut otherwise = Look::Settled(ObservedImage::Absent);
    for reference in &known.at {
        let look = look_up(registry, image, reference).await?;
        if is_known(&look) {
            return Ok((look, Some(Elsewhere(declared.digest().cloned()))));
        }
        if matches!(look, Look::Settled(ObservedImage::Unusable(_))) {
            otherwise = look;
        }
    }
    Ok((otherwise, None))
}

/// What the planner needs to write the declared references of images that were found elsewhere.
async fn unserved(
    registry: &Registry,
    target: &Target,
    looks: &[Look],
    served: &[Option<Elsewhere>],
) -> Result<BTreeMap<usize, Unserved>> {
    let images = target.images.iter().zip(looks).zip(served).enumerate();
    let asked = images.filter_map(|(index, ((image, look), served))| {
        let Elsewhere(serves) = served.as_ref()?;
        let to = &image.reference.repository;
        Some(async move {
            let copy = match look.found() {
                Some((from, manifests)) if from != to => {
                    let attestations = target.attestations;
                    let state = CopyState::Unfinished;
                    Some(observe_manifests(registry, from, manifests, to, attestations, state).await?)
                }
                _ => None,
            };
            anyhow::Ok((index, Unserved { serves: serves.clone(), copy }))
        })
    });
    Ok(try_join_all(asked).await?.into_iter().collect())
}

/// Which of the images' manifests `repository` is known to hold: those that are in it, and of those that are elsewhere
/// the ones that a list in it names and that are really there.
///
/// What no list names is not asked about: bringing it where it is already costs no more than asking would.
async fn present(
    registry: &Registry,
    repository: &Repository,
    listed: &BTreeSet<&Digest>,
    looks: &[Look],
) -> Result<BTreeSet<Digest>> {
    let mut here = BTreeSet::new();
    let mut elsewhere = BTreeSet::new();
    for (source, digest) in looks.iter().flat_map(Look::manifests) {
        if source == repository {
            here.insert(digest.clone());
        } else if listed.contains(digest) {
            elsewhere.insert(digest.clone());
        }
    }
    here.extend(held(registry, repository, elsewhere).await?);
    Ok(here)
}

/// Which of the manifests `repository` holds.
async fn held(
    registry: &Registry,
    repository: &Repository,
    digests: impl IntoIterator<Item = Digest>,
) -> Result<BTreeSet<Digest>> {
    let found = digests.into_iter().map(|digest| async move {
        let head = match registry.head_manifest(repository, digest.as_str()).await {
            Ok(head) => head.is_some(),
            // Not readable is not there: bringing it is what shows whether it can be written.
            Err(error) => unreadable(error).map(|_| false)?,
        };
        anyhow::Ok(head.then_some(digest))
    });
    Ok(try_join_all(found).await?.into_iter().flatten().collect())
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
        // What is copied as it is need not be understood.
        Err(_) => fetched.media_type.clone(),
    };
    descriptor(fetched, &media_type)
}

fn descriptor(fetched: &Fetched, media_type: &str) -> Descriptor {
    Descriptor::new(media_type, fetched.digest.clone(), fetched.bytes.len() as u64)
}
