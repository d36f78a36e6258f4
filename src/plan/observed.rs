//! What was read from the registries, as plain values: the planner's second input beside the declaration.

use std::collections::{BTreeMap, BTreeSet};

use super::version::ComparableVersion;
use super::{Referrers, Unserved};
use crate::model::digest::Digest;
use crate::model::manifest::{Descriptor, ImageConfig, List};
use crate::model::reference::Repository;

/// Everything the planner needs to know of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedTarget {
    /// One for each declared image, in declaration order.
    pub images: Vec<ObservedImage>,
    /// One for each declared repository, in declaration order.
    pub places: Vec<ObservedPlace>,
    /// Images and attestations that were published from here before, as the lock has them.
    pub known: BTreeSet<Digest>,
    /// What hangs on the images that are to be copied; nothing under `attestations = "drop"`.
    pub referrers: Referrers,
    /// Of images that are found by their digest, those whose declared references serve something else, by their
    /// positions.
    pub unserved: BTreeMap<usize, Unserved>,
}

/// What is known of a declared image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObservedImage {
    /// It will be built in this run; its digest is not known before.
    Pending,
    /// The registry confirmed that it has no such image.
    Absent,
    /// It is there but cannot be used, or cannot be read; the text says why.
    Unusable(String),
    /// It is there.
    Found(FoundImage),
}

/// An image that can be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundImage {
    /// Media type, digest and size.
    pub descriptor: Descriptor,
    /// What its configuration says.
    pub config: ImageConfig,
    /// The attestations that the reference listed beside it.
    pub attestations: Vec<Descriptor>,
    /// Where it can be copied from.
    pub source: Repository,
}

/// What a repository serves under the declared tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedPlace {
    /// The repository.
    pub repository: Repository,
    /// One for each declared tag, in declaration order.
    pub tags: Vec<ObservedTag>,
    /// Manifests that this repository is known to hold. What is not among them may still be there.
    pub present: BTreeSet<Digest>,
    /// Its released versions; read only for a tag with the policy `newest`.
    pub released: Released,
}

/// What is known of the versions that a repository has released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Released {
    /// Those that its tags name.
    Versions(Vec<ComparableVersion>),
    /// Its tags are not listed, or not all of them; the text says why.
    Unlisted(String),
}

impl Default for Released {
    /// None.
    fn default() -> Self {
        Self::Versions(Vec::new())
    }
}

/// What a tag serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObservedTag {
    /// The registry confirmed that there is none.
    Absent,
    /// The registry does not say; the text is its answer.
    Unreadable(String),
    /// A plain image.
    Image(Descriptor),
    /// Neither an image nor a list, or something that cannot be read as one: an artifact, a manifest of an unknown type.
    Other {
        /// Media type, digest and size of what is served.
        descriptor: Descriptor,
        /// What it is, after "serves".
        what: String,
    },
    /// A list.
    List(Box<PublishedList>),
}

impl ObservedTag {
    /// The digest served, if any.
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Absent | Self::Unreadable(_) => None,
            Self::Image(descriptor) | Self::Other { descriptor, .. } => Some(&descriptor.digest),
            Self::List(list) => Some(&list.descriptor.digest),
        }
    }

    /// The list served, if it is one.
    pub fn list(&self) -> Option<&PublishedList> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }
}

/// A list that a registry serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedList {
    /// Media type, digest and size of its bytes.
    pub descriptor: Descriptor,
    /// The bytes as served, which are published again when they mean what is declared.
    pub bytes: Vec<u8>,
    /// Their meaning.
    pub list: List,
    /// The configurations of its images by digest; read only where a tag's policy asks for them.
    pub configs: BTreeMap<Digest, ImageConfig>,
}
