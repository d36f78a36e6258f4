//! What can differ between the lock and a registry, for people and for programs. Pure.

use std::fmt;

use serde_json::{Value, json};

use crate::model::digest::Digest;
use crate::model::reference::Reference;

/// Something that is not as the lock says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Drift {
    /// A tag serves something else.
    Moved {
        /// The tag.
        tag: Reference,
        /// What the lock says.
        locked: Digest,
        /// What it serves.
        found: Digest,
    },
    /// A tag does not exist any more.
    TagGone {
        /// The tag.
        tag: Reference,
        /// What the lock says.
        locked: Digest,
    },
    /// A list does not exist any more.
    ListGone(Reference),
    /// An image or attestation of a list does not exist any more.
    ChildGone {
        /// The image.
        child: Reference,
        /// What it is for.
        platform: String,
    },
    /// The bytes that are served do not have the digest that they are served under.
    Altered {
        /// The manifest, by tag or digest.
        manifest: Reference,
        /// What it is: a tag, a list, or the platform of an image.
        what: String,
        /// What the bytes are instead.
        found: String,
    },
    /// A manifest is served as another media type: clients take it for something else.
    Type {
        /// The manifest, by tag or digest.
        manifest: Reference,
        /// What it is: a tag, a list, or the platform of an image.
        what: String,
        /// What the lock says, or the list that names the manifest.
        locked: String,
        /// As served; may be empty.
        found: String,
    },
    /// A configuration or layer does not exist any more.
    BlobGone {
        /// The blob.
        blob: Reference,
        /// What it is, and of which platforms.
        what: String,
    },
    /// A configuration or layer has another length than its manifest says.
    BlobCut {
        /// The blob.
        blob: Reference,
        /// What it is, and of which platforms.
        what: String,
        /// How many bytes the manifest says.
        locked: u64,
        /// How many there are.
        found: u64,
    },
}

impl Drift {
    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Moved { tag, locked, found } => {
                json!({ "drift": "moved", "reference": tag.to_string(), "locked": locked, "found": found })
            }
            Self::TagGone { tag, locked } => {
                json!({ "drift": "tag gone", "reference": tag.to_string(), "locked": locked })
            }
            Self::ListGone(list) => json!({ "drift": "list gone", "reference": list.to_string() }),
            Self::ChildGone { child, platform } => {
                json!({ "drift": "image gone", "reference": child.to_string(), "platform": platform })
            }
            Self::Altered { manifest, what, found } => {
                json!({ "drift": "altered", "reference": manifest.to_string(), "what": what, "found": found })
            }
            Self::Type { manifest, what, locked, found } => json!({
                "drift": "type", "reference": manifest.to_string(), "what": what, "locked": locked, "found": found,
            }),
            Self::BlobGone { blob, what } => {
                json!({ "drift": "blob gone", "reference": blob.to_string(), "what": what })
            }
            Self::BlobCut { blob, what, locked, found } => json!({
                "drift": "blob cut", "reference": blob.to_string(), "what": what, "locked": locked, "found": found,
            }),
        }
    }
}

impl fmt::Display for Drift {
    /// As lines of a diff: `-` is what the lock says, `+` what the registry serves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved { tag, locked, found } => write!(f, "- {tag} {locked}\n+ {tag} {found}"),
            Self::TagGone { tag, locked } => write!(f, "- {tag} {locked}"),
            Self::ListGone(list) => write!(f, "- {list} (list)"),
            Self::ChildGone { child, platform } => write!(f, "- {child} ({platform})"),
            Self::Altered { manifest, what, found } => {
                write!(f, "- {manifest} ({what})\n+ {manifest} ({what}): {found}")
            }
            Self::Type { manifest, what, locked, found } => {
                let found = if found.is_empty() { "no media type" } else { found };
                write!(f, "- {manifest} ({what}) {locked}\n+ {manifest} ({what}) {found}")
            }
            Self::BlobGone { blob, what } => write!(f, "- {blob} ({what})"),
            Self::BlobCut { blob, what, locked, found } => {
                write!(f, "- {blob} ({what}) {locked} bytes\n+ {blob} ({what}) {found} bytes")
            }
        }
    }
}
