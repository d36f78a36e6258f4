//! Carries out what `unpublish` planned: tags first, by name where the registry can, else by digest; then what only
//! they held. Registries have no conditional delete, so everything is read again between the two and once more at the
//! end: what another run's tag needs by then stays, or is written again from what was kept.

mod manifests;

use std::fmt::Write as _;

use anyhow::Result;
use futures_util::future::{join_all, try_join_all};

use self::manifests::{confirm_deleted, delete_all, delete_refused, delete_tagged, leave, restore};
use crate::error::{Exit, Failure, render};
use crate::model::digest::Digest;
use crate::model::reference::{Reference, Repository};
use crate::observe::contents;
use crate::plan::{Holder, Kept, UnpublishPlace, UnpublishPlan, unpublish_place};
use crate::registry::{Kind, Registry, RegistryError};

/// What became of one target's tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpublished {
    /// The target's name.
    pub target: String,
    /// One for each repository, in declaration order.
    pub places: Vec<UnpublishedPlace>,
}

/// What became of one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpublishedPlace {
    /// The repository.
    pub repository: Repository,
    /// Tags that are gone now.
    pub tags: Vec<String>,
    /// Manifests that are gone now.
    pub manifests: Vec<Digest>,
    /// Manifests that nothing holds any more, but that the registry does not delete.
    pub left: Vec<Digest>,
    /// Manifests that were to go and stay or are there again, because of a tag that was written since the plan was made.
    pub kept: Vec<(Digest, Holder)>,
    /// Manifests that were deleted, by this run or an earlier one, and written again because a tag needs them.
    pub restored: Vec<(Digest, Holder)>,
    /// What was to be deleted and may be gone or not: the registry gave no answer.
    pub open: Vec<Reference>,
}

/// A step that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnpublishEvent {
    /// It is gone.
    Deleted(Reference),
    /// It was deleted, and is there again.
    Restored(Reference, Holder),
}

type OnEvent<'a> = &'a (dyn Fn(UnpublishEvent) + Sync);

impl UnpublishedPlace {
    fn new(repository: &Repository) -> Self {
        Self {
            repository: repository.clone(),
            tags: Vec::new(),
            manifests: Vec::new(),
            left: Vec::new(),
            kept: Vec::new(),
            restored: Vec::new(),
            open: Vec::new(),
        }
    }

    /// Whether anything was done.
    fn is_touched(&self) -> bool {
        !(self.tags.is_empty()
            && self.manifests.is_empty()
            && self.restored.is_empty()
            && self.open.is_empty())
    }

    /// Whether anything is different from before, or may be: what this run deleted and restored is as it was.
    fn is_changed(&self, plan: &UnpublishPlace) -> bool {
        let planned = |(digest, _): &(Digest, Holder)| {
            plan.restores.iter().any(|restore| restore.kept.digest == *digest)
        };
        !(self.tags.is_empty() && self.manifests.is_empty() && self.open.is_empty())
            || self.restored.iter().any(planned)
    }

    /// For the account of a run that failed.
    fn account(&self) -> String {
        let tags = self.tags.iter().map(|tag| self.repository.tag(tag).to_string());
        let digests = self.manifests.iter().map(|digest| self.repository.digest(digest).to_string());
        let gone: Vec<String> = tags.chain(digests).collect();
        let mut text = match gone.is_empty() {
            true => "deleted nothing".to_owned(),
            false => format!("deleted {}", gone.join(", ")),
        };
        if !self.open.is_empty() {
            let open: Vec<String> = self.open.iter().map(ToString::to_string).collect();
            let _ = write!(text, "; perhaps deleted {}", open.join(", "));
        }
        for (digest, holder) in &self.restored {
            let _ = write!(text, "; restored {digest}, since {holder}");
        }
        text
    }
}

/// Reads the manifests that `plan` deletes, by repository, each with the tags that are named after another one.
///
/// # Errors
///
/// One cannot be read.
pub async fn keep(registry: &Registry, plan: &UnpublishPlan) -> Result<Vec<Vec<Kept>>> {
    try_join_all(plan.places.iter().map(|place| async move {
        let kept = try_join_all(place.going().map(|manifest| async move {
            let digest = &manifest.digest;
            // A list can name what the registry does not hold.
            let fetched = registry.manifest(&place.repository, digest.as_str()).await?;
            let companions = place.companions_at(digest).map(str::to_owned).collect();
            anyhow::Ok(fetched.map(|fetched| Kept {
                digest: digest.clone(),
                what: manifest.what.clone(),
                media_type: fetched.media_type,
                bytes: fetched.bytes.to_vec(),
                companions,
            }))
        }));
        Ok(kept.await?.into_iter().flatten().collect())
    }))
    .await
}

