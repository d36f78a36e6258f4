//! Deletes manifests by their digests, and writes them again.

use anyhow::Result;
use futures_util::future::join_all;

use super::{OnEvent, UnpublishEvent, UnpublishedPlace};
use crate::error::Failure;
use crate::model::digest::Digest;
use crate::plan::Restore;
use crate::registry::{Kind, Registry, RegistryError};

/// What a registry refused to delete.
type Refused<'a> = (&'a Digest, RegistryError);

/// Deletes `digests` side by side, and gives back what the registry refuses: some delete nothing that a list holds while
/// the list is there.
pub(super) async fn delete_all<'a>(
    registry: &Registry,
    digests: Vec<&'a Digest>,
    done: &mut UnpublishedPlace,
) -> Result<Vec<Refused<'a>>> {
    let repository = done.repository.clone();
    let results = digests.iter().map(|digest| registry.delete_manifest(&repository, digest.as_str()));
    let results = join_all(results).await;
    let (mut refused, mut failed) = (Vec::new(), None);
    for (digest, result) in digests.into_iter().zip(results) {
        match result {
            Ok(_) => done.manifests.push(digest.clone()),
            Err(error) if is_refusal(&error) => refused.push((digest, error)),
            Err(error) => {
                if error.is_open() {
                    done.open.push(repository.digest(digest));
                }
                failed = failed.or(Some(error));
            }
        }
    }
    failed.map_or(Ok(refused), |error| Err(error.into()))
}

/// Deletes a manifest whose tags the registry does not delete by their names.
pub(super) async fn delete_tagged(
    registry: &Registry,
    digest: &Digest,
    done: &mut UnpublishedPlace,
) -> Result<()> {
    match delete_all(registry, vec![digest], done).await?.pop() {
        Some((_, error)) if error.kind() == Kind::Unsupported => Err(cannot(&error)),
        Some((_, error)) => Err(error.into()),
        None => Ok(()),
    }
}

/// Tries again to delete what was refused, as long as that brings something, and gives back what is refused still.
pub(super) async fn delete_refused<'a>(
    registry: &Registry,
    mut refused: Vec<Refused<'a>>,
    done: &mut UnpublishedPlace,
) -> Result<Vec<Refused<'a>>> {
    loop {
        let digests: Vec<&Digest> = refused.iter().map(|(digest, _)| *digest).collect();
        let before = digests.len();
        refused = delete_all(registry, digests, done).await?;
        if refused.is_empty() || refused.len() == before {
            return Ok(refused);
        }
    }
}

/// Takes what a registry that deletes no manifests leaves for left, and every other refusal for an error.
pub(super) fn leave(refused: Vec<Refused<'_>>, done: &mut UnpublishedPlace) -> Result<()> {
    for (digest, error) in refused {
        match error.kind() {
            Kind::Unsupported => done.left.push(digest.clone()),
            _ => return Err(error.into()),
        }
    }
    Ok(())
}

/// Looks whether the manifests whose deletion the registry took are gone, of which `remains` were served at the last look.
pub(super) async fn confirm_deleted(
    registry: &Registry,
    remains: &[Digest],
    done: &mut UnpublishedPlace,
    on_event: OnEvent<'_>,
) -> Result<()> {
    let taken = std::mem::take(&mut done.manifests);
    let looks = taken.iter().map(|digest| async {
        match remains.contains(digest) {
            true => registry.confirm_deleted(&done.repository, digest.as_str(), digest).await,
            false => Ok(()),
        }
    });
    let looks = join_all(looks).await;
    let mut failed = None;
    for (digest, look) in taken.into_iter().zip(looks) {
        let reference = done.repository.digest(&digest);
        match look {
            Ok(()) => {
                on_event(UnpublishEvent::Deleted(reference));
                done.manifests.push(digest);
            }
            Err(error) => {
                done.open.push(reference);
                failed = failed.or(Some(error));
            }
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// Writes manifests again, each after what it holds. What the registry refuses is tried again after the others: some
/// take nothing whose subject is absent.
pub(super) async fn restore(
    registry: &Registry,
    restores: &[Restore],
    done: &mut UnpublishedPlace,
    on_event: OnEvent<'_>,
) -> Result<()> {
    let mut open: Vec<&Restore> = restores.iter().collect();
    loop {
        let mut refused: Vec<(&Restore, RegistryError)> = Vec::new();
        for one in &open {
            match write(registry, one, done).await {
                Ok(()) => {
                    let (digest, holder) = (one.kept.digest.clone(), one.needed_by.clone());
                    on_event(UnpublishEvent::Restored(done.repository.digest(&digest), holder.clone()));
                    done.manifests.retain(|deleted| *deleted != digest);
                    done.tags.retain(|tag| !one.tags.contains(tag));
                    done.restored.push((digest, holder));
                }
                Err(error) => refused.push((*one, error)),
            }
        }
        if refused.len() < open.len() {
            open = refused.into_iter().map(|(one, _)| one).collect();
            continue;
        }
        let Some((one, error)) = refused.into_iter().next() else { return Ok(()) };
        let (digest, holder) = (&one.kept.digest, &one.needed_by);
        return Err(Failure::new(format!("{digest} was deleted and cannot be written again, but {holder}"))
            .because(anyhow::Error::from(error))
            .into());
    }
}

async fn write(registry: &Registry, one: &Restore, done: &UnpublishedPlace) -> Result<(), RegistryError> {
    let Restore { kept, tags, .. } = one;
    registry.put_manifest(&done.repository, kept.digest.as_str(), &kept.media_type, &kept.bytes).await?;
    for tag in tags {
        // Somebody else may have signed it anew.
        if registry.head_manifest(&done.repository, tag).await?.is_none() {
            registry.put_manifest(&done.repository, tag, &kept.media_type, &kept.bytes).await?;
        }
    }
    Ok(())
}

/// Whether the registry does not delete this now, and may delete it once others are gone.
fn is_refusal(error: &RegistryError) -> bool {
    matches!(error.kind(), Kind::Unsupported | Kind::Denied | Kind::Rejected)
}

fn cannot(error: &RegistryError) -> anyhow::Error {
    Failure::new(format!("{} deletes nothing: {}", error.host(), error.answer()))
        .hint("its operator may have switched deletion off; else delete with the registry's own tools")
        .into()
}
