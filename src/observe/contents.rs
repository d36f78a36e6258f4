//! Everything that a repository shows: all its tags, and what they lead to. `unpublish` compares with it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use futures_util::future::try_join;

use crate::concurrency;
use crate::error::Failure;
use crate::model::content::Leads;
use crate::model::digest::Digest;
use crate::model::manifest::{Descriptor, ManifestError};
use crate::model::reference::Repository;
use crate::plan::Contents;
use crate::registry::{Fetched, Registry};

/// Reads all tags of `repository` and every manifest that they lead to, and what refers to anything that a tag of `names`
/// or one of the manifests `left` leads to; nothing of a repository that does not exist. Of `left`, which are looked up by
/// digest, those that are still served come back as [`Contents::remains`]. The tags `gone` were deleted: a list of tags may
/// have them yet.
///
/// # Errors
///
/// As [`super::observe`]. One tag that cannot be read is an error: what it holds is not known then. So is one that is
/// listed and not served, unless it is of `names` or `gone`, and a list of tags that is known not to be whole.
pub async fn contents(
    registry: &Registry,
    repository: &Repository,
    names: &[&str],
    gone: &[&str],
    left: &BTreeSet<Digest>,
) -> Result<Contents> {
    let may_be_absent: Vec<&str> = names.iter().chain(gone).copied().collect();
    let tags = tags(registry, repository, names, &may_be_absent);
    let (tags, left) = try_join(tags, remains(registry, repository, left)).await?;
    let mut contents = Contents::empty(repository);
    let mut known = BTreeSet::new();
    for read in left {
        contents.remains.push(read.digest.clone());
        known.insert(read.digest.clone());
        read.add_to(&mut contents);
    }
    for (name, read) in tags {
        contents.tags.insert(name, read.digest.clone());
        known.insert(read.digest.clone());
        read.add_to(&mut contents);
    }
    read_inner(registry, &mut contents, known).await?;
    let roots: Vec<&Digest> =
        names.iter().filter_map(|name| contents.tags.get(*name)).chain(&contents.remains).collect();
    let mut open: BTreeSet<Digest> = contents.below(&roots).into_iter().map(|(inner, _)| inner).collect();
    let mut asked = BTreeSet::new();
    // A referrer may have referrers of its own, as a signature of an attestation is one.
    while !open.is_empty() {
        asked.extend(open.iter().cloned());
        let read = concurrency::try_each(open.into_iter().map(|digest| async move {
            let referrers = registry.referrers(repository, &digest).await;
            let referrers = referrers.map_err(|error| {
                let reference = repository.digest(&digest);
                Failure::new(format!("what refers to {reference} cannot be read")).because(error)
            })?;
            anyhow::Ok((digest, referrers))
        }))
        .await?;
        for (subject, referrers) in read {
            contents.referrers.entry(subject).or_default().extend(referrers);
        }
        let found = contents.referrers.iter().filter(|(subject, _)| asked.contains(*subject));
        let found = found.flat_map(|(_, referrers)| referrers).map(|referrer| &referrer.digest);
        open = found.filter(|digest| !asked.contains(*digest)).cloned().collect();
    }
    Ok(contents)
}

/// A manifest, and what it leads to.
struct Read {
    digest: Digest,
    media_type: String,
    size: u64,
    leads: Leads,
}

impl Read {
    fn of(fetched: Fetched, served: &str) -> Result<Self, ManifestError> {
        let leads = Leads::of(&fetched.bytes, served)?;
        let (digest, size) = (fetched.digest, fetched.bytes.len() as u64);
        Ok(Self { digest, media_type: fetched.media_type, size, leads })
    }

    fn add_to(self, contents: &mut Contents) {
        let Self { digest, media_type, size, leads } = self;
        if let Some(subject) = leads.subject {
            let referrer = Descriptor::new(&media_type, digest.clone(), size);
            contents.referrers.entry(subject).or_default().push(referrer);
        }
        if !leads.named.is_empty() {
            contents.named.insert(digest.clone(), leads.named);
        }
        contents.lists.extend(leads.entries.map(|entries| (digest, entries)));
    }
}

