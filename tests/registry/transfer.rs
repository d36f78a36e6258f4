//! Blobs on their way: mounted, sent, broken off and taken up again.

use std::time::Duration;

use futures_util::future::try_join_all;
use manifests::config::RegistrySettings;
use manifests::digest::Digest;
use manifests::registry::{Copied, Kind, Mount, Registry};

use crate::scripted::{Fault, Reply, Server, options, registry};

/// Long enough to come in several chunks.
fn large() -> Vec<u8> {
    (0u32..400_000).flat_map(u32::to_le_bytes).collect()
}

#[tokio::test]
async fn within_a_registry_a_blob_is_mounted_in_one_request() {
    let server = Server::plain().await;
    let digest = server.store.put_blob("o/from", b"layer");
    let (from, to) = (server.repository("o/from"), server.repository("o/to"));
    assert_eq!(registry().copy_blob(&from, &to, &digest, 5).await.unwrap(), Copied::Mounted);
    assert_eq!(server.log(), [format!("POST /v2/o/to/blobs/uploads/?mount={digest}&from=o/from")]);
    assert_eq!(server.store.blob("o/to", &digest).unwrap(), "layer");
    assert_eq!(registry().copy_blob(&to, &to, &digest, 5).await.unwrap(), Copied::Present);
    assert_eq!(server.log().len(), 1);
}

/// A registry that mounts nothing and says so by beginning an upload.
async fn without_mount() -> Server {
    Server::start(|seen, store| {
        (seen.method == "POST" && seen.target.contains("mount=")).then(|| {
            let mut plain = seen.clone();
            plain.target = seen.target.split('?').next().unwrap().to_owned();
            store.reply(&plain)
        })
    })
    .await
}

#[tokio::test]
async fn a_mount_answered_with_an_upload_is_continued() {
    let server = without_mount().await;
    let digest = server.store.put_blob("o/from", &large());
    let (from, to) = (server.repository("o/from"), server.repository("o/to"));
    let copied = registry().copy_blob(&from, &to, &digest, large().len() as u64).await.unwrap();
    assert_eq!(copied, Copied::Sent);
    assert_eq!(server.count("POST", ""), 1, "{:?}", server.log());
    assert_eq!(server.store.blob("o/to", &digest).unwrap(), large());
    assert_eq!(server.store.sessions(), 0);
}

#[tokio::test]
async fn an_upload_that_turns_out_needless_is_cancelled() {
    let server = without_mount().await;
    let digest = server.store.put_blob("o/to", b"layer");
    let (from, to) = (server.repository("o/from"), server.repository("o/to"));
    assert_eq!(registry().copy_blob(&from, &to, &digest, 5).await.unwrap(), Copied::Present);
    assert_eq!(server.store.sessions(), 0);
    assert!(matches!(registry().mount_blob(&to, &from, &digest).await.unwrap(), Mount::NotMounted(_)));
}

#[tokio::test]
async fn between_registries_a_broken_download_goes_on_where_it_stopped() {
    for with_ranges in [true, false] {
        let source = Server::start(move |seen, store| {
            if seen.method != "GET" || !seen.target.contains("/blobs/") {
                return None;
            }
            let mut seen = seen.clone();
            if !with_ranges {
                seen.headers.remove("range");
            }
            let reply = store.reply(&seen);
            Some(if seen.before < 2 { reply.fault(Fault::CutBody) } else { reply })
        })
        .await;
        let target = Server::plain().await;
        let digest = source.store.put_blob("o/app", &large());
        let size = large().len() as u64;
        let copied = registry()
            .copy_blob(&source.repository("o/app"), &target.repository("o/app"), &digest, size)
            .await;
        assert_eq!(copied.unwrap_or_else(|error| panic!("ranges {with_ranges}: {error}")), Copied::Sent);
        assert_eq!(target.store.blob("o/app", &digest).unwrap(), large());
        assert_eq!(target.count("PUT", ""), 1, "the upload never noticed");
        let ranges = source.seen().iter().filter(|seen| seen.header("range").is_some()).count();
        assert_eq!(ranges, 2);
    }
}

#[tokio::test]
async fn a_broken_upload_is_looked_for_and_sent_again() {
    for carried_out in [true, false] {
        let server = Server::start(move |seen, store| {
            (seen.is("PUT", "/blobs/uploads/")
                && store.blob("o/app", &Digest::of(&large())).is_none()
                && seen.target.contains("uploads/1?"))
            .then(|| {
                if carried_out {
                    store.reply(seen);
                }
                Reply::cut()
            })
        })
        .await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), large()).unwrap();
        let digest = Digest::of(&large());
        let repository = server.repository("o/app");
        let sent =
            registry().upload_file(&repository, &digest, large().len() as u64, file.path()).await.unwrap();
        assert_eq!(sent, Copied::Sent);
        assert_eq!(server.store.blob("o/app", &digest).unwrap(), large());
        assert_eq!(server.count("PUT", ""), if carried_out { 1 } else { 2 }, "{:?}", server.log());
        let again =
            registry().upload_file(&repository, &digest, large().len() as u64, file.path()).await.unwrap();
        assert_eq!(again, Copied::Present);
    }
}

