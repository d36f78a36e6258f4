//! Blobs on their way: mounted, sent, broken off and taken up again.

use std::time::Duration;

use futures_util::future::try_join_all;
use manifests::config::RegistrySettings;
use manifests::model::digest::Digest;
use manifests::registry::{Copied, Kind, Mount, Registry};

use crate::scripted::{Fault, Reply, Server, entry, options, registry};

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
        let seen = source.seen();
        let ranges: Vec<usize> =
            seen.iter().map(|seen| seen.headers.get_all("range").iter().count()).collect();
        assert_eq!(ranges, [0, 1, 1]);
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

#[tokio::test]
async fn a_source_whose_ranges_do_not_work_is_read_from_the_beginning() {
    let elsewhere = Reply::status(206).header("content-range", "bytes 7-9/10").body(b"789".to_vec());
    for answer in [Reply::error(416, "SIZE_INVALID"), elsewhere] {
        let source = Server::start(move |seen, store| match (seen.header("range"), seen.before) {
            (Some(_), _) => Some(answer.clone()),
            (None, 0) => Some(store.reply(seen).fault(Fault::CutBody)),
            _ => None,
        })
        .await;
        let target = Server::plain().await;
        let digest = source.store.put_blob("o/app", &large());
        let (from, to) = (source.repository("o/app"), target.repository("o/app"));
        registry().copy_blob(&from, &to, &digest, large().len() as u64).await.unwrap();
        assert_eq!(target.store.blob("o/app", &digest).unwrap(), large());
        assert_eq!(source.log().len(), 3, "{:?}", source.log());
    }
}

#[tokio::test]
async fn a_source_that_stays_broken_is_asked_as_often_as_patience_says() {
    let source = Server::start(|seen, _| seen.is("GET", "/blobs/").then(|| Reply::status(503))).await;
    let target = Server::plain().await;
    let digest = Digest::of(&large());
    let (from, to) = (source.repository("o/app"), target.repository("o/app"));
    let error = registry().copy_blob(&from, &to, &digest, large().len() as u64).await.unwrap_err();
    assert_eq!(error.status(), Some(503), "{error}");
    assert!(error.subject().starts_with(&source.address.to_string()), "the source is to blame: {error}");
    assert_eq!(source.log().len(), 1 + options().retry_policy.retries);
    assert_eq!(target.store.sessions(), 0, "the upload is given up");
}

#[tokio::test]
async fn a_blob_comes_from_where_the_source_sends_its_readers_without_its_credentials() {
    let bytes = large();
    let storage = Server::start(move |seen, store| {
        let reply = store.reply(seen);
        Some(if seen.before == 0 { reply.fault(Fault::CutBody) } else { reply })
    })
    .await;
    let digest = storage.store.put_blob("signed", &bytes);
    let there = format!("http://{}/v2/signed/blobs/{digest}", storage.address);
    let source = Server::start(move |seen, _| {
        if seen.header("authorization").is_none() {
            return Some(Reply::status(401).header("www-authenticate", "Basic realm=\"r\""));
        }
        Some(Reply::status(307).header("location", there.clone()))
    })
    .await;
    let target = Server::plain().await;
    let credentials = entry(&source.address.to_string(), r#"{"username":"me","password":"hunter2"}"#);
    let registry = Registry::new(manifests::registry::Options { credentials, ..options() }).unwrap();
    let (from, to) = (source.repository("o/app"), target.repository("o/app"));
    registry.copy_blob(&from, &to, &digest, bytes.len() as u64).await.unwrap();
    assert_eq!(target.store.blob("o/app", &digest).unwrap(), bytes);
    let asked = storage.seen();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|seen| seen.header("authorization").is_none()));
    assert!(asked[1].header("range").is_some(), "the range goes along");
}

#[tokio::test]
async fn images_that_share_a_blob_bring_it_once() {
    let (source, target) = (Server::plain().await, Server::plain().await);
    let digest = source.store.put_blob("o/app", &large());
    let size = large().len() as u64;
    let (from, to) = (source.repository("o/app"), target.repository("o/app"));
    let registry = registry();
    let copies = (0..8).map(|_| registry.copy_blob(&from, &to, &digest, size));
    let mut copied = try_join_all(copies).await.unwrap();
    copied.retain(|copied| *copied != Copied::Present);
    assert_eq!(copied, [Copied::Sent]);
    assert_eq!(registry.copy_blob(&from, &to, &digest, size).await.unwrap(), Copied::Present);
    assert_eq!((source.count("GET", ""), target.count("PUT", ""), target.log().len()), (1, 1, 3));
}

