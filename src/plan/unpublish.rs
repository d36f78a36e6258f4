//! What `unpublish` deletes: the declared tags, and what nothing else in their repository holds. Pure.

mod kept;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use kept::{Kept, Restore};

use crate::config::Target;
use crate::model::digest::Digest;
use crate::model::manifest::{Descriptor, Role};
use crate::model::media;
use crate::model::reference::Repository;

/// Everything that a repository shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The repository.
    pub repository: Repository,
    /// Every tag with the digest that it serves.
    pub tags: BTreeMap<String, Digest>,
    /// The entries of every list behind a tag, and of the lists within those.
    pub lists: BTreeMap<Digest, Vec<Descriptor>>,
    /// Of manifests of types that are not known here, every digest that they name: each may be a manifest that they need.
    pub named: BTreeMap<Digest, BTreeSet<Digest>>,
    /// What refers to a manifest as its subject; all of it only for what may be deleted. A referrer does not need its
    /// subject (distribution-spec, "Pushing Manifests with Subject").
    pub referrers: BTreeMap<Digest, Vec<Descriptor>>,
    /// Manifests without a tag that an earlier run left, and that are still served.
    pub remains: Vec<Digest>,
}

/// What will be deleted for one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpublishPlan {
    /// The target's name.
    pub target: String,
    /// One for each repository, in declaration order.
    pub places: Vec<UnpublishPlace>,
}

/// What will be deleted in one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpublishPlace {
    /// The repository.
    pub repository: Repository,
    /// One for each declared tag, in declaration order; then the tags that are named after a manifest that goes, as those
    /// of signatures are.
    pub tags: Vec<TagRemoval>,
    /// What the tags serve and what an earlier run left, lists before what they hold.
    pub manifests: Vec<ManifestRemoval>,
    /// What an earlier run deleted and other tags need, each before what holds it.
    pub restores: Vec<Restore>,
}

/// A tag that is not to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRemoval {
    /// Its name.
    pub name: String,
    /// The digest that it serves; `None` when it does not exist, so that nothing is to be done.
    pub serves: Option<Digest>,
}

/// A manifest that such a tag leads to, or that an earlier run left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestRemoval {
    /// Its digest.
    pub digest: Digest,
    /// What it is: `list`, a platform, `attestation`, `referrer`.
    pub what: String,
    /// What else holds it, so that it stays; `None` when it goes.
    pub held_by: Option<Holder>,
}

/// What keeps a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A tag that is not to be deleted serves it.
    Tag(String),
    /// A list that such a tag serves holds it.
    ListAt(String),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, "the tag {tag} serves it"),
            Self::ListAt(tag) => write!(f, "the list at {tag} holds it"),
        }
    }
}

impl UnpublishPlan {
    /// Whether applying would change anything.
    pub fn is_change(&self) -> bool {
        self.places.iter().any(UnpublishPlace::is_change)
    }
}

impl UnpublishPlace {
    /// Whether applying would change anything in this repository.
    pub fn is_change(&self) -> bool {
        self.existing().next().is_some() || self.going().next().is_some() || !self.restores.is_empty()
    }

    /// The manifests that are to be deleted, each after all that it holds.
    ///
    /// In this order an interrupted run leaves the list, which leads to whatever remains. Until the list goes, a tag that
    /// another run writes meanwhile keeps it, and whoever tags it later is told that images are missing.
    pub fn going(&self) -> impl Iterator<Item = &ManifestRemoval> {
        self.manifests.iter().rev().filter(|manifest| manifest.held_by.is_none())
    }

    /// All tags that are not to be there, whether they are or not.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.tags.iter().map(|tag| tag.name.as_str()).collect()
    }

    /// The tags to delete that exist, without those named after a manifest, with what they serve.
    pub(crate) fn declared(&self) -> impl Iterator<Item = (&str, &Digest)> {
        self.existing().filter(|(name, _)| subject_of(name).parse::<Digest>().is_err())
    }

    /// The tags to delete that exist and are named after a manifest, with what they serve.
    pub(crate) fn companions(&self) -> impl Iterator<Item = (&str, &Digest)> {
        self.existing().filter(|(name, _)| subject_of(name).parse::<Digest>().is_ok())
    }

    /// Those that serve this digest.
    pub(crate) fn companions_at(&self, digest: &Digest) -> impl Iterator<Item = &str> {
        self.companions().filter(move |(_, served)| *served == digest).map(|(name, _)| name)
    }

    fn existing(&self) -> impl Iterator<Item = (&str, &Digest)> {
        self.tags.iter().filter_map(|tag| Some((tag.name.as_str(), tag.serves.as_ref()?)))
    }

    /// What keeps the manifest with this digest.
    pub fn holder(&self, digest: &Digest) -> Option<&Holder> {
        let mut manifests = self.manifests.iter();
        manifests.find(|manifest| manifest.digest == *digest).and_then(|manifest| manifest.held_by.as_ref())
    }
}

/// Compares the declared tags with all that their repositories show; `contents` has one item for each repository, empty
/// for one that does not exist. `kept` has for each what earlier runs deleted.
///
/// A manifest goes with the tags when no other tag serves it and no list behind another tag holds it, at any depth.
pub fn unpublish(target: &Target, contents: &[Contents], kept: &[Vec<Kept>]) -> UnpublishPlan {
    let declared: Vec<&str> = target.tags.iter().map(|tag| tag.name.as_str()).collect();
    let places = contents.iter().zip(kept);
    let places = places.map(|(contents, kept)| unpublish_place(contents, &declared, kept));
    UnpublishPlan { target: target.name.clone(), places: places.collect() }
}

