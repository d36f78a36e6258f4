//! Everything that a repository shows: all its tags, and the lists behind them. `unpublish` compares with it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use futures_util::future::try_join_all;

use crate::config::Target;
use crate::content::Content;
use crate::digest::Digest;
use crate::error::Failure;
use crate::manifest::{self, Descriptor, Manifest, ManifestError};
use crate::media;
use crate::plan::Contents;
use crate::reference::{Reference, Repository};
use crate::registry::{Fetched, Registry};

/// Reads all tags of `repository` and every list that they lead to, and what refers to anything that a tag of `target`
/// leads to; nothing of a repository that does not exist.
///
/// # Errors
///
/// As [`super::observe`]. One tag that cannot be read is an error: what it holds is not known then. So is a list of tags
/// that is known not to be whole.
pub async fn contents(registry: &Registry, repository: &Repository, target: &Target) -> Result<Contents> {
    let declared = target.tags.iter().map(|tag| tag.name.as_str());
    let names = registry.all_tags(repository, declared).await?;
    let mut contents = tags_and_lists(registry, repository, &names).await?;
    let roots = target.tags.iter().filter_map(|tag| contents.tags.get(&tag.name));
    let mut open: BTreeSet<Digest> = roots
        .flat_map(|root| contents.below(root).into_iter().map(|(inner, _)| inner).chain([root.clone()]))
        .collect();
    // A referrer may have referrers of its own, as a signature of an attestation is one.
    while !open.is_empty() {
        let read = try_join_all(open.into_iter().map(|digest| async move {
            let referrers = registry.referrers(repository, &digest).await;
            let referrers = referrers.map_err(|error| unknown(&repository.digest(&digest)).because(error))?;
            anyhow::Ok((digest, referrers))
        }))
        .await?;
        contents.referrers.extend(read);
        let found = contents.referrers.values().flatten().map(|referrer| &referrer.digest);
        open = found.filter(|digest| !contents.referrers.contains_key(digest)).cloned().collect();
    }
    Ok(contents)
}

async fn tags_and_lists(registry: &Registry, repository: &Repository, names: &[String]) -> Result<Contents> {
    let read = try_join_all(names.iter().map(|name| async move {
        let unknown = || unknown(&repository.tag(name));
        let fetched = registry.manifest(repository, name).await.map_err(|error| unknown().because(error))?;
        // One that went since the tags were listed holds nothing.
        let Some(fetched) = fetched else { return anyhow::Ok(None) };
        let entries = entries(&fetched).map_err(|error| unknown().because(error))?;
        Ok(Some((name.clone(), fetched.digest, entries)))
    }))
    .await?;

    let mut contents = Contents {
        repository: repository.clone(),
        tags: BTreeMap::new(),
        lists: BTreeMap::new(),
        referrers: BTreeMap::new(),
    };
    for (name, digest, entries) in read.into_iter().flatten() {
        contents.tags.insert(name, digest.clone());
        contents.lists.extend(entries.map(|entries| (digest, entries)));
    }
    loop {
        let inner = contents.lists.values().flatten();
        let inner: BTreeSet<Digest> = inner
            .filter(|entry| media::is_list(&entry.media_type) && !contents.lists.contains_key(&entry.digest))
            .map(|entry| entry.digest.clone())
            .collect();
        if inner.is_empty() {
            return Ok(contents);
        }
        let read = try_join_all(inner.into_iter().map(|digest| async move {
            let unknown = || unknown(&repository.digest(&digest));
            let fetched = registry.manifest(repository, digest.as_str()).await;
            let entries = match fetched.map_err(|error| unknown().because(error))? {
                Some(fetched) => entries(&fetched).map_err(|error| unknown().because(error))?,
                None => None,
            };
            anyhow::Ok((digest, entries.unwrap_or_default()))
        }))
        .await?;
        contents.lists.extend(read);
    }
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

fn unknown(reference: &Reference) -> Failure {
    Failure::new(format!("what {reference} holds cannot be read, so nothing is deleted"))
}
