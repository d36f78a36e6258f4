//! The tag policy `newest`: which versions a repository has released, and whether one of them is newer than this one.

use super::PublishedList;
use super::version::ComparableVersion;
use crate::config::{TagPolicy, Target};
use crate::model::manifest::Role;

/// Annotation of a list and label of an image: the version of what is in it (image-spec, annotations.md).
pub const VERSION: &str = "org.opencontainers.image.version";

/// A target's version, and how the tags of its other releases are told from the rest of a repository's tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    version: ComparableVersion,
    /// What stands before and after the version in a tag, but for a `v`.
    affixes: Vec<(String, String)>,
}

/// What a published list, or its images, say of their version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Version(ComparableVersion),
    /// Something that cannot be compared.
    Other(String),
}

impl Release {
    /// What `target` releases: the version that its list is annotated with, else that of its package, else the one that
    /// a declared tag names. `None` when none of them says, or the annotation cannot be compared.
    pub fn of(target: &Target) -> Option<Self> {
        let fixed = || target.tags.iter().filter(|tag| tag.policy != TagPolicy::Newest);
        let version = match (target.annotations.get(VERSION), &target.version) {
            (Some(text), _) => text.parse().ok(),
            (None, Some(version)) => version.to_string().parse().ok(),
            (None, None) => {
                // `1` and `1.2` beside `1.2.3` are its lines; of equals the first one counts.
                let named = fixed().filter_map(|tag| tag.name.parse::<ComparableVersion>().ok()).rev();
                named.max_by_key(ComparableVersion::count)
            }
        }?;
        let mut affixes: Vec<_> = fixed().filter_map(|tag| around(&tag.name, &version.to_string())).collect();
        if affixes.is_empty() {
            affixes.push((String::new(), String::new()));
        }
        Some(Self { version, affixes })
    }

    /// The versions that `tags` name in the way this target's own tags do. A single number counts only for a target that
    /// has such versions: beside others it is a line (`2` of `2.1.0`), a date or the number of a build.
    pub fn released(&self, tags: &[String]) -> Vec<ComparableVersion> {
        let counts = |version: &ComparableVersion| version.count() > 1 || self.version.count() == 1;
        let version = |tag: &String| self.within(tag).find_map(|text| text.parse().ok()).filter(counts);
        tags.iter().filter_map(version).collect()
    }

    /// Why `tag` stays where it is, or `None` when it moves to this version: no released version of its line is newer, nor
    /// is what the tag serves. A tag that names a major version, or a major and a minor one, is of that line only; any
    /// other is of all.
    pub fn why_not(&self, tag: &str, released: &[ComparableVersion]) -> Option<String> {
        let version = &self.version;
        if version.is_prerelease() {
            return Some(format!("{version} is a prerelease"));
        }
        let rivals = released.iter().filter(|rival| !rival.is_prerelease() && self.is_rival(tag, rival));
        rivals.max().and_then(|highest| self.after(highest))
    }

    /// Why `tag`, which serves a list that says `served` of its version, stays where it is, or `None` when it may move.
    /// A prerelease that it serves counts, too: the tag never moves to an older version.
    pub(super) fn why_not_from(&self, tag: &str, served: &Said) -> Option<String> {
        match served {
            Said::Version(served) if self.is_rival(tag, served) => self.after(served),
            Said::Version(_) => None,
            Said::Other(text) => Some(format!(
                "it serves the version {text:?}, which cannot be compared with {}",
                self.version
            )),
        }
    }

    /// Why this version does not take the place of `other`, if it is older.
    fn after(&self, other: &ComparableVersion) -> Option<String> {
        let version = &self.version;
        (other > version).then(|| format!("{other} is released and newer than {version}"))
    }

    /// Whether `other` is of the line that `tag` stands for.
    fn is_rival(&self, tag: &str, other: &ComparableVersion) -> bool {
        let line = self.within(tag).find_map(|text| line(text, &self.version));
        line.is_none_or(|line| other.is_of(&line))
    }

    /// `tag` without what stands around a version.
    fn within<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = &'a str> {
        self.affixes.iter().filter_map(move |(before, after)| tag.strip_prefix(before)?.strip_suffix(after))
    }
}

/// The line that `1` or `1.2` names, if `version` is of it.
fn line(text: &str, version: &ComparableVersion) -> Option<ComparableVersion> {
    let line: ComparableVersion = text.parse().ok()?;
    (line.count() <= 2 && line.count() < version.count() && !line.is_prerelease() && version.is_of(&line))
        .then_some(line)
}

/// What a published list says of its version: its annotation, else the label that all its images agree on.
pub(super) fn version_of(published: &PublishedList) -> Option<Said> {
    let said = |text: &str| match text.parse() {
        Ok(version) => Said::Version(version),
        Err(_) => Said::Other(text.to_owned()),
    };
    if let Some(text) = published.list.annotations.get(VERSION) {
        return Some(said(text));
    }
    let images = published.list.entries.iter().filter(|entry| matches!(entry.role(), Role::Image(_)));
    let mut labels = images.map(|entry| published.configs.get(&entry.digest)?.labels.get(VERSION));
    let first = labels.next()??;
    // An empty label takes that of the base image away.
    (!first.is_empty() && labels.all(|label| label == Some(first))).then(|| said(first))
}

/// What stands before and after `version` in `tag`; a `v` before it belongs to it.
fn around(tag: &str, version: &str) -> Option<(String, String)> {
    // A tag cannot hold the `+` of build metadata.
    let (before, after) = tag.split_once(&version.replace('+', "-"))?;
    let before = before.strip_suffix(['v', 'V']).unwrap_or(before);
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
            let found = around(tag, version);
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
            ("1.9.5", plain, "latest", &["2.0"], Some("2.0 is released and newer than 1.9.5")),
            ("1.9.5", plain, "latest", &["V2.0.0_1"], Some("2.0.0_1 is released and newer than 1.9.5")),
            ("2.0.0", plain, "latest", &["2.0.0.1"], Some("2.0.0.1 is released and newer than 2.0.0")),
            (
                "2024.9.1",
                plain,
                "latest",
                &["2024.11.02"],
                Some("2024.11.02 is released and newer than 2024.9.1"),
            ),
            // A line, a date and a build beside versions; and versions of one number.
            ("1.9.5", plain, "latest", &["2", "20240716", "1234567"], None),
            ("20240716", plain, "latest", &["20240715", "20240716"], None),
            (
                "20240716",
                plain,
                "latest",
                &["20240801"],
                Some("20240801 is released and newer than 20240716"),
            ),
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
