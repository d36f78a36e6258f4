//! The list to publish: its entries, what it keeps of the published one, and what it cannot keep.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::entries::{EntryPlan, annotation_changes};
use super::{ObservedTarget, PlannedList, PublishedList};
use crate::config::{Attestations, Target};
use crate::model::digest::Digest;
use crate::model::manifest::{Descriptor, List, ListKind, Role};

/// Members of an image index that a Docker manifest list has no place for (image-spec, image-index.md).
const INDEX_ONLY: [&str; 2] = ["artifactType", "subject"];

/// Declared entries in declaration order, each followed by its attestations, then what is kept. The members that the
/// published list has besides stay, but for those that its new type does not have.
pub(super) fn build(
    target: &Target,
    observed: &ObservedTarget,
    kind: ListKind,
    entries: &[EntryPlan],
    baseline: Option<&PublishedList>,
) -> List {
    let published = baseline.map(|published| &published.list);
    let mut list = List {
        annotations: target.annotations.clone(),
        other: published.map(|published| kept_members(published, kind)).unwrap_or_default(),
        ..List::new(kind)
    };
    let with_attestations = target.attestations == Attestations::Keep && kind == ListKind::Oci;
    let mut attestations: BTreeMap<Digest, Vec<&Descriptor>> = BTreeMap::new();
    if with_attestations {
        for found in observed.attested() {
            attestations.entry(found.descriptor.digest.clone()).or_default().extend(&found.attestations);
        }
        for (image, listed) in published.iter().flat_map(|published| published.attestations()) {
            attestations.entry(image).or_default().extend(listed);
        }
    }
    for entry in entries.iter().filter_map(|plan| plan.change.entry()) {
        list.entries.push(entry.clone());
        let mut seen = BTreeSet::new();
        let of_entry = attestations.get(&entry.digest).into_iter().flatten();
        list.entries.extend(of_entry.filter(|one| seen.insert(&one.digest)).map(|one| (*one).clone()));
    }
    list
}

fn kept_members(published: &List, kind: ListKind) -> Map<String, Value> {
    let mut members = published.other.clone();
    if published.kind != kind && kind == ListKind::Docker {
        members.retain(|name, _| !INDEX_ONLY.iter().any(|known| known.eq_ignore_ascii_case(name)));
    }
    members
}

/// What differs in the list itself: type, annotations, and everything that is lost without an entry that says so.
/// `written` is the list that takes the place of `published`, when it is known and there is one.
pub(super) fn changes(
    target: &Target,
    kind: ListKind,
    published: &List,
    written: Option<&List>,
) -> Vec<String> {
    let mut changes = Vec::new();
    if published.kind != kind {
        changes.push(format!("type {} → {}", published.kind.name(), kind.name()));
    }
    changes.extend(annotation_changes(&published.annotations, &target.annotations));
    let members = match written {
        Some(written) => written.other.clone(),
        None => kept_members(published, kind),
    };
    let lost = published.other.iter().filter(|(name, value)| members.get(*name) != Some(value));
    changes.extend(lost.map(|(name, _)| match published.kind == kind {
        true => format!("`{name}` is dropped: the list of the immutable tag does not have it"),
        false => format!("`{name}` is dropped: a {} does not have it", kind.name()),
    }));
    if let Some(written) = written {
        changes.extend(lost_attestations(published, written, target, kind));
    }
    changes
}

/// The attestations that go although no image goes with them. Those of an image that goes leave with it.
fn lost_attestations(published: &List, written: &List, target: &Target, kind: ListKind) -> Vec<String> {
    let kept: BTreeSet<&Digest> = written.entries.iter().map(|entry| &entry.digest).collect();
    let listed: BTreeSet<&Digest> = published.entries.iter().map(|entry| &entry.digest).collect();
    let mut lost = Vec::new();
    for entry in &published.entries {
        let Role::Attestation(image) = entry.role() else { continue };
        if kept.contains(&entry.digest) || (listed.contains(&image) && !kept.contains(&image)) {
            continue;
        }
        let why = if !listed.contains(&image) {
            format!("it is about {}, which is not listed", image.short())
        } else if target.attestations == Attestations::Drop {
            "`attestations = \"drop\"`".to_owned()
        } else {
            format!("a {} cannot hold it", kind.name())
        };
        lost.push(format!("attestation {} is dropped: {why}", entry.digest.short()));
    }
    lost
}

impl List {
    pub(super) fn planned(&self) -> PlannedList {
        let bytes = self.to_bytes();
        PlannedList {
            digest: Digest::of(&bytes),
            bytes,
            kind: self.kind,
            children: self.entries.iter().map(|entry| entry.digest.clone()).collect(),
        }
    }

    /// Whether both say the same: kind, annotations, and the same entries in any order. Attestations are not compared:
    /// they follow their image, and alone are no reason to rewrite a list. Members that this program does not know are
    /// not compared either: nothing declares them.
    pub(super) fn means(&self, other: &Self) -> bool {
        let entries = |list: &Self| {
            let mut entries: Vec<Descriptor> = list
                .entries
                .iter()
                .filter(|entry| !matches!(entry.role(), Role::Attestation(_)))
                .cloned()
                .collect();
            entries.sort_by_cached_key(|entry| (entry.digest.clone(), format!("{:?}", entry.platform)));
            entries
        };
        self.kind == other.kind && self.annotations == other.annotations && entries(self) == entries(other)
    }
}
