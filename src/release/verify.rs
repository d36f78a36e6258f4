//! Whether registries still serve what the lock says: tags, lists, images, configurations and layers. Reads only.
//!
//! Every manifest is fetched and hashed: what a registry says of itself in the answer to a HEAD does not show that it can
//! still serve the bytes. Blobs may be large; they are asked for with HEAD. Whatever several tags, lists or targets share
//! is asked for once in each repository.

mod drift;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use futures_util::future::try_join;

use crate::concurrency;
use crate::lock::Lock;
use crate::model::content::{Content, is_manifest};
use crate::model::digest::Digest;
use crate::model::manifest::Descriptor;
use crate::model::media;
use crate::model::reference::{Reference, Repository};
use crate::registry::{Fetched, Kind, Registry};
pub(crate) use drift::Drift;

/// What the lock says of one repository.
#[derive(Default)]
struct Place {
    /// The digest behind each tag.
    tags: Vec<(String, Digest)>,
    /// The lists behind those tags.
    lists: BTreeMap<Digest, Named>,
    /// The media types of those lists, as far as the lock knows them.
    types: BTreeMap<Digest, String>,
    /// What images and attestations are for.
    labels: BTreeMap<Digest, String>,
}

/// A manifest or blob that something names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Named {
    /// What it is, and what for.
    labels: BTreeSet<String>,
    /// What it must be served as; none where nothing says so.
    media_type: Option<String>,
    /// How long it must be.
    size: Option<u64>,
    /// It is a list that the lock names, no entry of one.
    is_locked: bool,
}

/// What of a manifest was found.
struct Looked {
    drift: Vec<Drift>,
    /// What it is for, and its content.
    content: Option<(BTreeSet<String>, Content)>,
}

