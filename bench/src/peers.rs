//! The tools that make lists today, each with the commands that make the same list.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

/// A tool beside which ours is measured.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// `docker manifest create`, then `push`.
    Docker(PathBuf),
    /// `buildah manifest create`, `add` for each image, then `push --all`.
    Buildah(PathBuf),
}

impl Peer {
    /// Those that are installed. `docker` is one that knows `manifest`.
    pub(crate) fn installed() -> Vec<Self> {
        let docker = on_path("docker").into_iter().next().map(Self::Docker);
        let buildah = on_path("buildah").into_iter().next().map(Self::Buildah);
        docker.into_iter().chain(buildah).collect()
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Docker(_) => "docker manifest",
            Self::Buildah(_) => "buildah manifest",
        }
    }

    /// The commands that publish `list` with `images`, in a fresh folder each time: neither finds what a run before
    /// left.
    pub(crate) fn publish(&self, folder: &Path, list: &str, images: &[String]) -> Result<Vec<Command>> {
        crate::fixture::remove(folder)?;
        fs::create_dir_all(folder)?;
        Ok(match self {
            Self::Docker(docker) => {
                let manifest = |verb: &str| {
                    let mut command = Command::new(docker);
                    command.env("DOCKER_CONFIG", folder).args(["manifest", verb, "--insecure"]);
                    command
                };
                let mut create = manifest("create");
                create.arg(list).args(images);
                let mut push = manifest("push");
                push.arg(list);
                vec![create, push]
            }
            Self::Buildah(buildah) => {
                let manifest = |verb: &str| {
                    let mut command = Command::new(buildah);
                    command.arg("--root").arg(folder.join("root")).arg("--runroot").arg(folder.join("run"));
                    command.args(["--storage-driver", "vfs", "manifest", verb]);
                    command
                };
                let mut create = manifest("create");
                create.arg("list");
                let add = images.iter().map(|image| {
                    let mut add = manifest("add");
                    add.args(["--tls-verify=false", "list", &format!("docker://{image}")]);
                    add
                });
                let mut push = manifest("push");
                push.args(["--tls-verify=false", "--all", "list", &format!("docker://{list}")]);
                std::iter::once(create).chain(add).chain([push]).collect()
            }
        })
    }
}

/// The places of a program on PATH, in order.
pub(crate) fn on_path(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).filter(|file| file.is_file()).collect()
}
