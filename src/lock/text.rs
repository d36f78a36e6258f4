//! The lock's text: TOML with a version. Pure.

use serde::{Deserialize, Serialize};

use super::model::Lock;

/// The version of the format that this program reads and writes.
pub const VERSION: u64 = 1;

const HEADER: &str =
    "# What was published, written after the registry confirmed it. Commit it; do not edit it.\n";

/// Why a text is no lock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Not TOML, or not of the shape.
    #[error("{0}")]
    Malformed(String),
    /// Written by a program that knows more.
    #[error("it is of version {0}, and this program knows version {VERSION}")]
    Version(u64),
}

#[derive(Deserialize)]
struct Head {
    version: u64,
}

#[derive(Serialize)]
struct Body<'a> {
    version: u64,
    #[serde(flatten)]
    lock: &'a Lock,
}

impl Lock {
    /// The text: the same lock, the same text.
    pub fn to_text(&self) -> String {
        let body = Body { version: VERSION, lock: self };
        // Strings, numbers and tables with names: there is nothing in it that TOML could not hold.
        format!("{HEADER}{}", toml::to_string(&body).unwrap_or_default())
    }

    /// Reads the text.
    ///
    /// # Errors
    ///
    /// Another version, and everything that is not exactly a lock: what is not understood must not be lost by writing
    /// it again.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let malformed =
            |error: toml::de::Error| LockError::Malformed(error.to_string().trim_end().to_owned());
        let head: Head = toml::from_str(text).map_err(malformed)?;
        if head.version != VERSION {
            return Err(LockError::Version(head.version));
        }
        let mut table: toml::Table = toml::from_str(text).map_err(malformed)?;
        table.remove("version");
        table.try_into().map_err(malformed)
    }
}

#[cfg(test)]
mod tests;