/// What is to be deleted in one repository so that none of the tags `names` is there.
pub(crate) fn unpublish_place(contents: &Contents, names: &[&str], kept: &[Kept]) -> UnpublishPlace {
    let mut names = names.to_vec();
    loop {
        let manifests = manifests(contents, &names);
        let companions: Vec<&str> = contents
            .tags
            .keys()
            .map(String::as_str)
            .filter(|name| !names.contains(name) && is_companion(name, &manifests))
            .collect();
        if companions.is_empty() {
            let restores = kept::restores(contents, &names, kept);
            let tag =
                |name: &str| TagRemoval { name: name.to_owned(), serves: contents.tags.get(name).cloned() };
            let tags = names.into_iter().map(tag).collect();
            return UnpublishPlace { repository: contents.repository.clone(), tags, manifests, restores };
        }
        names.extend(companions);
    }
}

/// Whether a tag is named after a manifest that goes: its signatures and the like (cosign), or its referrers where the
/// registry has no API for them (distribution-spec, "Referrers Tag Schema"). Without it nobody would find them.
fn is_companion(name: &str, manifests: &[ManifestRemoval]) -> bool {
    let subject = subject_of(name);
    manifests.iter().any(|manifest| manifest.held_by.is_none() && manifest.digest.as_str() == subject)
}

/// The digest that a companion tag is named after, if that is what `name` is.
fn subject_of(name: &str) -> String {
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    stem.replacen('-', ":", 1)
}

/// What the tags `names` and the remains lead to, each before what goes with it.
fn manifests(contents: &Contents, names: &[&str]) -> Vec<ManifestRemoval> {
    let held = contents.held(names);
    let tagged = names.iter().filter_map(|name| contents.tags.get(*name));
    let roots: Vec<&Digest> = tagged.chain(&contents.remains).collect();
    contents
        .below(&roots)
        .into_iter()
        .map(|(digest, what)| ManifestRemoval { held_by: held.get(&digest).cloned(), digest, what })
        .collect()
}

impl Contents {
    /// An empty repository.
    pub(crate) fn empty(repository: &Repository) -> Self {
        Self {
            repository: repository.clone(),
            tags: BTreeMap::new(),
            lists: BTreeMap::new(),
            named: BTreeMap::new(),
            referrers: BTreeMap::new(),
            remains: Vec::new(),
        }
    }

    /// All that tags other than `names` lead to, with what holds it.
    fn held(&self, names: &[&str]) -> BTreeMap<Digest, Holder> {
        let mut held: BTreeMap<Digest, Holder> = BTreeMap::new();
        for (name, digest) in self.tags.iter().filter(|(name, _)| !names.contains(&name.as_str())) {
            held.insert(digest.clone(), Holder::Tag(name.clone()));
            for (inner, _) in self.walk(&[digest], true) {
                held.entry(inner).or_insert_with(|| Holder::ListAt(name.clone()));
            }
        }
        held
    }

    /// The manifests `roots` and all that goes with them, with what it is, each before what goes with it: the entries of
    /// a list, and what refers to any of them.
    pub(crate) fn below(&self, roots: &[&Digest]) -> Vec<(Digest, String)> {
        self.walk(roots, false)
    }

    /// As [`Contents::below`], on demand with all that manifests of unknown types name.
    fn walk(&self, roots: &[&Digest], is_named_included: bool) -> Vec<(Digest, String)> {
        let mut finished = Vec::new();
        let mut seen = BTreeSet::new();
        // Depth first; reversed, the order in which manifests are finished has each before what goes with it.
        let mut open: Vec<(Digest, String, bool)> = Vec::new();
        for root in roots {
            let what = if self.lists.contains_key(root) { "list" } else { "image" };
            open.push(((*root).clone(), what.to_owned(), false));
        }
        // A list of referrers, as under a fallback tag, names them too.
        let referrers: BTreeSet<&Digest> =
            self.referrers.values().flatten().map(|entry| &entry.digest).collect();
        let what_of = |entry: &Descriptor| match referrers.contains(&entry.digest) {
            true => "referrer".to_owned(),
            false => what_of(entry, self.lists.contains_key(&entry.digest)),
        };
        while let Some((digest, what, is_done)) = open.pop() {
            if is_done {
                finished.push((digest, what));
                continue;
            }
            if !seen.insert(digest.clone()) {
                continue;
            }
            let entries = self.lists.get(&digest).into_iter().chain(self.referrers.get(&digest)).flatten();
            let inner: Vec<_> = entries.map(|entry| (entry.digest.clone(), what_of(entry), false)).collect();
            let named = self.named.get(&digest).filter(|_| is_named_included).into_iter().flatten();
            let named: Vec<_> = named.map(|named| (named.clone(), "named".to_owned(), false)).collect();
            open.push((digest, what, true));
            open.extend(inner.into_iter().chain(named));
        }
        finished.reverse();
        finished
    }
}

fn what_of(entry: &Descriptor, is_list: bool) -> String {
    match entry.role() {
        Role::Image(platform) => platform.to_string(),
        Role::Attestation(_) => "attestation".to_owned(),
        Role::Other if is_list || media::is_list(&entry.media_type) => "list".to_owned(),
        Role::Other => "no platform".to_owned(),
    }
}
