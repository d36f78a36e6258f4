//! What a run learns of an image, for the lock. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::checks::Checks;
use crate::model::digest::Digest;
use crate::model::fingerprint::Fingerprint;

/// What an image was built from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The images that it was built from, by reference.
    pub bases: BTreeMap<String, Digest>,
}

/// What a run has learned of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageRecord {
    /// What it was built from, in this run or in the interrupted one that it finishes; `None` when it was not built, or
    /// when that is not known.
    pub origin: Option<Origin>,
    /// What was checked of it.
    pub checked: Checks,
}
