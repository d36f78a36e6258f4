//! Chains, doublings and lies: what is in a registry may be of any shape.

use std::sync::atomic::{AtomicBool, Ordering};

use manifests::apply::bring;
use manifests::config::Attestations;
use manifests::events::Events;
use manifests::model::digest::Digest;
use manifests::model::reference::Repository;
use manifests::observe::{
    CopyState, DEEPEST, LONGEST_WALK, MOST_BYTES, MOST_CONTENTS, MOST_PARTS, MOST_REFERRERS,
    MOST_REFERRERS_TOGETHER, observe_copy,
};
use manifests::plan::Missing;
use manifests::registry::{
    Kind, LARGEST_LIST, LARGEST_MANIFEST, LARGEST_PAGE, LARGEST_SMALL_BLOB, LONGEST_LIST, MOST_LISTED,
    MOST_PAGES, fallback_tag,
};
use serde_json::{Value, json};

use crate::scripted::{OCI_INDEX, Reply, Server, Store, registry};

const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

fn put(store: &Store, media_type: &str, manifest: &Value) -> Value {
    let bytes = serde_json::to_vec(manifest).unwrap();
    let digest = Digest::of(&bytes);
    store.put_manifest("o/app", digest.as_str(), media_type, &bytes);
    json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
}

fn index(store: &Store, entries: &[Value]) -> Value {
    let list = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
    put(store, OCI_INDEX, &list)
}

fn artifact(store: &Store, name: &str, subject: Option<&Value>) -> Value {
    let mut manifest =
        json!({ "schemaVersion": 2, "mediaType": OCI_IMAGE, "layers": [], "annotations": { "name": name } });
    let config = store.put_blob("o/app", b"{}");
    manifest["config"] =
        json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2 });
    if let Some(subject) = subject {
        manifest["subject"] = subject.clone();
    }
    put(store, OCI_IMAGE, &manifest)
}

fn digest(descriptor: &Value) -> Digest {
    descriptor["digest"].as_str().unwrap().parse().unwrap()
}

/// Lists `referrers` for `subject` as registries without the API do.
fn hang(store: &Store, subject: &Value, referrers: &[Value]) {
    let list = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": referrers });
    let bytes = serde_json::to_vec(&list).unwrap();
    store.put_manifest("o/app", &fallback_tag(&digest(subject)), OCI_INDEX, &bytes);
}

/// Where a manifest is copied to.
fn copy_of(root: &Value) -> String {
    format!("o/copy-of-{}", &digest(root).hex()[..12])
}

/// Plans a copy of `root` and carries it out; how many manifests there are to copy, or what is wrong.
async fn copied(server: &Server, root: &Value) -> Result<usize, String> {
    let (from, to): (Repository, _) = (server.repository("o/app"), server.repository(&copy_of(root)));
    let registry = registry();
    let (keep, state) = (Attestations::Keep, CopyState::Unfinished);
    let said = |error: anyhow::Error| manifests::error::render(&error);
    let observed =
        observe_copy(&registry, &from, &digest(root), &to, keep, state).await.map_err(said)?.unwrap();
    let Missing { copies, .. } = observed.missing();
    bring(&registry, &copies, &to, &Events::ignored()).await.map_err(said)?;
    Ok(copies.len())
}

