//! Content digests, `algorithm:hex` (image-spec, descriptor.md, "Digests"). Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

/// A digest of valid grammar. Of sha256 and sha512 the digits are checked, too; other algorithms pass, as image-spec
/// recommends, but content cannot be compared with them: see [`Digest::unverifiable`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a digest: {reason}")]
pub struct DigestError {
    text: String,
    reason: String,
}

impl DigestError {
    fn new(text: &str) -> Self {
        let reason = match text.split_once(':') {
            Some((algorithm, digits)) => match hex_length(algorithm) {
                Some(length) => match digits.chars().find(|c| !matches!(c, '0'..='9' | 'a'..='f')) {
                    Some(wrong) => format!("a digest's digits are lower-case hexadecimal, found {wrong:?}"),
                    None => format!("a {algorithm} digest has {length} digits, this one {}", digits.len()),
                },
                None => "expected `algorithm:digits`, such as `sha256:` and 64 hexadecimal digits".to_owned(),
            },
            None => "a digest starts with `sha256:` or `sha512:`".to_owned(),
        };
        Self { text: text.to_owned(), reason }
    }

    /// The reason alone, for messages that show the text by other means.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// How many hexadecimal digits a digest of a known algorithm has.
fn hex_length(algorithm: &str) -> Option<usize> {
    match algorithm {
        "sha256" => Some(64),
        "sha512" => Some(128),
        _ => None,
    }
}

impl Digest {
    /// The sha256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hex(&Sha256::digest(bytes))))
    }

    /// Reads a digest that somebody wrote by hand: only known algorithms, so that a typing error is found.
    ///
    /// # Errors
    ///
    /// It is not a digest, or one that content cannot be compared with.
    pub fn verifiable(text: &str) -> Result<Self, DigestError> {
        let digest: Self = text.parse()?;
        match hex_length(digest.algorithm()) {
            Some(_) => Ok(digest),
            None => {
                let reason = "a digest starts with `sha256:` or `sha512:`".to_owned();
                Err(DigestError { text: text.to_owned(), reason })
            }
        }
    }

    /// Whether `bytes` have this digest, by its own algorithm; never when that is not known here.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        match self.algorithm() {
            "sha256" => hex(&Sha256::digest(bytes)) == self.hex(),
            "sha512" => hex(&Sha512::digest(bytes)) == self.hex(),
            _ => false,
        }
    }

    /// Why content cannot be compared with this digest; `None` when it can.
    pub fn unverifiable(&self) -> Option<String> {
        let algorithm = self.algorithm();
        let unknown = hex_length(algorithm).is_none();
        unknown.then(|| {
            format!("content of {self} cannot be verified: `{algorithm}` is not known here, only sha256 and sha512 are")
        })
    }

    /// `sha256`, `sha512` or another one.
    pub fn algorithm(&self) -> &str {
        self.0.split_once(':').map_or("", |(algorithm, _)| algorithm)
    }

    /// The part after the colon; hexadecimal for the known algorithms.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, hex)| hex)
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Enough to tell digests apart in a table: the algorithm and twelve digits.
    pub fn short(&self) -> String {
        format!("{}:{}", self.algorithm(), self.hex().get(..12).unwrap_or(self.hex()))
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = text.split_once(':').is_some_and(|(algorithm, encoded)| match hex_length(algorithm) {
            Some(length) => {
                encoded.len() == length && encoded.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            }
            None => {
                let component = |part: &str| {
                    !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                };
                let encodes = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'=' | b'_' | b'-');
                algorithm.split(['+', '.', '_', '-']).all(component)
                    && !encoded.is_empty()
                    && encoded.bytes().all(encodes)
            }
        });
        if valid { Ok(Self(text.to_owned())) } else { Err(DigestError::new(text)) }
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_algorithms_have_their_length_and_others_the_grammar() {
        let empty = Digest::of(b"");
        assert_eq!(empty.as_str(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert!(empty.matches(b"") && !empty.matches(b"x"));
        assert_eq!((empty.short().as_str(), empty.unverifiable()), ("sha256:e3b0c44298fc", None));
        for other in
            ["blake3:af1349b9f5f9a1a6", "md5:d41d8cd98f00b204", "multihash+base58:QmRZxt2b1FVZ", "a_b.c-d:="]
        {
            let digest: Digest = other.parse().unwrap();
            assert_eq!(digest.to_string(), other);
            assert!(!digest.matches(b"") && digest.unverifiable().is_some());
            assert!(other.starts_with(&digest.short()), "{other}");
        }
        let wrong = [
            "",
            ":",
            "sha256",
            "sha256:",
            "sha256:E3B0",
            &empty.as_str()[..70],
            "blake3:",
            ":abc",
            "Blake3:abc",
            "a++b:c",
            "+a:b",
            "a:b/c",
            "a:b c",
            "a:b:c",
            "a:../b",
            "../a:b",
        ];
        for wrong in wrong {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
