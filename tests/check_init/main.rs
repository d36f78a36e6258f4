//! What `manifests init` proposes, and that it passes `check`.

mod other_tools;
mod xtask;

use std::path::Path;

use manifests::author::init::{self, Dockerfile, Found};
use manifests::config::{Package, Strictness};
use manifests::workspace::load::load;
use snapbox::{assert_data_eq, str};

fn dockerfile(path: &str, context: &str, text: &str) -> Dockerfile {
    Dockerfile { path: path.into(), context: context.into(), text: text.into(), package: None }
}

fn package(name: &str) -> Package {
    Package { name: name.into(), version: "1.2.3".parse().expect("a version") }
}

#[test]
fn a_dockerfile_beside_a_package_takes_its_version() {
    let cargo = "[package]\nname = \"shop-api\"\nversion = \"1.4.0\"\nedition = \"2024\"\n";
    let folder = folder(&[
        ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"services/*\"]\n"),
        ("services/api/Cargo.toml", cargo),
        ("services/api/src/lib.rs", ""),
        ("services/api/Dockerfile", "FROM scratch\nCOPY Cargo.toml /\n"),
        ("services/web/Cargo.toml", &cargo.replace("shop-api", "web")),
        ("services/web/src/lib.rs", ""),
        ("services/web/Dockerfile", "FROM scratch\nCOPY Cargo.toml /\n"),
    ]);
    let found = init::scan(folder.path()).unwrap();
    let text = init::propose(&found).text;
    let (_, api) = text.split_once("[target.api]").expect("a target");
    let (api, web) = api.split_once("[target.web]").expect("two targets");
    assert!(api.contains("tags = [\"{version}\"") && api.contains("\npackage = \"shop-api\"\n"), "{api}");
    assert!(web.contains("tags = [\"{version}\"") && !web.contains("package"), "{web}");
}

