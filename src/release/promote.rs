//! Plans that publish what is published already: in another registry, or under another tag of its own. Reads only; what
//! they come to is carried out as any other plan.

use std::collections::BTreeSet;

use anyhow::Result;
use futures_util::future::try_join_all;

use crate::concurrency;
use crate::config::{Attestations, Declaration, Tag, TagPolicy};
use crate::error::{Exit, Failure};
use crate::invocation::program;
use crate::lock::{Lock, LockedTarget};
use crate::model::digest::Digest;
use crate::model::manifest::{self, Manifest};
use crate::model::media;
use crate::model::reference::Repository;
use crate::observe::{CopyState, observe_copy, served_at};
use crate::plan::{
    CopyPlan, CopyRole, EntryChange, EntryPlan, ObservedTag, PlacePlan, PlannedList, Problem, TagAction,
    TagPlan, TargetPlan,
};
use crate::registry::{Access, Registry};

/// Plans that publish the locked lists under the same names and tags in the registry at `host`, byte for byte.
///
/// # Errors
///
/// A list is not where the lock says, or a registry does not answer.
pub(crate) async fn to_registry(
    registry: &Registry,
    declaration: &Declaration,
    lock: &Lock,
    host: &str,
) -> Result<Vec<TargetPlan>> {
    if host.contains('/') {
        return Err(Failure::new(format!("`{host}` is no registry"))
            .hint("`--to` takes HOST or HOST:PORT; repositories keep their names there")
            .exit(Exit::Usage)
            .into());
    }
    concurrency::try_each(lock.targets.iter().map(|(name, target)| async move {
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
            let names: Vec<Tag> = tags
                .iter()
                .filter(|(_, digest)| *digest == list)
                .map(|(tag, _)| self::tag(declaration, name, tag))
                .collect();
            let (from, to) = (&from, &to);
            async move { place(registry, from, to, &list, &names).await }
        }))
        .await?;
        Ok(plan(name, places))
    }))
    .await
}

