//! Declared platforms against a published list: which entry stands for which platform, and what must change.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Undeclared;
use crate::model::digest::Digest;
use crate::model::foreign::Foreign;
use crate::model::manifest::{Descriptor, List, PlatformFields, Role};
use crate::model::platform::Platform;
use crate::model::reference::Repository;

/// What happens to one entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPlan {
    /// The platform, or the digest of an entry without one.
    pub name: String,
    /// What happens.
    pub change: EntryChange,
}

/// The changes an entry can see, each with what applying and reporting need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryChange {
    /// `=`: published as declared.
    Keep {
        /// The published entry.
        entry: Descriptor,
    },
    /// `+`: declared, not published.
    Add {
        /// The entry to publish.
        entry: Descriptor,
    },
    /// `~`: published otherwise than declared.
    Replace {
        /// The published entry.
        from: Descriptor,
        /// The entry to publish.
        entry: Descriptor,
        /// What differs, e.g. `digest`, `os.version none → ubuntu22.04`.
        why: Vec<String>,
    },
    /// `-`: published, not declared, and to go.
    Remove {
        /// The published entry.
        entry: Descriptor,
    },
    /// `?`: declared, and built in this run: what becomes of it is known after the build.
    Pending {
        /// The entry published now, if there is one.
        published: Option<Descriptor>,
        /// Why it is built.
        why: Vec<String>,
    },
    /// Published, not declared, and the declaration does not say what becomes of it.
    Undecided {
        /// The published entry.
        entry: Descriptor,
    },
}

impl EntryPlan {
    /// What a reviewer should know of an entry whose image is still to be built: what goes if the image changes.
    pub(super) fn lost_with_the_image(&self, repository: &Repository) -> Option<String> {
        let EntryChange::Pending { published: Some(published), .. } = &self.change else { return None };
        let members = of_the_image(published);
        (!members.is_empty()).then(|| {
            format!(
                "the entry for {} in {repository} has {}, which is dropped if its image changes",
                self.name,
                members.join(", ")
            )
        })
    }
}

impl EntryChange {
    /// The entry that the list will have, if it is known and there is one.
    pub fn entry(&self) -> Option<&Descriptor> {
        match self {
            Self::Keep { entry } | Self::Add { entry } | Self::Replace { entry, .. } => Some(entry),
            Self::Remove { .. } | Self::Pending { .. } | Self::Undecided { .. } => None,
        }
    }
}

/// A declared entry: the platform, and the descriptor to publish unless the image is still to be built.
#[derive(Clone, Debug)]
pub(super) struct DeclaredEntry {
    pub(super) platform: Platform,
    pub(super) descriptor: Option<Descriptor>,
}

/// Compares entry by entry: the declared ones in declaration order, then what only the published list has, in its
/// order. Attestations are no entries here; they follow their image. `known` are the entries that were published from
/// here before.
pub(super) fn compare(
    declared: &[DeclaredEntry],
    published: Option<&List>,
    undeclared: Undeclared,
    known: &BTreeSet<Digest>,
) -> Vec<EntryPlan> {
    let published_images: Vec<(&Descriptor, Platform)> = published
        .into_iter()
        .flat_map(|list| &list.entries)
        .filter_map(|entry| match entry.role() {
            Role::Image(platform) => Some((entry, platform)),
            Role::Attestation(_) | Role::Other => None,
        })
        .collect();
    let platforms: Vec<&Platform> = published_images.iter().map(|(_, platform)| platform).collect();
    let wanted: Vec<&Platform> = declared.iter().map(|entry| &entry.platform).collect();
    let pairs = pair(&wanted, &platforms);

    let taken: BTreeSet<usize> = pairs.iter().flatten().copied().collect();
    let mut plans: Vec<EntryPlan> = declared
        .iter()
        .zip(&pairs)
        .map(|(entry, pair)| EntryPlan {
            name: entry.platform.to_string(),
            change: change(entry, pair.map(|index| published_images[index].0)),
        })
        .collect();
    let left_over = published_images
        .iter()
        .enumerate()
        .filter(|(index, _)| !taken.contains(index))
        .map(|(_, (entry, platform))| (*entry, platform.to_string()));
    let without_platform = published
        .into_iter()
        .flat_map(|list| &list.entries)
        .filter(|entry| entry.role() == Role::Other)
        .map(|entry| (entry, entry.digest.short()));
    for (entry, name) in left_over.chain(without_platform) {
        let entry = entry.clone();
        let change = match undeclared {
            Undeclared::Keep => EntryChange::Keep { entry },
            Undeclared::Remove => EntryChange::Remove { entry },
            Undeclared::Known if known.contains(&entry.digest) => EntryChange::Remove { entry },
            Undeclared::Known | Undeclared::Error => EntryChange::Undecided { entry },
        };
        plans.push(EntryPlan { name, change });
    }
    plans
}

