use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use snapbox::{assert_data_eq, str};

use super::super::checks::{Check, Checks};
use super::super::model::{LockedImage, LockedList, LockedTarget};
use super::*;
use crate::model::digest::Digest;
use crate::model::fingerprint::Fingerprint;

fn lock() -> Lock {
    let digest = |text: &str| Digest::of(text.as_bytes());
    let image = |name: &str| LockedImage {
        digest: digest(name),
        size: 736,
        fingerprint: Some(Fingerprint { scheme: 2, digest: digest("inputs") }),
        checked: Checks::default(),
        attestations: Vec::new(),
        bases: BTreeMap::from([("docker.io/library/alpine:3".to_owned(), digest("alpine"))]),
    };
    let target = LockedTarget {
        revision: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        repositories: BTreeMap::from([(
            "ghcr.io/acme/app".to_owned(),
            BTreeMap::from([("1.2.3".to_owned(), digest("list")), ("latest".to_owned(), digest("list"))]),
        )]),
        lists: BTreeMap::from([(
            digest("list"),
            LockedList { media_type: crate::model::media::OCI_INDEX.to_owned(), size: 512 },
        )]),
        images: BTreeMap::from([
            ("linux/amd64".to_owned(), image("amd64")),
            (
                "linux/arm/v7".to_owned(),
                LockedImage {
                    fingerprint: None,
                    checked: [Check::programs()].into_iter().collect(),
                    attestations: vec![digest("attestation")],
                    bases: BTreeMap::new(),
                    ..image("arm")
                },
            ),
        ]),
    };
    Lock { targets: BTreeMap::from([("app".to_owned(), target)]) }
}