#[tokio::test]
async fn where_one_copy_fails_the_next_one_tries_from_elsewhere() {
    let (empty, full, target) = (Server::plain().await, Server::plain().await, Server::plain().await);
    let digest = full.store.put_blob("o/app", b"layer");
    let (registry, to) = (registry(), target.repository("o/app"));
    let (from_empty, from_full) = (empty.repository("o/app"), full.repository("o/app"));
    let (failed, copied) = tokio::join!(
        registry.copy_blob(&from_empty, &to, &digest, 5),
        registry.copy_blob(&from_full, &to, &digest, 5)
    );
    assert_eq!(failed.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(copied.unwrap(), Copied::Sent);
}

#[tokio::test]
async fn a_refused_mount_becomes_an_upload() {
    for (status, code) in [(400, "UNSUPPORTED"), (403, "DENIED"), (404, "BLOB_UNKNOWN"), (405, "UNSUPPORTED")]
    {
        let server =
            Server::start(move |seen, _| seen.target.contains("mount=").then(|| Reply::error(status, code)))
                .await;
        let digest = server.store.put_blob("o/from", b"layer");
        let (from, to) = (server.repository("o/from"), server.repository("o/to"));
        let copied = registry().copy_blob(&from, &to, &digest, 5).await;
        assert_eq!(copied.unwrap_or_else(|error| panic!("{status}: {error}")), Copied::Sent);
        assert_eq!(server.store.blob("o/to", &digest).unwrap(), "layer");
    }
    // One that mounts needs to say no more than that.
    let terse = Server::start(|seen, store| {
        seen.target.contains("mount=").then(|| {
            store.reply(seen);
            Reply::status(201)
        })
    })
    .await;
    let digest = terse.store.put_blob("o/from", b"layer");
    let (from, to) = (terse.repository("o/from"), terse.repository("o/to"));
    assert_eq!(registry().copy_blob(&from, &to, &digest, 5).await.unwrap(), Copied::Mounted);
}

#[tokio::test]
async fn an_empty_blob_is_copied_too() {
    let (source, target) = (Server::plain().await, Server::plain().await);
    let digest = source.store.put_blob("o/app", b"");
    let (from, to) = (source.repository("o/app"), target.repository("o/app"));
    assert_eq!(registry().copy_blob(&from, &to, &digest, 0).await.unwrap(), Copied::Sent);
    assert_eq!(target.store.blob("o/app", &digest).unwrap(), "");
}

/// The lengths and ranges of what was sent with `method`.
fn sent(server: &Server, method: &str) -> Vec<(usize, Option<String>)> {
    let seen = server.seen().into_iter().filter(|seen| seen.method == method);
    seen.map(|seen| (seen.body.len(), seen.header("content-range").map(str::to_owned))).collect()
}

#[tokio::test]
async fn a_large_upload_that_breaks_off_goes_on_in_pieces_that_stay() {
    const MIB: usize = 1 << 20;
    let whole: Vec<u8> = (0..40 * MIB).map(|n| (n % 251) as u8).collect();
    let digest = Digest::of(&whole);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &whole).unwrap();
    let piece =
        |from: usize, to: usize| ((to - from) * MIB, Some(format!("{}-{}", from * MIB, to * MIB - 1)));
    let at_once = (whole.len(), None);
    for (least, expected_pieces, expected_ends) in [
        (0, vec![piece(0, 16), piece(16, 32), piece(16, 32)], vec![at_once.clone(), piece(32, 40)]),
        (20 * MIB, vec![piece(0, 20)], vec![at_once, piece(20, 40), piece(20, 40)]),
    ] {
        let second = std::sync::atomic::AtomicBool::new(true);
        let server = Server::start(move |seen, store| {
            if seen.method == "POST" {
                return Some(store.reply(seen).header("oci-chunk-min-length", least.to_string()));
            }
            // The whole at once breaks off, and of it nothing is kept; so does the first try of the second piece.
            let range = seen.header("content-range").unwrap_or_default();
            let cut = match seen.method.as_str() {
                "PUT" if range.is_empty() => true,
                "PUT" | "PATCH" if !range.starts_with("0-") => {
                    second.swap(false, std::sync::atomic::Ordering::Relaxed)
                }
                _ => false,
            };
            cut.then(Reply::cut)
        })
        .await;
        let to = server.repository("o/app");
        registry().upload_file(&to, &digest, whole.len() as u64, file.path()).await.unwrap();
        assert!(server.store.blob("o/app", &digest).unwrap() == whole);
        assert_eq!((sent(&server, "PATCH"), sent(&server, "PUT")), (expected_pieces, expected_ends));
        assert_eq!(server.store.sessions(), 0);
    }
}

#[tokio::test]
async fn what_is_too_much_at_once_goes_in_pieces_unless_the_registry_takes_none() {
    const MIB: usize = 1 << 20;
    let whole: Vec<u8> = (0..20 * MIB).map(|n| (n % 241) as u8).collect();
    let digest = Digest::of(&whole);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &whole).unwrap();
    let limited = Server::start(|seen, _| (seen.body.len() > 17 * MIB).then(|| Reply::status(413))).await;
    let to = limited.repository("o/app");
    registry().upload_file(&to, &digest, whole.len() as u64, file.path()).await.unwrap();
    assert_eq!(limited.store.blob("o/app", &digest).unwrap().len(), whole.len());
    assert_eq!((limited.count("PATCH", ""), limited.count("PUT", "")), (1, 2));

    let without_pieces = Server::start(|seen, _| {
        let first = seen.method == "PUT" && seen.target.contains("uploads/1?");
        (seen.method == "PATCH").then(|| Reply::status(405)).or(first.then(Reply::cut))
    })
    .await;
    let to = without_pieces.repository("o/app");
    registry().upload_file(&to, &digest, whole.len() as u64, file.path()).await.unwrap();
    assert_eq!(without_pieces.store.blob("o/app", &digest).unwrap().len(), whole.len());
    assert_eq!(without_pieces.count("PATCH", ""), 1);
    assert_eq!(without_pieces.store.sessions(), 0);
}

#[tokio::test]
async fn only_201_is_the_end_of_an_upload() {
    for (status, stores) in [(201, true), (202, true), (202, false), (204, false)] {
        let server = Server::start(move |seen, store| {
            seen.is("PUT", "/uploads/").then(|| {
                if stores {
                    store.reply(seen);
                }
                Reply::status(status)
            })
        })
        .await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"layer").unwrap();
        let (to, digest) = (server.repository("o/app"), Digest::of(b"layer"));
        let uploaded = registry().upload_file(&to, &digest, 5, file.path()).await;
        assert_eq!(uploaded.is_ok(), stores, "{status} {stores}: {uploaded:?}");
        assert_eq!(server.store.blob("o/app", &digest).is_some(), stores);
    }
}