fn change(declared: &DeclaredEntry, published: Option<&Descriptor>) -> EntryChange {
    match (&declared.descriptor, published) {
        (None, published) => EntryChange::Pending { published: published.cloned(), why: Vec::new() },
        (Some(entry), None) => EntryChange::Add { entry: entry.clone() },
        (Some(entry), Some(from)) => {
            let (entry, lost) = carry_over(from, entry);
            let mut why = differences(from, &entry);
            if why.is_empty() {
                return EntryChange::Keep { entry: from.clone() };
            }
            why.extend(
                lost.iter().map(|member| format!("{member} is dropped, which was about the old image")),
            );
            EntryChange::Replace { from: from.clone(), entry, why }
        }
    }
}

/// The entry to publish with what the published one says besides, and what of that is lost.
///
/// The platform is the same one, so what it says besides stays true. The rest is about the image: it stays with the
/// same image and goes with another.
fn carry_over(from: &Descriptor, to: &Descriptor) -> (Descriptor, Vec<String>) {
    let mut entry = to.clone();
    if let (Some(from), Some(to)) = (&from.platform, &mut entry.platform) {
        to.other.clone_from(&from.other);
    }
    if from.digest != entry.digest {
        return (entry, of_the_image(from));
    }
    entry.urls.clone_from(&from.urls);
    entry.other.clone_from(&from.other);
    (entry, Vec::new())
}

/// The members of an entry that are about its image, such as `data`, and that nothing declares.
fn of_the_image(entry: &Descriptor) -> Vec<String> {
    let urls = (!entry.urls.is_empty()).then_some("urls");
    urls.into_iter().chain(entry.other.keys().map(String::as_str)).map(|name| format!("`{name}`")).collect()
}

/// What differs between a published entry and the one to publish, in words.
fn differences(from: &Descriptor, to: &Descriptor) -> Vec<String> {
    let mut why = Vec::new();
    if from.digest != to.digest {
        why.push("digest".to_owned());
    } else {
        if from.media_type != to.media_type {
            let (old, new) = (Foreign(&from.media_type), Foreign(&to.media_type));
            why.push(format!("media type {old} → {new}"));
        }
        if from.size != to.size {
            why.push(format!("size {} → {}", from.size, to.size));
        }
    }
    let nothing = PlatformFields::default();
    let (old, new) = (from.platform.as_ref().unwrap_or(&nothing), to.platform.as_ref().unwrap_or(&nothing));
    let features = |fields: &PlatformFields| fields.os_features.join(",");
    for (name, old, new) in [
        ("os", old.os.clone(), new.os.clone()),
        ("architecture", old.architecture.clone(), new.architecture.clone()),
        ("variant", old.variant.clone(), new.variant.clone()),
        ("os.version", old.os_version.clone(), new.os_version.clone()),
        ("os.features", features(old), features(new)),
    ] {
        if old != new {
            why.push(format!("{name} {} → {}", Foreign(or_none(&old)), Foreign(or_none(&new))));
        }
    }
    why.extend(annotation_changes(&from.annotations, &to.annotations));
    why
}

