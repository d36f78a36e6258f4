//! Engines of their own, as several machines have them.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::free_port;

/// A daemon with its own data on a socket of its own; it ends when this is dropped.
pub(crate) struct OwnEngine {
    process: Child,
    _bridge: Bridge,
    folder: TempDir,
}

impl OwnEngine {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("config.json"), "{}").unwrap();
        let log = File::create(path("log")).unwrap();
        let bridge = Bridge::new();
        let process = Command::new("dockerd")
            .args([
                "--bridge",
                &bridge.name,
                "--iptables=false",
                "--storage-driver",
                "fuse-overlayfs",
                "--config-file",
            ])
            .arg(path("config.json"))
            .arg("--data-root")
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("pid"))
            .arg("--host")
            .arg(format!("unix://{}", path("socket").display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("dockerd starts");
        let mut engine = Self { process, _bridge: bridge, folder };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !engine.answers() {
            let ended = engine.process.try_wait().unwrap();
            let said = || fs::read_to_string(engine.folder.path().join("log")).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < deadline, "the daemon does not answer:\n{}", said());
            std::thread::sleep(Duration::from_millis(100));
        }
        engine
    }

    /// What leads a CLI to it.
    pub(crate) fn docker_host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn answers(&self) -> bool {
        let mut asked = Command::new(crate::support::docker());
        asked.args(["--host", &self.docker_host(), "version"]).stdout(Stdio::null()).stderr(Stdio::null());
        self.socket().exists() && asked.status().is_ok_and(|status| status.success())
    }
}

/// A network bridge for one daemon. Told to have none, a daemon would remove `docker0`, which is the other engine's.
struct Bridge {
    name: String,
}

impl Bridge {
    fn new() -> Self {
        // A free port is nobody else's number at this moment.
        let port = free_port();
        let bridge = Self { name: format!("own{port}") };
        ip(&["link", "add", &bridge.name, "type", "bridge"]);
        ip(&["address", "add", &format!("10.231.{}.1/24", port % 256), "dev", &bridge.name]);
        ip(&["link", "set", &bridge.name, "up"]);
        bridge
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "delete", &self.name]).status();
    }
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().expect("ip starts");
    assert!(status.success(), "`ip {}` failed", arguments.join(" "));
}

impl Drop for OwnEngine {
    /// Told to end, it takes its mounts and its containerd with it; killed, it would leave them.
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}