/// Plans that have `tag` serve what the tag `from` serves, in every repository of the lock; an immutable tag that serves
/// something else is a problem.
///
/// # Errors
///
/// A repository has no such list, or does not answer.
pub(crate) async fn moved_tag(
    registry: &Registry,
    declaration: &Declaration,
    lock: &Lock,
    from: &str,
    tag: &str,
) -> Result<Vec<TargetPlan>> {
    concurrency::try_each(lock.targets.iter().map(|(name, target)| async move {
        let places = try_join_all(target.repositories.keys().map(|repository| async move {
            let repository: Repository = repository.parse()?;
            registry.announce(&repository, Access::Push)?;
            let Some(head) = registry.head_manifest(&repository, from).await? else {
                return Err(Failure::new(format!("{} does not exist", repository.tag(from)))
                    .hint(format!("`{} tags {repository}` shows what the repository has", program()))
                    .into());
            };
            place(registry, &repository, &repository, &head.digest, &[self::tag(declaration, name, tag)])
                .await
        }))
        .await?;
        let mut plan = plan(name, places);
        plan.notes.extend(afterwards(declaration, &plan, tag));
        Ok(plan)
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

/// The tag with its policy; one that is not declared may move.
fn tag(declaration: &Declaration, target: &str, name: &str) -> Tag {
    declared(declaration, target, name)
        .cloned()
        .unwrap_or_else(|| Tag { name: name.to_owned(), policy: TagPolicy::Moving })
}

fn declared<'a>(declaration: &'a Declaration, target: &str, name: &str) -> Option<&'a Tag> {
    let target = declaration.targets.iter().find(|declared| declared.name == target)?;
    target.tags.iter().find(|tag| tag.name == name)
}

/// What becomes of a tag that was moved by hand.
fn afterwards(declaration: &Declaration, plan: &TargetPlan, tag: &str) -> Option<String> {
    if !plan.is_change() {
        return None;
    }
    Some(match declared(declaration, &plan.target, tag) {
        Some(_) => format!(
            "the declaration and the lock still say otherwise of `{tag}`: the next release moves it again, and `verify` \
             shows it until then"
        ),
        None => format!("`{tag}` is not declared: no release moves it"),
    })
}

/// The plan for these places; an immutable tag keeps what it serves.
fn plan(target: &str, places: Vec<PlacePlan>) -> TargetPlan {
    let problems = places.iter().flat_map(|place| {
        let blocked = place.tags.iter().filter(|tag| matches!(tag.action, TagAction::Blocked { .. }));
        blocked.map(|tag| {
            Problem::new(
                format!("{} is immutable and serves another list", place.repository.tag(&tag.name)),
                "promote to another tag, or declare this one as `{ name, policy = \"moving\" }`",
            )
        })
    });
    TargetPlan {
        target: target.to_owned(),
        problems: problems.collect(),
        places,
        references: Vec::new(),
        notes: Vec::new(),
    }
}

/// What it takes that `tags` of the repository `to` serve the list `digest`, which `from` has.
async fn place(
    registry: &Registry,
    from: &Repository,
    to: &Repository,
    digest: &Digest,
    tags: &[Tag],
) -> Result<PlacePlan> {
    let list = async {
        let Some(fetched) = registry.manifest(from, digest.as_str()).await? else {
            return Err(
                Failure::new(format!("{} is not in the registry any more", from.digest(digest))).into()
            );
        };
        let read = manifest::parse(&fetched.bytes, &fetched.media_type);
        match read.map_err(|error| error.at(from.digest(digest)))? {
            Manifest::List(list) => Ok((list, fetched.bytes)),
            Manifest::Image(_) => Err(anyhow::Error::from(Failure::new(format!(
                "{} is an image, not a list",
                from.digest(digest)
            )))),
        }
    };
    let tags = try_join_all(tags.iter().map(|tag| async move {
        let head = registry.head_manifest(to, &tag.name).await?;
        let action = match head {
            None => TagAction::Create { unseen: false },
            Some(head) if head.digest == *digest => TagAction::Unchanged { digest: head.digest },
            Some(head) if tag.policy == TagPolicy::Immutable => {
                TagAction::Blocked { from: Some(head.digest) }
            }
            Some(head) if media::is_list(&head.media_type) => TagAction::Replace { from: head.digest },
            Some(_) => replaced(to, &tag.name, served_at(registry, to, &tag.name).await?)?,
        };
        anyhow::Ok(TagPlan { name: tag.name.clone(), policy: tag.policy, action, release: None })
    }));
    let ((list, bytes), tags) = futures_util::future::try_join(list, tags).await?;
    let is_tagged = tags.iter().all(|tag| matches!(tag.action, TagAction::Unchanged { .. }));
    let state = if is_tagged { CopyState::Finished } else { CopyState::Unfinished };
    let copies = if from == to { Vec::new() } else { copies(registry, from, to, digest, state).await? };
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

/// What happens to a tag that does not serve a list. Only an image may be replaced by one.
fn replaced(repository: &Repository, tag: &str, served: ObservedTag) -> Result<TagAction> {
    let reference = repository.tag(tag);
    Ok(match served {
        ObservedTag::Absent => TagAction::Create { unseen: false },
        ObservedTag::List(list) => TagAction::Replace { from: list.descriptor.digest },
        ObservedTag::Image(image) => TagAction::ReplaceImage { from: image.digest },
        ObservedTag::Unreadable(answer) => {
            return Err(Failure::new(format!("{reference} cannot be read: {answer}")).into());
        }
        ObservedTag::Other { what, .. } => {
            return Err(Failure::new(format!("{reference} serves {what}, which a list would replace"))
                .hint("promote to another tag, or delete this one in the registry first if it is not needed")
                .into());
        }
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

/// What has to come into `to` before the list gets a tag, with what hangs on it.
async fn copies(
    registry: &Registry,
    from: &Repository,
    to: &Repository,
    list: &Digest,
    state: CopyState,
) -> Result<Vec<CopyPlan>> {
    let observed = observe_copy(registry, from, list, to, Attestations::Keep, state).await?;
    let observed = observed
        .ok_or_else(|| Failure::new(format!("{} is not in the registry any more", from.digest(list))))?;
    let copies = observed.missing().copies;
    // The list comes with its first tag, unless something hangs on it that a registry may not take before.
    let alone =
        !copies.iter().any(|copy| matches!(&copy.role, CopyRole::Referrer(subject) if subject == list));
    Ok(copies.into_iter().filter(|copy| !(alone && copy.manifest.digest == *list)).collect())
}
