//! What `manifests init` proposes, and that it passes `check`.

use std::path::Path;

use manifests::config::{Package, Strictness};
use manifests::init::{self, Dockerfile, Found};
use manifests::load::load;
use snapbox::{assert_data_eq, str};

fn dockerfile(path: &str, context: &str, text: &str) -> Dockerfile {
    Dockerfile { path: path.into(), context: context.into(), text: text.into() }
}

fn package(name: &str) -> Package {
    Package { name: name.into(), version: "1.2.3".parse().expect("a version") }
}

#[test]
fn a_service_with_a_package_and_an_origin() {
    let found = Found {
        folder: "checkout".into(),
        dockerfiles: vec![dockerfile("Dockerfile", ".", "FROM alpine\nEXPOSE 80\nCMD [\"/app\"]\n")],
        packages: vec![package("app")],
        source: Some("https://github.com/Acme/app".into()),
    };
    let proposal = init::propose(&found);
    assert_data_eq!(
        proposal.text,
        str![[r#"
# Which images this project publishes for which platforms. `check` reads this file, `release --rehearse`
# tries it without leaving the machine, `release` publishes.

[target.app]
repository = "ghcr.io/acme/app"
# A version, once published, stays as it is; `latest` follows the highest one.
tags = ["{version}", { name = "latest", policy = "newest" }]
# Where the images themselves go is `image`; by default the repository, tagged TAG-OS-ARCH.
platforms = ["linux/amd64", "linux/arm64"]
build.context = "."
# It serves, so a run would not end by itself; with a command that ends, every image is tried before
# it is pushed:
# smoke = { command = ["--version"], expect = "…" }

"#]]
    );
    assert_data_eq!(
        proposal.notes.join("\n"),
        str![[r#"
read Dockerfile
assumed ghcr.io/acme/app, from the git origin
assumed the version of the Cargo package app
assumed the platforms linux/amd64, linux/arm64
"#]]
    );
}

#[test]
fn several_dockerfiles_without_an_origin() {
    let found = Found {
        folder: "My Project".into(),
        dockerfiles: vec![
            dockerfile("Dockerfile", ".", "ARG BASE\nARG TARGETARCH\nFROM ${BASE}\n"),
            dockerfile("worker/Dockerfile", ".", "FROM --platform=linux/arm64 alpine\n"),
            dockerfile(
                "docker/windows.Dockerfile",
                "docker",
                "FROM mcr.microsoft.com/windows/nanoserver:1\n",
            ),
        ],
        packages: vec![package("worker"), package("xtask")],
        source: None,
    };
    assert_data_eq!(
        init::propose(&found).text,
        str![[r#"
# Which images this project publishes for which platforms. `check` reads this file, `release --rehearse`
# tries it without leaving the machine, `release` publishes.

[target.my-project]
# There is no git origin to guess from: this is a registry on the machine itself.
repository = "localhost:5000/my-project"
tags = ["latest"]
# Where the images themselves go is `image`; by default the repository, tagged TAG-OS-ARCH.
platforms = ["linux/amd64", "linux/arm64"]
build.context = "."
# The Dockerfile gives these no value:
# build.args = { BASE = "…" }
# With a command that ends, every image is tried before it is pushed:
# smoke = { command = ["--version"], expect = "…" }

[target.worker]
# There is no git origin to guess from: this is a registry on the machine itself.
repository = "localhost:5000/worker"
# A version, once published, stays as it is; `latest` follows the highest one.
tags = ["{version}", { name = "latest", policy = "newest" }]
# Where the images themselves go is `image`; by default the repository, tagged TAG-OS-ARCH.
platforms = ["linux/arm64"]
build.context = "."
build.dockerfile = "worker/Dockerfile"
# With a command that ends, every image is tried before it is pushed:
# smoke = { command = ["--version"], expect = "…" }

[target.windows]
# There is no git origin to guess from: this is a registry on the machine itself.
repository = "localhost:5000/windows"
tags = ["latest"]
# Where the images themselves go is `image`; by default the repository, tagged TAG-OS-ARCH.
platforms = ["windows/amd64"]
build.context = "docker"
build.dockerfile = "docker/windows.Dockerfile"
# With a command that ends, every image is tried before it is pushed:
# smoke = { command = ["--version"], expect = "…" }

"#]]
    );
}

#[test]
fn the_written_file_passes_check_and_is_never_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, text).expect("a file");
    };
    assert!(init::init(root).unwrap_err().to_string().starts_with("there is no Dockerfile in"));
    write("Dockerfile", "FROM scratch\nCOPY app /app\n");
    // Built from the top, as what it copies tells.
    write("server/Dockerfile", "FROM scratch\nCOPY assets /assets\n");
    write("assets/index.html", "");
    write("tool/Dockerfile", "FROM --platform=$BUILDPLATFORM alpine\nCOPY main.sh /\n");
    write("tool/main.sh", "");
    write("target/debug/Dockerfile", "FROM scratch\n");
    let written = init::init(root).unwrap();
    let declaration = load(Some(&written.path), Strictness::Release).unwrap();
    let contexts: Vec<(&str, &Path)> = declaration
        .targets
        .iter()
        .skip(1)
        .filter_map(|target| Some((target.name.as_str(), target.images[0].build.as_ref()?.context.as_path())))
        .collect();
    assert_eq!(contexts, [("server", root), ("tool", root.join("tool").as_path())]);
    assert!(init::init(root).unwrap_err().to_string().ends_with("manifests.toml exists already"));
}
