//! A registry that is not ours: Debian's docker-registry, which is CNCF distribution 2.8.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::certificates;

const PROGRAM: &str = "docker-registry";

/// A port of the loopback that nobody listens on. Another process may take it before its user does: who listens on
/// it has to try again with another then.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on 127.0.0.1");
    listener.local_addr().expect("the address of a listener").port()
}

/// A running registry, empty at first, where everything may be deleted; it ends when this is dropped.
pub struct DebianRegistry {
    process: Child,
    port: u16,
    folder: TempDir,
}

/// How a registry is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind<'a> {
    Plain,
    WithoutDelete,
    /// For those in this `htpasswd`.
    Password(&'a str),
    Tls,
}

impl DebianRegistry {
    /// Starts a registry and waits until it answers.
    ///
    /// # Panics
    ///
    /// When docker-registry is not installed or does not start.
    pub fn start() -> Self {
        Self::start_as(Kind::Plain)
    }

    /// A registry where nothing may be deleted.
    ///
    /// # Panics
    ///
    /// As [`Self::start`].
    pub fn start_without_delete() -> Self {
        Self::start_as(Kind::WithoutDelete)
    }

    /// A registry where only who is in `htpasswd`, the text of such a file with bcrypt's hashes, may do anything.
    ///
    /// # Panics
    ///
    /// As [`Self::start`].
    pub fn start_with_password(htpasswd: &str) -> Self {
        Self::start_as(Kind::Password(htpasswd))
    }

    /// A registry that speaks TLS, with a certificate of an [authority](Self::authority) that nobody knows.
    ///
    /// # Panics
    ///
    /// As [`Self::start`], and when openssl is missing.
    pub fn start_with_tls() -> Self {
        Self::start_as(Kind::Tls)
    }

    fn start_as(kind: Kind<'_>) -> Self {
        let mut problem = String::new();
        for _ in 0..5 {
            match Self::start_at(free_port(), kind) {
                Ok(registry) => return registry,
                Err(log) => problem = log,
            }
        }
        panic!("{PROGRAM} did not start; its last words:\n{problem}");
    }

    /// The registry's host as references have it: `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The authority of a registry that speaks TLS, a PEM file.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn start_at(port: u16, kind: Kind<'_>) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("config.yml");
        let storage = folder.path().join("storage");
        let delete = kind != Kind::WithoutDelete;
        let tls = match kind {
            Kind::Tls => {
                certificates(folder.path());
                let [certificate, key] = ["server.pem", "server.key"].map(|name| folder.path().join(name));
                format!(", tls: {{certificate: {certificate:?}, key: {key:?}}}")
            }
            Kind::Plain | Kind::WithoutDelete | Kind::Password(_) => String::new(),
        };
        let mut text = format!(
            "version: 0.1\n\
             log: {{level: warn}}\n\
             storage: {{filesystem: {{rootdirectory: {storage:?}}}, delete: {{enabled: {delete}}}}}\n\
             http: {{addr: '127.0.0.1:{port}'{tls}}}\n"
        );
        if let Kind::Password(htpasswd) = kind {
            let file = folder.path().join("htpasswd");
            fs::write(&file, htpasswd).expect("the registry's passwords are written");
            text.push_str(&format!("auth: {{htpasswd: {{realm: tests, path: {file:?}}}}}\n"));
        }
        fs::write(&config, text).expect("the registry's configuration is written");
        let log = File::create(folder.path().join("log")).expect("the registry's log is created");
        let process = Command::new(PROGRAM)
            .arg("serve")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {PROGRAM}: {error}\n{}", super::HINT));

        let mut registry = Self { process, port, folder };
        let deadline = Instant::now() + Duration::from_secs(20);
        // A process that ended left the port to somebody else, whose answer would not be ours.
        while registry.process.try_wait().expect("the registry's state").is_none() {
            if registry.answers(kind) {
                return Ok(registry);
            }
            if Instant::now() > deadline {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(fs::read_to_string(registry.folder.path().join("log")).unwrap_or_default())
    }

    fn answers(&self, kind: Kind<'_>) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let mut start = [0; 12];
        let expected = match kind {
            Kind::Plain | Kind::WithoutDelete => b" 200",
            // What it says to somebody who speaks no TLS.
            Kind::Tls => b" 400",
            Kind::Password(_) => b" 401",
        };
        let asked = stream.set_read_timeout(Some(Duration::from_secs(2))).is_ok()
            && stream.write_all(b"GET /v2/ HTTP/1.0\r\n\r\n").is_ok();
        asked && stream.read_exact(&mut start).is_ok() && start.ends_with(expected)
    }
}

impl Drop for DebianRegistry {
    fn drop(&mut self) {
        // Nothing to do about a process that cannot be killed: it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