#[tokio::test]
async fn indexes_are_read_up_to_a_depth_and_a_number_and_each_once() {
    let server = Server::plain().await;
    let leaf = artifact(&server.store, "leaf", None);
    let chain = |depth: usize, width: usize| {
        (0..depth).fold(leaf.clone(), |inner, _| index(&server.store, &vec![inner; width]))
    };
    assert_eq!(copied(&server, &chain(1, 1)).await, Ok(2));
    assert_eq!(copied(&server, &chain(DEEPEST, 1)).await, Ok(1 + DEEPEST));
    // 2^16 ways lead to the leaf.
    assert_eq!(copied(&server, &chain(DEEPEST, 2)).await, Ok(1 + DEEPEST));
    for depth in [DEEPEST + 1, 1_500] {
        let said = copied(&server, &chain(depth, 1)).await.unwrap_err();
        assert!(said.contains(&format!("nests indexes more than {DEEPEST} deep")), "{said}");
    }
    let entry =
        |n: usize| json!({ "mediaType": OCI_IMAGE, "digest": Digest::of(&n.to_be_bytes()), "size": 2 });
    let before = server.log().len();
    let wide = index(&server.store, &(0..=MOST_PARTS).map(entry).collect::<Vec<_>>());
    let said = copied(&server, &wide).await.unwrap_err();
    assert!(said.contains(&format!("lists more than {MOST_PARTS} manifests")), "{said}");
    assert!(server.log().len() - before < 10, "nothing that it lists is asked for");
    let heavy =
        |n: usize| json!({ "mediaType": OCI_IMAGE, "digest": Digest::of(&n.to_be_bytes()), "size": 4 << 20 });
    let heavy = index(&server.store, &(0..17).map(heavy).collect::<Vec<_>>());
    let said = copied(&server, &heavy).await.unwrap_err();
    assert!(said.contains("lists manifests of more than 64 MiB together"), "{said}");
}

#[tokio::test]
async fn referrers_are_followed_up_to_a_number() {
    let server = Server::plain().await;
    let image = artifact(&server.store, "image", None);
    let few: Vec<Value> = ["a", "b"].map(|name| artifact(&server.store, name, Some(&image))).into();
    hang(&server.store, &image, &few);
    assert_eq!(copied(&server, &image).await, Ok(3));

    let deep = index(&server.store, &[artifact(&server.store, "leaf", None)]);
    let deep = (0..1_500).fold(deep, |inner, _| index(&server.store, &[inner]));
    hang(&server.store, &image, &[deep]);
    let said = copied(&server, &image).await.unwrap_err();
    assert!(said.contains("nests indexes more than") && said.contains("attestations = \"drop\""), "{said}");

    let entry =
        |n: usize| json!({ "mediaType": OCI_IMAGE, "digest": Digest::of(&n.to_be_bytes()), "size": 2 });
    hang(&server.store, &image, &(0..=MOST_REFERRERS).map(entry).collect::<Vec<_>>());
    let said = copied(&server, &image).await.unwrap_err();
    assert!(said.contains(&format!("are more than {MOST_REFERRERS} manifests")), "{said}");
}

#[tokio::test]
async fn what_a_descriptor_says_is_compared_with_what_is_there() {
    let server = Server::plain().await;
    let image = artifact(&server.store, "image", None);
    let other = artifact(&server.store, "other", None);
    let of_other = artifact(&server.store, "of the other", Some(&other));
    let of_nothing = artifact(&server.store, "of nothing", None);
    let mut list = index(&server.store, &[]);
    list["mediaType"] = OCI_IMAGE.into();
    let mut longer = artifact(&server.store, "longer", Some(&image));
    longer["size"] = (longer["size"].as_u64().unwrap() + 1).into();
    for (referrer, expected) in [
        (&of_other, format!("says that it refers to {}", digest(&other))),
        (&of_nothing, "says that it refers to nothing".to_owned()),
        (&list, "ambiguous".to_owned()),
        (&longer, "what names it says".to_owned()),
    ] {
        hang(&server.store, &image, std::slice::from_ref(referrer));
        let said = copied(&server, &image).await.unwrap_err();
        assert!(said.contains(&expected), "{said}");
        assert!(server.store.manifest(&copy_of(&image), digest(referrer).as_str()).is_none());
        assert!(server.store.manifest(&copy_of(&image), digest(&image).as_str()).is_none());
    }
    // Also of a blob that is there.
    let blob = server.store.put_blob("o/copy", b"four");
    let (from, to) = (server.repository("o/app"), server.repository("o/copy"));
    server.store.put_blob("o/app", b"four");
    assert!(registry().copy_blob(&from, &to, &blob, 4).await.is_ok());
}

