//! What the specification allows as a repository's name, a tag and a reference (distribution-spec, Pulling manifests).

use std::fmt;
use std::path::PathBuf;

use super::digest::{Digest, DigestError};
use super::error::{ApiError, Code, shown};

/// Longer names are refused: many clients take at most 255 characters, and so do file systems for one segment.
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

/// A repository's name that matches the specification's expression.
///
/// No segment begins with `.` or `_` or is empty, so a name is also a safe relative path, and folders that begin
/// with `_` can never be a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name(String);

impl Name {
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        if text.len() <= MAX_NAME && text.split('/').all(is_name_segment) {
            return Ok(Self(text.to_owned()));
        }
        let message = format!(
            "`{}` is not a repository name: at most {MAX_NAME} characters, lower-case words joined by `.`, `_`, `__` or dashes, separated by `/`",
            shown(text)
        );
        Err(ApiError::bad_request(Code::NameInvalid, message))
    }

    /// The name as a relative path, one folder for each segment.
    pub(super) fn to_path(&self) -> PathBuf {
        self.0.split('/').collect()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_name_segment(segment: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = segment.as_bytes();
    let ends_in_words =
        bytes.first().is_some_and(|&b| is_word(b)) && bytes.last().is_some_and(|&b| is_word(b));
    ends_in_words
        && segment.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
        })
}

/// Whether `text` is a tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub(super) fn is_tag(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    bytes.len() <= MAX_TAG
        && bytes.first().is_some_and(|&b| is_word(b))
        && bytes.iter().all(|&b| is_word(b) || b == b'.' || b == b'-')
}

/// What names a manifest: `<tag-or-digest>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    Tag(String),
    Digest(Digest),
}

impl Reference {
    /// Only a digest holds a colon, so the colon decides which of the two was meant.
    pub(super) fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.contains(':') {
            return Ok(Self::Digest(text.parse()?));
        }
        if is_tag(text) { Ok(Self::Tag(text.to_owned())) } else { Err(ReferenceError::Tag(shown(text))) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReferenceError {
    #[error(
        "`{0}` is not a tag: at most 128 letters, digits, `_`, `.` and `-`, the first neither `.` nor `-`"
    )]
    Tag(String),
    #[error(transparent)]
    Digest(#[from] DigestError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_the_specification() {
        for name in ["a", "a/b/c/d/e/f", "a.b_c__d-e---f", "0/1", &"a".repeat(255)] {
            assert!(Name::parse(name).is_ok(), "{name}");
        }
        for name in [
            "", "/", "a/", "/a", "a//b", "A", "a___b", "a..b", "a._b", "-a", "a-", "_a", "a/_b", "..",
            "a/../b", "ä",
        ] {
            assert!(Name::parse(name).is_err(), "{name}");
        }
        assert!(Name::parse(&"a".repeat(256)).is_err());
    }

    #[test]
    fn references_are_tags_or_digests() {
        for tag in ["latest", "_", "V1.0-rc.1", &"a".repeat(128)] {
            assert_eq!(Reference::parse(tag), Ok(Reference::Tag(tag.to_owned())));
        }
        for tag in ["", ".a", "-a", "a/b", "a b", &"a".repeat(129)] {
            assert!(matches!(Reference::parse(tag), Err(ReferenceError::Tag(_))), "{tag}");
        }
        assert!(matches!(
            Reference::parse("sha256:bad"),
            Err(ReferenceError::Digest(DigestError::Malformed(_)))
        ));
        assert!(matches!(
            Reference::parse("md5:00"),
            Err(ReferenceError::Digest(DigestError::Unsupported(_)))
        ));
    }
}
