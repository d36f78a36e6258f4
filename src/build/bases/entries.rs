//! Which entries of a list an engine may take for a platform. Pure.

use crate::model::manifest::{Descriptor, List, Role};
use crate::model::platform::Platform;

/// The entries that an engine may take for `platform`, or for any when that is not known. Those of the very platform,
/// where there are some, since every engine prefers them (containerd, `platforms.Only`). Otherwise those that run
/// there, too, perhaps: of which there are several, the order is the engine's to decide.
pub(crate) fn candidates<'a>(list: &'a List, platform: Option<&Platform>) -> Vec<&'a Descriptor> {
    let Some(platform) = platform.map(Platform::base) else {
        return list.entries.iter().filter(|entry| of_image(entry).is_some()).collect();
    };
    let of = |fits: &dyn Fn(Option<Platform>) -> bool| -> Vec<&'a Descriptor> {
        list.entries.iter().filter(|entry| of_image(entry).is_some_and(fits)).collect()
    };
    let exact = of(&|entry| entry.is_some_and(|entry| entry.base() == platform));
    if !exact.is_empty() {
        return exact;
    }
    // One without a platform is of the platform that its configuration says.
    of(&|entry| {
        entry.is_none_or(|entry| entry.normal().os == platform.os && family(&entry) == family(&platform))
    })
}

/// Whether an engine takes the same image for `platform` from both lists.
pub(crate) fn give_the_same(one: &List, other: &List, platform: &Platform) -> bool {
    let [one, other] = [one, other].map(|list| {
        let candidates = candidates(list, Some(platform)).into_iter();
        candidates.map(|entry| (&entry.digest, &entry.platform)).collect::<Vec<_>>()
    });
    !one.is_empty() && one == other
}

/// The platform of an entry that may be taken for an image, which it need not say; none for attestations and the like.
fn of_image(entry: &Descriptor) -> Option<Option<Platform>> {
    match (entry.role(), &entry.platform) {
        (Role::Image(platform), _) => Some(Some(platform)),
        (Role::Attestation(_), _) => None,
        (Role::Other, Some(fields)) if fields.os == "unknown" => None,
        (Role::Other, _) => Some(None),
    }
}

/// Architectures that one processor may run, by the name of the widest.
fn family(platform: &Platform) -> String {
    match platform.normal().arch.as_str() {
        "386" => "amd64".to_owned(),
        "arm" => "arm64".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::digest::Digest;
    use crate::model::manifest::{ListKind, PlatformFields, REFERENCE_DIGEST, REFERENCE_TYPE};

    /// Entries as `PLATFORM=CONTENT`; `-` has no platform, `?` is an attestation.
    fn list(entries: &str) -> List {
        let entries = entries.split_whitespace().map(|entry| {
            let (platform, content) = entry.split_once('=').unwrap();
            let digest = Digest::of(content.as_bytes());
            let mut entry = Descriptor::new("", digest.clone(), 1);
            if platform == "?" {
                entry.annotations = BTreeMap::from([
                    (REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned()),
                    (REFERENCE_DIGEST.to_owned(), digest.to_string()),
                ]);
            } else if platform != "-" {
                let platform: Platform = platform.parse().unwrap();
                entry.platform = Some(PlatformFields {
                    os: platform.os,
                    architecture: platform.arch,
                    variant: platform.variant.unwrap_or_default(),
                    os_version: platform.os_version.unwrap_or_default(),
                    ..PlatformFields::default()
                });
            }
            entry
        });
        List { entries: entries.collect(), ..List::new(ListKind::Oci) }
    }

    #[test]
    fn what_an_engine_may_take_is_what_runs_on_the_platform() {
        for (entries, platform, expected) in [
            ("linux/amd64=a linux/arm64=b ?=c", "linux/amd64", "a"),
            ("linux/arm64/v8=a linux/arm/v7=b", "linux/arm64", "a"),
            ("linux/arm/v5=a linux/arm/v6=b linux/amd64=c", "linux/arm/v7", "a b"),
            ("linux/386=a linux/arm=b", "linux/amd64", "a"),
            ("linux/amd64/v2=a linux/amd64/v3=b", "linux/amd64/v4", "a b"),
            ("-=a windows/amd64=b", "linux/amd64", "a"),
            ("linux/amd64=a -=b", "linux/amd64", "a"),
            ("windows(10.0.17763)/amd64=a windows(10.0.20348)/amd64=b", "windows/amd64", "a b"),
            ("linux/arm64=a ?=b", "linux/s390x", ""),
            ("linux/amd64=a -=b linux/arm64=c ?=d", "", "a b c"),
        ] {
            let list = list(entries);
            let platform = platform.parse::<Platform>().ok();
            let found: Vec<&Digest> =
                candidates(&list, platform.as_ref()).iter().map(|entry| &entry.digest).collect();
            let expected: Vec<Digest> =
                expected.split_whitespace().map(|content| Digest::of(content.as_bytes())).collect();
            assert_eq!(found, expected.iter().collect::<Vec<_>>(), "{entries} for {platform:?}");
        }
    }

    #[test]
    fn lists_give_the_same_where_what_may_be_taken_is_the_same() {
        for (one, other, platform, same) in [
            ("linux/amd64=a linux/arm64=b", "linux/amd64=a linux/arm64=b", "linux/amd64", true),
            ("linux/amd64=a linux/arm64=b", "linux/amd64=a linux/arm64=c ?=d", "linux/amd64", true),
            ("linux/amd64=a linux/arm64=b", "linux/arm64=b linux/amd64=a", "linux/arm64", true),
            ("linux/amd64=a linux/arm64=b", "linux/amd64=a linux/arm64=c", "linux/arm64", false),
            ("linux/amd64=a", "linux/amd64=a linux/amd64=b", "linux/amd64", false),
            // Something closer has come.
            ("linux/arm/v6=a", "linux/arm/v6=a linux/arm/v7=b", "linux/arm/v7", false),
            ("linux/arm/v6=a", "linux/arm/v6=a linux/arm/v5=b", "linux/arm/v7", false),
            ("linux/arm/v6=a linux/amd64=b", "linux/arm/v6=a", "linux/arm/v7", true),
            // Neither has it: then nothing is known.
            ("linux/amd64=a", "linux/amd64=a", "linux/arm64", false),
        ] {
            let platform = platform.parse().unwrap();
            assert_eq!(give_the_same(&list(one), &list(other), &platform), same, "{one} | {other}");
        }
    }
}
