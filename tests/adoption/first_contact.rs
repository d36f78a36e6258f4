//! From a workspace that never heard of the tool to a rehearsed release: `init --xtask`, `cargo xtask release`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{ImageGuard, Workspace, busybox_program, docker};

/// Where cargo builds here: what is built already is not built again for the workspace of the test.
fn target_folder() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_manifests")).ancestors().nth(2).unwrap().to_owned()
}

fn succeeded(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    stderr
}

/// A service, its Dockerfile and a workspace of its own.
fn workspace() -> Workspace {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = Workspace::new(&[
        ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"echo\"]\n"),
        // The versions that are there already, so that nothing has to be fetched.
        ("Cargo.lock", &std::fs::read_to_string(here.join("Cargo.lock")).unwrap()),
        ("echo/Cargo.toml", "[package]\nname = \"echo\"\nversion = \"1.2.3\"\nedition = \"2024\"\n"),
        ("echo/src/main.rs", "fn main() {\n    println!(\"echo\");\n}\n"),
        ("Dockerfile", "FROM scratch\nCOPY dist/echo /echo\nENTRYPOINT [\"/echo\"]\n"),
    ]);
    std::fs::create_dir(workspace.path().join("dist")).unwrap();
    std::fs::write(workspace.path().join("dist/echo"), busybox_program("linux/amd64")).unwrap();
    workspace
}

#[test]
fn a_workspace_that_is_not_this_one_adopts_it_and_rehearses() {
    let workspace = workspace();
    let library = env!("CARGO_MANIFEST_DIR");
    let init = workspace.manifests(&["init", "--xtask", "--path", library]).output().unwrap();
    let said = succeeded(&init);
    assert!(said.contains("assumed the version of the Cargo package echo"), "{said}");
    assert!(said.contains("Next: `cargo xtask release --rehearse`"), "{said}");
    let written = String::from_utf8_lossy(&init.stdout).into_owned();
    for file in ["manifests.toml", ".dockerignore", "xtask/Cargo.toml", "xtask/src/main.rs", "Cargo.toml"] {
        assert!(written.lines().any(|line| line.ends_with(file)), "{file}: {written}");
    }
    assert!(workspace.read("manifests.toml").starts_with("#:schema ./manifests.schema.json\n"));

    // What a person types next, in a folder below.
    let release = Command::new("cargo")
        .args(["xtask", "release", "--rehearse", "--engine"])
        .arg(docker())
        .current_dir(workspace.path().join("echo"))
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TARGET_DIR", target_folder())
        .env("DOCKER_CONFIG", workspace.docker_config())
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    let port = workspace.read("target/manifests/rehearsal/port");
    let image = |arch: &str| format!("127.0.0.1:{}/localhost:5000/echo:1.2.3-linux-{arch}", port.trim());
    let mut guard = ImageGuard::new(image("amd64"));
    guard.add(image("arm64"));
    let said = succeeded(&release);
    assert!(said.contains("Rehearsed"), "{said}");
    let published = String::from_utf8_lossy(&release.stdout).into_owned();
    assert!(published.contains("echo:1.2.3"), "{published}");

    // Again: everything is there, and stays.
    let before = workspace.read("manifests.toml");
    let again = workspace.manifests(&["init", "--xtask", "--path", library]).output().unwrap();
    let said = succeeded(&again);
    assert!(said.contains("kept manifests.toml, which is there already"), "{said}");
    assert_eq!(String::from_utf8_lossy(&again.stdout), "");
    assert_eq!(workspace.read("manifests.toml"), before);
}
