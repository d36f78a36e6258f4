//! What has to be brought into a repository before a list, or a copied manifest, can be served there: manifests, with
//! what hangs on them, in the order in which they are written.
//!
//! What hangs on a manifest is written before it, and where a registry refuses that right after it, before any tag. So a
//! manifest behind a tag has everything that hung on it when it was copied, however often the run before was stopped;
//! where a tag is still to be written, `observe_copy` looks again.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::digest::Digest;
use crate::model::manifest::Descriptor;
use crate::model::media;
use crate::model::reference::{Reference, Repository};

/// A manifest to bring from one repository to another, with all that it is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyPlan {
    /// Where it is.
    pub from: Repository,
    /// What it is.
    pub manifest: Descriptor,
    /// What it is there for.
    pub role: CopyRole,
}

/// What a copied manifest is there for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CopyRole {
    /// An entry of an index that hangs on something.
    Part,
    /// It refers to the manifest with this digest: its `subject` (image-spec, manifest.md).
    Referrer(Digest),
    /// It is found by this tag, which cosign makes from the digest of what it is about.
    Tagged(String),
    /// It is what was asked for: an image, an attestation that a list names, a list.
    Content,
}

/// When a manifest can be written: those of one stage do not need each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CopyStage {
    /// Parts that are images.
    Parts,
    /// Parts that are lists, one after the other.
    PartLists,
    /// What hangs on something.
    Referrers,
    /// Images, and attestations that a list names.
    Images,
    /// Lists, one after the other.
    Lists,
}

impl CopyStage {
    /// All, in the order of writing.
    pub const ALL: [Self; 5] = [Self::Parts, Self::PartLists, Self::Referrers, Self::Images, Self::Lists];
}

impl CopyPlan {
    /// When it can be written.
    pub fn stage(&self) -> CopyStage {
        match (&self.role, media::is_list(&self.manifest.media_type)) {
            (CopyRole::Part, false) => CopyStage::Parts,
            (CopyRole::Part, true) => CopyStage::PartLists,
            (CopyRole::Referrer(_) | CopyRole::Tagged(_), _) => CopyStage::Referrers,
            (CopyRole::Content, false) => CopyStage::Images,
            (CopyRole::Content, true) => CopyStage::Lists,
        }
    }
}

/// A manifest that hangs on another one, or is a part of one that does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferrerManifest {
    /// Media type, digest and size.
    pub manifest: Descriptor,
    /// How it is found; never [`CopyRole::Content`].
    pub role: CopyRole,
}

/// What hangs on manifests that may have to be copied, as far as it was looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Referrers {
    /// By the manifest that it hangs on, over however many others; parts before what they are part of.
    pub on: BTreeMap<Digest, Vec<ReferrerManifest>>,
    /// What the tags that would be written serve already.
    pub served: BTreeMap<Reference, Digest>,
}

impl Referrers {
    /// Adds what was found besides.
    pub fn extend(&mut self, other: Self) {
        self.on.extend(other.on);
        self.served.extend(other.served);
    }
}

/// A manifest that is to be copied as it is, with what it lists, and what is known of it where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedCopy {
    /// Where it is.
    pub from: Repository,
    /// Where it goes.
    pub to: Repository,
    /// What a manifest lists before the manifest itself.
    pub manifests: Vec<Descriptor>,
    /// Those that are there already, with what hangs on them.
    pub present: BTreeSet<Digest>,
    /// What hangs on the others.
    pub referrers: Referrers,
}

impl ObservedCopy {
    /// What is to be brought.
    pub fn missing(&self) -> Missing {
        let wanted = self.manifests.iter().map(|manifest| (&self.from, manifest));
        missing(wanted, &self.present, &self.referrers, &self.to)
    }
}

/// What a repository lacks of some manifests and of what hangs on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// In the order of writing.
    pub copies: Vec<CopyPlan>,
    /// What is not brought, and why.
    pub notes: Vec<String>,
}