/// Which annotations differ, in words.
pub(super) fn annotation_changes(
    from: &BTreeMap<String, String>,
    to: &BTreeMap<String, String>,
) -> Vec<String> {
    let text =
        |value: Option<&String>| value.map_or("none".to_owned(), |value| format!("\"{}\"", Foreign(value)));
    let keys: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    keys.into_iter()
        .filter(|key| from.get(*key) != to.get(*key))
        .map(|key| format!("annotation {} {} → {}", Foreign(key), text(from.get(key)), text(to.get(key))))
        .collect()
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// For each declared platform the published one that stands for it. Within one system, architecture and variant:
/// the same version and features first, then versions of one Windows build or a prefix of one another, and last, but
/// not for Windows, where a version is a platform of its own, whatever single one is left.
fn pair(declared: &[&Platform], published: &[&Platform]) -> Vec<Option<usize>> {
    let rules: [fn(&Platform, &Platform) -> bool; 3] = [
        |a, b| a == b,
        |a, b| versions_kin(a.os_version.as_deref(), b.os_version.as_deref()),
        |a, _| a.os != "windows",
    ];
    let normal = |platforms: &[&Platform]| platforms.iter().map(|one| one.normal()).collect::<Vec<_>>();
    let (declared, published) = (normal(declared), normal(published));
    let mut by_base: BTreeMap<Platform, Vec<usize>> = BTreeMap::new();
    for (index, platform) in published.iter().enumerate() {
        by_base.entry(platform.base()).or_default().push(index);
    }
    let mut pairs: Vec<Option<usize>> = vec![None; declared.len()];
    for rule in rules {
        for (wanted, pair) in declared.iter().zip(&mut pairs).filter(|(_, pair)| pair.is_none()) {
            let Some(free) = by_base.get_mut(&wanted.base()) else { continue };
            let fits = free.iter().position(|candidate| rule(wanted, &published[*candidate]));
            *pair = fits.map(|position| free.remove(position));
        }
    }
    pairs
}

/// Whether two versions are of one build: a prefix of one another by components, or equal in their first three.
fn versions_kin(a: Option<&str>, b: Option<&str>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return true };
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split('.').collect(), b.split('.').collect());
    let length = a.len().min(b.len()).min(3);
    a[..length] == b[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_platform_finds_the_entry_that_stands_for_it() {
        type Row<'a> = (&'a [&'a str], &'a [&'a str], &'a [Option<usize>]);
        let table: &[Row<'_>] = &[
            (&["linux/amd64"], &["linux/amd64"], &[Some(0)]),
            (&["linux/amd64", "linux/arm64"], &["linux/arm64/v8", "linux/amd64"], &[Some(1), Some(0)]),
            (&["linux/arm/v6", "linux/arm/v7"], &["linux/arm"], &[None, Some(0)]),
            (&["linux(ubuntu22.04)/amd64"], &["linux/amd64"], &[Some(0)]),
            (
                &["linux(a)/amd64", "linux(b)/amd64"],
                &["linux(b)/amd64", "linux(c)/amd64"],
                &[Some(1), Some(0)],
            ),
            (
                &["windows(10.0.17763)/amd64", "windows(10.0.20348)/amd64"],
                &["windows(10.0.20348.9)/amd64", "windows(10.0.17763.5)/amd64"],
                &[Some(1), Some(0)],
            ),
            (&["windows(10.0.17763.6)/amd64"], &["windows(10.0.17763.5)/amd64"], &[Some(0)]),
            (&["windows(10.0.17763)/amd64"], &["windows(10.0.20348.1)/amd64"], &[None]),
        ];
        for (declared, published, expected) in table {
            let parse = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<Platform>>();
            let (declared, published) = (parse(declared), parse(published));
            let pairs = pair(&declared.iter().collect::<Vec<_>>(), &published.iter().collect::<Vec<_>>());
            assert_eq!(pairs, *expected, "{declared:?}");
        }
    }
}