/// Restores and deletes what `plan` says; `kept` has for each repository what may be deleted. `on_event` hears of each
/// step that is done.
///
/// # Errors
///
/// Exit code 1 when nothing was deleted, 4 when something was or may have been; the other repositories are gone through
/// in any case.
pub async fn unpublish(
    registry: &Registry,
    plan: &UnpublishPlan,
    kept: &[Vec<Kept>],
    on_event: OnEvent<'_>,
) -> Result<Unpublished> {
    let results = join_all(plan.places.iter().zip(kept).map(|(place, kept)| async move {
        let mut done = UnpublishedPlace::new(&place.repository);
        let result = carry_out(registry, place, kept, &mut done, on_event).await;
        (done, result.err())
    }))
    .await;

    let (mut places, mut failures) = (Vec::new(), String::new());
    for (done, error) in results {
        if let Some(error) = error {
            let why = render(&error).trim_end().replace('\n', "\n    ");
            let _ = write!(failures, "\n  {}: {}\n    {why}", done.repository, done.account());
        }
        places.push(done);
    }
    if failures.is_empty() {
        return Ok(Unpublished { target: plan.target.clone(), places });
    }
    let failure = Failure::new(format!("target {} could not be unpublished{failures}", plan.target));
    let is_changed = places.iter().zip(&plan.places).any(|(done, plan)| done.is_changed(plan));
    Err(match is_changed {
        true => failure.hint("run again: it goes on with what remains").exit(Exit::Partial),
        false => failure,
    }
    .into())
}

async fn carry_out(
    registry: &Registry,
    place: &UnpublishPlace,
    kept: &[Kept],
    done: &mut UnpublishedPlace,
    on_event: OnEvent<'_>,
) -> Result<()> {
    if !place.is_change() {
        return Ok(());
    }
    restore(registry, &place.restores, done, on_event).await?;
    let result = delete(registry, place, kept, done, on_event).await;
    if !done.is_touched() {
        return result;
    }
    // However it ended: what was deleted may be needed by a tag that was written meanwhile.
    let again = restore_needed(registry, place, kept, done, on_event).await;
    match (result, again) {
        (Err(error), Err(second)) => Err(error.context(format!("{second:#}"))),
        (result, again) => result.and(again),
    }
}

/// Deletes the tags, then what only they held.
async fn delete(
    registry: &Registry,
    place: &UnpublishPlace,
    kept: &[Kept],
    done: &mut UnpublishedPlace,
    on_event: OnEvent<'_>,
) -> Result<()> {
    let repository = &place.repository;
    let declared: Vec<(&str, &Digest)> = place.declared().collect();
    try_join_all(declared.iter().map(|(tag, planned)| unmoved(registry, repository, tag, planned))).await?;
    // By name, which touches nothing else. Those that are not gone then go by digest, with their list.
    let mut by_digest = delete_tags(registry, declared, done, on_event).await?;

    let now = look_again(registry, place, &by_digest, kept, done).await?;
    for (tag, digest, answer) in &by_digest {
        if let Some(holder) = now.holder(digest) {
            return Err(Failure::new(format!(
                "{} deletes no tags ({answer}), and {} cannot be deleted by its digest {digest}: {holder} too",
                repository.host,
                repository.tag(tag),
            ))
            .hint("delete the tag with the registry's own tools, or unpublish what shares its digest first")
            .into());
        }
    }
    // What nobody kept is not deleted: it came after the plan.
    let is_kept = |digest: &Digest| kept.iter().any(|one| one.digest == *digest);
    let companions = now.companions().filter(|(_, digest)| is_kept(digest)).collect();
    by_digest.extend(delete_tags(registry, companions, done, on_event).await?);

    // A list that still has its tag goes before its images: nobody sees it without them.
    let is_tagged = |digest: &Digest| by_digest.iter().any(|(_, served, _)| *served == digest);
    for manifest in now.going().filter(|manifest| is_tagged(&manifest.digest) && is_kept(&manifest.digest)) {
        delete_tagged(registry, &manifest.digest, done).await?;
    }
    // Other lists go after their images. While they are there, a tag that another run writes is seen in between; once the
    // images are gone, that run is told so.
    let is_list = |digest: &Digest| kept.iter().any(|one| one.digest == *digest && one.is_list());
    let (lists, images): (Vec<&Digest>, Vec<&Digest>) = now
        .going()
        .map(|manifest| &manifest.digest)
        .filter(|digest| is_kept(digest) && !done.manifests.contains(digest))
        .partition(|digest| is_list(digest));
    let mut refused = delete_all(registry, images, done).await?;
    if !lists.is_empty() {
        let now = look_again(registry, place, &by_digest, kept, done).await?;
        refused.retain(|(digest, _)| now.holder(digest).is_none());
        for list in lists.into_iter().filter(|digest| now.holder(digest).is_none()) {
            refused.extend(delete_all(registry, vec![list], done).await?);
        }
    }
    let mut refused = delete_refused(registry, refused, done).await?;
    if !refused.is_empty() {
        // Another run may have published what holds them.
        let now = look_again(registry, place, &by_digest, kept, done).await?;
        refused.retain(|(digest, _)| now.holder(digest).is_none());
        leave(refused, done)?;
    }
    for (tag, digest, _) in by_digest {
        if let Err(error) = registry.confirm_deleted(repository, tag, digest).await {
            done.open.push(repository.tag(tag));
            return Err(error.into());
        }
        on_event(UnpublishEvent::Deleted(repository.tag(tag)));
        done.tags.push(tag.to_owned());
    }
    Ok(())
}