#[test]
fn a_service_with_a_package_and_an_origin() {
    let found = Found {
        folder: "checkout".into(),
        dockerfiles: vec![dockerfile("Dockerfile", ".", "FROM alpine\nEXPOSE 80\nCMD [\"/app\"]\n")],
        packages: vec![package("app")],
        source: Some("https://github.com/Acme/app".into()),
        ..Found::default()
    };
    let proposal = init::propose(&found);
    assert_data_eq!(
        proposal.text,
        str![[r##"
#:schema ./manifests.schema.json
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

"##]]
    );
    assert_data_eq!(
        proposal.notes.join("\n"),
        str![[r#"
read Dockerfile, built on alpine
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
        ..Found::default()
    };
    assert_data_eq!(
        init::propose(&found).text,
        str![[r##"
#:schema ./manifests.schema.json
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

"##]]
    );
}

/// A folder with files, in no git repository.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, text).expect("a file");
    }
    folder
}

/// What is proposed for a folder, the notes first; it has to pass `check`.
fn proposed(files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    let found = init::scan(folder.path()).expect("a scan");
    let proposal = init::propose(&found);
    let written = init::write(folder.path(), &found).expect("written files");
    load(Some(&written.paths[0]), Strictness::Check).expect("a good declaration");
    let (_, text) = proposal.text.split_once("\n[").expect("a target");
    let ignores = proposal.ignores.iter().map(|(path, text)| format!("\n--- {path}\n{text}"));
    format!("{}\n\n[{text}{}", proposal.notes.join("\n"), ignores.collect::<String>())
}

#[test]
fn published_platforms_are_taken() {
    let mut found = Found {
        folder: "app".into(),
        dockerfiles: vec![dockerfile("Dockerfile", ".", "FROM alpine\n")],
        source: Some("https://github.com/acme/app".into()),
        ..Found::default()
    };
    assert_eq!(
        init::repositories(&found).iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["ghcr.io/acme/app"]
    );
    found.published.insert("ghcr.io/acme/app".into(), vec!["linux/s390x".into()]);
    let proposal = init::propose(&found);
    assert!(proposal.text.contains("platforms = [\"linux/s390x\"]"), "{}", proposal.text);
    assert!(proposal.notes.iter().any(|note| note.contains("which is published already")));
}

#[test]
fn published_platforms_are_those_of_the_repository_however_it_is_written_that_can_be_declared() {
    let folder = folder(&[
        ("docker-bake.json", r#"{ "target": { "app": { "tags": ["acme/app:1"] } } }"#),
        ("Dockerfile", "FROM alpine\n"),
    ]);
    let mut found = init::scan(folder.path()).unwrap();
    let served = ["linux/arm64", "linux/arm64/v8", "linux/sparc", "linux/s390x"];
    found.published.insert("docker.io/acme/app".into(), served.map(String::from).to_vec());
    let proposal = init::propose(&found);
    assert!(proposal.text.contains(r#"platforms = ["linux/arm64", "linux/s390x"]"#), "{}", proposal.text);
    let left = "left out linux/sparc, which acme/app serves: unknown architecture `sparc` for linux";
    assert!(proposal.notes.iter().any(|note| note.starts_with(left)), "{:?}", proposal.notes);
    let written = init::write(folder.path(), &found).unwrap();
    load(Some(&written.paths[0]), Strictness::Check).expect("a good declaration");
}

#[test]
fn what_is_there_is_never_overwritten() {
    let empty = folder(&[]);
    assert!(init::scan(empty.path()).unwrap_err().to_string().starts_with("there is no Dockerfile in"));
    let missing = empty.path().join("nope");
    let error = init::scan(&missing).unwrap_err().to_string();
    assert_eq!(error, format!("could not read {}", missing.display()));
    let folder = folder(&[
        ("Dockerfile", "FROM scratch\nCOPY app /app\n"),
        // Built from the top, as what it copies tells.
        ("server/Dockerfile", "FROM scratch\nCOPY assets /assets\n"),
        ("assets/index.html", ""),
        ("tool/Dockerfile", "FROM --platform=$BUILDPLATFORM alpine\nCOPY main.sh /\n"),
        ("tool/main.sh", ""),
        ("tool/.dockerignore", "mine"),
        ("target/debug/Dockerfile", "FROM scratch\n"),
        ("manifests.schema.json", "mine"),
    ]);
    let root = folder.path();
    let found = init::scan(root).unwrap();
    let written = init::write(root, &found).unwrap();
    let declaration = load(Some(&written.paths[0]), Strictness::Release).unwrap();
    let contexts: Vec<(&str, &Path)> = declaration
        .targets
        .iter()
        .skip(1)
        .filter_map(|target| Some((target.name.as_str(), target.images[0].build.as_ref()?.context.as_path())))
        .collect();
    assert_eq!(contexts, [("server", root), ("tool", root.join("tool").as_path())]);
    assert_eq!(written.paths, [root.join("manifests.toml"), root.join(".dockerignore")]);
    assert!(written.notes.contains(&"kept manifests.schema.json, which is there already".to_owned()));
    for mine in ["tool/.dockerignore", "manifests.schema.json"] {
        assert_eq!(std::fs::read_to_string(root.join(mine)).unwrap(), "mine");
    }
    assert!(init::scan(root).unwrap_err().to_string().ends_with("manifests.toml exists already"));
    std::fs::remove_file(root.join("manifests.toml")).unwrap();
    std::fs::write(root.join("manifests.toml"), "theirs").unwrap();
    init::write(root, &found).unwrap_err();
    assert_eq!(std::fs::read_to_string(root.join("manifests.toml")).unwrap(), "theirs");
}

/// One warning for each ignore file, whatever there is of targets and platforms.
#[test]
fn check_warns_of_images_that_take_in_what_releases_write() {
    let ours = ["manifests.lock", "target/manifests"];
    for (dockerfile, ignore, more, expected) in [
        ("COPY src /\n", None, "", vec![]),
        ("COPY . /\n", Some("manifests.lock\ntarget\n"), "", vec![]),
        ("COPY . /\n", None, "", vec!["add to .dockerignore\n", ours[0], ours[1], "releases leave that out"]),
        ("COPY . /\n", Some("target\n"), "", vec!["add to .dockerignore\n", ours[0]]),
        ("COPY manifests.* /\n", None, "", vec!["add to .dockerignore\n", ours[0]]),
        // Who names it wants it.
        ("COPY manifests.lock /\n", None, "", vec![]),
        (
            "COPY . /\n",
            None,
            "build.extra-args = [\"-f\", \"Dockerfile\"]\n",
            vec!["add to .dockerignore\n", ours[0], ours[1], "releases leave that out"],
        ),
    ] {
        let target = |name: &str| {
            format!(
                "[target.{name}]\nrepository = \"r.test/{name}\"\ntags = [\"1\"]\nbuild.context = \".\"\n\
                 platforms = [\"linux/amd64\", \"linux/arm64\"]\n{more}"
            )
        };
        let declaration = target("app") + &target("web");
        let dockerfile = format!("FROM scratch\n{dockerfile}");
        let mut files = vec![("manifests.toml", declaration.as_str()), ("Dockerfile", &dockerfile)];
        files.extend(ignore.map(|text| (".dockerignore", text)));
        let folder = folder(&files);
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_manifests"))
            .arg("check")
            .current_dir(folder.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        assert_eq!(stderr.matches("warning: ").count(), usize::from(!expected.is_empty()), "{stderr}");
        for part in &expected {
            assert!(stderr.contains(part), "{part:?} is not in {stderr}");
        }
        for path in ours.iter().filter(|path| !expected.contains(path)) {
            assert!(!stderr.contains(&format!("  {path}")), "{stderr}");
        }
        assert!(expected.is_empty() || stderr.contains("app, web"), "{stderr}");
    }
}