#[tokio::test]
async fn pages_end() {
    let server = Server::start(|seen, _| {
        seen.target.contains("/tags/list").then(|| {
            let number = seen.target.rsplit_once("page=").map_or(0, |(_, number)| number.parse().unwrap());
            let next = number + 1_usize;
            Reply::status(200)
                .header("content-type", "application/json")
                .header("link", format!("</v2/o/app/tags/list?page={next}>; rel=\"next\""))
                .body(format!(r#"{{"name":"o/app","tags":["{number}"]}}"#))
        })
    })
    .await;
    let error = registry().tags(&server.repository("o/app")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge);
    assert_eq!(server.log().len(), MOST_PAGES);
    // One page of many.
    let tags: Vec<String> = (0..=MOST_LISTED).map(|n| format!("{n:x}")).collect();
    let page = json!({ "name": "o/app", "tags": tags }).to_string();
    let server = Server::start(move |seen, _| {
        let is_list = seen.target.contains("/tags/list");
        is_list.then(|| Reply::status(200).header("content-type", "application/json").body(page.clone()))
    })
    .await;
    let error = registry().tags(&server.repository("o/app")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge, "{error}");
}

#[tokio::test]
async fn a_piece_is_no_longer_than_what_is_left() {
    let is_first = AtomicBool::new(true);
    let server = Server::start(move |seen, store| match seen.method.as_str() {
        "POST" => Some(store.reply(seen).header("oci-chunk-min-length", u64::MAX.to_string())),
        "PUT" if seen.target.contains("/uploads/") && is_first.swap(false, Ordering::Relaxed) => {
            Some(Reply::cut())
        }
        _ => None,
    })
    .await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"four").unwrap();
    let (to, digest) = (server.repository("o/app"), Digest::of(b"four"));
    registry().upload_file(&to, &digest, 4, file.path()).await.unwrap();
    assert_eq!(server.store.blob("o/app", &digest).unwrap(), "four");
    assert_eq!((server.count("PATCH", ""), server.count("PUT", "/uploads/")), (0, 2));
}

/// The rows of docs/reference/limits.md that are about registries have the limits of the code.
#[test]
fn limits_are_documented() {
    let page = include_str!("../../docs/reference/limits.md");
    let number = |number: usize| {
        let digits = number.to_string();
        let groups: Vec<&str> =
            digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap()).collect();
        groups.join(",")
    };
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let minutes = |time: std::time::Duration| format!("{} minutes", time.as_secs() / 60);
    for (what, limits) in [
        ("manifest", vec![mib(LARGEST_MANIFEST as u64)]),
        ("configuration of an image", vec![mib(LARGEST_SMALL_BLOB)]),
        ("one page of a list of tags or referrers", vec![mib(LARGEST_PAGE as u64)]),
        (
            "all pages of such a list",
            vec![
                mib(LARGEST_LIST as u64),
                format!("{} pages", number(MOST_PAGES)),
                format!("{} items", number(MOST_LISTED)),
                minutes(LONGEST_LIST),
            ],
        ),
        ("indexes in indexes", vec![format!("{DEEPEST} deep")]),
        ("manifests that an index lists, with those of its inner indexes", vec![number(MOST_PARTS)]),
        ("manifests that hang on one manifest, with what hangs on these", vec![number(MOST_REFERRERS)]),
        (
            "manifests that hang on all manifests that are copied together",
            vec![number(MOST_REFERRERS_TOGETHER)],
        ),
        ("manifests of one such walk together", vec![mib(MOST_BYTES), minutes(LONGEST_WALK)]),
        (
            "manifests and entries of lists that a repository shows to `unpublish`",
            vec![number(MOST_CONTENTS)],
        ),
    ] {
        let row = format!("| {what} | {} |", limits.join(", "));
        assert!(page.contains(&row), "{row}");
    }
}
