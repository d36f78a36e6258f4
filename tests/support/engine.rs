//! The container engine, by its command line.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The first `docker` on PATH that can build with BuildKit, which not every one can: a CLI without its buildx
/// plugin refuses, and its legacy builder knows neither `TARGETARCH` nor platforms.
///
/// # Panics
///
/// When there is none.
pub fn docker() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let candidates: Vec<PathBuf> = which::which_all("docker").into_iter().flatten().collect();
        let found = candidates.iter().find(|candidate| builds_with_buildkit(candidate));
        found.cloned().unwrap_or_else(|| {
            panic!(
                "no docker on PATH that builds with BuildKit; tried: {candidates:?}\nhint: install the buildx plugin"
            )
        })
    })
}

/// Where buildx is missing even the help of `build` fails, so nothing has to be built to know.
fn builds_with_buildkit(docker: &Path) -> bool {
    let mut command = command(docker);
    command.args(["build", "--help"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn command(docker: &Path) -> Command {
    let mut command = Command::new(docker);
    // One image per build, no index with attestations around it: what all engines do alike.
    command.env("DOCKER_BUILDKIT", "1").env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1").stdin(Stdio::null());
    command
}

/// Runs `docker ARGS…` with BuildKit and returns its stdout.
///
/// # Panics
///
/// When it fails, with what it said.
pub fn docker_ok(args: &[&str]) -> String {
    let output = command(docker()).args(args).output().expect("docker starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "`docker {}` failed: {}\n{stderr}\n{}",
        args.join(" "),
        output.status,
        super::HINT
    );
    String::from_utf8(output.stdout).expect("docker's stdout is UTF-8")
}

/// Runs `docker run --rm ARGS…` and returns the container's stdout.
///
/// # Panics
///
/// When it fails, with what it said.
pub fn docker_run(args: &[&str]) -> String {
    docker_ok(&[&["run", "--rm"], args].concat())
}

/// Removes images from the engine when dropped, by the references that name them; containers have to be gone.
///
/// A pulled image is known by a digest of its repository too, which goes as well. Nothing is removed by its ID: another
/// test may have the same image under its own name. So drop the guard before the reference is pulled for another
/// platform, which would take the name from the image and leave it without any.
#[derive(Default)]
pub struct ImageGuard {
    references: Vec<String>,
}

impl ImageGuard {
    /// A guard of one image, `repository:tag`, which need not be there yet.
    pub fn new(reference: impl Into<String>) -> Self {
        Self { references: vec![reference.into()] }
    }

    /// Guards another image too.
    pub fn add(&mut self, reference: impl Into<String>) {
        self.references.push(reference.into());
    }
}

impl Drop for ImageGuard {
    fn drop(&mut self) {
        for reference in &self.references {
            remove(reference);
            for digest in digests_of_repository(reference) {
                remove(&digest);
            }
        }
    }
}

/// Removes one name of an image. It may never have been there, and a drop has nobody to tell of another failure.
fn remove(reference: &str) {
    let mut remove = command(docker());
    remove.args(["image", "rm", "--force", reference]).stdout(Stdio::null()).stderr(Stdio::null());
    let _ = remove.status();
}

/// What the engine still knows of the reference's repository by digest.
fn digests_of_repository(reference: &str) -> Vec<String> {
    let repository = match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => reference,
    };
    let mut list = command(docker());
    list.args(["image", "ls", "--digests", "--format", "{{.Repository}}@{{.Digest}}", repository]);
    let output = list.output().map(|output| output.stdout).unwrap_or_default();
    let lines = String::from_utf8_lossy(&output);
    lines.lines().filter(|line| line.contains("@sha256:")).map(str::to_owned).collect()
}
