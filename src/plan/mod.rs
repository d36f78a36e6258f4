//! Declared + observed → what will be done. Pure: it reads nothing, knows neither time nor tokio, and the same values
//! give the same plan. Previewing and applying consume the same [`TargetPlan`].

mod copies;
mod entries;
mod images;
mod list;
mod newest;
mod observed;
mod pin;
mod references;
mod tags;
mod unpublish;
mod version;

use std::collections::{BTreeMap, BTreeSet};

pub use copies::{
    CopyPlan, CopyRole, CopyStage, Missing, ObservedCopy, ReferrerManifest, Referrers, missing,
};
pub use entries::{EntryChange, EntryPlan};
pub use images::{disagreement, entry};
pub use newest::{Release, VERSION};
pub use observed::{
    FoundImage, ObservedImage, ObservedPlace, ObservedTag, ObservedTarget, PublishedList, Released,
};
pub use pin::{Evidence, Pin, pin};
pub use references::{ReferencePlan, Unserved};
pub use tags::{TagAction, TagPlan};
pub(crate) use unpublish::unpublish_place;
pub use unpublish::{
    Contents, Holder, Kept, ManifestRemoval, Restore, TagRemoval, UnpublishPlace, UnpublishPlan, unpublish,
};
pub use version::{ComparableVersion, NotComparable};

use crate::config::{Attestations, Format, Tag, TagPolicy, Target, Undeclared};
use crate::model::digest::Digest;
use crate::model::manifest::{Descriptor, List, ListKind};
use crate::model::media;
use crate::model::reference::{Reference, Repository};

/// What a run was asked for beyond the declaration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `--first-publish`: a tag that the registry refuses to show does not exist yet.
    pub first_publish: bool,
    /// Whether the command that plans takes `--first-publish`, so that its hints may say so.
    pub takes_first_publish: bool,
}

/// What will be done for one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetPlan {
    /// The target's name.
    pub target: String,
    /// One for each repository, in declaration order.
    pub places: Vec<PlacePlan>,
    /// Declared references of images that are there and that they do not serve yet.
    pub references: Vec<ReferencePlan>,
    /// Why nothing can be published; empty when it can.
    pub problems: Vec<Problem>,
    /// What a reviewer should know besides.
    pub notes: Vec<String>,
}

/// What will be done in one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacePlan {
    /// The repository.
    pub repository: Repository,
    /// Declared entries in declaration order, then those that only the published list has.
    pub entries: Vec<EntryPlan>,
    /// What differs in the list itself: its type, its annotations.
    pub list_changes: Vec<String>,
    /// The list to serve; `None` while an image of it is still to be built, or when there are problems.
    pub list: Option<PlannedList>,
    /// Manifests that must be brought into the repository before the list.
    pub copies: Vec<CopyPlan>,
    /// One for each tag, in declaration order.
    pub tags: Vec<TagPlan>,
}

/// A list as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedList {
    /// What will be served, byte for byte.
    pub bytes: Vec<u8>,
    /// Its digest.
    pub digest: Digest,
    /// Which kind of list it is.
    pub kind: ListKind,
    /// The digests of all its entries.
    pub children: Vec<Digest>,
}

/// Why nothing can be published, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What was found and what was expected, on which reference.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}

impl AsRef<Self> for TargetPlan {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl TargetPlan {
    /// Says of images that are still to be built why they are, by their position.
    pub fn explain(&mut self, reasons: &BTreeMap<usize, String>) {
        for (index, reason) in reasons {
            let entries = self.places.iter_mut().filter_map(|place| place.entries.get_mut(*index));
            for entry in entries {
                if let EntryChange::Pending { why, .. } = &mut entry.change {
                    *why = vec![reason.clone()];
                }
            }
        }
    }

    /// Whether applying would write to a registry, as far as is known now: a pending image counts.
    pub fn is_change(&self) -> bool {
        !self.references.is_empty() || self.places.iter().any(PlacePlan::is_change)
    }

