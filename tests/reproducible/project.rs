//! A project that is released for two platforms, from a clean commit, to a registry of its own.

use std::process::Output;

use serde_json::Value;

use crate::support::{DebianRegistry, ImageGuard, Workspace, busybox_program};

pub(crate) const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// A run with an engine that is not there: it works where no engine is called.
pub(crate) const NO_ENGINE: [&str; 2] = ["--engine", "/nowhere/docker"];

/// A project with one program per platform, and where its images go.
pub(crate) struct Project {
    pub(crate) workspace: Workspace,
    pub(crate) registry: DebianRegistry,
    _images: ImageGuard,
}

impl Project {
    /// `name` keeps the engine's images of tests apart that run side by side.
    pub(crate) fn new(name: &str, dockerfile: &str) -> Self {
        let registry = DebianRegistry::start();
        let host = registry.host();
        let declaration = format!(
            "[target.{name}]\nrepository = \"{host}/{name}\"\ntags = [\"1\", \"latest\"]\n\
             image = \"{host}/{name}-{{arch}}:1\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\nbuild = {{}}\n"
        );
        let dockerfile = dockerfile.replace("HOST", &host);
        let workspace = Workspace::new(&[("manifests.toml", &declaration), ("Dockerfile", &dockerfile)]);
        for (platform, arch) in PLATFORMS.iter().zip(["amd64", "arm64"]) {
            workspace.write(&format!("text/{arch}"), arch);
            let program = workspace.path().join("bin").join(arch);
            std::fs::create_dir_all(program.parent().unwrap()).unwrap();
            std::fs::write(&program, busybox_program(platform)).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&program, mode).unwrap();
        }
        let mut images = ImageGuard::default();
        for arch in ["amd64", "arm64"] {
            images.add(format!("{host}/{name}-{arch}:1"));
        }
        let project = Self { workspace, registry, _images: images };
        project.commit();
        project
    }

    pub(crate) fn commit(&self) {
        self.workspace.git(&["add", "."]);
        self.workspace.git(&["commit", "--quiet", "--allow-empty", "--message=Next"]);
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.workspace.manifests(arguments).output().unwrap()
    }

    /// What a run that succeeds says on stderr.
    pub(crate) fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        stderr
    }

    pub(crate) fn lock(&self) -> String {
        self.workspace.read("manifests.lock")
    }

    /// The digest of the list behind a tag.
    pub(crate) fn served(&self, registry: &DebianRegistry, name: &str) -> String {
        let reference = format!("{}/{name}", registry.host());
        let output = self.run(&["inspect", &reference, "--format", "json"]);
        let inspected: Value = serde_json::from_slice(&output.stdout).unwrap();
        inspected["digest"].as_str().unwrap().to_owned()
    }
}