/// Reads everything again, and notes what stays by now. The tags `leaving`, which the registry does not delete by name,
/// hold nothing as long as they serve what they did.
async fn look_again(
    registry: &Registry,
    place: &UnpublishPlace,
    leaving: &[(&str, &Digest, String)],
    kept: &[Kept],
    done: &mut UnpublishedPlace,
) -> Result<UnpublishPlace> {
    let names: Vec<&str> = leaving.iter().map(|(tag, ..)| *tag).collect();
    let digests = kept.iter().map(|one| one.digest.clone()).collect();
    let now = contents(registry, &done.repository, &names, &place.names(), &digests).await?;
    let is_same = |(tag, digest, _): &&(&str, &Digest, String)| now.tags.get(*tag) == Some(*digest);
    let names: Vec<&str> = leaving.iter().filter(is_same).map(|(tag, ..)| *tag).collect();
    let now = unpublish_place(&now, &names, &[]);
    let stays = |digest: &Digest| Some((digest.clone(), now.holder(digest)?.clone()));
    let there = kept.iter().map(|one| &one.digest).filter(|digest| !done.manifests.contains(digest));
    done.kept = there.filter_map(stays).collect();
    Ok(now)
}

/// Writes again what was deleted and is needed by the tags as they are now, and looks whether the rest is gone.
async fn restore_needed(
    registry: &Registry,
    place: &UnpublishPlace,
    kept: &[Kept],
    done: &mut UnpublishedPlace,
    on_event: OnEvent<'_>,
) -> Result<()> {
    let digests = kept.iter().map(|one| one.digest.clone()).collect();
    let now = contents(registry, &done.repository, &[], &place.names(), &digests).await.map_err(|error| {
        Failure::new("whether another tag needs what was deleted is not known; it is kept until the next run")
            .because(error)
    })?;
    let needed = unpublish_place(&now, &[], kept);
    // What is there again was written by the run whose tag needs it.
    let is_kept =
        |digest: &Digest| now.remains.contains(digest).then(|| needed.holder(digest).cloned()).flatten();
    for digest in std::mem::take(&mut done.manifests) {
        match is_kept(&digest) {
            Some(holder) => done.kept.push((digest, holder)),
            None => done.manifests.push(digest),
        }
    }
    restore(registry, &needed.restores, done, on_event).await?;
    confirm_deleted(registry, &now.remains, done, on_event).await
}

/// Deletes tags by their names. Those that the registry does not delete so come back, with its answer.
async fn delete_tags<'a>(
    registry: &Registry,
    tags: Vec<(&'a str, &'a Digest)>,
    done: &mut UnpublishedPlace,
    on_event: OnEvent<'_>,
) -> Result<Vec<(&'a str, &'a Digest, String)>> {
    let repository = done.repository.clone();
    let results = tags.iter().map(|(tag, digest)| delete_tag(registry, &repository, tag, digest));
    let results = join_all(results).await;
    let (mut refused, mut failed) = (Vec::new(), None);
    for ((tag, digest), result) in tags.into_iter().zip(results) {
        match result {
            Ok(None) => {
                on_event(UnpublishEvent::Deleted(repository.tag(tag)));
                done.tags.push(tag.to_owned());
            }
            Ok(Some(answer)) => refused.push((tag, digest, answer)),
            Err(error) => {
                if error.is_open() {
                    done.open.push(repository.tag(tag));
                }
                failed = failed.or(Some(error));
            }
        }
    }
    failed.map_or(Ok(refused), |error| Err(error.into()))
}

/// Just before a tag goes it is looked up: one that moved since is somebody else's.
async fn unmoved(registry: &Registry, repository: &Repository, tag: &str, planned: &Digest) -> Result<()> {
    match registry.head_manifest(repository, tag).await? {
        Some(head) if head.digest != *planned => Err(Failure::new(format!(
            "{} was moved by somebody else: it served {planned} when the plan was made, and {} now",
            repository.tag(tag),
            head.digest
        ))
        .hint("run again to see what is there now")
        .into()),
        _ => Ok(()),
    }
}

/// Deletes a tag by its name. `Some` is the registry's answer when it does not do that.
async fn delete_tag(
    registry: &Registry,
    repository: &Repository,
    tag: &str,
    digest: &Digest,
) -> Result<Option<String>, RegistryError> {
    match registry.delete_manifest(repository, tag).await {
        Ok(true) => registry.confirm_deleted(repository, tag, digest).await.map(|()| None),
        // Some take a tag for a digest that they do not know.
        Ok(false) => {
            let there = registry.head_manifest(repository, tag).await?.is_some();
            Ok(there.then(|| "it says that there is no such thing".to_owned()))
        }
        Err(error) if error.kind() == Kind::Unsupported => Ok(Some(error.answer())),
        Err(error) => Err(error),
    }
}
