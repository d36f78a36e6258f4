//! Docker's side and ours.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use manifests::model::digest::Digest;
use serde_json::Value;
use tempfile::TempDir;

use crate::content::Registry;
use crate::support::{DebianRegistry, Workspace};

/// Who runs a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Docker,
    Ours,
}

impl Side {
    /// Where the side's repositories are.
    pub(crate) fn namespace(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Ours => "ours",
        }
    }
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A registry with the same content for both, and a place for what each keeps.
pub(crate) struct Sides {
    server: DebianRegistry,
    pub(crate) registry: Registry,
    docker_config: TempDir,
    pub(crate) project: Workspace,
}

impl Sides {
    pub(crate) fn new() -> Self {
        let server = DebianRegistry::start();
        let registry = Registry::new(server.host());
        for side in [Side::Docker, Side::Ours] {
            registry.fill(side.namespace());
        }
        Self { server, registry, docker_config: tempfile::tempdir().unwrap(), project: Workspace::new(&[]) }
    }

    pub(crate) fn host(&self) -> String {
        self.server.host()
    }

    /// Forgets all lists, as on a new machine.
    pub(crate) fn forget(&mut self) {
        self.docker_config = tempfile::tempdir().unwrap();
        self.project = Workspace::new(&[]);
    }

    /// Runs `manifest ARGS…`; `R/` in an argument is the side's namespace.
    pub(crate) fn run(&self, side: Side, args: &str) -> Ended {
        let place = format!("{}/{}/", self.host(), side.namespace());
        let args: Vec<String> = std::iter::once("manifest".to_owned())
            .chain(args.split_whitespace().map(|arg| match arg.strip_prefix("R/") {
                Some(rest) => format!("{place}{rest}"),
                None => arg.to_owned(),
            }))
            .collect();
        let output = match side {
            Side::Docker => Command::new(docker())
                .args(&args)
                .env("DOCKER_CONFIG", self.docker_config.path())
                .stdin(Stdio::null())
                .output()
                .unwrap(),
            Side::Ours => {
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                self.project.manifests(&args).output().unwrap()
            }
        };
        self.ended(side, &output)
    }

    pub(crate) fn both(&self, args: &str) -> [Ended; 2] {
        [self.run(Side::Docker, args), self.run(Side::Ours, args)]
    }

    /// With the names that differ written alike.
    fn ended(&self, side: Side, output: &Output) -> Ended {
        let place = format!("{}/{}/", self.host(), side.namespace());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&place, "R/");
        Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// The list published under `name:tag`, and its digest.
    pub(crate) fn published(&self, side: Side, list: &str) -> Option<(Value, String)> {
        let (name, tag) = list.strip_prefix("R/").unwrap().rsplit_once(':').unwrap();
        let bytes = self.registry.served(&format!("{}/{name}", side.namespace()), tag)?;
        Some((serde_json::from_slice(&bytes).unwrap(), Digest::of(&bytes).to_string()))
    }

    /// The entries of a published list.
    pub(crate) fn entries(&self, side: Side, list: &str) -> Vec<Value> {
        let (published, _) = self.published(side, list).unwrap_or_else(|| panic!("{side:?} has no {list}"));
        published["manifests"].as_array().unwrap().clone()
    }

    /// The architectures of a published list, in its order.
    pub(crate) fn architectures(&self, side: Side, list: &str) -> Vec<String> {
        let text = |entry: &Value| entry["platform"]["architecture"].as_str().unwrap().to_owned();
        self.entries(side, list).iter().map(text).collect()
    }
}

/// The first docker on PATH whose `manifest` is the one that ours is compared with.
fn docker() -> &'static PathBuf {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let candidates: Vec<PathBuf> = which::which_all("docker").into_iter().flatten().collect();
        let major = |candidate: &PathBuf| -> Option<u32> {
            let output = Command::new(candidate).arg("--version").output().ok()?;
            let text = String::from_utf8(output.stdout).ok()?;
            text.split_whitespace().nth(2)?.split('.').next()?.parse().ok()
        };
        let found = candidates.iter().find(|candidate| major(candidate).is_some_and(|major| major >= 28));
        found.cloned().unwrap_or_else(|| {
            panic!(
                "no docker of version 28 or newer on PATH; tried: {candidates:?}\nhint: install Docker's CLI"
            )
        })
    })
}
