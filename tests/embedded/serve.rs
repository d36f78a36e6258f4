//! `registry serve`: who may do what, what stops the start, and how it ends.

use std::io::{BufRead, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::{Client, Send, image, noise, sha256};
use crate::certificates::certificates;

const MANIFESTS: &str = env!("CARGO_BIN_EXE_manifests");

/// `registry serve` in a process of its own, on a folder of its own.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) addr: SocketAddr,
    pub(crate) client: Client,
}

impl Served {
    /// `command` gets the arguments of `registry serve` and becomes the registry.
    pub(crate) fn start(mut command: Command, arguments: &[&str]) -> Result<Self> {
        command.args(["registry", "serve", "--listen", "127.0.0.1:0"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let Ok(addr) = line.trim().parse() else {
            let mut errors = String::new();
            child.stderr.take().context("no stderr")?.read_to_string(&mut errors)?;
            child.wait()?;
            anyhow::bail!("the registry did not start: {errors}");
        };
        Ok(Self { child, addr, client: Client::new(addr)? })
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    pub(crate) async fn ended(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Nothing to do about a process that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn refused(arguments: &[&str]) -> Result<Output> {
    let listen = ["registry", "serve", "--listen", "127.0.0.1:0"];
    let ended = Command::new(MANIFESTS).args(listen).args(arguments).stdin(Stdio::null()).output()?;
    ensure!(ended.stdout.is_empty(), "it serves with {arguments:?}");
    Ok(ended)
}

#[test]
fn what_is_wrong_on_the_command_line_is_exit_code_2_and_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    certificates(folder.path());
    let other = tempfile::tempdir()?;
    certificates(other.path());
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let root = path("root");
    std::fs::write(folder.path().join("plain"), "me:secret\n")?;
    std::fs::write(folder.path().join("none"), "")?;
    std::fs::create_dir(folder.path().join("full"))?;
    std::fs::write(folder.path().join("full/file"), "")?;
    let (plain, none, full, absent) = (path("plain"), path("none"), path("full"), path("absent"));
    let (certificate, key) = (path("server.pem"), path("server.key"));
    let key_of_another = other.path().join("server.key").to_string_lossy().into_owned();
    // The arguments, and what the message has to name.
    let cases: [(&[&str], &str); 12] = [
        (&["--htpasswd", &absent], &absent),
        (&["--htpasswd", &plain], &plain),
        (&["--htpasswd", &none], &none),
        (&["--htpasswd", &root], &root),
        (&["--tls-cert", &certificate], "--tls-key"),
        (&["--tls-key", &key], "--tls-cert"),
        (&["--tls-cert", &absent, "--tls-key", &key], &absent),
        (&["--tls-cert", &certificate, "--tls-key", &none], &none),
        (&["--tls-cert", &key, "--tls-key", &key], &key),
        (&["--tls-cert", &certificate, "--tls-key", &key_of_another], &key_of_another),
        (&["--read-only", "--allow-sparse"], "--allow-sparse"),
        (&["--root", &full], &full),
    ];
    for (arguments, named) in cases {
        let mut all = vec!["--root", &*root];
        if arguments[0] == "--root" {
            all.clear();
        }
        all.extend(arguments);
        let ended = refused(&all)?;
        let message = String::from_utf8_lossy(&ended.stderr);
        // Long names are folded.
        let unfolded: String = message.split_whitespace().collect();
        let named: String = named.split_whitespace().collect();
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(unfolded.contains(&named), "{arguments:?}: {message}");
        assert!(!message.contains("secret"), "{message}");
    }
    assert!(folder.path().join("full/file").exists());
    Ok(())
}

#[tokio::test]
async fn users_of_an_htpasswd_file_are_let_in_and_nobody_else() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("htpasswd");
    // What `htpasswd -B` writes.
    let hash = bcrypt::hash("open sesame", 4)?.replacen("$2b$", "$2y$", 1);
    std::fs::write(&file, format!("# the team\nme:{hash}\nyou:{}\n", bcrypt::hash("other", 5)?))?;
    let root = folder.path().join("root");
    let arguments = ["--root", &*root.to_string_lossy(), "--htpasswd", &*file.to_string_lossy()];
    let served = Served::start(Command::new(MANIFESTS), &arguments)?;
    let client = &served.client;
    for path in ["/v2/", "a/manifests/v1", "/", "a/tags/list"] {
        let refused = client.call("GET", path).await?.expect_error(401, "UNAUTHORIZED")?;
        assert!(refused.header("www-authenticate").starts_with("Basic realm="), "{path}");
    }
    // Also of a request with a body, and read to its end.
    let upload = client.request("POST", "a/blobs/uploads/?digest=x").body(vec![0; 3_000_000]);
    upload.answer().await?.expect_error(401, "UNAUTHORIZED")?;
    for (name, password, status) in [
        ("me", "open sesame", 200),
        // Once more: it is known by now.
        ("me", "open sesame", 200),
        ("me", "open sesame ", 401),
        ("me", "other", 401),
        ("you", "other", 200),
        ("nobody", "open sesame", 401),
        ("", "", 401),
    ] {
        let answer = client.request("GET", "/v2/").basic_auth(name, Some(password)).answer().await?;
        assert_eq!(answer.status, status, "{name} {password}");
    }
    client.request("GET", "/v2/").bearer_auth("open sesame").answer().await?.expect(401)?;
    Ok(())
}

#[tokio::test]
async fn a_read_only_registry_gives_and_takes_nothing() -> Result<()> {
    let root = tempfile::tempdir()?;
    let at = root.path().to_string_lossy().into_owned();
    let served = Served::start(Command::new(MANIFESTS), &["--root", &at])?;
    let manifest = served.client.push_image("a", "v1", b"layer").await?;
    drop(served);
    let served = Served::start(Command::new(MANIFESTS), &["--root", &at, "--read-only"])?;
    let client = &served.client;
    assert_eq!(client.call("GET", "a/manifests/v1").await?.expect(200)?.body, manifest);
    let (layer, upload) = (format!("a/blobs/{}", sha256(b"layer")), "a/blobs/uploads/");
    client.call("HEAD", &layer).await?.expect(200)?;
    for (method, path) in [
        ("POST", upload),
        ("PATCH", "a/blobs/uploads/x"),
        ("PUT", "a/manifests/v2"),
        ("DELETE", "a/manifests/v1"),
        ("DELETE", &layer),
    ] {
        let refused = client.request(method, path).body("{}").answer().await?;
        refused.expect_error(405, "UNSUPPORTED")?;
    }
    assert_eq!(client.call("GET", "a/manifests/v1").await?.expect(200)?.body, manifest);
    Ok(())
}

#[tokio::test]
async fn tls_is_spoken_with_the_certificate_given() -> Result<()> {
    let folder = tempfile::tempdir()?;
    certificates(folder.path());
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (root, certificate, key) = (path("root"), path("server.pem"), path("server.key"));
    let arguments = ["--root", &*root, "--tls-cert", &*certificate, "--tls-key", &*key];
    let served = Served::start(Command::new(MANIFESTS), &arguments)?;
    let authority = reqwest::Certificate::from_pem(&std::fs::read(path("ca.pem"))?)?;
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build()?;
    let answer = client.get(format!("https://{}/v2/", served.addr)).send().await?;
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    let strict = reqwest::Client::builder().no_proxy().build()?;
    assert!(strict.get(format!("https://{}/v2/", served.addr)).send().await.is_err());
    // Whoever speaks no TLS gets no answer, and harms nobody.
    assert!(served.client.call("GET", "/v2/").await.is_err());
    assert!(client.get(format!("https://{}/v2/", served.addr)).send().await.is_ok());
    Ok(())
}

#[test]
fn beyond_this_machine_it_says_who_may_push() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("htpasswd");
    std::fs::write(&file, format!("me:{}\n", bcrypt::hash("open sesame", 4)?))?;
    let file = file.to_string_lossy().into_owned();
    for (arguments, warned) in [
        (vec![], Some("may push and delete")),
        (vec!["--read-only"], None),
        (vec!["--htpasswd", &file], Some("unencrypted")),
    ] {
        let root = tempfile::tempdir()?;
        let mut command = Command::new(MANIFESTS);
        command.args(["registry", "serve", "--listen", "0.0.0.0:0", "--root"]).arg(root.path());
        let mut child = command.args(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
        kill_process(Pid::from_child(&child), Signal::TERM)?;
        let ended = child.wait_with_output()?;
        let message = String::from_utf8_lossy(&ended.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(ended.status.code(), Some(0), "{message}");
        assert_eq!(message.contains("warning:"), warned.is_some(), "{arguments:?}: {message}");
        assert!(message.contains(warned.unwrap_or_default()), "{arguments:?}: {message}");
    }
    Ok(())
}

#[tokio::test]
async fn term_lets_a_request_end_and_a_second_one_does_not() -> Result<()> {
    for (signals, answered) in [(1, true), (2, false)] {
        let root = tempfile::tempdir()?;
        let at = root.path().to_string_lossy().into_owned();
        let mut served = Served::start(Command::new(MANIFESTS), &["--root", &at])?;
        let started = served.client.call("POST", "a/blobs/uploads/").await?.expect(202)?;
        let location = started.header("location").to_owned();
        let mut connection = TcpStream::connect(served.addr).await?;
        let head = format!("PATCH {location} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nfirst");
        connection.write_all(head.as_bytes()).await?;
        // Somebody who says nothing is not waited for.
        let _silent = TcpStream::connect(served.addr).await?;
        // The request is under way once the upload is somebody's turn: its length is known without one.
        served.client.call("GET", &location).await?.expect(204)?;
        for _ in 0..signals {
            served.signal(Signal::TERM)?;
            // Accepting has ended when the signal was seen; until then a second one could be the same to it.
            while TcpStream::connect(served.addr).await.is_ok() {
                tokio::task::yield_now().await;
            }
        }
        if answered {
            connection.write_all(b"later").await?;
        }
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer).await;
        assert_eq!(answer.starts_with(b"HTTP/1.1 202"), answered, "{}", String::from_utf8_lossy(&answer));
        let code = served.ended().await?.code();
        assert_eq!(code, Some(if answered { 0 } else { 128 + 15 }));
    }
    Ok(())
}

#[tokio::test]
async fn silent_clients_lock_nobody_out() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
    let root = tempfile::tempdir()?;
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 1024; exec \"$0\" \"$@\"", MANIFESTS]);
    let served = Served::start(command, &["--root", &root.path().to_string_lossy()])?;
    let manifest = served.client.push_image("a", "v1", b"layer").await?;
    let mut silent = Vec::new();
    for count in 0..1100 {
        silent.push(TcpStream::connect(served.addr).await?);
        if count % 100 == 0 {
            // Half a head is as good as none.
            silent[count].write_all(b"GET /v2/ HTTP/1.1\r\nhost:").await?;
        }
    }
    for _ in 0..3 {
        // A client of its own has a connection of its own.
        let client = Client::new(served.addr)?;
        assert_eq!(client.call("GET", "a/manifests/v1").await?.expect(200)?.body, manifest);
        client.push_blob("a", &noise(1, 300_000)).await?;
    }
    Ok(())
}

