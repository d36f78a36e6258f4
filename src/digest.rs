//! Content digests, `algorithm:hex` (image-spec, descriptor.md, "Digests"). Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

/// A checked digest: sha256 or sha512, with lower-case hex of the right length.
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
            Some((algorithm @ ("sha256" | "sha512"), digits)) => {
                let length = if algorithm == "sha256" { 64 } else { 128 };
                match digits.chars().find(|c| !matches!(c, '0'..='9' | 'a'..='f')) {
                    Some(wrong) => format!("a digest's digits are lower-case hexadecimal, found {wrong:?}"),
                    None => format!("a {algorithm} digest has {length} digits, this one {}", digits.len()),
                }
            }
            _ => "a digest starts with `sha256:` or `sha512:`".to_owned(),
        };
        Self { text: text.to_owned(), reason }
    }

    /// The reason alone, for messages that show the text by other means.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl Digest {
    /// The sha256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hex(&Sha256::digest(bytes))))
    }

    /// Whether `bytes` have this digest, by its own algorithm.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        let found = match self.algorithm() {
            "sha512" => hex(&Sha512::digest(bytes)),
            _ => hex(&Sha256::digest(bytes)),
        };
        found == self.hex()
    }

    /// `sha256` or `sha512`.
    pub fn algorithm(&self) -> &str {
        self.0.split_once(':').map_or("", |(algorithm, _)| algorithm)
    }

    /// The part after the colon.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, hex)| hex)
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Enough to tell digests apart in a table: the algorithm and twelve digits.
    pub fn short(&self) -> String {
        format!("{}:{}", self.algorithm(), &self.hex()[..12])
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
        let valid = text.split_once(':').is_some_and(|(algorithm, digits)| {
            let length = match algorithm {
                "sha256" => 64,
                "sha512" => 128,
                _ => return false,
            };
            digits.len() == length && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
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
    fn only_known_algorithms_of_the_right_length_are_digests() {
        let empty = Digest::of(b"");
        assert_eq!(empty.as_str(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert!(empty.matches(b"") && !empty.matches(b"x"));
        assert_eq!(empty.short(), "sha256:e3b0c44298fc");
        for wrong in
            ["", "sha256:", "sha256:E3B0", "md5:d41d8cd98f00b204e9800998ecf8427e", &empty.as_str()[..70]]
        {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
