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
#[cfg(feature = "other-tools")]
fn a_bake_file_is_taken_over_with_its_variables_and_inheritance() {
    let bake = r#"
variable "TAG" { default = "1.4" }
group "default" { targets = ["app"] }
target "common" {
  platforms = ["linux/amd64", "linux/arm64"]
  args = { BASE = "alpine:3" }
}
target "app" {
  inherits = ["common"]
  dockerfile = "docker/app.Dockerfile"
  target = "runtime"
  args = { MODE = "{release}" }
  tags = ["ghcr.io/acme/app:${TAG}", "ghcr.io/acme/app:latest", "registry.corp:5000/acme/app:${TAG}"]
  contexts = { other = "../other" }
  secret = [missing(TAG)]
}
"#;
    assert_data_eq!(
        proposed(&[
            ("docker-bake.hcl", bake),
            ("docker/app.Dockerfile", "ARG BASE\nARG EXTRA\nFROM ${BASE} AS runtime\nCOPY target/app /app\n"),
            ("docker/debug.Dockerfile", "FROM scratch\n"),
        ]),
        str![[r#"
left out docker/debug.Dockerfile, which docker-bake.hcl does not build
read app of docker-bake.hcl
`contexts` of docker-bake.hcl is not taken over
app: `secret` could not be read
TAG is 1.4, its default in docker-bake.hcl; `{env.TAG}` reads it

[target.app]
# The list goes to all of them, and no tag moves before every image is in each.
repository = ["ghcr.io/acme/app", "registry.corp:5000/acme/app"]
tags = ["1.4", "latest"]
# Where the images themselves go is `image`; by default the repository, tagged TAG-OS-ARCH.
platforms = ["linux/amd64", "linux/arm64"]
build.context = "."
build.dockerfile = "docker/app.Dockerfile"
build.stage = "runtime"
build.args = { BASE = "alpine:3", MODE = "{{release}}" }
# The Dockerfile gives these no value:
# build.args = { EXTRA = "…" }
# With a command that ends, every image is tried before it is pushed:
# smoke = { command = ["--version"], expect = "…" }

--- .dockerignore
# What is not sent to the engine: builds start sooner, and are not repeated for its sake.
# the history
.git
# what is published is no part of it: a new tag builds nothing anew
manifests.toml
manifests.lock
manifests.schema.json

"#]]
    );
}

#[test]
fn a_bake_file_in_json_is_read_the_same_way() {
    let bake = r#"{
  "variable": { "TAG": { "default": "1.4" } },
  "target": {
    "app": { "context": "services/app", "tags": ["ghcr.io/acme/app:${TAG}"], "platforms": ["linux/riscv64"] },
    "test": { "context": "." }
  }
}"#;
    assert_data_eq!(
        proposed(&[("docker-bake.json", bake), ("services/app/Dockerfile", "FROM alpine:3\nEXPOSE 80\n")]),
        str![[r#"
read app of docker-bake.json
TAG is 1.4, its default in docker-bake.json; `{env.TAG}` reads it

[target.app]
repository = "ghcr.io/acme/app"
tags = ["1.4"]
# Where the images themselves go is `image`; by default the repository, tagged TAG-OS-ARCH.
platforms = ["linux/riscv64"]
build.context = "services/app"
# It serves, so a run would not end by itself; with a command that ends, every image is tried before
# it is pushed:
# smoke = { command = ["--version"], expect = "…" }

--- services/app/.dockerignore
# What is not sent to the engine: builds start sooner, and are not repeated for its sake.
# the history
.git
# what cargo builds; also where rehearsals are kept
target
# what is published is no part of it: a new tag builds nothing anew
manifests.toml
manifests.lock
manifests.schema.json

"#]]
    );
}

#[test]
fn a_goreleaser_file_is_taken_over() {
    let goreleaser = r#"
project_name: echo
dockers:
  - image_templates: ["ghcr.io/acme/echo:{{ .Version }}-amd64"]
    build_flag_templates: ["--platform=linux/amd64", "--build-arg=VERSION={{ .Version }}", "--squash"]
  - image_templates: ["ghcr.io/acme/echo:{{ .Version }}-arm64"]
    goarch: arm64
docker_manifests:
  - name_template: "ghcr.io/acme/echo:{{ .Version }}"
    image_templates: ["ghcr.io/acme/echo:{{ .Version }}-amd64", "ghcr.io/acme/echo:{{ .Version }}-arm64"]
  - name_template: "ghcr.io/acme/echo:v{{ .Major }}"
    image_templates: ["ghcr.io/acme/echo:{{ .Version }}-amd64", "ghcr.io/acme/echo:{{ .Version }}-arm64"]
dockers_v2:
  - id: tool
    images: ["ghcr.io/acme/tool"]
    tags: ["{{ .Tag }}", "{{ if .IsNightly }}nightly{{ end }}"]
    platforms: ["linux/amd64"]
"#;
    let cargo = "[package]\nname = \"echo\"\nversion = \"1.2.3\"\nedition = \"2024\"\n";
    assert_data_eq!(
        proposed(&[
            (".goreleaser.yaml", goreleaser),
            ("Dockerfile", "FROM scratch\nCOPY echo /echo\n"),
            ("Cargo.toml", cargo),
            ("src/main.rs", "fn main() {}\n"),
        ]),
        str![[r#"
read echo of .goreleaser.yaml
GoReleaser builds the programs and puts them beside the Dockerfile; here `build.before` does that
`--squash` of .goreleaser.yaml is not taken over
read tool of .goreleaser.yaml
GoReleaser builds the programs and puts them beside the Dockerfile; here `build.before` does that
`{{ if .IsNightly }}` has no counterpart
`{{ end }}` has no counterpart
left out ghcr.io/acme/tool:{{ if .IsNightly }}nightly{{ end }}

[target.echo]
repository = "ghcr.io/acme/echo"
tags = ["{version}", "v{major}"]
# Where the images themselves go.
image = "ghcr.io/acme/echo:{version}-{arch}"
platforms = ["linux/amd64", "linux/arm64"]
build.context = "."
build.args = { VERSION = "{version}" }
# With a command that ends, every image is tried before it is pushed:
# smoke = { command = ["--version"], expect = "…" }

[target.tool]
repository = "ghcr.io/acme/tool"
tags = ["{git.tag}"]
# Where the images themselves go is `image`; by default the repository, tagged TAG-OS-ARCH.
platforms = ["linux/amd64"]
build.context = "."
# With a command that ends, every image is tried before it is pushed:
# smoke = { command = ["--version"], expect = "…" }

--- .dockerignore
# What is not sent to the engine: builds start sooner, and are not repeated for its sake.
# the history
.git
# what cargo builds; also where rehearsals are kept
target
# what is published is no part of it: a new tag builds nothing anew
manifests.toml
manifests.lock
manifests.schema.json

"#]]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_said_and_dockerfiles_are_taken() {
    let folder = folder(&[("docker-bake.hcl", "target {{{"), ("Dockerfile", "FROM alpine:3\n")]);
    let found = init::scan(folder.path()).unwrap();
    assert!(found.notes[0].starts_with("could not read docker-bake.hcl: "), "{:?}", found.notes);
    assert_eq!(found.dockerfiles.len(), 1);
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
fn what_is_there_is_never_overwritten() {
    let empty = folder(&[]);
    assert!(init::scan(empty.path()).unwrap_err().to_string().starts_with("there is no Dockerfile in"));
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

#[test]
fn an_xtask_comes_to_a_workspace_once() {
    for (cargo, expected) in [
        (
            "[workspace]\nresolver = \"3\"\nmembers = [\n    # The service.\n    \"app\",\n]\n",
            "[workspace]\nresolver = \"3\"\nmembers = [\n    # The service.\n    \"app\",\n    \"xtask\",\n]\n",
        ),
        ("[workspace]\nmembers = [\"app\"] # all\n", "[workspace]\nmembers = [\"app\", \"xtask\"] # all\n"),
        ("[workspace]\nmembers = [\"*\"]\n", "[workspace]\nmembers = [\"*\"]\n"),
        (
            "# Mine.\n[package]\nname = \"app\"\n",
            "# Mine.\n[package]\nname = \"app\"\n\n[workspace]\nmembers = [\"xtask\"]\n",
        ),
    ] {
        let folder = folder(&[("Cargo.toml", cargo), (".cargo/config.toml", "[build] # mine\njobs = 2\n")]);
        let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap();
        init::xtask::add(folder.path(), None).unwrap();
        assert_eq!(read("Cargo.toml"), expected);
        let config = "[build] # mine\njobs = 2\n\n\
                      [alias]\nxtask = \"run --quiet --package xtask --profile xtask --\"\n\n\
                      [profile.xtask]\ninherits = \"dev\"\ndebug = false\nincremental = false\n\
                      package.sha2.opt-level = 3\n";
        assert_eq!(read(".cargo/config.toml"), config);
        assert!(read("xtask/Cargo.toml").contains("version = \"0.1\""));
        assert!(read("xtask/src/main.rs").contains("manifests::cli::main()"));
        let again = init::xtask::add(folder.path(), None).unwrap();
        assert_eq!(again.paths, Vec::<std::path::PathBuf>::new());
        assert_eq!(read("Cargo.toml"), expected);
    }
}

#[test]
fn an_xtask_of_the_projects_own_stays() {
    let folder = folder(&[
        ("Cargo.toml", "[workspace]\nmembers = [\"xtask\"]\n"),
        (".cargo/config.toml", "alias = { xtask = \"run -p xtask --\" }\n"),
        ("xtask/Cargo.toml", "[package]\nname = \"xtask\"\n"),
        ("xtask/src/main.rs", "fn main() {}\n"),
    ]);
    let written = init::xtask::add(folder.path(), None).unwrap();
    assert_eq!(written.paths, Vec::<std::path::PathBuf>::new());
    assert_data_eq!(
        written.notes.join("\n"),
        str![[r#"
kept the alias xtask = "run -p xtask --"
kept xtask/Cargo.toml; depend on manifests there and call `manifests::cli::main()`
kept xtask/src/main.rs; depend on manifests there and call `manifests::cli::main()`
"#]]
    );
}
