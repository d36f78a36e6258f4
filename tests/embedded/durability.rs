//! What a restart, a kill at any moment and a cut connection leave.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use manifests::embedded::{Options, Server};
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::support::{Client, Registry, Send, noise, sha256};

const ROOT: &str = "MANIFESTS_TEST_EMBEDDED_ROOT";

/// A registry in a process of its own, to be killed.
struct Process {
    child: Child,
    client: Client,
}

impl Process {
    fn start(root: &Path) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--exact", "embedded::durability::serve_until_killed", "--ignored", "--nocapture"])
            .env(ROOT, root)
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("no stdout")?;
        for line in BufReader::new(stdout).lines() {
            if let Some((_, addr)) = line?.split_once("serving on ") {
                return Ok(Self { child, client: Client::new(addr.parse()?)? });
            }
        }
        Err(anyhow::anyhow!("the registry's process ended early"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // On Unix this is SIGKILL: nothing in the process can tidy up.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test: what `Process` runs.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs in a process of its own, started by the tests that kill it"]
async fn serve_until_killed() -> Result<()> {
    let Some(root) = std::env::var_os(ROOT) else { return Ok(()) };
    let server = Server::start(Options::new(root)).await?;
    writeln!(std::io::stdout(), "serving on {}", server.addr())?;
    std::future::pending().await
}

#[tokio::test]
async fn an_upload_goes_on_after_the_registry_was_killed() -> Result<()> {
    let root = tempfile::tempdir()?;
    let bytes = noise(6, 3_000_000);
    let process = Process::start(root.path())?;
    let manifest = process.client.push_image("a", "v1", b"layer").await?;
    let started = process.client.call("POST", "a/blobs/uploads/").await?.expect(202)?;
    let location = started.header("location");
    let half = process.client.request("PATCH", location).body(bytes[..2_000_000].to_vec());
    half.answer().await?.expect(202)?;
    drop(process);

    // What a crash may leave besides.
    let orphan = root.path().join("blobs/sha256").join(sha256(b"orphan").trim_start_matches("sha256:"));
    std::fs::write(&orphan, "orphan")?;
    let leftover = root.path().join("temporary/unfinished-leftover");
    std::fs::write(&leftover, "half a file")?;

    let process = Process::start(root.path())?;
    assert!(!orphan.exists() && !leftover.exists(), "leftovers of a crash are still there");
    assert_eq!(process.client.call("GET", "a/manifests/v1").await?.expect(200)?.body, manifest);
    let status = process.client.call("GET", location).await?.expect(204)?;
    assert_eq!(status.header("range"), "0-1999999");
    let rest = process.client.request("PATCH", location).header("content-range", "2000000-2999999");
    rest.body(bytes[2_000_000..].to_vec()).answer().await?.expect(202)?;
    let digest = sha256(&bytes);
    process.client.call("PUT", &format!("{location}?digest={digest}")).await?.expect(201)?;
    let pulled = process.client.call("GET", &format!("a/blobs/{digest}")).await?.expect(200)?;
    assert!(pulled.body == bytes);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_amid_pushes_everything_acknowledged_is_there_and_nothing_is_half_there() -> Result<()> {
    let root = tempfile::tempdir()?;
    let mut acknowledged = Vec::new();
    for round in 0..4 {
        let process = Process::start(root.path())?;
        check(&process.client, &acknowledged).await?;
        // Several writers push until the registry is killed under them, after so many pushes in all.
        let done = Arc::new(AtomicUsize::new(0));
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (client, done) = (process.client.clone(), done.clone());
                tokio::spawn(async move {
                    let mut pushed = Vec::new();
                    for i in 0.. {
                        let layer = noise(round * 1_000_000 + writer * 10_000 + i, 20_000);
                        let tag = format!("{round}-{writer}-{i}");
                        match client.push_image("a/b", &tag, &layer).await {
                            Ok(manifest) => pushed.push((tag, manifest)),
                            Err(_) => break,
                        }
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                    pushed
                })
            })
            .collect();
        while done.load(Ordering::SeqCst) < 10 {
            ensure!(!writers.iter().all(tokio::task::JoinHandle::is_finished), "no writer could push");
            tokio::task::yield_now().await;
        }
        drop(process);
        for writer in writers {
            acknowledged.extend(writer.await?);
        }
    }
    let process = Process::start(root.path())?;
    check(&process.client, &acknowledged).await
}

/// Whether every push acknowledged is there, and everything listed is whole.
async fn check(client: &Client, acknowledged: &[(String, Vec<u8>)]) -> Result<()> {
    for (tag, manifest) in acknowledged {
        let pulled = client.call("GET", &format!("a/b/manifests/{tag}")).await?.expect(200)?;
        ensure!(pulled.body == *manifest, "{tag} is not what was pushed");
    }
    if acknowledged.is_empty() {
        return Ok(());
    }
    let listed = client.call("GET", "a/b/tags/list").await?.expect(200)?.json()?;
    let tags: Vec<String> = serde_json::from_value(listed["tags"].clone())?;
    ensure!(tags.len() >= acknowledged.len(), "{} of {} tags", tags.len(), acknowledged.len());
    for tag in tags {
        let pulled = client.call("GET", &format!("a/b/manifests/{tag}")).await?.expect(200)?;
        ensure!(sha256(&pulled.body) == pulled.header("docker-content-digest"), "{tag} has another digest");
        let manifest: Value = pulled.json()?;
        for blob in manifest["layers"].as_array().into_iter().flatten().chain([&manifest["config"]]) {
            let digest = blob["digest"].as_str().context("no digest")?;
            let pulled = client.call("GET", &format!("a/b/blobs/{digest}")).await?.expect(200)?;
            ensure!(sha256(&pulled.body) == digest, "{digest} has other content");
        }
    }
    Ok(())
}

#[tokio::test]
async fn everything_is_there_after_a_restart() -> Result<()> {
    let registry = Registry::start().await?;
    let manifest = registry.push_image("a/b", "v1", b"layer").await?;
    let started = registry.call("POST", "c/blobs/uploads/").await?.expect(202)?;
    registry.request("PATCH", started.header("location")).body("half").answer().await?.expect(202)?;
    let registry = registry.restart().await?;
    assert_eq!(registry.call("GET", "a/b/manifests/v1").await?.expect(200)?.body, manifest);
    registry.call("GET", &format!("a/b/blobs/{}", sha256(b"layer"))).await?.expect(200)?;
    registry.call("GET", "a/tags/list").await?.expect_error(404, "NAME_UNKNOWN")?;
    // An upload alone makes no repository.
    registry.call("GET", "c/tags/list").await?.expect_error(404, "NAME_UNKNOWN")?;
    let close = format!("{}?digest={}", started.header("location"), sha256(b"half"));
    registry.call("PUT", &close).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn a_cut_connection_leaves_what_came_to_go_on_from() -> Result<()> {
    let registry = Registry::start().await?;
    let started = registry.call("POST", "a/blobs/uploads/").await?.expect(202)?;
    let location = started.header("location");
    let mut connection = tokio::net::TcpStream::connect(registry.server.addr()).await?;
    let head =
        format!("PATCH {location} HTTP/1.1\r\nhost: x\r\ncontent-range: 0-9\r\ncontent-length: 10\r\n\r\n");
    connection.write_all(head.as_bytes()).await?;
    connection.write_all(b"half!").await?;
    connection.shutdown().await?;
    drop(connection);
    // The next request waits its turn, so what came is there by then.
    let close = format!("{location}?digest={}", sha256(b"half!whole"));
    let mut rest =
        registry.request("PUT", &close).header("content-range", "5-9").body("whole").answer().await?;
    while rest.status == 416 {
        tokio::task::yield_now().await;
        rest = registry.request("PUT", &close).header("content-range", "5-9").body("whole").answer().await?;
    }
    rest.expect(201)?;
    Ok(())
}
