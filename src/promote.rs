//! Plans that publish what is published already: in another registry, or under another tag of its own. Reads only; what
//! they come to is carried out as any other plan.

use std::collections::BTreeSet;

use anyhow::Result;
use futures_util::future::try_join_all;

use crate::config::{Attestations, TagPolicy};
use crate::digest::Digest;
use crate::error::{Exit, Failure};
use crate::lock::{Lock, LockedTarget};
use crate::manifest::{self, Manifest};
use crate::many;
use crate::observe::observe_copy;
use crate::plan::{CopyPlan, EntryChange, EntryPlan, PlacePlan, PlannedList, TagAction, TagPlan, TargetPlan};
use crate::reference::Repository;
use crate::registry::{Access, Registry};

/// Plans that publish the locked lists under the same names and tags in the registry at `host`, byte for byte.
///
/// # Errors
///
/// A list is not where the lock says, or a registry does not answer.
pub(crate) async fn to_registry(registry: &Registry, lock: &Lock, host: &str) -> Result<Vec<TargetPlan>> {
    many::try_each(lock.targets.iter().map(|(name, target)| async move {
        let (from, tags) = first(name, target)?;
        let to: Repository = format!("{host}/{}", from.path).parse()?;
        if to == from {
            let message = format!("{from} is in the registry {host} already");
            return Err(Failure::new(message).hint("`--to` names another one").exit(Exit::Usage).into());
        }
        registry.announce(&from, Access::Pull)?;
        registry.announce(&to, Access::Push)?;
        let tags: Vec<(String, Digest)> = tags.collect();
        let lists: BTreeSet<Digest> = tags.iter().map(|(_, list)| list.clone()).collect();
        let places = try_join_all(lists.into_iter().map(|list| {
            let names: Vec<String> =
                tags.iter().filter(|(_, digest)| *digest == list).map(|(name, _)| name.clone()).collect();
            let (from, to) = (&from, &to);
            async move { place(registry, from, to, &list, &names).await }
        }))
        .await?;
        Ok(plan(name, places))
    }))
    .await
}

/// Plans that have `tag` serve what the tag `from` serves, in every repository of the lock.
///
/// # Errors
///
/// A repository has no such list, or does not answer.
pub(crate) async fn moved_tag(
    registry: &Registry,
    lock: &Lock,
    from: &str,
    tag: &str,
) -> Result<Vec<TargetPlan>> {
    many::try_each(lock.targets.iter().map(|(name, target)| async move {
        let places = try_join_all(target.repositories.keys().map(|repository| async move {
            let repository: Repository = repository.parse()?;
            registry.announce(&repository, Access::Push)?;
            let Some(head) = registry.head_manifest(&repository, from).await? else {
                return Err(Failure::new(format!("{} does not exist", repository.tag(from)))
                    .hint("`tags` shows what the repository has")
                    .into());
            };
            place(registry, &repository, &repository, &head.digest, &[tag.to_owned()]).await
        }))
        .await?;
        Ok(plan(name, places))
    }))
    .await
}

/// The repository that a target is taken from, and its tags.
fn first<'a>(
    name: &str,
    target: &'a LockedTarget,
) -> Result<(Repository, impl Iterator<Item = (String, Digest)> + 'a)> {
    let Some((repository, tags)) = target.repositories.iter().next() else {
        return Err(Failure::new(format!("the lock has no repository of {name}")).into());
    };
    Ok((repository.parse()?, tags.iter().map(|(tag, digest)| (tag.clone(), digest.clone()))))
}

fn plan(target: &str, places: Vec<PlacePlan>) -> TargetPlan {
    TargetPlan { target: target.to_owned(), places, problems: Vec::new(), notes: Vec::new() }
}

/// What it takes that `names` of the repository `to` serve the list `digest`, which `from` has.
async fn place(
    registry: &Registry,
    from: &Repository,
    to: &Repository,
    digest: &Digest,
    names: &[String],
) -> Result<PlacePlan> {
    let list = async {
        let Some(fetched) = registry.manifest(from, digest.as_str()).await? else {
            return Err(
                Failure::new(format!("{} is not in the registry any more", from.digest(digest))).into()
            );
        };
        match manifest::parse(&fetched.bytes, &fetched.media_type)? {
            Manifest::List(list) => Ok((list, fetched.bytes)),
            Manifest::Image(_) => Err(anyhow::Error::from(Failure::new(format!(
                "{} is an image, not a list",
                from.digest(digest)
            )))),
        }
    };
    let tags = try_join_all(names.iter().map(|name| async move {
        let head = registry.head_manifest(to, name).await?;
        let action = match head {
            None => TagAction::Create { unseen: false },
            Some(head) if head.digest == *digest => TagAction::Unchanged { digest: head.digest },
            Some(head) => TagAction::Replace { from: head.digest },
        };
        anyhow::Ok(TagPlan { name: name.clone(), policy: TagPolicy::Moving, action, release: None })
    }));
    let ((list, bytes), tags) = futures_util::future::try_join(list, tags).await?;
    let copies = if from == to { Vec::new() } else { copies(registry, from, to, digest).await? };
    let entries = list.entries.iter().filter_map(entry).collect();
    let children = list.entries.iter().map(|entry| entry.digest.clone()).collect();
    let planned = PlannedList { bytes: bytes.to_vec(), digest: digest.clone(), kind: list.kind, children };
    Ok(PlacePlan {
        repository: to.clone(),
        entries,
        list_changes: Vec::new(),
        list: Some(planned),
        copies,
        tags,
    })
}

fn entry(entry: &manifest::Descriptor) -> Option<EntryPlan> {
    match entry.role() {
        manifest::Role::Image(platform) => {
            Some(EntryPlan { name: platform.to_string(), change: EntryChange::Keep { entry: entry.clone() } })
        }
        _ => None,
    }
}

/// What has to come into `to` before the list does, with what hangs on it.
async fn copies(
    registry: &Registry,
    from: &Repository,
    to: &Repository,
    list: &Digest,
) -> Result<Vec<CopyPlan>> {
    let observed = observe_copy(registry, from, list, to, Attestations::Keep).await?;
    let copies = observed.map(|observed| observed.missing().copies).unwrap_or_default();
    Ok(copies.into_iter().filter(|copy| copy.manifest.digest != *list).collect())
}
