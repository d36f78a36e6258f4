//! Whether registries still serve what the lock says, every child included. Reads only.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::Result;
use futures_util::future::{try_join, try_join_all};
use serde_json::{Value, json};

use crate::concurrency;
use crate::lock::{Lock, LockedTarget};
use crate::model::digest::Digest;
use crate::model::manifest::{self, Manifest};
use crate::model::reference::{Reference, Repository};
use crate::registry::Registry;

/// Something that is not as the lock says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Drift {
    /// A tag serves something else.
    Moved {
        /// The tag.
        tag: Reference,
        /// What the lock says.
        locked: Digest,
        /// What it serves.
        found: Digest,
    },
    /// A tag does not exist any more.
    TagGone {
        /// The tag.
        tag: Reference,
        /// What the lock says.
        locked: Digest,
    },
    /// A list does not exist any more.
    ListGone(Reference),
    /// An image or attestation of a list does not exist any more.
    ChildGone {
        /// The image.
        child: Reference,
        /// What it is for.
        platform: String,
    },
}

impl Drift {
    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Moved { tag, locked, found } => {
                json!({ "drift": "moved", "reference": tag.to_string(), "locked": locked, "found": found })
            }
            Self::TagGone { tag, locked } => {
                json!({ "drift": "tag gone", "reference": tag.to_string(), "locked": locked })
            }
            Self::ListGone(list) => json!({ "drift": "list gone", "reference": list.to_string() }),
            Self::ChildGone { child, platform } => {
                json!({ "drift": "image gone", "reference": child.to_string(), "platform": platform })
            }
        }
    }
}

impl fmt::Display for Drift {
    /// As lines of a diff: `-` is what the lock says, `+` what the registry serves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved { tag, locked, found } => write!(f, "- {tag} {locked}\n+ {tag} {found}"),
            Self::TagGone { tag, locked } => write!(f, "- {tag} {locked}"),
            Self::ListGone(list) => write!(f, "- {list} (list)"),
            Self::ChildGone { child, platform } => write!(f, "- {child} ({platform})"),
        }
    }
}

/// Everything in which registries differ from `lock`, sorted.
///
/// # Errors
///
/// A registry does not answer: that is no drift.
pub(crate) async fn verify(registry: &Registry, lock: &Lock) -> Result<Vec<Drift>> {
    let places = lock
        .targets
        .values()
        .flat_map(|target| target.repositories.iter().map(move |(name, tags)| (target, name, tags)));
    let drift = places.map(|(target, name, tags)| async move {
        let repository: Repository = name.parse()?;
        let lists: BTreeSet<&Digest> = tags.values().collect();
        let tags = tags.iter().map(|(tag, locked)| of_tag(registry, repository.tag(tag), locked));
        let lists = lists.into_iter().map(|list| of_list(registry, &repository, list, target));
        let (tags, lists) = try_join(try_join_all(tags), try_join_all(lists)).await?;
        anyhow::Ok(tags.into_iter().flatten().chain(lists.into_iter().flatten()).collect::<Vec<_>>())
    });
    let mut drift: Vec<Drift> = concurrency::try_each(drift).await?.into_iter().flatten().collect();
    drift.sort();
    Ok(drift)
}

async fn of_tag(registry: &Registry, tag: Reference, locked: &Digest) -> Result<Option<Drift>> {
    let head = registry.head_manifest(&tag.repository, tag.lookup()).await?;
    let locked = locked.clone();
    Ok(match head {
        None => Some(Drift::TagGone { tag, locked }),
        Some(head) if head.digest != locked => Some(Drift::Moved { tag, locked, found: head.digest }),
        Some(_) => None,
    })
}

async fn of_list(
    registry: &Registry,
    repository: &Repository,
    digest: &Digest,
    locked: &LockedTarget,
) -> Result<Vec<Drift>> {
    let Some(fetched) = registry.manifest(repository, digest.as_str()).await? else {
        return Ok(vec![Drift::ListGone(repository.digest(digest))]);
    };
    let read = manifest::parse(&fetched.bytes, &fetched.media_type)
        .map_err(|error| error.at(repository.digest(digest)))?;
    let Manifest::List(list) = read else {
        return Ok(Vec::new());
    };
    let platforms: &BTreeMap<_, _> =
        &locked.images.iter().map(|(platform, image)| (&image.digest, platform)).collect();
    let children = concurrency::try_over(&list.entries, |entry| async move {
        let head = registry.head_manifest(repository, entry.digest.as_str()).await?;
        let platform = platforms.get(&entry.digest);
        let platform = platform.map_or("attestation or other entry", |platform| platform.as_str());
        let gone =
            || Drift::ChildGone { child: repository.digest(&entry.digest), platform: platform.to_owned() };
        anyhow::Ok(head.is_none().then(gone))
    });
    Ok(children.await?.into_iter().flatten().collect())
}
