//! Everything that a repository shows: all its tags, and what they lead to. `unpublish` compares with it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use futures_util::future::try_join;

use super::budget::{Budget, MOST_CONTENTS};
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
    let budget = Budget::new(MOST_CONTENTS, u64::MAX, "");
    let reader = Reader { registry, repository, budget: &budget };
    let may_be_absent: Vec<&str> = names.iter().chain(gone).copied().collect();
    let tags = reader.tags(names, &may_be_absent);
    let (tags, left) = try_join(tags, reader.remains(left)).await?;
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
    reader.inner(&mut contents, known).await?;
    let roots: Vec<&Digest> =
        names.iter().filter_map(|name| contents.tags.get(*name)).chain(&contents.remains).collect();
    let mut open: BTreeSet<Digest> = contents.below(&roots).into_iter().map(|(inner, _)| inner).collect();
    let mut asked = BTreeSet::new();
    let (budget, what) = (&budget, || reader.what());
    let what = &what;
    // A referrer may have referrers of its own, as a signature of an attestation is one.
    while !open.is_empty() {
        asked.extend(open.iter().cloned());
        let read = concurrency::try_each(open.into_iter().map(|digest| async move {
            let referrers = registry.referrers(repository, &digest).await;
            let referrers = referrers.map_err(|error| {
                let reference = repository.digest(&digest);
                Failure::new(format!("what refers to {reference} cannot be read")).because(error)
            })?;
            budget.count(what, referrers.len())?;
            anyhow::Ok((digest, referrers))
        }))
        .await?;
        let subjects: Vec<Digest> = read.iter().map(|(subject, _)| subject.clone()).collect();
        for (subject, referrers) in read {
            contents.referrers.entry(subject).or_default().extend(referrers);
        }
        let found = subjects.iter().filter_map(|subject| contents.referrers.get(subject)).flatten();
        let found = found.map(|referrer| &referrer.digest);
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

/// What something names.
struct Named {
    digest: Digest,
    media_type: String,
}

impl From<&Descriptor> for Named {
    fn from(entry: &Descriptor) -> Self {
        Self { digest: entry.digest.clone(), media_type: entry.media_type.clone() }
    }
}

impl From<&Digest> for Named {
    fn from(digest: &Digest) -> Self {
        Self { digest: digest.clone(), media_type: String::new() }
    }
}

/// Reads one repository within one budget.
struct Reader<'a> {
    registry: &'a Registry,
    repository: &'a Repository,
    budget: &'a Budget,
}

impl Reader<'_> {
    /// The beginning of what is wrong with all of it.
    fn what(&self) -> String {
        format!("what other tags of {} need is not known: they lead to", self.repository)
    }

    /// The same, once it is counted with all that it names.
    fn paid(&self, read: Read) -> Result<Read> {
        let entries = read.leads.entries.as_ref().map_or(0, Vec::len);
        self.budget.count(|| self.what(), 1 + entries + read.leads.named.len())?;
        Ok(read)
    }

    /// Every tag with what it serves.
    async fn tags(&self, names: &[&str], may_be_absent: &[&str]) -> Result<Vec<(String, Read)>> {
        let Self { registry, repository, .. } = self;
        let mut open = registry.all_tags(repository, names.iter().copied()).await?;
        let mut found = Vec::new();
        // Lists of tags and manifests may come from different caches: an absent tag is looked up again when it is listed again.
        for _ in 0..2 {
            let read = concurrency::try_over(&open, |name| self.read(name)).await?;
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
    async fn remains(&self, left: &BTreeSet<Digest>) -> Result<Vec<Read>> {
        let left: Vec<&Digest> = left.iter().collect();
        let read = concurrency::try_over(&left, |digest| self.read(digest.as_str())).await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// Reads what lists and manifests of unknown types name, and what those name. What is not there holds nothing.
    async fn inner(&self, contents: &mut Contents, mut known: BTreeSet<Digest>) -> Result<()> {
        let entries = contents.lists.values().flatten().map(Named::from);
        let named = contents.named.values().flatten().map(Named::from);
        let mut open: BTreeMap<Digest, Named> =
            entries.chain(named).map(|named| (named.digest.clone(), named)).collect();
        open.retain(|digest, _| !known.contains(digest));
        while !open.is_empty() {
            let level: Vec<Named> = std::mem::take(&mut open).into_values().collect();
            known.extend(level.iter().map(|named| named.digest.clone()));
            let read = concurrency::try_over(&level, |named| self.named(named)).await?;
            for read in read.into_iter().flatten() {
                let entries = read.leads.entries.iter().flatten().map(Named::from);
                let named = entries.chain(read.leads.named.iter().map(Named::from));
                let named = named.filter(|named| !known.contains(&named.digest));
                open.extend(named.map(|named| (named.digest.clone(), named)));
                read.add_to(contents);
            }
        }
        Ok(())
    }

    /// What something names, if it is there.
    async fn named(&self, Named { digest, media_type }: &Named) -> Result<Option<Read>> {
        let unknown = || unknown(&self.repository.digest(digest));
        // The size that an entry gives does not count, nor the type, nor the one that it is served with.
        let named = Descriptor::new(media_type, digest.clone(), 0);
        let fetched = self.registry.named_manifest(self.repository, &named).await;
        let Some(fetched) = fetched.map_err(|error| unknown().because(error))? else { return Ok(None) };
        let read = Read::of(fetched, "").map_err(|error| unknown().because(error))?;
        Ok(Some(self.paid(read)?))
    }

    /// What `lookup`, a tag or a digest, serves; `None` when it is confirmed not to be there.
    async fn read(&self, lookup: &str) -> Result<Option<Read>> {
        let Self { registry, repository, .. } = self;
        let unknown = || {
            let separator = if lookup.contains(':') { '@' } else { ':' };
            unknown(&format!("{repository}{separator}{lookup}"))
        };
        let fetched =
            registry.manifest(repository, lookup).await.map_err(|error| unknown().because(error))?;
        let Some(fetched) = fetched else { return Ok(None) };
        let served = fetched.media_type.clone();
        let read = Read::of(fetched, &served).map_err(|error| unknown().because(error))?;
        Ok(Some(self.paid(read)?))
    }
}

fn unknown(reference: &impl std::fmt::Display) -> Failure {
    Failure::new(format!("what {reference} holds cannot be read"))
}
