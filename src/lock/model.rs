//! What was published, target by target. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::checks::Checks;
use crate::model::digest::Digest;
use crate::model::fingerprint::Fingerprint;
use crate::model::platform::Platform;

/// What was published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// By name.
    pub targets: BTreeMap<String, LockedTarget>,
}

/// What was published of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedTarget {
    /// The commit that it was published from, when it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// By repository (`host/path`): each tag and the digest of the list behind it.
    #[serde(default, rename = "repository", skip_serializing_if = "BTreeMap::is_empty")]
    pub repositories: BTreeMap<String, BTreeMap<String, Digest>>,
    /// The lists behind those tags, by their digest.
    #[serde(default, rename = "list", skip_serializing_if = "BTreeMap::is_empty")]
    pub lists: BTreeMap<Digest, LockedList>,
    /// By platform, as declared.
    #[serde(default, rename = "image", skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, LockedImage>,
}

/// The bytes of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedList {
    /// Their media type.
    pub media_type: String,
    /// How many there are.
    pub size: u64,
}

/// One platform's image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedImage {
    /// Its manifest's digest.
    pub digest: Digest,
    /// Its manifest's size in bytes.
    pub size: u64,
    /// What it was built from; none when it was not built here, or when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// What was checked of it.
    #[serde(default, skip_serializing_if = "Checks::is_empty")]
    pub checked: Checks,
    /// Its attestations in the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attestations: Vec<Digest>,
    /// The images that it was built from, by reference.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bases: BTreeMap<String, Digest>,
}

impl LockedTarget {
    /// The image for `platform`, however its name is written.
    pub fn image(&self, platform: &Platform) -> Option<&LockedImage> {
        let same = |name: &str| name.parse::<Platform>().is_ok_and(|known| known.same_as(platform));
        self.images.iter().find(|(name, _)| same(name)).map(|(_, image)| image)
    }

    /// The images and attestations that were published from here.
    pub fn digests(&self) -> BTreeSet<Digest> {
        self.images
            .values()
            .flat_map(|image| std::iter::once(&image.digest).chain(&image.attestations))
            .cloned()
            .collect()
    }
}
