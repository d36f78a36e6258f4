//! `release --rehearse`: the whole release against the embedded registry, again and again.
#![allow(clippy::unwrap_used, reason = "what a test does not expect may panic")]

mod support;

use std::path::Path;

use support::{ImageGuard, Workspace};

/// The example's own declaration and files.
fn workspace() -> Workspace {
    let workspace = Workspace::new(&[("manifests.toml", include_str!("../manifests.toml"))]);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/echo-platform");
    let copy = workspace.path().join("examples/echo-platform");
    std::fs::create_dir_all(copy.join("bin")).unwrap();
    std::fs::copy(example.join("Dockerfile"), copy.join("Dockerfile")).unwrap();
    for program in std::fs::read_dir(example.join("bin")).unwrap() {
        let program = program.unwrap();
        std::fs::copy(program.path(), copy.join("bin").join(program.file_name())).unwrap();
    }
    workspace
}

fn images(workspace: &Workspace) -> ImageGuard {
    let port = workspace.read("target/manifests/rehearsal/port");
    let image =
        |arch: &str| format!("127.0.0.1:{}/docker.io/bookadmusic/echo-platform-{arch}:20240716", port.trim());
    let mut guard = ImageGuard::new(image("amd64"));
    guard.add(image("arm64"));
    guard
}

#[test]
fn the_second_rehearsal_writes_nothing() {
    let workspace = workspace();
    let first = workspace.manifests(&["release", "--rehearse", "--format", "json"]).output().unwrap();
    let _guard = images(&workspace);
    let stderr = String::from_utf8_lossy(&first.stderr);
    assert!(first.status.success(), "{stderr}");
    let summary: serde_json::Value = support::last_json(&first.stdout);
    let place = &summary["targets"][0]["repositories"][0];
    assert!(place["digest"].as_str().unwrap().starts_with("sha256:"), "{summary}");
    assert_eq!(
        (place["tags"][0]["written"].as_bool(), place["tags"].as_array().unwrap().len()),
        (Some(true), 2)
    );
    assert!(stderr.contains("docker run --rm"), "{stderr}");
    let log = workspace.read("target/manifests/rehearsal/requests.log");
    assert!(log.lines().any(|line| line.starts_with("PUT ")), "the log shows writes: {log}");

    let second = workspace.manifests(&["release", "--rehearse", "--format", "json"]).output().unwrap();
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    let again: serde_json::Value = support::last_json(&second.stdout);
    let place_again = &again["targets"][0]["repositories"][0];
    assert_eq!(place_again["digest"], place["digest"]);
    assert_eq!(place_again["tags"][0]["written"], false);
    let log = workspace.read("target/manifests/rehearsal/requests.log");
    assert!(!log.is_empty());
    for line in log.lines() {
        assert!(line.starts_with("GET ") || line.starts_with("HEAD "), "a write: {line}");
    }
}

/// An engine whose daemon cannot reach this machine's loopback, as in Docker Desktop: pulls and pushes by it fail.
#[test]
fn images_of_an_engine_that_cannot_reach_the_registry_are_pushed_from_here() {
    use std::os::unix::fs::PermissionsExt as _;

    let workspace = workspace();
    let real = support::docker().display();
    let script =
        format!("#!/bin/sh\ncase $1 in pull|push) echo unreachable >&2; exit 1;; esac\nexec {real} \"$@\"\n");
    workspace.write("target/engine", &script);
    let engine = workspace.path().join("target/engine");
    std::fs::set_permissions(&engine, std::fs::Permissions::from_mode(0o755)).unwrap();
    let engine = engine.to_str().unwrap();

    let release = ["release", "--rehearse", "--format", "json", "--engine", engine];
    let first = workspace.manifests(&release).output().unwrap();
    let _guard = images(&workspace);
    let stderr = String::from_utf8_lossy(&first.stderr);
    assert!(first.status.success(), "{stderr}");
    assert!(stderr.contains("linux/arm64: ok pushed"), "{stderr}");
    let second = workspace.manifests(&release).output().unwrap();
    assert!(second.status.success());
    assert_eq!(
        support::last_json(&second.stdout)["targets"][0]["repositories"][0]["digest"],
        support::last_json(&first.stdout)["targets"][0]["repositories"][0]["digest"],
    );
    let log = workspace.read("target/manifests/rehearsal/requests.log");
    assert!(log.lines().all(|line| line.starts_with("GET ") || line.starts_with("HEAD ")), "{log}");
}

#[test]
fn a_rehearsed_plan_writes_nothing_and_says_what_is_pending() {
    let workspace = workspace();
    let plan = workspace.manifests(&["plan", "--rehearse", "--exit-code"]).output().unwrap();
    assert_eq!(plan.status.code(), Some(3), "{}", String::from_utf8_lossy(&plan.stderr));
    let text = String::from_utf8_lossy(&plan.stdout);
    assert!(text.contains("? linux/arm64  known after the build"), "{text}");
    let markdown = workspace.manifests(&["plan", "--rehearse", "--format", "markdown"]).output().unwrap();
    let text = String::from_utf8_lossy(&markdown.stdout);
    assert!(
        text.contains("| `?` | `linux/arm64` | known after the build  (the lock does not have it) |"),
        "{text}"
    );
    let log = workspace.read("target/manifests/rehearsal/requests.log");
    assert!(log.lines().all(|line| line.starts_with("GET ") || line.starts_with("HEAD ")), "{log}");
}
