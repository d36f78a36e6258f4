//! Independent clients against the embedded registry, by its own command: docker, skopeo, buildah.
#![allow(clippy::unwrap_used, reason = "what a test does not expect may panic")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use support::{ImageGuard, Workspace, busybox_base, docker_ok, docker_run};

/// `manifests registry serve`, ended when dropped.
struct Serving {
    child: Child,
    host: String,
    _root: tempfile::TempDir,
}

impl Serving {
    fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_manifests"))
            .args(["registry", "serve", "--quiet", "--listen", "127.0.0.1:0", "--root"])
            .arg(root.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut host = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut host).unwrap();
        Self { child, host: host.trim().to_owned(), _root: root }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn ok(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; `cargo xtask ci` installs it"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn docker_pushes_and_pulls() {
    let serving = Serving::start();
    let image = format!("{}/team/app:1", serving.host);
    let base = busybox_base(&serving.host, &["linux/amd64"]);
    let workspace = Workspace::new(&[("Dockerfile", &format!("FROM {base}\nCMD echo pulled\n"))]);
    let guard = ImageGuard::new(&image);
    docker_ok(&["build", "--tag", &image, workspace.path().to_str().unwrap()]);
    docker_ok(&["push", &image]);
    drop(guard);
    let _guard = ImageGuard::new(&image);
    docker_ok(&["pull", "--quiet", &image]);
    assert_eq!(docker_run(&[&image]).trim(), "pulled");
}

#[test]
fn skopeo_copies_whole_lists_and_buildah_reads_them() {
    let serving = Serving::start();
    let base = busybox_base(&serving.host, &["linux/amd64", "linux/arm64"]);
    let copy = format!("{}/copied/base:1", serving.host);
    let (from, to) = (format!("docker://{base}"), format!("docker://{copy}"));
    ok(
        "skopeo",
        &["copy", "--all", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false", &from, &to],
    );
    let raw = |reference: &str| ok("skopeo", &["inspect", "--raw", "--tls-verify=false", reference]);
    assert_eq!(raw(&to), raw(&from));
    assert!(
        ok("skopeo", &["list-tags", "--tls-verify=false", &format!("docker://{}/copied/base", serving.host)])
            .contains("\"1\"")
    );

    // buildah keeps images of its own: in a folder that goes with the test.
    let folder = tempfile::tempdir().unwrap();
    let (root, run) = (folder.path().join("root"), folder.path().join("run"));
    let buildah = |args: &[&str]| {
        let own =
            ["--storage-driver", "vfs", "--root", root.to_str().unwrap(), "--runroot", run.to_str().unwrap()];
        ok("buildah", &[&own[..], args].concat())
    };
    buildah(&["pull", "--quiet", "--tls-verify=false", &copy]);
    let again = format!("{}/again/base:1", serving.host);
    buildah(&["push", "--quiet", "--tls-verify=false", &copy, &format!("docker://{again}")]);
    assert!(raw(&format!("docker://{again}")).contains("\"layers\""));
}
