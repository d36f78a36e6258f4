//! A fingerprint with the number of the scheme that made it. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::digest::{Digest, DigestError};

/// The first scheme, whose fingerprints are written without their number.
const FIRST: u32 = 1;

/// One digest of all inputs of an image, and the scheme that made it. Written `2:sha256:…`; a fingerprint of scheme 1
/// is the digest alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint {
    /// The number of the scheme.
    pub scheme: u32,
    /// The digest.
    pub digest: Digest,
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            FIRST => write!(f, "{}", self.digest),
            scheme => write!(f, "{scheme}:{}", self.digest),
        }
    }
}

impl FromStr for Fingerprint {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbered = text.split_once(':').and_then(|(scheme, digest)| Some((scheme.parse().ok()?, digest)));
        let (scheme, digest) = numbered.unwrap_or((FIRST, text));
        Ok(Self { scheme, digest: digest.parse()? })
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_has_its_scheme_in_its_text() {
        let digest = Digest::of(b"x");
        for (text, scheme) in
            [(digest.to_string(), 1), (format!("2:{digest}"), 2), (format!("17:{digest}"), 17)]
        {
            let fingerprint: Fingerprint = text.parse().unwrap();
            assert_eq!(fingerprint, Fingerprint { scheme, digest: digest.clone() });
            assert_eq!(fingerprint.to_string(), text);
        }
        for text in ["", "2", "2:", "2:x", "two:sha256:1", "-1:sha256:1"] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text:?}");
        }
    }
}