    /// Whether an image is still to be built, so that digests are not known yet.
    pub fn is_pending(&self) -> bool {
        self.problems.is_empty() && self.places.iter().any(|place| place.list.is_none())
    }
}

impl PlacePlan {
    /// Whether something is to be written here.
    pub fn is_change(&self) -> bool {
        self.list.is_none() || !self.copies.is_empty() || self.tags.iter().any(|tag| tag.action.is_write())
    }
}

/// Compares `target` with what was `observed` and decides, entry by entry and tag by tag.
///
/// `observed` must have been made for this very target: images and tags correspond by position.
pub fn plan(target: &Target, observed: &ObservedTarget, options: Options) -> TargetPlan {
    let mut problems = images::problems(target, observed);
    let mut notes = Vec::new();
    let kind = kind(target, observed, &mut problems);
    if observed.first_published(target).is_some_and(|published| published.list.kind != kind) {
        notes.push(format!("the list becomes an {} of type {}", kind.name(), kind.media_type()));
    }

    let places = observed
        .places
        .iter()
        .map(|place| plan_place(target, observed, place, kind, options, (&mut problems, &mut notes)))
        .collect::<Vec<_>>();
    notes.extend(places.iter().zip(&observed.places).flat_map(|(plan, place)| tags::notes(plan, place)));
    problems.sort_by(|a, b| a.message.cmp(&b.message));
    problems.dedup();
    let references = references::plan_references(target, observed, places.first());
    let mut plan = TargetPlan { target: target.name.clone(), places, references, problems, notes };
    if !plan.problems.is_empty() {
        plan.references.clear();
        for place in &mut plan.places {
            place.list = None;
            place.copies.clear();
        }
    }
    plan
}

impl ObservedTarget {
    /// The list that decides the type under `format = "auto"`: the first served, in declaration order.
    fn first_published(&self, target: &Target) -> Option<&PublishedList> {
        self.places.iter().find_map(|place| place.baseline(target))
    }

    fn attested(&self) -> impl Iterator<Item = &FoundImage> {
        self.images.iter().filter_map(|image| match image {
            ObservedImage::Found(found) if !found.attestations.is_empty() => Some(found),
            _ => None,
        })
    }
}

impl ObservedPlace {
    /// The list that entries are compared with: that of the first tag that serves one. A tag that stays at a newer
    /// release says nothing about this one.
    pub fn baseline(&self, target: &Target) -> Option<&PublishedList> {
        let tags = target.tags.iter().zip(&self.tags);
        tags.filter(|(tag, observed)| tags::stays(target, self, tag, observed).is_none())
            .find_map(|(_, observed)| observed.list())
    }
}

/// The list's type, by `format` and what is there.
fn kind(target: &Target, observed: &ObservedTarget, problems: &mut Vec<Problem>) -> ListKind {
    let annotated =
        !target.annotations.is_empty() || target.images.iter().any(|image| !image.annotations.is_empty());
    let attested = target.attestations == Attestations::Keep && observed.attested().next().is_some();
    let published = observed.first_published(target).map(|published| published.list.kind);
    let kind = match target.format {
        Format::Docker => ListKind::Docker,
        Format::Oci => ListKind::Oci,
        // Attestations are entries with annotations, which a Docker list has no place for.
        Format::Auto if attested => ListKind::Oci,
        Format::Auto => published.unwrap_or_else(|| {
            let all_docker = observed.images.iter().all(|image| match image {
                ObservedImage::Found(found) => found.descriptor.media_type == media::DOCKER_IMAGE,
                _ => true,
            });
            if all_docker && !annotated { ListKind::Docker } else { ListKind::Oci }
        }),
    };
    if kind == ListKind::Docker && annotated {
        problems.push(Problem::new(
            format!(
                "target {} declares annotations, but its list is a Docker manifest list, which has none",
                target.name
            ),
            "set `format = \"oci\"` to publish an image index, or leave the annotations out",
        ));
    }
    if kind == ListKind::Docker && attested {
        problems.push(Problem::new(
            format!(
                "images of target {} come with attestations, which a Docker manifest list cannot hold",
                target.name
            ),
            "set `format = \"oci\"`, or leave them out with `attestations = \"drop\"`",
        ));
    }
    kind
}

fn plan_place(
    target: &Target,
    observed: &ObservedTarget,
    place: &ObservedPlace,
    kind: ListKind,
    options: Options,
    (problems, notes): (&mut Vec<Problem>, &mut Vec<String>),
) -> PlacePlan {
    let baseline = place.baseline(target);
    let declared = images::declared_entries(target, observed);
    let published = baseline.map(|published| &published.list);
    let entries = entries::compare(&declared, published, target.undeclared, &observed.known);
    problems.extend(undecided(target, place, &entries));
    notes.extend(entries.iter().filter_map(|entry| entry.lost_with_the_image(&place.repository)));

    let settled = declared.iter().all(|entry| entry.descriptor.is_some());
    let desired = settled.then(|| list::build(target, observed, kind, &entries, baseline));
    let same = desired.as_ref().filter(|desired| place.all_serve(desired, target));
    // What differs is told of the list that will be written; while that is not known, as far as it is.
    let (list, written) = match &desired {
        Some(_) if same.is_some() => (baseline.map(PlannedList::published), None),
        Some(desired) => match place.held_by_immutable(desired, target) {
            Some(held) => (Some(PlannedList::published(held)), Some(&held.list)),
            None => (Some(desired.planned()), Some(desired)),
        },
        None => (None, None),
    };
    let list_changes =
        published.map(|published| list::changes(target, kind, published, written)).unwrap_or_default();
    let tags = tags::plan_tags(target, place, list.as_ref(), options, problems);
    let wanted = list.iter().flat_map(|list| children(observed, list));
    let missing = missing(wanted, &place.present, &observed.referrers, &place.repository);
    notes.extend(missing.notes);
    PlacePlan {
        repository: place.repository.clone(),
        entries,
        list_changes,
        list,
        copies: missing.copies,
        tags,
    }
}

impl PlannedList {
    fn published(published: &PublishedList) -> Self {
        Self {
            bytes: published.bytes.clone(),
            digest: published.descriptor.digest.clone(),
            kind: published.list.kind,
            children: published.list.entries.iter().map(|entry| entry.digest.clone()).collect(),
        }
    }
}

impl ObservedPlace {
    /// Whether every declared tag serves one digest, and the list behind it means `desired`.
    fn all_serve(&self, desired: &List, target: &Target) -> bool {
        let Some(baseline) = self.baseline(target) else { return false };
        let may_differ = |tag: &Tag| tag.policy == TagPolicy::Newest;
        let mut tags = target.tags.iter().zip(&self.tags);
        tags.all(|(tag, observed)| observed.digest() == Some(&baseline.descriptor.digest) || may_differ(tag))
            && baseline.list.means(desired)
    }

