//! Versions as far as the tag policy `newest` compares them: SemVer's, and others of which the order is plain.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use semver::Prerelease;

/// Numbers with dots between them, and perhaps a prerelease (SemVer 2.0.0, 9 and 11). More is read than SemVer allows: a
/// `v` in front, any count of numbers, leading zeros (calendar versions). Build metadata does not count; `_` begins it
/// where `+` cannot be written (tags).
#[derive(Clone, Debug)]
pub struct ComparableVersion {
    /// As written, without the `v`.
    text: String,
    /// Without leading zeros; never empty. They may be longer than machine numbers.
    numbers: Vec<String>,
    pre: Prerelease,
}

/// A text that is not such a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a version that can be compared")]
pub struct NotComparable;

impl ComparableVersion {
    /// Whether it is a prerelease.
    pub fn is_prerelease(&self) -> bool {
        !self.pre.is_empty()
    }

    /// How many numbers it has.
    pub(super) fn count(&self) -> usize {
        self.numbers.len()
    }

    /// Whether its first numbers are all those of `line`.
    pub(super) fn is_of(&self, line: &Self) -> bool {
        (0..line.count()).all(|position| self.number(position) == line.number(position))
    }

    fn number(&self, position: usize) -> &str {
        self.numbers.get(position).map_or("0", String::as_str)
    }
}

impl FromStr for ComparableVersion {
    type Err = NotComparable;

    fn from_str(text: &str) -> Result<Self, NotComparable> {
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let without_build = text.split_once(['+', '_']).map_or(text, |(version, _)| version);
        let (numbers, pre) = match without_build.split_once('-') {
            Some((_, "")) => return Err(NotComparable),
            Some((numbers, pre)) => (numbers, Prerelease::new(pre).map_err(|_| NotComparable)?),
            None => (without_build, Prerelease::EMPTY),
        };
        let number = |text: &str| match text.trim_start_matches('0') {
            _ if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) => Err(NotComparable),
            "" => Ok("0".to_owned()),
            number => Ok(number.to_owned()),
        };
        let numbers = numbers.split('.').map(number).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), numbers, pre })
    }
}

impl fmt::Display for ComparableVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for ComparableVersion {
    /// By precedence: a number that is missing is 0, and build metadata does not count.
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = (0..self.count().max(other.count())).map(|position| {
            let (own, others) = (self.number(position), other.number(position));
            own.len().cmp(&others.len()).then_with(|| own.cmp(others))
        });
        numbers.fold(Ordering::Equal, Ordering::then).then_with(|| self.pre.cmp(&other.pre))
    }
}

impl PartialOrd for ComparableVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ComparableVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ComparableVersion {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_where_their_order_is_plain() {
        for (a, b, expected) in [
            ("1.2.0", "1.2.0", Ordering::Equal),
            ("v1.2.0", "V1.2", Ordering::Equal),
            ("1.2.0+a", "1.2.0_b", Ordering::Equal),
            ("2024.11.02", "2024.11.2", Ordering::Equal),
            ("1.9.5", "1.10", Ordering::Less),
            ("2024.9.1", "2024.11.02", Ordering::Less),
            ("2.0.0", "2.0.0.1", Ordering::Less),
            ("20240716", "20240801", Ordering::Less),
            ("2.0.0-rc.1", "2.0", Ordering::Less),
            ("2.0.0-rc.9", "2.0.0-rc.10", Ordering::Less),
            ("1.0.0", "99999999999999999999.0.0", Ordering::Less),
        ] {
            let version = |text: &str| text.parse::<ComparableVersion>().unwrap();
            assert_eq!(version(a).cmp(&version(b)), expected, "{a} {b}");
            assert_eq!(version(b).cmp(&version(a)), expected.reverse(), "{b} {a}");
        }
        for text in
            ["", "v", "latest", "1.", ".1", "1..2", "1.x", "1.2.0-", "1.2.0-01", "release-2.0.0", "+1"]
        {
            assert_eq!(text.parse::<ComparableVersion>(), Err(NotComparable), "{text}");
        }
    }
}