#[tokio::test]
async fn an_upload_is_taken_up_where_the_registry_says() {
    let whole = large();
    let half = 600_000;
    let rest = whole[half..].to_vec();
    let expected = whole.clone();
    let server = Server::start(move |seen, store| {
        if seen.is("PUT", "/blobs/uploads/1") && seen.before == 0 {
            return Some(Reply::cut());
        }
        if seen.is("GET", "/blobs/uploads/1") {
            let range = format!("0-{}", half - 1);
            return Some(
                Reply::status(204)
                    .header("range", range)
                    .header("location", "/v2/o/app/blobs/uploads/1?on=1"),
            );
        }
        if seen.is("PUT", "/blobs/uploads/1?on=1") {
            assert_eq!(seen.body, rest);
            store.put_blob("o/app", &expected);
            return Some(Reply::status(201));
        }
        None
    })
    .await;
    let digest = Digest::of(&whole);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &whole).unwrap();
    registry()
        .upload_file(&server.repository("o/app"), &digest, whole.len() as u64, file.path())
        .await
        .unwrap();
    let put = server.seen().into_iter().rfind(|seen| seen.method == "PUT").unwrap();
    assert_eq!(put.header("content-range"), Some(format!("{half}-{}", whole.len() - 1).as_str()));
    assert_eq!(server.count("POST", ""), 1);
}

#[tokio::test]
async fn wrong_bytes_never_become_a_blob() {
    let mut altered = large();
    altered[1_000_000] ^= 1;
    let longer = [large(), vec![0]].concat();
    for (served, what) in [(altered, "the digest sha256:"), (longer, "is longer than")] {
        let source = Server::start(move |seen, _| {
            seen.is("GET", "/blobs/").then(|| Reply::status(200).body(served.clone()))
        })
        .await;
        let target = Server::plain().await;
        let digest = Digest::of(&large());
        let (from, to) = (source.repository("o/app"), target.repository("o/app"));
        let error = registry().copy_blob(&from, &to, &digest, large().len() as u64).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt);
        assert!(error.to_string().contains(what), "{error}");
        assert!(error.subject().starts_with(&source.address.to_string()), "the source is to blame: {error}");
        assert_eq!(target.store.blob("o/app", &digest), None);
        assert_eq!(target.store.sessions(), 0, "the upload is given up");
    }
}

#[tokio::test]
async fn a_file_that_changed_is_not_uploaded() {
    let server = Server::plain().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"short").unwrap();
    let repository = server.repository("o/app");
    for (digest, size) in [(Digest::of(b"other"), 5), (Digest::of(b"short"), 6), (Digest::of(b"short"), 4)] {
        let error = registry().upload_file(&repository, &digest, size, file.path()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "{error}");
        assert_eq!(server.store.blob("o/app", &digest), None);
    }
    let nowhere = file.path().with_extension("gone");
    let error = registry().upload_file(&repository, &Digest::of(b"x"), 1, &nowhere).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Local);
    assert_eq!(server.store.sessions(), 0);
    let empty = tempfile::NamedTempFile::new().unwrap();
    registry().upload_file(&repository, &Digest::of(b""), 0, empty.path()).await.unwrap();
    assert_eq!(server.store.blob("o/app", &Digest::of(b"")).unwrap(), "");
}

#[tokio::test]
async fn many_copies_in_opposite_directions_finish_on_one_connection_each() {
    let (left, right) = (Server::plain().await, Server::plain().await);
    let mut options = options();
    for server in [&left, &right] {
        let settings = RegistrySettings { max_connections: 1, ..RegistrySettings::default() };
        options.registries.insert(server.address.to_string(), settings);
    }
    let registry = Registry::new(options).unwrap();
    let mut copies = Vec::new();
    for n in 0..8u8 {
        let bytes = [large(), vec![n]].concat();
        for (from, to) in [(&left, &right), (&right, &left)] {
            let digest = from.store.put_blob("o/from", &bytes);
            let (registry, from, to) = (registry.clone(), from.repository("o/from"), to.repository("o/to"));
            let size = bytes.len() as u64;
            copies.push(async move { registry.copy_blob(&from, &to, &digest, size).await });
        }
    }
    let copied = tokio::time::timeout(Duration::from_secs(120), try_join_all(copies));
    assert_eq!(copied.await.expect("no deadlock").unwrap(), [Copied::Sent; 16]);
}
