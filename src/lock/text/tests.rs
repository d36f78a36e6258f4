use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use snapbox::{assert_data_eq, str};

use super::super::model::{LockedImage, LockedList, LockedTarget};
use super::*;
use crate::digest::Digest;

fn lock() -> Lock {
    let digest = |text: &str| Digest::of(text.as_bytes());
    let image = |name: &str| LockedImage {
        digest: digest(name),
        size: 736,
        fingerprint: Some(digest("inputs")),
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
            LockedList { media_type: crate::media::OCI_INDEX.to_owned(), size: 512 },
        )]),
        images: BTreeMap::from([
            ("linux/amd64".to_owned(), image("amd64")),
            (
                "linux/arm/v7".to_owned(),
                LockedImage {
                    fingerprint: None,
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
version = 1

"#]]
    );
    assert_eq!(Lock::parse("version = 1"), Ok(Lock::default()));
}

#[test]
fn the_text_is_for_review() {
    assert_data_eq!(
        lock().to_text(),
        str![[r##"
# What was published, written after the registry confirmed it. Commit it; do not edit it.
version = 1

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
fingerprint = "sha256:32381523e63197c929b67f793a8098bed0ae3a6fa902634fdbcc6fa4567f3346"

[target.app.image."linux/amd64".bases]
"docker.io/library/alpine:3" = "sha256:54c5b3dd459d5ef778bb2fa1e23a5fb0e1b62ae66970bcb436e8f81a1a1a8e41"

[target.app.image."linux/arm/v7"]
digest = "sha256:ddf7ff5ebd9d66ce161466c1c0262430fa04de32b0e420ee3f489e2e2112e386"
size = 736
attestations = ["sha256:813a89a296973e35545cfa74fe3efd172a7d19443c97c625d699e9737229b0a2"]

"##]]
    );
}

#[test]
fn what_is_not_exactly_a_lock_is_refused() {
    for (text, reason) in [
        ("", "missing field `version`"),
        ("version = \"1\"", "invalid type"),
        ("version = 1\n[target.a]\nimages = {}", "unknown field `images`"),
        ("version = 1\nextra = 1", "unknown field `extra`"),
        ("<<<<<<< ours\nversion = 1", "TOML parse error"),
        ("version = 1\n[target.a.repository.\"h/r\"]\nlatest = \"x\"", "is not a digest"),
    ] {
        let error = Lock::parse(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text:?}: {error}");
    }
    assert_eq!(Lock::parse("version = 2\nunheard = \"of\""), Err(LockError::Version(2)));
}

fn digests() -> impl Strategy<Value = Digest> {
    any::<[u8; 4]>().prop_map(|bytes| Digest::of(&bytes))
}

fn images() -> impl Strategy<Value = LockedImage> {
    let size = 0..=i64::MAX as u64;
    (digests(), size, option::of(digests()), vec(digests(), 0..3), btree_map(".{0,12}", digests(), 0..3))
        .prop_map(|(digest, size, fingerprint, attestations, bases)| LockedImage {
            digest,
            size,
            fingerprint,
            attestations,
            bases,
        })
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
