//! The tag policy `newest`: which versions a repository has released, and whether one of them is newer than this one.

use semver::Version;

use super::PublishedList;
use crate::config::{TagPolicy, Target};
use crate::manifest::Role;

/// Annotation of a list and label of an image: the version of what is in it (image-spec, annotations.md).
pub const VERSION: &str = "org.opencontainers.image.version";

/// A target's version, and how the tags of its other releases are told from the rest of a repository's tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    version: Version,
    /// What stands before and after the version in a tag, but for a `v`.
    affixes: Vec<(String, String)>,
}

impl Release {
    /// What `target` releases: the version that its list is annotated with, else that of its package, else the one that
    /// a declared tag names. `None` when none of them says.
    pub fn of(target: &Target) -> Option<Self> {
        let fixed = || target.tags.iter().filter(|tag| tag.policy != TagPolicy::Newest);
        let annotated = target.annotations.get(VERSION).and_then(|text| parse(text));
        let version = annotated
            .or_else(|| target.version.clone())
            .or_else(|| fixed().find_map(|tag| parse(&tag.name)))?;
        let mut affixes: Vec<_> = fixed().filter_map(|tag| around(&tag.name, &version)).collect();
        if affixes.is_empty() {
            affixes.push((String::new(), String::new()));
        }
        Some(Self { version, affixes })
    }

    /// The versions that `tags` name in the way this target's own tags do.
    pub fn released(&self, tags: &[String]) -> Vec<Version> {
        tags.iter().filter_map(|tag| self.within(tag).find_map(parse)).collect()
    }

    /// Why `tag` stays where it is, or `None` when it moves to this version: no released version of its line is newer.
    /// A tag that names a major version, or a major and a minor one, is of that line only; any other is of all.
    pub fn why_not(&self, tag: &str, released: &[Version]) -> Option<String> {
        let version = &self.version;
        if !version.pre.is_empty() {
            return Some(format!("{version} is a prerelease"));
        }
        let line = self.within(tag).find_map(|text| line(text, version)).unwrap_or_default();
        let rivals = released.iter().filter(|rival| rival.pre.is_empty() && line.holds(rival));
        let highest = rivals.max_by(|a, b| a.cmp_precedence(b))?;
        highest
            .cmp_precedence(version)
            .is_gt()
            .then(|| format!("{highest} is released and newer than {version}"))
    }

    /// `tag` without what stands around a version.
    fn within<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = &'a str> {
        self.affixes.iter().filter_map(move |(before, after)| tag.strip_prefix(before)?.strip_suffix(after))
    }
}

/// The versions that a tag stands for.
#[derive(Default)]
struct Line {
    major: Option<u64>,
    minor: Option<u64>,
}

impl Line {
    fn holds(&self, version: &Version) -> bool {
        self.major.is_none_or(|major| major == version.major)
            && self.minor.is_none_or(|minor| minor == version.minor)
    }
}

/// The line that `1` or `1.2` names, if `version` is of it.
fn line(text: &str, version: &Version) -> Option<Line> {
    let mut numbers = text.strip_prefix('v').unwrap_or(text).split('.').map(|part| part.parse::<u64>().ok());
    let line = Line {
        major: Some(numbers.next()??),
        minor: match numbers.next() {
            Some(number) => Some(number?),
            None => None,
        },
    };
    (numbers.next().is_none() && line.holds(version)).then_some(line)
}

/// The version of a published list: its annotation, else the label that all its images agree on.
pub(super) fn version_of(published: &PublishedList) -> Option<Version> {
    if let Some(text) = published.list.annotations.get(VERSION) {
        return parse(text);
    }
    let images = published.list.entries.iter().filter(|entry| matches!(entry.role(), Role::Image(_)));
    let mut labels = images.map(|entry| published.configs.get(&entry.digest)?.labels.get(VERSION));
    let first = labels.next()??;
    labels.all(|label| label == Some(first)).then(|| parse(first))?
}

fn parse(text: &str) -> Option<Version> {
    Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()
}

/// What stands before and after `version` in `tag`; a `v` before it belongs to it.
fn around(tag: &str, version: &Version) -> Option<(String, String)> {
    // A tag cannot hold the `+` of build metadata.
    let (before, after) = tag.split_once(&version.to_string().replace('+', "-"))?;
    let before = before.strip_suffix('v').unwrap_or(before);
    let apart = !before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '.')
        && !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.');
    apart.then(|| (before.to_owned(), after.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(version: &str, affixes: &[(&str, &str)]) -> Release {
        let affixes = affixes.iter().map(|(before, after)| ((*before).to_owned(), (*after).to_owned()));
        Release { version: version.parse().unwrap(), affixes: affixes.collect() }
    }

    #[test]
    fn what_stands_around_a_version_is_found() {
        for (tag, version, expected) in [
            ("1.2.0", "1.2.0", Some(("", ""))),
            ("v1.2.0", "1.2.0", Some(("", ""))),
            ("1.2.0-alpine", "1.2.0", Some(("", "-alpine"))),
            ("tool-v1.2.0", "1.2.0", Some(("tool-", ""))),
            ("1.2.0-x", "1.2.0+x", Some(("", ""))),
            ("11.2.0", "1.2.0", None),
            ("1.2.01", "1.2.0", None),
            ("latest", "1.2.0", None),
        ] {
            let found = around(tag, &version.parse().unwrap());
            let found = found.as_ref().map(|(before, after)| (before.as_str(), after.as_str()));
            assert_eq!(found, expected, "{tag} {version}");
        }
    }

    #[test]
    fn a_tag_stays_when_its_line_has_a_newer_version() {
        let plain: &[(&str, &str)] = &[("", "")];
        let alpine: &[(&str, &str)] = &[("", "-alpine")];
        for (version, affixes, tag, others, why) in [
            ("1.2.0", plain, "latest", &[][..], None),
            ("1.2.0", plain, "latest", &["1.1.9", "v1.2.0", "edge", "2.0.0-rc.1", "3.0.0-linux-amd64"], None),
            ("1.2.0", plain, "latest", &["1.10.0", "1.9.0"], Some("1.10.0 is released and newer than 1.2.0")),
            ("2.0.0-rc.1", plain, "latest", &[], Some("2.0.0-rc.1 is a prerelease")),
            // A patch for an older line moves the tag of that line, and only that.
            ("1.1.5", plain, "1.1", &["1.1.4", "1.2.0", "2.0.0"], None),
            ("1.1.5", plain, "v1.1", &["1.1.4", "1.2.0"], None),
            ("1.1.5", plain, "1", &["1.2.0", "2.0.0"], Some("1.2.0 is released and newer than 1.1.5")),
            ("1.1.5", plain, "latest", &["1.2.0"], Some("1.2.0 is released and newer than 1.1.5")),
            ("1.1.5", plain, "2024", &["1.2.0"], Some("1.2.0 is released and newer than 1.1.5")),
            // Another flavour in the same repository is no rival.
            ("1.1.5", alpine, "latest-alpine", &["1.2.0", "1.1.4-alpine"], None),
            (
                "1.1.5",
                alpine,
                "latest-alpine",
                &["1.2.0-alpine"],
                Some("1.2.0 is released and newer than 1.1.5"),
            ),
            ("1.1.5", alpine, "1.1-alpine", &["1.2.0-alpine"], None),
        ] {
            let release = release(version, affixes);
            let tags: Vec<String> = others.iter().map(|tag| (*tag).to_owned()).collect();
            let found = release.why_not(tag, &release.released(&tags));
            assert_eq!(found.as_deref(), why, "{version} {tag} {others:?}");
        }
    }
}
