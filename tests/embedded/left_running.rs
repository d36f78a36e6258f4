//! What bounds clients: connections, silence, stalls, large bodies; and what is on disk when the server starts.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use manifests::embedded::{Limits, Options, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{OCI_IMAGE, Registry, Send, image, noise, sha256};

async fn with_limits(adjust: impl FnOnce(&mut Limits)) -> Result<Registry> {
    Registry::start_as(|options| adjust(&mut options.limits)).await
}

/// What a connection says until the other side ends it.
async fn to_the_end(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is an end too.
    let _ = connection.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn whoever_asks_for_nothing_is_parted_with() -> Result<()> {
    let registry = with_limits(|limits| limits.idle = Duration::from_millis(200)).await?;
    let whole = "GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n";
    for (said, answered) in [("", false), (&whole[..20], false), ("PRI * HTT", false), (whole, true)] {
        let mut connection = TcpStream::connect(registry.server.addr()).await?;
        connection.write_all(said.as_bytes()).await?;
        let answer = to_the_end(&mut connection).await;
        assert_eq!(answer.starts_with("HTTP/1.1 200"), answered, "{said:?}: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() -> Result<()> {
    let registry = with_limits(|limits| limits.stall = Duration::from_millis(200)).await?;
    let started = registry.call("POST", "a/blobs/uploads/").await?.expect(202)?;
    let location = started.header("location");
    for (method, path) in [
        ("PATCH", location),
        ("PUT", "/v2/a/manifests/v1"),
        ("POST", &format!("/v2/a/blobs/uploads/?digest={}", sha256(b""))),
    ] {
        let mut connection = TcpStream::connect(registry.server.addr()).await?;
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf!");
        connection.write_all(head.as_bytes()).await?;
        let answer = to_the_end(&mut connection).await;
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("stalled"), "{method}: {answer}");
    }
    // What came is there to go on from.
    let close = format!("{location}?digest={}", sha256(b"half!whole"));
    let rest = registry.request("PUT", &close).header("content-range", "5-9").body("whole");
    rest.answer().await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_given_up() -> Result<()> {
    let limits = |limits: &mut Limits| {
        limits.stall = Duration::from_millis(200);
        limits.connections = 1;
    };
    let registry = with_limits(limits).await?;
    let digest = registry.push_blob("a", &noise(9, 8_000_000)).await?;
    let mut connection = TcpStream::connect(registry.server.addr()).await?;
    let head = format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nhost: x\r\n\r\n");
    connection.write_all(head.as_bytes()).await?;
    // The only connection there may be is busy until then.
    registry.call("GET", "/v2/").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_new_client_takes_the_place_of_a_silent_one_and_of_no_busy_one() -> Result<()> {
    let registry = with_limits(|limits| limits.connections = 3).await?;
    let started = registry.call("POST", "a/blobs/uploads/").await?.expect(202)?;
    let location = started.header("location");
    let mut busy = TcpStream::connect(registry.server.addr()).await?;
    let head = format!("PATCH {location} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf!");
    busy.write_all(head.as_bytes()).await?;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(registry.server.addr()).await?);
    }
    for _ in 0..3 {
        super::support::Client::new(registry.server.addr())?.call("GET", "/v2/").await?.expect(200)?;
    }
    busy.write_all(b"whole").await?;
    let mut answer = [0; 12];
    busy.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"HTTP/1.1 202");
    Ok(())
}

#[tokio::test]
async fn what_is_too_large_is_refused_with_an_answer() -> Result<()> {
    let registry = Registry::start().await?;
    for mib in [5, 17, 40] {
        let manifest = vec![b' '; mib << 20];
        let refused = registry.put_manifest("a", "v1", OCI_IMAGE, manifest.clone()).await?;
        refused.expect_error(413, "SIZE_INVALID")?;
        // A client that sends everything before it reads.
        let mut connection = TcpStream::connect(registry.server.addr()).await?;
        let head = format!(
            "PUT /v2/a/manifests/v1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            manifest.len()
        );
        connection.write_all(head.as_bytes()).await?;
        connection.write_all(&manifest).await.context("while sending")?;
        let answer = to_the_end(&mut connection).await;
        assert!(answer.starts_with("HTTP/1.1 413") && answer.ends_with("]}"), "{mib} MiB: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn absurd_heads_are_answered() -> Result<()> {
    let registry = Registry::start().await?;
    registry.push_image("a", "v1", b"layer").await?;
    let started = registry.call("POST", "a/blobs/uploads/").await?.expect(202)?;
    let upload = started.header("location");
    let most = u64::MAX;
    for range in [
        format!("0-{most}"),
        format!("{most}-{most}"),
        "0-99999999999999999999999".to_owned(),
        "-1-5".to_owned(),
        "0--1".to_owned(),
        "9".repeat(5000),
    ] {
        let request = registry.request("PATCH", upload).header("content-range", &range).body("bytes");
        let answer = request.answer().await?;
        assert!(matches!(answer.status, 400 | 416), "{range}: {}", answer.status);
        assert!(answer.body.len() < 2000, "{range}");
    }
    let long = "a".repeat(60_000);
    for (method, path, status) in [
        ("GET", format!("a/tags/list?n={most}"), 200),
        ("GET", "a/tags/list?n=99999999999999999999999".to_owned(), 400),
        ("GET", "a/tags/list?n=-1".to_owned(), 400),
        ("GET", "a/tags/list?n=0".to_owned(), 200),
        ("GET", format!("{long}/manifests/v1"), 400),
        ("GET", format!("a/manifests/{long}"), 404),
        ("GET", format!("a/blobs/sha256:{long}"), 400),
        ("GET", "a/blobs/sha3-256:00".to_owned(), 404),
        ("PUT", format!("{upload}?digest=sha3-256:{long}"), 400),
        ("GET", "a%ff/manifests/v1".to_owned(), 400),
        ("GET", "a/tags/list?n=%ff".to_owned(), 400),
    ] {
        let answer = registry.call(method, &path).await?;
        let shown: String = path.chars().take(60).collect();
        assert_eq!(answer.status, status, "{shown}: {}", answer.text());
        assert!(answer.body.len() < 2000, "{shown}");
        if status != 200 {
            answer.json().context(shown)?;
        }
    }
    for length in ["-1", "99999999999999999999999", "1, 2", "x"] {
        let mut connection = TcpStream::connect(registry.server.addr()).await?;
        let head = format!("PATCH {upload} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\nbytes");
        connection.write_all(head.as_bytes()).await?;
        let answer = to_the_end(&mut connection).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{length}: {answer}");
    }
    registry.call("GET", upload).await?.expect(204)?;
    Ok(())
}

/// The file of stored bytes.
fn stored(registry: &Registry, digest: &str) -> std::path::PathBuf {
    registry.root().join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
}

#[tokio::test]
async fn what_went_bad_is_not_served_and_a_push_heals_it() -> Result<()> {
    let registry = Registry::start().await?;
    let manifest = registry.push_image("a", "v1", b"layer").await?;
    let (layer, digest) = (sha256(b"layer"), sha256(&manifest));
    let mut worse = manifest.clone();
    worse[0] = b' ';
    // Of the same length, of another, none, and only written again as it was.
    let layers: [(&[u8], bool); 4] = [(b"lazer", false), (b"lay", false), (b"", false), (b"layer", true)];
    for (bytes, good) in layers {
        std::fs::write(stored(&registry, &layer), bytes)?;
        let status = if good { 200 } else { 404 };
        for method in ["HEAD", "GET"] {
            registry.call(method, &format!("a/blobs/{layer}")).await?.expect(status)?;
        }
        let mount = registry.call("POST", &format!("b/blobs/uploads/?mount={layer}&from=a")).await?;
        mount.expect(if good { 201 } else { 202 })?;
        let again =
            registry.put_manifest("a", "v2", OCI_IMAGE, image(b"{}", &[b"layer"]).to_string()).await?;
        again.expect(if good { 201 } else { 404 })?;
        registry.push_blob("a", b"layer").await?;
        registry.call("GET", &format!("a/blobs/{layer}")).await?.expect(200)?;
    }
    for (bytes, good) in [(&worse[..], false), (&manifest[1..], false), (b"", false), (&manifest[..], true)] {
        std::fs::write(stored(&registry, &digest), bytes)?;
        for reference in ["v1", &digest] {
            for method in ["HEAD", "GET"] {
                let answer = registry.call(method, &format!("a/manifests/{reference}")).await?;
                answer.expect(if good { 200 } else { 404 })?;
            }
        }
        registry.put_manifest("a", "v1", OCI_IMAGE, manifest.clone()).await?.expect(201)?;
        assert_eq!(registry.call("GET", "a/manifests/v1").await?.expect(200)?.body, manifest);
    }
    // Also what went bad while nothing was served.
    std::fs::write(stored(&registry, &layer), b"lazer")?;
    let registry = registry.restart().await?;
    registry.call("HEAD", &format!("a/blobs/{layer}")).await?.expect(404)?;
    Ok(())
}

#[tokio::test]
async fn a_folder_of_something_else_is_left_alone() -> Result<()> {
    let blob = format!("blobs/sha256/{}", sha256(b"").trim_start_matches("sha256:"));
    let upload = "repositories/a/_uploads/01234567-89ab-cdef-0123-456789abcdef";
    for file in ["oci-layout", &blob, upload, "temporary/file", "lock", ".manifests-registry/file"] {
        let root = tempfile::tempdir()?;
        let path = root.path().join(file);
        std::fs::create_dir_all(path.parent().context("no parent")?)?;
        std::fs::write(&path, "theirs")?;
        let refused = Server::start(Options::new(root.path())).await.err().context("it started")?;
        assert!(format!("{refused:#}").contains(&*root.path().to_string_lossy()), "{refused:#}");
        assert_eq!(std::fs::read(&path)?, b"theirs");
    }
    Ok(())
}

#[tokio::test]
async fn only_what_the_registry_wrote_is_swept() -> Result<()> {
    let registry = Registry::start().await?;
    registry.push_image("a", "v1", b"layer").await?;
    let root = registry.root().to_owned();
    // The file, and whether it is the registry's to remove.
    let orphan = format!("blobs/sha256/{}", sha256(b"orphan").trim_start_matches("sha256:"));
    let files = [
        (&*orphan, true),
        ("temporary/unfinished-abc", true),
        ("blobs/sha256/notes", false),
        ("blobs/other/file", false),
        ("temporary/file", false),
        ("file", false),
        ("repositories/a/_uploads/file", false),
    ];
    for (file, _) in files {
        let path = root.join(file);
        std::fs::create_dir_all(path.parent().context("no parent")?)?;
        std::fs::write(path, "")?;
    }
    let _registry = registry.restart().await?;
    for (file, swept) in files {
        assert_eq!(root.join(file).exists(), !swept, "{file}");
    }
    Ok(())
}

#[tokio::test]
async fn no_link_in_the_root_is_followed() -> Result<()> {
    let other = tempfile::tempdir()?;
    let hex = sha256(b"theirs").trim_start_matches("sha256:").to_owned();
    for folder in ["sha256", "_blobs/sha256", "_uploads", ""] {
        std::fs::create_dir_all(other.path().join(folder))?;
        std::fs::write(other.path().join(folder).join(&hex), "theirs")?;
    }
    for link in [
        "blobs",
        "blobs/sha256",
        "temporary",
        "repositories",
        "repositories/b",
        "repositories/a/b",
        "repositories/a/_blobs",
        "repositories/a/_blobs/sha256",
        "repositories/a/_uploads",
        "repositories/a/_index.json",
        "lock",
    ] {
        let root = tempfile::tempdir()?;
        Server::start(Options::new(root.path())).await?.stop().await?;
        let path = root.path().join(link);
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.parent().context("no parent")?)?;
        symlink(other.path(), &path)?;
        let refused = Server::start(Options::new(root.path())).await.err().context(link)?;
        assert!(format!("{refused:#}").contains("symbolic link"), "{link}: {refused:#}");
        for folder in ["sha256", "_blobs/sha256", "_uploads", ""] {
            assert!(Path::new(other.path()).join(folder).join(&hex).exists(), "{link}");
        }
    }
    // The root itself is what a person named.
    let (real, link) = (tempfile::tempdir()?, other.path().join("root"));
    symlink(real.path(), &link)?;
    Server::start(Options::new(&link)).await?.stop().await
}