/// A registry on a file system of so many bytes and files, which is gone with it. `folder` is where it is mounted, seen
/// from within; the path that comes back is the same seen from here.
fn on_a_small_disk(folder: &Path) -> Result<(Served, PathBuf)> {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let script = "mount -t tmpfs -o size=6m,nr_inodes=200 tmpfs \"$0\" && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script]).arg(folder).arg(MANIFESTS);
    let served = Served::start(command, &["--root", &folder.join("root").to_string_lossy()])?;
    let within = folder.strip_prefix("/")?;
    let seen = Path::new("/proc").join(served.child.id().to_string()).join("root").join(within);
    Ok((served, seen))
}

/// The files below a folder, with their lengths.
fn files(folder: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => folders.push(entry.path()),
                false => files.push((entry.path(), entry.metadata()?.len())),
            }
        }
    }
    files.sort();
    Ok(files)
}

#[tokio::test]
async fn a_full_disk_has_its_space_again_whatever_filled_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (served, disk) = on_a_small_disk(folder.path())?;
    let client = &served.client;
    client.push_image("a", "v1", b"layer").await?;
    let before = files(&disk)?;
    let large = noise(7, 7_000_000);
    let digest = sha256(&large);
    for way in ["monolithic", "closing", "chunk", "stream", "two chunks"] {
        let started = client.call("POST", "a/blobs/uploads/").await?.expect(202)?;
        let location = started.header("location").to_owned();
        let close = format!("{location}?digest={digest}");
        let request = match way {
            "monolithic" => {
                client.call("DELETE", &location).await?.expect(204)?;
                client.request("POST", &format!("a/blobs/uploads/?digest={digest}")).body(large.clone())
            }
            "closing" => client.request("PUT", &close).body(large.clone()),
            "chunk" => {
                let range = format!("0-{}", large.len() - 1);
                client.request("PATCH", &location).header("content-range", range).body(large.clone())
            }
            "stream" => {
                let pieces: Vec<_> =
                    large.chunks(100_000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
                let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
                client.request("PATCH", &location).body(body)
            }
            _ => {
                let first = client.request("PATCH", &location).body(large[..3_000_000].to_vec());
                first.answer().await?.expect(202)?;
                client.request("PATCH", &location).body(large[3_000_000..].to_vec())
            }
        };
        request.answer().await?.expect_error(507, "UNKNOWN").context(way)?;
        assert_eq!(files(&disk)?, before, "{way}");
        // The client begins anew, with something that has room.
        client.call("GET", &location).await?.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
    }
    // No file can be made: a mount, a manifest, the beginning of an upload.
    let manifest = image(b"{}", &[b"layer"]).to_string();
    let fill =
        || (0..200).map_while(|n| std::fs::File::create_new(disk.join(format!("fill-{n}"))).ok()).count();
    let filled = fill();
    let layer = sha256(b"layer");
    let mount = format!("b/blobs/uploads/?mount={layer}&from=a");
    for (method, path) in [("POST", &*mount), ("PUT", "a/manifests/v2"), ("POST", "a/blobs/uploads/")] {
        let request = client.request(method, path).header("content-type", super::support::OCI_IMAGE);
        // Other bytes than the manifest that is there.
        request.body(format!(" {manifest}")).answer().await?.expect_error(507, "UNKNOWN").context(method)?;
    }
    for n in 0..filled {
        std::fs::remove_file(disk.join(format!("fill-{n}")))?;
    }
    assert_eq!(files(&disk)?, before);
    client.call("GET", "a/manifests/v2").await?.expect(404)?;
    client.call("HEAD", &format!("b/blobs/{layer}")).await?.expect(404)?;
    client.call("POST", &mount).await?.expect(201)?;
    client.push_blob("a", &noise(8, 3_000_000)).await?;
    Ok(())
}
