//! What was deleted, as it was: enough to write it again where it turns out to be needed. Pure.

use std::collections::BTreeSet;

use super::{Contents, Holder, subject_of};
use crate::model::content::Leads;
use crate::model::digest::Digest;
use crate::model::manifest::Descriptor;

/// A manifest as it was before it was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Of its bytes.
    pub digest: Digest,
    /// What it is, as [`super::ManifestRemoval::what`].
    pub what: String,
    /// As served.
    pub media_type: String,
    /// As served.
    pub bytes: Vec<u8>,
    /// The tags named after another manifest that served it: those of signatures and of fallback lists of referrers.
    pub companions: Vec<String>,
}

impl Kept {
    /// Whether it lists manifests, whatever type it was served with.
    pub(crate) fn is_list(&self) -> bool {
        Leads::of(&self.bytes, &self.media_type).is_ok_and(|leads| leads.entries.is_some())
    }
}

/// A manifest that was deleted and is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// The manifest.
    pub kept: Kept,
    /// The tags that are to serve it again; none when it is found by its digest.
    pub tags: Vec<String>,
    /// What needs it.
    pub needed_by: Holder,
}

/// What of `kept` is not in the repository and needed by its tags, but for the tags `names`; each after what it holds.
pub(super) fn restores(contents: &Contents, names: &[&str], kept: &[Kept]) -> Vec<Restore> {
    let mut before = contents.clone();
    for one in kept {
        // What cannot be understood leads nowhere, and can be needed itself all the same.
        let leads = Leads::of(&one.bytes, &one.media_type).unwrap_or_default();
        let entries = before.lists.entry(one.digest.clone()).or_default();
        if entries.is_empty() {
            *entries = leads.entries.unwrap_or_default();
        }
        before.named.entry(one.digest.clone()).or_default().extend(leads.named);
        let subjects = one.companions.iter().filter_map(|tag| subject_of(tag).parse::<Digest>().ok());
        for subject in subjects.chain(leads.subject) {
            let size = one.bytes.len() as u64;
            let referrer = Descriptor::new(&one.media_type, one.digest.clone(), size);
            before.referrers.entry(subject).or_default().push(referrer);
        }
    }
    let held = before.held(names);
    let there: BTreeSet<&Digest> = contents.remains.iter().chain(contents.tags.values()).collect();
    let roots: Vec<&Digest> = kept.iter().map(|one| &one.digest).collect();
    let mut restores = Vec::new();
    for (digest, _) in before.below(&roots).into_iter().rev() {
        let Some(one) = kept.iter().find(|one| one.digest == digest) else { continue };
        let Some(needed_by) = held.get(&digest) else { continue };
        let lost = one.companions.iter().filter(|tag| !contents.tags.contains_key(*tag));
        let tags: Vec<String> = lost.cloned().collect();
        if !tags.is_empty() || !there.contains(&digest) {
            restores.push(Restore { kept: one.clone(), tags, needed_by: needed_by.clone() });
        }
    }
    restores
}
