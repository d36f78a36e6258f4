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
    assert_data_eq!(lock().to_text(), str![[r#""#]]);
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
