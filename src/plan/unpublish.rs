//! What `unpublish` deletes: the declared tags, and what nothing else in their repository holds. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Target;
use crate::digest::Digest;
use crate::manifest::{Descriptor, Role};
use crate::media;
use crate::reference::Repository;

/// Everything that a repository shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The repository.
    pub repository: Repository,
    /// Every tag with the digest that it serves.
    pub tags: BTreeMap<String, Digest>,
    /// The entries of every list behind a tag, and of the lists within those.
    pub lists: BTreeMap<Digest, Vec<Descriptor>>,
    /// What refers to a manifest as its subject; read only for what the tags to delete lead to.
    pub referrers: BTreeMap<Digest, Vec<Descriptor>>,
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
    /// What the tags serve, lists before what they hold.
    pub manifests: Vec<ManifestRemoval>,
}

/// A tag that is not to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRemoval {
    /// Its name.
    pub name: String,
    /// The digest that it serves; `None` when it does not exist, so that nothing is to be done.
    pub serves: Option<Digest>,
}

/// A manifest that such a tag leads to.
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

impl UnpublishPlan {
    /// Whether applying would delete anything.
    pub fn is_change(&self) -> bool {
        self.places.iter().flat_map(|place| &place.tags).any(|tag| tag.serves.is_some())
    }
}

impl UnpublishPlace {
    /// What keeps the manifest with this digest.
    pub fn holder(&self, digest: &Digest) -> Option<&Holder> {
        let mut manifests = self.manifests.iter();
        manifests.find(|manifest| manifest.digest == *digest).and_then(|manifest| manifest.held_by.as_ref())
    }
}

/// Compares the declared tags with all that their repositories show; `contents` has one item for each repository, empty
/// for one that does not exist.
///
/// A manifest goes with the tags when no other tag serves it and no list behind another tag holds it, at any depth.
pub fn unpublish(target: &Target, contents: &[Contents]) -> UnpublishPlan {
    let places = contents.iter().map(|contents| unpublish_place(target, contents));
    UnpublishPlan { target: target.name.clone(), places: places.collect() }
}

fn unpublish_place(target: &Target, contents: &Contents) -> UnpublishPlace {
    let mut names: Vec<&str> = target.tags.iter().map(|tag| tag.name.as_str()).collect();
    loop {
        let manifests = manifests(contents, &names);
        let companions: Vec<&str> = contents
            .tags
            .keys()
            .map(String::as_str)
            .filter(|name| !names.contains(name) && is_companion(name, &manifests))
            .collect();
        if companions.is_empty() {
            let tag =
                |name: &str| TagRemoval { name: name.to_owned(), serves: contents.tags.get(name).cloned() };
            let tags = names.into_iter().map(tag).collect();
            return UnpublishPlace { repository: contents.repository.clone(), tags, manifests };
        }
        names.extend(companions);
    }
}

/// Whether a tag is named after a manifest that goes: its signatures and the like (cosign), or its referrers where the
/// registry has no API for them (distribution-spec, "Referrers Tag Schema"). Without it nobody would find them.
fn is_companion(name: &str, manifests: &[ManifestRemoval]) -> bool {
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    let subject = stem.replacen('-', ":", 1);
    manifests.iter().any(|manifest| manifest.held_by.is_none() && manifest.digest.as_str() == subject)
}

/// What the tags `names` lead to, lists before what they hold.
fn manifests(contents: &Contents, names: &[&str]) -> Vec<ManifestRemoval> {
    let mut kept: BTreeMap<Digest, Holder> = BTreeMap::new();
    for (name, digest) in contents.tags.iter().filter(|(name, _)| !names.contains(&name.as_str())) {
        kept.insert(digest.clone(), Holder::Tag(name.clone()));
        for (inner, _) in contents.below(digest) {
            kept.entry(inner).or_insert_with(|| Holder::ListAt(name.clone()));
        }
    }

    let roots: Vec<&Digest> = names.iter().filter_map(|name| contents.tags.get(*name)).collect();
    let root = |digest: &Digest| {
        let what = if contents.lists.contains_key(digest) { "list" } else { "image" };
        (digest.clone(), what.to_owned())
    };
    let inner = roots.iter().flat_map(|digest| contents.below(digest));
    let mut seen = BTreeSet::new();
    roots
        .iter()
        .map(|digest| root(digest))
        .chain(inner)
        .filter(|(digest, _)| seen.insert(digest.clone()))
        .map(|(digest, what)| ManifestRemoval { held_by: kept.get(&digest).cloned(), digest, what })
        .collect()
}