#[test]
fn nothing_published_is_a_lock_too() {
    assert_data_eq!(
        Lock::default().to_text(),
        str![[r#"
# What was published, written after the registry confirmed it. Commit it; do not edit it.
version = 2
requires = "0.1.0"

"#]]
    );
    for text in ["version = 1", "version = 2", "requires = \"0.0.9\"\nversion = 2"] {
        assert_eq!(Lock::parse(text), Ok(Lock::default()));
    }
}

#[test]
fn the_text_is_for_review() {
    assert_data_eq!(
        lock().to_text(),
        str![[r##"
# What was published, written after the registry confirmed it. Commit it; do not edit it.
version = 2
requires = "0.1.0"

[target.app]
revision = "0123456789abcdef0123456789abcdef01234567"

[target.app.repository."ghcr.io/acme/app"]
"1.2.3" = "sha256:a330395cc0a53ad1207736546afff4735940937564bbf75ce1edad40780d9139"
latest = "sha256:a330395cc0a53ad1207736546afff4735940937564bbf75ce1edad40780d9139"

[target.app.list."sha256:a330395cc0a53ad1207736546afff4735940937564bbf75ce1edad40780d9139"]
media-type = "application/vnd.oci.image.index.v1+json"
size = 512

[target.app.image."linux/amd64"]
digest = "sha256:5861314d7fccb39c2192173240eab44fa35ca66426201ca2acd0630a6258dd51"
size = 736
fingerprint = "2:sha256:32381523e63197c929b67f793a8098bed0ae3a6fa902634fdbcc6fa4567f3346"

[target.app.image."linux/amd64".bases]
"docker.io/library/alpine:3" = "sha256:54c5b3dd459d5ef778bb2fa1e23a5fb0e1b62ae66970bcb436e8f81a1a1a8e41"

[target.app.image."linux/arm/v7"]
digest = "sha256:ddf7ff5ebd9d66ce161466c1c0262430fa04de32b0e420ee3f489e2e2112e386"
size = 736
checked = ["binary-check"]
attestations = ["sha256:813a89a296973e35545cfa74fe3efd172a7d19443c97c625d699e9737229b0a2"]

"##]]
    );
}

/// What the first version wrote.
const FIRST: &str = r#"# What was published, written after the registry confirmed it. Commit it; do not edit it.
version = 1

[target.app]
revision = "0123456789abcdef0123456789abcdef01234567"

[target.app.repository."ghcr.io/acme/app"]
latest = "sha256:a330395cc0a53ad1207736546afff4735940937564bbf75ce1edad40780d9139"

[target.app.list."sha256:a330395cc0a53ad1207736546afff4735940937564bbf75ce1edad40780d9139"]
media-type = "application/vnd.oci.image.index.v1+json"
size = 512

[target.app.image."linux/amd64"]
digest = "sha256:5861314d7fccb39c2192173240eab44fa35ca66426201ca2acd0630a6258dd51"
size = 736
fingerprint = "sha256:32381523e63197c929b67f793a8098bed0ae3a6fa902634fdbcc6fa4567f3346"
attestations = ["sha256:813a89a296973e35545cfa74fe3efd172a7d19443c97c625d699e9737229b0a2"]

[target.app.image."linux/amd64".bases]
"docker.io/library/alpine:3" = "sha256:54c5b3dd459d5ef778bb2fa1e23a5fb0e1b62ae66970bcb436e8f81a1a1a8e41"
"#;

#[test]
fn an_older_lock_is_read_and_upgraded_when_it_is_written() {
    let lock = Lock::parse(FIRST).unwrap();
    let image = &lock.targets["app"].images["linux/amd64"];
    assert_eq!(image.fingerprint.as_ref().map(|fingerprint| fingerprint.scheme), Some(1));
    assert!(image.checked.is_empty());
    // The head is all that differs: what is known of its images stays as it was written.
    assert_eq!(lock.to_text(), FIRST.replace("version = 1\n", "version = 2\nrequires = \"0.1.0\"\n"));
}

#[test]
fn a_newer_lock_says_what_it_needs() {
    let newer = |version, requires: Option<&str>| {
        Err(LockError::Newer { version, requires: requires.map(|requires| requires.parse().unwrap()) })
    };
    for (text, expected) in [
        ("version = 3\nunheard = \"of\"", newer(3, None)),
        ("version = 3\nrequires = \"0.2.0\"\n[target.app]\nx = 1", newer(3, Some("0.2.0"))),
        ("version = 99\nrequires = \"next year\"", newer(99, None)),
        ("version = 99\nrequires = [1]", newer(99, None)),
        // A release may need more without another version.
        ("version = 2\nrequires = \"900.0.0\"", newer(2, Some("900.0.0"))),
        // What follows the head need not be TOML that this program reads.
        ("version = 3\nrequires = \"0.2.0\"\n[target.app]\nx = 2026-13-45 ~", newer(3, Some("0.2.0"))),
    ] {
        assert_eq!(Lock::parse(text), expected, "{text:?}");
    }
    let error = newer(3, Some("0.2.0")).unwrap_err().to_string();
    assert!(
        error.starts_with("it is of version 3 and needs manifests 0.2.0 or later; this is manifests "),
        "{error}"
    );
    assert!(REQUIRES <= OWN.parse().unwrap(), "this program does not read what it writes");
}

#[test]
fn what_is_not_exactly_a_lock_is_refused() {
    for (text, reason) in [
        ("", "missing field `version`"),
        ("version = \"1\"", "invalid type"),
        ("version = 0", "there is no version 0"),
        ("version = -1", "invalid value"),
        ("version = 1\n[target.a]\nimages = {}", "at line 3, column 1"),
        ("version = 1\n[target.a]\nimages = {}", "unknown field `images`"),
        ("version = 2\nextra = 1", "unknown field `extra`"),
        ("version = 2\n[target.a.image.\"linux/amd64\"]\ndigest = 1\n", "at line 3, column 10"),
        ("<<<<<<< ours\nversion = 1", "line 1 has a conflict mark"),
        ("version = 2\n<<<<<<< ours\n=======\n>>>>>>> theirs\n", "line 2 has a conflict mark"),
        ("<<<<<<< ours\nversion = 1\n=======\nversion = 3\n>>>>>>> theirs\n", "line 1 has a conflict mark"),
        ("version = 2\n[target.a]\n||||||| base\n", "line 3 has a conflict mark"),
        ("version = 1\n[target.a.repository.\"h/r\"]\nlatest = \"x\"", "is not a digest"),
        ("version = 2\n[target.a.image.x]\ndigest = \"sha256:1\"", "has 64 digits"),
    ] {
        let error = Lock::parse(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text:?}: {error}");
    }
}

fn digests() -> impl Strategy<Value = Digest> {
    any::<[u8; 4]>().prop_map(|bytes| Digest::of(&bytes))
}

fn images() -> impl Strategy<Value = LockedImage> {
    let size = 0..=i64::MAX as u64;
    let fingerprints = (1..4u32, digests()).prop_map(|(scheme, digest)| Fingerprint { scheme, digest });
    let checked = any::<bool>().prop_map(|checked| checked.then(Check::programs).into_iter().collect());
    let bases = btree_map(".{0,12}", digests(), 0..3);
    (digests(), size, option::of(fingerprints), checked, vec(digests(), 0..3), bases).prop_map(
        |(digest, size, fingerprint, checked, attestations, bases)| LockedImage {
            digest,
            size,
            fingerprint,
            checked,
            attestations,
            bases,
        },
    )
}

fn targets() -> impl Strategy<Value = LockedTarget> {
    let size = 0..=i64::MAX as u64;
    let list = (".{0,12}", size).prop_map(|(media_type, size)| LockedList { media_type, size });
    let tags = btree_map(".{0,12}", digests(), 0..3);
    (
        option::of(".{0,12}"),
        btree_map(".{0,12}", tags, 0..3),
        btree_map(digests(), list, 0..3),
        btree_map(".{0,12}", images(), 0..3),
    )
        .prop_map(|(revision, repositories, lists, images)| LockedTarget {
            revision,
            repositories,
            lists,
            images,
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read(targets in btree_map(".{0,12}", targets(), 0..3)) {
        let lock = Lock { targets };
        let text = lock.to_text();
        prop_assert_eq!(Lock::parse(&text), Ok(lock.clone()));
        prop_assert_eq!(Lock::parse(&text).map(|lock| lock.to_text()), Ok(text));
    }
}