/// What `to` lacks of `wanted`, manifests each with the repository where it is; `present` are those that it holds. Each
/// comes once.
pub fn missing<'a>(
    wanted: impl IntoIterator<Item = (&'a Repository, &'a Descriptor)>,
    present: &BTreeSet<Digest>,
    referrers: &Referrers,
    to: &Repository,
) -> Missing {
    let mut missing = Missing::default();
    let mut seen = BTreeSet::new();
    for (from, manifest) in wanted {
        if present.contains(&manifest.digest) {
            continue;
        }
        for referrer in referrers.on.get(&manifest.digest).into_iter().flatten() {
            if let CopyRole::Tagged(tag) = &referrer.role
                && let Some(served) = referrers.served.get(&to.tag(tag))
            {
                if *served != referrer.manifest.digest {
                    missing.notes.push(format!(
                        "{} serves something else than at {from}, and is left as it is",
                        to.tag(tag)
                    ));
                }
                continue;
            }
            missing.add(from, &referrer.manifest, referrer.role.clone(), &mut seen);
        }
        missing.add(from, manifest, CopyRole::Content, &mut seen);
    }
    missing.copies.sort_by_key(CopyPlan::stage);
    missing
}

impl Missing {
    fn add(
        &mut self,
        from: &Repository,
        manifest: &Descriptor,
        role: CopyRole,
        seen: &mut BTreeSet<(Digest, CopyRole)>,
    ) {
        if seen.insert((manifest.digest.clone(), role.clone())) {
            self.copies.push(CopyPlan { from: from.clone(), manifest: manifest.clone(), role });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(content: &str) -> Descriptor {
        Descriptor::new(media::OCI_IMAGE, Digest::of(content.as_bytes()), content.len() as u64)
    }

    fn index(content: &str) -> Descriptor {
        Descriptor { media_type: media::OCI_INDEX.to_owned(), ..manifest(content) }
    }

    fn hangs(manifest: Descriptor, role: CopyRole) -> ReferrerManifest {
        ReferrerManifest { manifest, role }
    }

    /// An image with a referrer that is an index, a signature of that, and a tag of cosign's.
    fn referrers() -> Referrers {
        let on = vec![
            hangs(manifest("part"), CopyRole::Part),
            hangs(index("inner"), CopyRole::Part),
            hangs(index("sbom"), CopyRole::Referrer(manifest("image").digest)),
            hangs(manifest("cosign"), CopyRole::Tagged("sha256-image.sig".to_owned())),
            hangs(manifest("signature"), CopyRole::Referrer(index("sbom").digest)),
        ];
        Referrers { on: BTreeMap::from([(manifest("image").digest, on)]), ..Referrers::default() }
    }

    fn digests(missing: &Missing) -> Vec<Digest> {
        missing.copies.iter().map(|copy| copy.manifest.digest.clone()).collect()
    }

    fn of(contents: &[&str]) -> Vec<Digest> {
        contents.iter().map(|content| Digest::of(content.as_bytes())).collect()
    }

    #[test]
    fn what_is_there_is_not_copied_and_brings_nothing_along() {
        let (from, to) = ("r.test/from".parse().unwrap(), "r.test/to".parse().unwrap());
        let image = manifest("image");
        let present = BTreeSet::from([image.digest.clone()]);
        assert_eq!(missing([(&from, &image)], &present, &referrers(), &to), Missing::default());
    }

    #[test]
    fn what_hangs_on_a_manifest_comes_before_it_and_each_comes_once() {
        let (from, to) = ("r.test/from".parse().unwrap(), "r.test/to".parse().unwrap());
        let (image, other, list) = (manifest("image"), manifest("other"), index("list"));
        let wanted = [(&from, &list), (&from, &image), (&from, &other), (&from, &image)];
        let missing = missing(wanted, &BTreeSet::new(), &referrers(), &to);
        let expected = ["part", "inner", "sbom", "cosign", "signature", "image", "other", "list"];
        assert_eq!(digests(&missing), of(&expected));
        assert_eq!(missing.notes, Vec::<String>::new());
    }

    #[test]
    fn a_tag_that_somebody_signed_with_there_stays() {
        let (from, to): (Repository, Repository) =
            ("r.test/from".parse().unwrap(), "r.test/to".parse().unwrap());
        let image = manifest("image");
        for (served, notes) in [("cosign", 0), ("another signature", 1)] {
            let mut referrers = referrers();
            referrers.served.insert(to.tag("sha256-image.sig"), manifest(served).digest);
            let missing = missing([(&from, &image)], &BTreeSet::new(), &referrers, &to);
            assert_eq!(digests(&missing), of(&["part", "inner", "sbom", "signature", "image"]));
            assert_eq!(missing.notes.len(), notes, "{:?}", missing.notes);
        }
    }
}
