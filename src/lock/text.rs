//! The lock's text: TOML with a version. Pure.
//!
//! Every change of what the file can say raises [`VERSION`]; older versions are read, and a file is written in the
//! current one. `requires` names the first release of this program that reads the version, so that an older one can say
//! what it takes although it does not understand the rest.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::model::{Lock, LockedTarget};

/// The version of the format that this program writes. It reads this one and all before it.
///
/// 1: targets, lists and images. 2: `requires`; `checked` of an image; a fingerprint's scheme.
pub const VERSION: u64 = 2;

/// The first release of this program that reads [`VERSION`].
const REQUIRES: Version = Version::new(0, 1, 0);

/// This program's own version.
const OWN: &str = env!("CARGO_PKG_VERSION");

const HEADER: &str =
    "# What was published, written after the registry confirmed it. Commit it; do not edit it.\n";

/// Why a text is no lock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Not TOML, or not of the shape.
    #[error("{0}")]
    Malformed(String),
    /// A merge left its marks.
    #[error("line {0} has a conflict mark of a merge")]
    Conflict(usize),
    /// Written by a program that knows more.
    #[error(
        "it is of version {version} and needs manifests {} or later; this is manifests {OWN}, which knows version {VERSION}",
        .requires.as_ref().map_or_else(|| format!("newer than {OWN}"), ToString::to_string)
    )]
    Newer {
        /// The format's version.
        version: u64,
        /// The release that reads it, if the file says so.
        requires: Option<Version>,
    },
}

/// What every version has, now and later.
#[derive(Deserialize)]
struct Head {
    version: u64,
    requires: Option<toml::Value>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requires: Option<Version>,
    #[serde(rename = "target", default, skip_serializing_if = "BTreeMap::is_empty")]
    targets: BTreeMap<String, LockedTarget>,
}

impl Lock {
    /// The text, in the current version: the same lock, the same text.
    pub fn to_text(&self) -> String {
        let file = File { version: VERSION, requires: Some(REQUIRES), targets: self.targets.clone() };
        // Strings, numbers and tables with names: there is nothing in it that TOML could not hold.
        format!("{HEADER}{}", toml::to_string(&file).unwrap_or_default())
    }

    /// Reads the text of this version or an earlier one.
    ///
    /// # Errors
    ///
    /// A later version, and everything that is not exactly a lock, unknown fields too: what is not understood must not
    /// be lost by writing it again.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let own = Version::parse(OWN).unwrap_or(REQUIRES);
        if let Some(Head { version, requires }) = head(text) {
            let requires = requires.and_then(|requires| Version::parse(requires.as_str()?).ok());
            if version > VERSION || requires.as_ref().is_some_and(|requires| *requires > own) {
                return Err(LockError::Newer { version, requires });
            }
        }
        if let Some(line) = conflict(text) {
            return Err(LockError::Conflict(line));
        }
        let malformed =
            |error: toml::de::Error| LockError::Malformed(error.to_string().trim_end().to_owned());
        let file: File = toml::from_str(text).map_err(malformed)?;
        match file.version {
            1..=VERSION => Ok(Self { targets: file.targets }),
            other => Err(LockError::Malformed(format!("there is no version {other}"))),
        }
    }
}

/// The head of a lock of any version, also when the rest is not understood; `None` when there is no such head.
fn head(text: &str) -> Option<Head> {
    let above = || text.split_inclusive('\n').take_while(|line| !line.starts_with('[')).collect::<String>();
    toml::from_str(text).or_else(|_| toml::from_str(&above())).ok()
}

/// The first line, counted from one, that git put there between two sides.
fn conflict(text: &str) -> Option<usize> {
    let marks = ["<<<<<<< ", "||||||| ", "=======", ">>>>>>> "];
    let is_mark = |line: &str| marks.iter().any(|mark| line.starts_with(mark.trim_end()));
    text.lines().position(is_mark).map(|index| index + 1)
}

#[cfg(test)]
mod tests;