/// Every tag with what it serves.
async fn tags(
    registry: &Registry,
    repository: &Repository,
    names: &[&str],
    may_be_absent: &[&str],
) -> Result<Vec<(String, Read)>> {
    let mut open = registry.all_tags(repository, names.iter().copied()).await?;
    let mut found = Vec::new();
    // Lists of tags and manifests may come from different caches: an absent tag is looked up again when it is listed again.
    for _ in 0..2 {
        let read = concurrency::try_over(&open, |name| read(registry, repository, name)).await?;
        let mut absent = BTreeSet::new();
        for (name, read) in open.into_iter().zip(read) {
            match read {
                Some(read) => found.push((name, read)),
                None if may_be_absent.contains(&name.as_str()) => {}
                None => drop(absent.insert(name)),
            }
        }
        open = Vec::new();
        if !absent.is_empty() {
            // Another run may have deleted it meanwhile.
            open = registry.tags(repository).await?.unwrap_or_default();
            open.retain(|name| absent.contains(name));
        }
    }
    match open.first() {
        None => Ok(found),
        Some(name) => {
            let reference = repository.tag(name);
            let unknown = format!(
                "what {reference} holds is not known: the registry lists the tag and does not serve it"
            );
            Err(Failure::new(unknown)
                .hint("run again; if the tag is broken for good, delete it with the registry's own tools")
                .into())
        }
    }
}

/// What is still served of `left`.
async fn remains(registry: &Registry, repository: &Repository, left: &BTreeSet<Digest>) -> Result<Vec<Read>> {
    let left: Vec<&Digest> = left.iter().collect();
    let read = concurrency::try_over(&left, |digest| read(registry, repository, digest.as_str())).await?;
    Ok(read.into_iter().flatten().collect())
}

/// Reads what lists and manifests of unknown types name, and what those name. What is not there holds nothing.
async fn read_inner(registry: &Registry, contents: &mut Contents, mut known: BTreeSet<Digest>) -> Result<()> {
    let repository = contents.repository.clone();
    loop {
        let entries = contents.lists.values().flatten().cloned();
        let named = contents.named.values().flatten().map(|digest| Descriptor::new("", digest.clone(), 0));
        let inner: BTreeMap<Digest, Descriptor> = entries
            .chain(named)
            .filter(|entry| !known.contains(&entry.digest))
            .map(|entry| (entry.digest.clone(), entry))
            .collect();
        if inner.is_empty() {
            return Ok(());
        }
        known.extend(inner.keys().cloned());
        let inner: Vec<Descriptor> = inner.into_values().collect();
        let read = concurrency::try_over(&inner, |entry| {
            let repository = &repository;
            async move {
                let unknown = || unknown(&repository.digest(&entry.digest));
                let fetched = registry.named_manifest(repository, entry).await;
                let fetched = fetched.map_err(|error| unknown().because(error))?;
                // Neither the type that the entry gives nor the one that it was served with counts.
                let read = |fetched: Fetched| Read::of(fetched, "").map_err(|error| unknown().because(error));
                Ok(fetched.map(read).transpose()?)
            }
        });
        for read in read.await?.into_iter().flatten() {
            read.add_to(contents);
        }
    }
}

/// What `lookup`, a tag or a digest, serves; `None` when it is confirmed not to be there.
async fn read(registry: &Registry, repository: &Repository, lookup: &str) -> Result<Option<Read>> {
    let unknown = || {
        let separator = if lookup.contains(':') { '@' } else { ':' };
        unknown(&format!("{repository}{separator}{lookup}"))
    };
    let fetched = registry.manifest(repository, lookup).await.map_err(|error| unknown().because(error))?;
    let Some(fetched) = fetched else { return Ok(None) };
    let served = fetched.media_type.clone();
    Ok(Some(Read::of(fetched, &served).map_err(|error| unknown().because(error))?))
}

fn unknown(reference: &impl std::fmt::Display) -> Failure {
    Failure::new(format!("what {reference} holds cannot be read"))
}