impl Named {
    fn what(&self) -> String {
        self.labels.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// Everything in which registries differ from `lock`, sorted.
///
/// # Errors
///
/// A registry does not answer, or something that it serves is not understood: that is no drift.
pub(crate) async fn verify(registry: &Registry, lock: &Lock) -> Result<Vec<Drift>> {
    let places = places(lock)?;
    let looked = places.iter().map(|(repository, place)| async move {
        let tags = concurrency::try_over(&place.tags, |(tag, locked)| {
            of_tag(registry, repository.tag(tag), locked, place.types.get(locked))
        });
        let (tags, content) = try_join(tags, of_content(registry, repository, place)).await?;
        anyhow::Ok(tags.into_iter().flatten().chain(content).collect::<Vec<_>>())
    });
    let mut drift: Vec<Drift> = concurrency::try_each(looked).await?.into_iter().flatten().collect();
    drift.sort();
    Ok(drift)
}

/// What the lock says, by repository.
fn places(lock: &Lock) -> Result<BTreeMap<Repository, Place>> {
    let mut places: BTreeMap<Repository, Place> = BTreeMap::new();
    for target in lock.targets.values() {
        for (name, tags) in &target.repositories {
            let place = places.entry(name.parse()?).or_default();
            place.tags.extend(tags.iter().map(|(tag, digest)| (tag.clone(), digest.clone())));
            for digest in tags.values() {
                let known = target.lists.get(digest);
                let list = place.lists.entry(digest.clone()).or_default();
                list.labels.insert("list".to_owned());
                list.is_locked = true;
                list.media_type = known.map(|list| list.media_type.clone());
                place.types.extend(known.map(|list| (digest.clone(), list.media_type.clone())));
            }
            for (platform, image) in &target.images {
                place.labels.insert(image.digest.clone(), platform.clone());
                let attestations = image.attestations.iter();
                place
                    .labels
                    .extend(attestations.map(|one| (one.clone(), format!("attestation of {platform}"))));
            }
        }
    }
    Ok(places)
}

async fn of_tag(
    registry: &Registry,
    tag: Reference,
    locked: &Digest,
    locked_type: Option<&String>,
) -> Result<Vec<Drift>> {
    let fetched = match registry.get_manifest(&tag.repository, tag.lookup()).await {
        Ok(fetched) => fetched,
        Err(error) if error.kind() == Kind::Corrupt => {
            return Ok(vec![Drift::Altered {
                manifest: tag,
                what: format!("tag of {locked}"),
                found: error.answer(),
            }]);
        }
        Err(error) => return Err(error.into()),
    };
    let locked = locked.clone();
    Ok(match fetched {
        None => vec![Drift::TagGone { tag, locked }],
        // By the algorithm of the lock, whichever the registry prefers.
        Some(fetched) if !locked.matches(&fetched.bytes) => {
            vec![Drift::Moved { tag, locked, found: fetched.digest }]
        }
        Some(fetched) => of_type(tag, format!("tag of {locked}"), locked_type, &fetched),
    })
}

/// Whether a manifest is served as what it must be.
fn of_type(manifest: Reference, what: String, locked: Option<&String>, fetched: &Fetched) -> Vec<Drift> {
    let Some(locked) = locked.filter(|locked| **locked != fetched.media_type) else { return Vec::new() };
    vec![Drift::Type { manifest, what, locked: locked.clone(), found: fetched.media_type.clone() }]
}

/// The lists, what they list, and the blobs of all of it: level by level, each digest once.
async fn of_content(registry: &Registry, repository: &Repository, place: &Place) -> Result<Vec<Drift>> {
    let mut drift = Vec::new();
    let (mut open, mut seen) = (place.lists.clone(), BTreeSet::new());
    let mut blobs: BTreeMap<Digest, Named> = BTreeMap::new();
    while !open.is_empty() {
        seen.extend(open.keys().cloned());
        let now: Vec<(Digest, Named)> = std::mem::take(&mut open).into_iter().collect();
        let looked =
            concurrency::try_over(&now, |(digest, named)| of_manifest(registry, repository, digest, named));
        for looked in looked.await? {
            drift.extend(looked.drift);
            let Some((labels, content)) = looked.content else { continue };
            for blob in content.blobs {
                let role = if media::is_image_config(&blob.media_type) { "configuration" } else { "layer" };
                let labels = labels.iter().map(|label| format!("{role} of {label}"));
                note(&mut blobs, &blob, labels);
            }
            for child in content.children {
                let label = label(place, &child);
                // Indexes of build caches list blobs.
                if !is_manifest(&child.media_type) {
                    note(&mut blobs, &child, [label]);
                } else if !seen.contains(&child.digest) {
                    note(&mut open, &child, [label]);
                }
            }
        }
    }
    let blobs: Vec<(Digest, Named)> = blobs.into_iter().collect();
    let lost = concurrency::try_over(&blobs, |(digest, named)| of_blob(registry, repository, digest, named));
    drift.extend(lost.await?.into_iter().flatten());
    Ok(drift)
}

/// Adds what `descriptor` names to `all`.
fn note(
    all: &mut BTreeMap<Digest, Named>,
    descriptor: &Descriptor,
    labels: impl IntoIterator<Item = String>,
) {
    let named = all.entry(descriptor.digest.clone()).or_default();
    named.labels.extend(labels);
    named.media_type = Some(descriptor.media_type.clone()).filter(|media_type| !media_type.is_empty());
    named.size = Some(descriptor.size);
}

/// What an entry of a list is for: as locked, else as the list says.
fn label(place: &Place, entry: &Descriptor) -> String {
    let locked = place.labels.get(&entry.digest).cloned();
    locked.unwrap_or_else(|| "attestation or other entry".to_owned())
}

async fn of_manifest(
    registry: &Registry,
    repository: &Repository,
    digest: &Digest,
    named: &Named,
) -> Result<Looked> {
    let (reference, what) = (repository.digest(digest), named.what());
    let only = |drift: Option<Drift>| Looked { drift: drift.into_iter().collect(), content: None };
    let gone = || match named.is_locked {
        true => Drift::ListGone(reference.clone()),
        false => Drift::ChildGone { child: reference.clone(), platform: what.clone() },
    };
    if digest.unverifiable().is_some() {
        // It cannot be hashed here; that it is there is all that can be known.
        let head = registry.head_manifest(repository, digest.as_str()).await?;
        return Ok(only(head.is_none().then(gone)));
    }
    let fetched = match registry.get_manifest(repository, digest.as_str()).await {
        Ok(Some(fetched)) => fetched,
        Ok(None) => return Ok(only(Some(gone()))),
        Err(error) if error.kind() == Kind::Corrupt => {
            let found = error.answer();
            return Ok(only(Some(Drift::Altered { manifest: reference, what, found })));
        }
        Err(error) => return Err(error.into()),
    };
    let drift = of_type(reference, what, named.media_type.as_ref(), &fetched);
    // A wrong type is said already; what the bytes name is looked for all the same.
    let read_as = named.media_type.as_ref().unwrap_or(&fetched.media_type);
    let content =
        Content::of(&fetched.bytes, read_as).map_err(|error| error.at(repository.digest(digest)))?;
    Ok(Looked { drift, content: Some((named.labels.clone(), content)) })
}

async fn of_blob(
    registry: &Registry,
    repository: &Repository,
    digest: &Digest,
    named: &Named,
) -> Result<Option<Drift>> {
    let head = registry.head_blob(repository, digest).await?;
    let (blob, what) = (repository.digest(digest), named.what());
    Ok(match (head, named.size) {
        (None, _) => Some(Drift::BlobGone { blob, what }),
        (Some(head), Some(locked)) if head.size.is_some_and(|size| size != locked) => {
            Some(Drift::BlobCut { blob, what, locked, found: head.size.unwrap_or_default() })
        }
        _ => None,
    })
}
