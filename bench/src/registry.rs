//! The embedded registry beside CNCF distribution's, which is Debian's `docker-registry`: many clients push and pull a
//! blob each, at once, as Docker does it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::measure::high_water_mark;
use crate::peers::on_path;

/// What one registry took.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// Which one.
    pub(crate) registry: &'static str,
    /// How many clients there were at once.
    pub(crate) clients: usize,
    /// The size of each one's blob.
    pub(crate) blob_mib: usize,
    /// Until all blobs were there.
    pub(crate) push_seconds: f64,
    /// Until all had been read.
    pub(crate) pull_seconds: f64,
    /// The most memory that the registry had, in MiB.
    pub(crate) peak_mib: f64,
}

/// Measures each registry that is installed, `times` times in turn; the fastest of each counts.
pub(crate) fn measure(
    runtime: &tokio::runtime::Runtime,
    binary: &Path,
    times: u32,
    clients: usize,
    blob_mib: usize,
) -> Result<Vec<Row>> {
    let blobs = Arc::new(Blobs::new(clients, blob_mib << 20));
    let distribution = on_path("docker-registry").into_iter().next();
    let mut rows: Vec<Row> = Vec::new();
    for _ in 0..times {
        let mut both = vec![("embedded", Running::embedded(binary)?)];
        if let Some(program) = &distribution {
            both.push(("CNCF distribution", Running::distribution(program)?));
        }
        for (registry, running) in both {
            // What the one before left to write must not be this one's to wait for.
            crate::measure::run(Command::new("sync"))?;
            let (push_seconds, pull_seconds) = runtime.block_on(once(running.addr, &blobs))?;
            let status = format!("/proc/{}/status", running.process.id());
            let peak_mib = high_water_mark(Path::new(&status)).unwrap_or_default();
            let row = Row { registry, clients, blob_mib, push_seconds, pull_seconds, peak_mib };
            match rows.iter_mut().find(|before| before.registry == registry) {
                None => rows.push(row),
                Some(before) => {
                    before.push_seconds = before.push_seconds.min(row.push_seconds);
                    before.pull_seconds = before.pull_seconds.min(row.pull_seconds);
                    before.peak_mib = before.peak_mib.max(row.peak_mib);
                }
            }
        }
    }
    Ok(rows)
}

/// The content of all clients: one noise, with the client's number in front.
struct Blobs {
    noise: Vec<u8>,
    digests: Vec<String>,
}

impl Blobs {
    fn new(clients: usize, length: usize) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut noise = Vec::with_capacity(length);
        while noise.len() < length {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            noise.extend_from_slice(&state.to_le_bytes());
        }
        let digest = |client: usize| {
            let whole = Sha256::new().chain_update(Self::start(client)).chain_update(&noise).finalize();
            let hex: String = whole.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("sha256:{hex}")
        };
        let digests = (0..clients).map(digest).collect();
        Self { noise, digests }
    }

    fn start(client: usize) -> [u8; 8] {
        (client as u64).to_le_bytes()
    }

    fn length(&self) -> usize {
        self.noise.len() + 8
    }
}

/// A registry in a process of its own, on a folder of its own.
struct Running {
    process: Child,
    addr: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Running {
    fn embedded(binary: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(binary);
        command.args(["registry", "serve", "--quiet", "--listen", "127.0.0.1:0", "--root"]);
        let mut process = command.arg(folder.path().join("registry")).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let addr = line.trim().parse().context("the registry did not say where it listens")?;
        Ok(Self { process, addr, _folder: folder })
    }

    fn distribution(program: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let addr = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = folder.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {:?}}}}}\nhttp: {{addr: '{addr}'}}\n",
            folder.path().join("storage")
        );
        std::fs::write(&config, text)?;
        let mut command = Command::new(program);
        command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Self { process: command.spawn()?, addr, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(addr).is_err() {
            ensure!(Instant::now() < deadline, "docker-registry does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing to do about a process that has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// All clients push, then all pull.
async fn once(addr: SocketAddr, blobs: &Arc<Blobs>) -> Result<(f64, f64)> {
    let clients = 0..blobs.digests.len();
    let started = Instant::now();
    let pushes = clients.clone().map(|client| {
        let blobs = blobs.clone();
        tokio::spawn(async move { Connection::open(addr).await?.push(client, &blobs).await })
    });
    for pushed in try_join_all(pushes).await? {
        pushed?;
    }
    let pushed = started.elapsed();
    let started = Instant::now();
    let pulls = clients.map(|client| {
        let blobs = blobs.clone();
        tokio::spawn(async move { Connection::open(addr).await?.pull(client, &blobs).await })
    });
    for pulled in try_join_all(pulls).await? {
        pulled?;
    }
    Ok((pushed.as_secs_f64(), started.elapsed().as_secs_f64()))
}

/// A client, as thin as it can be: it is measured with the registry.
struct Connection {
    stream: tokio::io::BufReader<TcpStream>,
    addr: SocketAddr,
}

/// The head of an answer.
struct Answer {
    status: String,
    location: String,
    length: usize,
}

impl Connection {
    async fn open(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: tokio::io::BufReader::with_capacity(256 * 1024, stream), addr })
    }

    async fn push(&mut self, client: usize, blobs: &Blobs) -> Result<()> {
        let started = self.ask("POST", "/v2/bench/blobs/uploads/", &[]).await?.expect("202")?;
        let body = [&Blobs::start(client)[..], &blobs.noise];
        let sent = self.ask("PATCH", &started.location, &body).await?.expect("202")?;
        let and = if sent.location.contains('?') { '&' } else { '?' };
        let close = format!("{}{and}digest={}", sent.location, blobs.digests[client]);
        self.ask("PUT", &close, &[]).await?.expect("201")?;
        Ok(())
    }

    async fn pull(&mut self, client: usize, blobs: &Blobs) -> Result<()> {
        let path = format!("/v2/bench/blobs/{}", blobs.digests[client]);
        let answer = self.ask("GET", &path, &[]).await?.expect("200")?;
        ensure!(answer.length == blobs.length(), "the blob has {} bytes", answer.length);
        let mut left = answer.length;
        while left > 0 {
            let read = self.stream.fill_buf().await?.len().min(left);
            ensure!(read > 0, "the blob ended early");
            self.stream.consume(read);
            left -= read;
        }
        Ok(())
    }

    async fn ask(&mut self, method: &str, location: &str, body: &[&[u8]]) -> Result<Answer> {
        let path = location.strip_prefix(&format!("http://{}", self.addr)).unwrap_or(location);
        let length: usize = body.iter().map(|piece| piece.len()).sum();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/octet-stream\r\ncontent-length: {length}\r\n\r\n",
            self.addr
        );
        self.stream.write_all(head.as_bytes()).await?;
        for piece in body {
            self.stream.write_all(piece).await?;
        }
        let mut answer = Answer { status: String::new(), location: String::new(), length: 0 };
        self.stream.read_line(&mut answer.status).await?;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await?;
            let Some((name, value)) = line.trim().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "location" => answer.location = value.trim().to_owned(),
                "content-length" => answer.length = value.trim().parse()?,
                _ => {}
            }
        }
        // Only blobs are read by the caller.
        if method != "GET" && answer.length > 0 {
            let mut rest = vec![0; answer.length];
            self.stream.read_exact(&mut rest).await?;
        }
        Ok(answer)
    }
}

impl Answer {
    fn expect(self, status: &str) -> Result<Self> {
        ensure!(self.status.split(' ').nth(1) == Some(status), "expected {status}: {}", self.status.trim());
        Ok(self)
    }
}
