//! Everything that a repository shows: all its tags, and the lists behind them. `unpublish` compares with it.

use std::collections::BTreeSet;

use anyhow::Result;
use futures_util::future::{try_join, try_join_all};

use crate::content::Content;
use crate::digest::Digest;
use crate::error::Failure;
use crate::manifest::{self, Descriptor, Manifest, ManifestError};
use crate::media;
use crate::plan::Contents;
use crate::reference::Repository;
use crate::registry::{Fetched, Registry};

/// Reads all tags of `repository` and every list that they lead to, and what refers to anything that a tag of `names` or
/// one of the manifests `left` leads to; nothing of a repository that does not exist. Of `left`, which are looked up by
/// digest, those that are still served come back as [`Contents::remains`].
///
/// # Errors
///
/// As [`super::observe`]. One tag that cannot be read is an error: what it holds is not known then. So is a list of tags
/// that is known not to be whole.
pub async fn contents(
    registry: &Registry,
    repository: &Repository,
    names: &[&str],
    left: &BTreeSet<Digest>,
) -> Result<Contents> {
    let (tags, left) =
        try_join(tags(registry, repository, names), remains(registry, repository, left)).await?;
    let mut contents = Contents::empty(repository);
    for (digest, entries) in left {
        contents.remains.push(digest.clone());
        contents.lists.extend(entries.map(|entries| (digest, entries)));
    }
    for (name, digest, entries) in tags {
        contents.tags.insert(name, digest.clone());
        contents.lists.extend(entries.map(|entries| (digest, entries)));
    }
    read_inner_lists(registry, &mut contents).await?;
    let roots: Vec<&Digest> =
        names.iter().filter_map(|name| contents.tags.get(*name)).chain(&contents.remains).collect();
    let mut open: BTreeSet<Digest> = contents.below(&roots).into_iter().map(|(inner, _)| inner).collect();
    // A referrer may have referrers of its own, as a signature of an attestation is one.
    while !open.is_empty() {
        let read = try_join_all(open.into_iter().map(|digest| async move {
            let referrers = registry.referrers(repository, &digest).await;
            let referrers = referrers.map_err(|error| {
                let reference = repository.digest(&digest);
                Failure::new(format!("what refers to {reference} cannot be read")).because(error)
            })?;
            anyhow::Ok((digest, referrers))
        }))
        .await?;
        contents.referrers.extend(read);
        let found = contents.referrers.values().flatten().map(|referrer| &referrer.digest);
        open = found.filter(|digest| !contents.referrers.contains_key(digest)).cloned().collect();
    }
    Ok(contents)
}

/// A manifest with its entries, when it is a list.
type Read = (Digest, Option<Vec<Descriptor>>);

/// Every tag with what it serves.
async fn tags(
    registry: &Registry,
    repository: &Repository,
    known: &[&str],
) -> Result<Vec<(String, Digest, Option<Vec<Descriptor>>)>> {
    let names = registry.all_tags(repository, known.iter().copied()).await?;
    let read = names.iter().map(|name| async move {
        // One that went since the tags were listed holds nothing.
        let read = read(registry, repository, name).await?;
        anyhow::Ok(read.map(|(digest, entries)| (name.clone(), digest, entries)))
    });
    Ok(try_join_all(read).await?.into_iter().flatten().collect())
}

/// What is still served of `left`.
async fn remains(registry: &Registry, repository: &Repository, left: &BTreeSet<Digest>) -> Result<Vec<Read>> {
    let read = left.iter().map(|digest| read(registry, repository, digest.as_str()));
    Ok(try_join_all(read).await?.into_iter().flatten().collect())
}

/// Reads the lists within lists, and those within these.
async fn read_inner_lists(registry: &Registry, contents: &mut Contents) -> Result<()> {
    let repository = contents.repository.clone();
    loop {
        let inner = contents.lists.values().flatten();
        let inner: BTreeSet<Digest> = inner
            .filter(|entry| media::is_list(&entry.media_type) && !contents.lists.contains_key(&entry.digest))
            .map(|entry| entry.digest.clone())
            .collect();
        if inner.is_empty() {
            return Ok(());
        }
        let read = inner.into_iter().map(|digest| {
            let repository = &repository;
            async move {
                let read = read(registry, repository, digest.as_str()).await?;
                let entries = read.and_then(|(_, entries)| entries);
                anyhow::Ok((digest, entries.unwrap_or_default()))
            }
        });
        contents.lists.extend(try_join_all(read).await?);
    }
}

/// What `lookup`, a tag or a digest, serves; `None` when it is confirmed not to be there.
async fn read(registry: &Registry, repository: &Repository, lookup: &str) -> Result<Option<Read>> {
    let unknown = || {
        let separator = if lookup.contains(':') { '@' } else { ':' };
        Failure::new(format!("what {repository}{separator}{lookup} holds cannot be read"))
    };
    let fetched = registry.manifest(repository, lookup).await.map_err(|error| unknown().because(error))?;
    let Some(fetched) = fetched else { return Ok(None) };
    let entries = entries(&fetched).map_err(|error| unknown().because(error))?;
    Ok(Some((fetched.digest, entries)))
}

/// The entries of a list; `None` for what holds no manifests.
fn entries(fetched: &Fetched) -> Result<Option<Vec<Descriptor>>, ManifestError> {
    match manifest::parse(&fetched.bytes, &fetched.media_type) {
        Ok(Manifest::List(list)) => Ok(Some(list.entries)),
        Ok(Manifest::Image(_)) | Err(ManifestError::Schema1) => Ok(None),
        // A type that is not known here may list manifests all the same.
        Err(ManifestError::Unknown(_)) => {
            let children = Content::of(&fetched.bytes, &fetched.media_type)?.children;
            Ok(Some(children).filter(|children| !children.is_empty()))
        }
        Err(error @ (ManifestError::Malformed { .. } | ManifestError::Ambiguous(_))) => Err(error),
    }
}