    /// The list of an immutable tag, when it means `desired`: then its very bytes go under the other tags too.
    fn held_by_immutable(&self, desired: &List, target: &Target) -> Option<&PublishedList> {
        self.tags
            .iter()
            .zip(&target.tags)
            .filter(|(_, tag)| tag.policy == TagPolicy::Immutable)
            .filter_map(|(observed, _)| observed.list())
            .find(|published| published.list.means(desired))
    }
}

/// The entries that the declaration leaves undecided, as one problem with the choices.
fn undecided(target: &Target, place: &ObservedPlace, entries: &[EntryPlan]) -> Option<Problem> {
    let names: Vec<&str> = entries
        .iter()
        .filter(|entry| matches!(entry.change, EntryChange::Undecided { .. }))
        .map(|entry| entry.name.as_str())
        .collect();
    if names.is_empty() {
        return None;
    }
    let known = match target.undeclared {
        Undeclared::Known => " and the lock does not say that they were published from here",
        _ => "",
    };
    Some(Problem::new(
        format!(
            "{} also lists {}, which target {} does not declare{known}",
            place.repository,
            names.join(", "),
            target.name
        ),
        "declare them, or set `undeclared = \"remove\"` to drop or `undeclared = \"keep\"` to keep them",
    ))
}

/// What the list names of that which was found, with where it is.
fn children<'a>(
    observed: &'a ObservedTarget,
    list: &'a PlannedList,
) -> impl Iterator<Item = (&'a Repository, &'a Descriptor)> {
    let found = observed.images.iter().filter_map(|image| match image {
        ObservedImage::Found(found) => Some(found),
        _ => None,
    });
    let named = found.flat_map(|found| {
        std::iter::once(&found.descriptor).chain(&found.attestations).map(move |named| (&found.source, named))
    });
    let listed: BTreeSet<&Digest> = list.children.iter().collect();
    named.filter(move |(_, named)| listed.contains(&named.digest))
}

/// The references of declared images that are not there, for messages.
pub(crate) fn absent(target: &Target, observed: &ObservedTarget) -> Vec<Reference> {
    let declared = target.images.iter().zip(&observed.images);
    declared
        .filter(|(_, observed)| **observed == ObservedImage::Absent)
        .map(|(image, _)| image.reference.clone())
        .collect()
}

#[cfg(test)]
mod tests;