impl Contents {
    /// All that goes with the manifest `digest`, with what it is, each before what goes with it: the entries of a list, and
    /// what refers to any of them.
    pub(crate) fn below(&self, digest: &Digest) -> Vec<(Digest, String)> {
        let mut found: Vec<(Digest, String)> = Vec::new();
        let mut seen = BTreeSet::from([digest]);
        let mut open = vec![digest];
        while let Some(list) = open.pop() {
            let entries = self.lists.get(list).into_iter().flatten().map(|entry| (entry, what(entry)));
            let referrers = self.referrers.get(list).into_iter().flatten();
            for (entry, what) in entries.chain(referrers.map(|entry| (entry, "referrer".to_owned()))) {
                if seen.insert(&entry.digest) {
                    found.push((entry.digest.clone(), what));
                    open.push(&entry.digest);
                }
            }
        }
        found
    }
}

fn what(entry: &Descriptor) -> String {
    match entry.role() {
        Role::Image(platform) => platform.to_string(),
        Role::Attestation(_) => "attestation".to_owned(),
        Role::Other if media::is_list(&entry.media_type) => "list".to_owned(),
        Role::Other => "no platform".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{PlatformFields, REFERENCE_DIGEST, REFERENCE_TYPE};
    use crate::plan::tests::target;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// Entries named like platforms are images, `a-…` attestations, others lists.
    fn entry(name: &str) -> Descriptor {
        let media_type = if name.contains('/') { media::OCI_IMAGE } else { media::OCI_INDEX };
        let mut entry = Descriptor::new(media_type, digest(name), 1);
        if let Ok(platform) = name.parse::<crate::platform::Platform>() {
            entry.platform = Some(PlatformFields::from(&platform));
        }
        if let Some(subject) = name.strip_prefix("a-") {
            entry.annotations.insert(REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned());
            entry.annotations.insert(REFERENCE_DIGEST.to_owned(), digest(subject).to_string());
        }
        entry
    }

    fn contents(tags: &[(&str, &str)], lists: &[(&str, &[&str])]) -> Contents {
        let tag = |(name, serves): &(&str, &str)| ((*name).to_owned(), digest(serves));
        let list = |(name, entries): &(&str, &[&str])| {
            (digest(name), entries.iter().map(|name| entry(name)).collect())
        };
        Contents {
            repository: "registry.test/team/app".parse().unwrap(),
            tags: tags.iter().map(tag).collect(),
            lists: lists.iter().map(list).collect(),
            referrers: BTreeMap::new(),
        }
    }

    #[test]
    fn what_refers_to_a_manifest_goes_and_stays_with_it() {
        let target = target(&["linux/amd64"]);
        let lists: &[(&str, &[&str])] = &[("L", &["linux/amd64", "linux/arm64"])];
        let mut contents = contents(&[("1.0", "L"), ("2.0", "linux/amd64")], lists);
        for (subject, referrer) in [("L", "sbom"), ("sbom", "its signature"), ("linux/amd64", "kept")] {
            contents.referrers.insert(digest(subject), vec![entry(referrer)]);
        }
        let plan = unpublish(&target, &[contents]);
        let gone = |name: &str| {
            let mut found =
                plan.places[0].manifests.iter().filter(|manifest| manifest.digest == digest(name));
            found.next().unwrap().held_by.is_none()
        };
        for (name, expected) in
            [("L", true), ("sbom", true), ("its signature", true), ("linux/amd64", false), ("kept", false)]
        {
            assert_eq!(gone(name), expected, "{name}");
        }
    }

    #[test]
    fn what_nothing_else_holds_goes_with_the_tags() {
        let target = target(&["linux/amd64"]);
        let list: (&str, &[&str]) = ("L", &["linux/amd64", "linux/arm64", "a-linux/amd64"]);
        type Row<'a> = (&'a str, Contents, &'a [&'a str]);
        let table: &[Row<'_>] = &[
            ("no tag", contents(&[("2.0", "M")], &[("M", &["linux/amd64"])]), &["absent :1.0"]),
            (
                "alone",
                contents(&[("1.0", "L")], &[list]),
                &["- :1.0", "- list", "- linux/amd64", "- linux/arm64", "- attestation"],
            ),
            (
                "another tag serves the list",
                contents(&[("1.0", "L"), ("stable", "L")], &[list]),
                &[
                    "- :1.0",
                    "= list (:stable)",
                    "= linux/amd64 (list :stable)",
                    "= linux/arm64 (list :stable)",
                    "= attestation (list :stable)",
                ],
            ),
            (
                "another list and another tag hold an image each",
                contents(
                    &[("1.0", "L"), ("2.0", "M"), ("build", "linux/arm64")],
                    &[list, ("M", &["linux/amd64"])],
                ),
                &["- :1.0", "- list", "= linux/amd64 (list :2.0)", "= linux/arm64 (:build)", "- attestation"],
            ),
            (
                "a list within another one",
                contents(&[("1.0", "L"), ("all", "M")], &[("M", &["L"]), ("L", &["linux/amd64"])]),
                &["- :1.0", "= list (list :all)", "= linux/amd64 (list :all)"],
            ),
            (
                "a signature, and one of what stays",
                contents(
                    &[
                        ("1.0", "L"),
                        (&format!("sha256-{}.sig", digest("L").hex()), "signature"),
                        (&format!("sha256-{}", digest("linux/amd64").hex()), "referrers"),
                        ("2.0", "linux/amd64"),
                    ],
                    &[("L", &["linux/amd64"]), ("referrers", &["s/bom"])],
                ),
                &["- :1.0", "- :sha256-….sig", "- list", "- image", "= linux/amd64 (:2.0)"],
            ),
            ("a plain image", contents(&[("1.0", "linux/amd64")], &[]), &["- :1.0", "- image"]),
        ];
        for (name, contents, expected) in table {
            let plan = unpublish(&target, std::slice::from_ref(contents));
            let place = &plan.places[0];
            let mut lines: Vec<String> = Vec::new();
            for tag in &place.tags {
                let sign = if tag.serves.is_some() { "-" } else { "absent" };
                lines.push(format!("{sign} :{}", tag.name.replace(digest("L").hex(), "…")));
            }
            for manifest in &place.manifests {
                lines.push(match &manifest.held_by {
                    None => format!("- {}", manifest.what),
                    Some(Holder::Tag(tag)) => format!("= {} (:{tag})", manifest.what),
                    Some(Holder::ListAt(tag)) => format!("= {} (list :{tag})", manifest.what),
                });
            }
            assert_eq!(lines, *expected, "{name}");
            assert_eq!(plan.is_change(), place.tags[0].serves.is_some(), "{name}");
        }
    }

    #[test]
    fn lists_that_hold_each_other_have_an_end() {
        let target = target(&["linux/amd64"]);
        let contents = contents(&[("1.0", "L")], &[("L", &["M"]), ("M", &["L"])]);
        let plan = unpublish(&target, &[contents]);
        assert_eq!(plan.places[0].manifests.len(), 2);
    }

    mod invariants {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            /// Whatever is deleted, everything that another tag leads to stays.
            #[test]
            fn what_other_tags_lead_to_stays(
                served in proptest::collection::vec(0usize..6, 1..6),
                lists in proptest::collection::vec(proptest::collection::vec(0usize..6, 0..4), 6),
            ) {
                let name = |index: usize| format!("m{index}");
                let names = ["1.0", "a", "b", "c", "d"];
                let lists: BTreeMap<Digest, Vec<Descriptor>> = lists
                    .iter()
                    .enumerate()
                    .map(|(index, entries)| {
                        (digest(&name(index)), entries.iter().map(|index| entry(&name(*index))).collect())
                    })
                    .collect();
                let tags = names.iter().zip(&served);
                let contents = Contents {
                    tags: tags.map(|(tag, index)| ((*tag).to_owned(), digest(&name(*index)))).collect(),
                    lists,
                    ..contents(&[], &[])
                };
                let plan = unpublish(&target(&["linux/amd64"]), std::slice::from_ref(&contents));
                let gone: BTreeSet<&Digest> = plan.places[0]
                    .manifests
                    .iter()
                    .filter(|manifest| manifest.held_by.is_none())
                    .map(|manifest| &manifest.digest)
                    .collect();
                for (tag, digest) in &contents.tags {
                    if tag != "1.0" {
                        prop_assert!(!gone.contains(digest));
                        prop_assert!(contents.below(digest).iter().all(|(inner, _)| !gone.contains(inner)));
                    }
                }
            }
        }
    }
}
