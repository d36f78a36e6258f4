//! Brings manifests into a repository, with their blobs and what hangs on them: by a mount where it can be, else byte
//! by byte.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use bytes::Bytes;
use futures_util::future::try_join_all;

use crate::concurrency;
use crate::error::Failure;
use crate::events::{Event, Events};
use crate::model::content::{Content, is_manifest};
use crate::model::digest::Digest;
use crate::model::manifest::Descriptor;
use crate::model::reference::Repository;
use crate::plan::{CopyPlan, CopyRole, CopyStage};
use crate::registry::{Registry, RegistryError};

/// A manifest on its way.
struct Fetched<'a> {
    copy: &'a CopyPlan,
    bytes: Bytes,
    content: Content,
}

/// Brings everything that `copies` name into `to`: all blobs side by side, then the manifests, stage by stage. A stop
/// anywhere leaves no manifest without what hangs on it.
///
/// # Errors
///
/// Something is no longer where it was when this was planned, or the registry refuses it.
pub async fn bring(registry: &Registry, copies: &[CopyPlan], to: &Repository, events: &Events) -> Result<()> {
    if copies.is_empty() {
        return Ok(());
    }
    let fetched = concurrency::try_over(copies, |copy| fetch(registry, copy)).await?;
    bring_blobs(registry, &fetched, to).await?;
    let mut waiting: Vec<&Fetched<'_>> = Vec::new();
    for stage in CopyStage::ALL {
        let now: Vec<_> = fetched.iter().filter(|one| one.copy.stage() == stage).collect();
        let written = now.iter().map(|one| write(registry, one, to, events));
        match stage {
            CopyStage::Referrers => waiting = hang(registry, &now, &fetched, to, events).await?,
            // A list in a list: the planned order has the inner one first.
            CopyStage::PartLists | CopyStage::Lists => {
                for one in written {
                    one.await?;
                }
            }
            CopyStage::Parts | CopyStage::Images => drop(try_join_all(written).await?),
        }
    }
    // What they refer to is there by now, under its digest only: tags are written after all of this.
    while !waiting.is_empty() {
        waiting = hang(registry, &waiting, waiting.iter().copied(), to, events).await?;
    }
    Ok(())
}

/// Writes what hangs on something, and gives what the registry does not take yet: some take no referrer before its
/// subject (GitLab answers 404 `MANIFEST_BLOB_UNKNOWN`), which is one of `coming`.
async fn hang<'a, 'c: 'a>(
    registry: &Registry,
    now: &[&'a Fetched<'c>],
    coming: impl IntoIterator<Item = &'a Fetched<'c>>,
    to: &Repository,
    events: &Events,
) -> Result<Vec<&'a Fetched<'c>>> {
    let coming: BTreeSet<&Digest> = coming.into_iter().map(|one| &one.copy.manifest.digest).collect();
    let coming = &coming;
    let written = now.iter().map(|one| async move {
        match (try_to_write(registry, one, to, events).await?, &one.copy.role) {
            (Ok(()), _) => anyhow::Ok(true),
            (Err(error), CopyRole::Referrer(subject))
                if error.lacks_content() && coming.contains(subject) =>
            {
                Ok(false)
            }
            (Err(error), _) => Err(error.into()),
        }
    });
    let written = try_join_all(written).await?;
    let is_written = |wanted: bool| {
        let all = now.iter().zip(&written).filter(move |(_, written)| **written == wanted);
        all.map(|(one, _)| *one).collect::<Vec<_>>()
    };
    attach(registry, &is_written(true), to).await?;
    Ok(is_written(false))
}

async fn fetch<'a>(registry: &Registry, copy: &'a CopyPlan) -> Result<Fetched<'a>> {
    let fetched = registry.named_manifest(&copy.from, &copy.manifest).await?.ok_or_else(|| {
        Failure::new(format!("{} is no longer there", copy.from.digest(&copy.manifest.digest)))
            .hint("somebody deleted it since the plan was made; run again")
    })?;
    let reference = || copy.from.digest(&copy.manifest.digest);
    // It is written as what names it says that it is.
    let content =
        Content::of(&fetched.bytes, &copy.manifest.media_type).map_err(|error| error.at(reference()))?;
    if let CopyRole::Referrer(subject) = &copy.role
        && content.subject.as_ref() != Some(subject)
    {
        let says = match &content.subject {
            Some(other) => format!("it refers to {other}"),
            None => "it refers to nothing".to_owned(),
        };
        return Err(Failure::new(format!(
            "{} is listed as a referrer of {subject}, and says that {says}",
            reference()
        ))
        .hint("leave referrers behind with `attestations = \"drop\"`")
        .into());
    }
    Ok(Fetched { copy, bytes: fetched.bytes, content })
}

async fn bring_blobs(registry: &Registry, all: &[Fetched<'_>], to: &Repository) -> Result<()> {
    let blobs = all.iter().flat_map(|one| {
        // Some indexes, those of build caches, list blobs.
        let listed = one.content.children.iter().filter(|child| !is_manifest(&child.media_type));
        one.content.blobs.iter().chain(listed).map(|blob| (&one.copy.from, blob))
    });
    let blobs: Vec<(&Repository, &Descriptor)> = blobs.collect();
    concurrency::try_over(&blobs, |(from, blob)| async move {
        Ok(registry.copy_blob(from, to, &blob.digest, blob.size).await?)
    })
    .await?;
    Ok(())
}

async fn write(registry: &Registry, one: &Fetched<'_>, to: &Repository, events: &Events) -> Result<()> {
    Ok(try_to_write(registry, one, to, events).await??)
}

/// The inner error is the registry's answer to the manifest.
async fn try_to_write(
    registry: &Registry,
    one: &Fetched<'_>,
    to: &Repository,
    events: &Events,
) -> Result<Result<(), RegistryError>> {
    let Descriptor { digest, media_type, .. } = &one.copy.manifest;
    let reference = match &one.copy.role {
        CopyRole::Tagged(tag) => {
            // Planned because nothing was there; somebody else's signatures are not written over.
            match registry.head_manifest(to, tag).await? {
                Some(head) if head.digest == *digest => return Ok(Ok(())),
                Some(head) => {
                    let reference = to.tag(tag);
                    let found = head.digest;
                    return Err(Failure::new(format!(
                        "{reference} was written by somebody else: it served nothing when the plan was made, and {found} now"
                    ))
                    .hint("run again to plan against what is there now")
                    .into());
                }
                None => to.tag(tag),
            }
        }
        _ => to.digest(digest),
    };
    let put = registry.put_manifest(to, reference.lookup(), media_type, &one.bytes).await;
    if put.is_ok() {
        events.tell(Event::Copied(&to.digest(digest)));
    }
    Ok(put.map(drop))
}

/// Sees to it that referrers are found from what they refer to.
async fn attach(registry: &Registry, written: &[&Fetched<'_>], to: &Repository) -> Result<()> {
    let mut by_subject: BTreeMap<&Digest, Vec<Descriptor>> = BTreeMap::new();
    for one in written {
        if let CopyRole::Referrer(subject) = &one.copy.role {
            by_subject.entry(subject).or_default().push(one.content.as_referrer(&one.copy.manifest));
        }
    }
    let attached = by_subject.iter().map(|(subject, all)| registry.attach_referrers(to, subject, all));
    try_join_all(attached).await?;
    Ok(())
}
