//! What `init` makes of the files of other tools.

use manifests::author::init;
use snapbox::{assert_data_eq, str};

use super::{folder, proposed};

const PACKAGE: &str = "[package]\nname = \"echo\"\nversion = \"1.2.3\"\nedition = \"2024\"\n";

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
app has other tags in other repositories: a target for each set of tags
read app of docker-bake.hcl

[target.app]
repository = "ghcr.io/acme/app"
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

[target.app-2]
repository = "registry.corp:5000/acme/app"
tags = ["1.4"]
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
left out test of docker-bake.json: it has no tags
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
    assert_data_eq!(
        proposed(&[
            (".goreleaser.yaml", goreleaser),
            ("Dockerfile", "FROM scratch\nCOPY echo /echo\n"),
            ("Cargo.toml", PACKAGE),
            ("src/main.rs", "fn main() {}\n"),
        ]),
        str![[r#"
read echo of .goreleaser.yaml
GoReleaser builds the programs and puts them beside the Dockerfile; here `build.before` does that
`--squash` of .goreleaser.yaml is not taken over
read tool of .goreleaser.yaml
GoReleaser builds the programs and puts them beside the Dockerfile; here `build.before` does that
left out ghcr.io/acme/tool:{{ if .IsNightly }}nightly{{ end }}: `{{ if .IsNightly }}` in `ghcr.io/acme/tool:{{ if .IsNightly }}nightly{{ end }}` has no equivalent here

[target.echo]
repository = "ghcr.io/acme/echo"
tags = ["{version}", "v{major}"]
# Where the images themselves go.
image = "ghcr.io/acme/echo:{version}-{arch}"
platforms = ["linux/amd64", "linux/arm64"]
build.context = "."
# With a command that ends, every image is tried before it is pushed:
# smoke = { command = ["--version"], expect = "…" }

[target.echo.platform."linux/amd64"]
build.args = { VERSION = "{version}" }

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
fn what_goreleaser_says_of_one_platform_stays_with_it() {
    let goreleaser = r#"
project_name: app
dockers:
  - image_templates: ["localhost:1/charm/app:{{ .Version }}-amd64"]
    dockerfile: ./Dockerfile
    build_flag_templates: ["--build-arg=ARCH=x86_64", "--build-arg=MODE={{ .Env.MODE }}"]
  - image_templates: ["localhost:1/charm/app:{{ .Version }}-arm64"]
    goarch: arm64
    dockerfile: Dockerfile.arm64
    build_flag_templates: ["--build-arg=ARCH=aarch64", "--build-arg=MODE={{ .Env.MODE }}", "--build-arg=AT={{ .Date }}"]
  - image_templates: ["localhost:1/charm/app:{{ .Version }}-arm"]
    goarch: arm
    goarm: 7
    build_flag_templates: ["--platform=linux/arm/v7", "--build-arg=MODE={{ .Env.MODE }}"]
docker_manifests:
  - name_template: "localhost:1/charm/app:{{ .Version }}"
    image_templates: &images
      - "localhost:1/charm/app:{{ .Version }}-amd64"
      - "localhost:1/charm/app:{{ .Version }}-arm64"
      - "localhost:1/charm/app:{{ .Version }}-arm"
  - name_template: "localhost:1/charm/app:{{ .ShortCommit }}"
    image_templates: *images
"#;
    assert_data_eq!(
        proposed(&[
            (".goreleaser.yaml", goreleaser),
            ("Dockerfile", "ARG ARCH\nARG AT\nFROM scratch\nCOPY echo /echo\n"),
            ("Dockerfile.arm64", "ARG ARCH\nFROM scratch\nCOPY echo /echo\n"),
            ("Cargo.toml", PACKAGE),
            ("src/main.rs", "fn main() {}\n"),
        ]),
        str![[r#"
left out localhost:1/charm/app:{{ .ShortCommit }}: `{{ .ShortCommit }}` in `localhost:1/charm/app:{{ .ShortCommit }}` has no equivalent here
read app of .goreleaser.yaml
GoReleaser builds the programs and puts them beside the Dockerfile; here `build.before` does that
left out the build argument AT: `{{ .Date }}` in `{{ .Date }}` has no equivalent here

[target.app]
repository = "localhost:1/charm/app"
tags = ["{version}"]
# Where the images themselves go.
image = "localhost:1/charm/app:{version}-{arch}"
platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7"]
build.context = "."
build.args = { MODE = "{env.MODE}" }
# The Dockerfile gives these no value:
# build.args = { AT = "…" }
# With a command that ends, every image is tried before it is pushed:
# smoke = { command = ["--version"], expect = "…" }

[target.app.platform."linux/amd64"]
build.args = { ARCH = "x86_64" }

[target.app.platform."linux/arm64"]
build.dockerfile = "Dockerfile.arm64"
build.args = { ARCH = "aarch64" }

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
fn lists_with_the_same_images_are_tags_of_one_target_and_others_are_not() {
    let goreleaser = r#"
project_name: app
dockers:
  - image_templates: &plain ["ghcr.io/acme/app:{{ .Version }}-x86", "ghcr.io/acme/app:latest-x86"]
  - image_templates: &debug ["ghcr.io/acme/app:{{ .Version }}-debug-x86"]
    dockerfile: docker/../debug.Dockerfile
    build_flag_templates: ["--squash"]
docker_manifests:
  - {name_template: "ghcr.io/acme/app:1", image_templates: ["ghcr.io/acme/app:{{ .Version }}-x86"]}
  - {name_template: "ghcr.io/acme/app:latest", image_templates: ["ghcr.io/acme/app:latest-x86", "ghcr.io/acme/app:gone"]}
  - {name_template: "ghcr.io/acme/app:debug", image_templates: *debug}
  - {name_template: "ghcr.io/acme/app:v{{ .Version }}{{ .Prerelease }}", image_templates: *plain}
"#;
    assert_data_eq!(
        proposed(&[
            (".goreleaser.yaml", goreleaser),
            ("Dockerfile", "FROM scratch\n"),
            ("debug.Dockerfile", "FROM scratch\n"),
            ("Cargo.toml", PACKAGE),
            ("src/main.rs", "fn main() {}\n"),
        ]),
        str![[r#"
left out ghcr.io/acme/app:v{{ .Version }}{{ .Prerelease }}: `{{ .Prerelease }}` in `ghcr.io/acme/app:v{{ .Version }}{{ .Prerelease }}` has no equivalent here
read app of .goreleaser.yaml
GoReleaser builds the programs and puts them beside the Dockerfile; here `build.before` does that
ghcr.io/acme/app:latest lists what 1 does; the images have one name here
ghcr.io/acme/app:gone is in no `dockers` of .goreleaser.yaml
read app of .goreleaser.yaml
GoReleaser builds the programs and puts them beside the Dockerfile; here `build.before` does that
`--squash` of .goreleaser.yaml is not taken over

[target.app]
repository = "ghcr.io/acme/app"
tags = ["1", "latest"]
# Where the images themselves go.
image = "ghcr.io/acme/app:{version}-x86"
platforms = ["linux/amd64"]
build.context = "."
# With a command that ends, every image is tried before it is pushed:
# smoke = { command = ["--version"], expect = "…" }

[target.app-2]
repository = "ghcr.io/acme/app"
tags = ["debug"]
# Where the images themselves go.
image = "ghcr.io/acme/app:{version}-debug-x86"
platforms = ["linux/amd64"]
build.context = "."
build.dockerfile = "debug.Dockerfile"
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
fn a_tag_stays_in_the_repositories_that_have_it() {
    let bake = r#"{ "target": { "app": {
        "context": "./",
        "dockerfile": "./Dockerfile",
        "tags": ["127.0.0.1:1/a/app:1.2", "127.0.0.1:2/b/app:edge", "127.0.0.1:3/c/app:1.2"]
    } } }"#;
    assert_data_eq!(
        proposed(&[
            ("docker-bake.json", bake),
            ("Dockerfile", "FROM scratch\nCOPY $DIR /\n"),
            ("debug/Dockerfile", "FROM scratch\n"),
        ]),
        str![[r#"
left out debug/Dockerfile, which docker-bake.json does not build
read app of docker-bake.json
app has other tags in other repositories: a target for each set of tags
assumed the platforms linux/amd64, linux/arm64
read app of docker-bake.json
assumed the platforms linux/amd64, linux/arm64

[target.app]
# The list goes to all of them, and no tag moves before every image is in each.
repository = ["127.0.0.1:1/a/app", "127.0.0.1:3/c/app"]
tags = ["1.2"]
# Where the images themselves go is `image`; by default the repository, tagged TAG-OS-ARCH.
platforms = ["linux/amd64", "linux/arm64"]
build.context = "."
# With a command that ends, every image is tried before it is pushed:
# smoke = { command = ["--version"], expect = "…" }

[target.app-2]
repository = "127.0.0.1:2/b/app"
tags = ["edge"]
# Where the images themselves go is `image`; by default the repository, tagged TAG-OS-ARCH.
platforms = ["linux/amd64", "linux/arm64"]
build.context = "."
# With a command that ends, every image is tried before it is pushed:
# smoke = { command = ["--version"], expect = "…" }

"#]]
    );
}

#[test]
#[cfg(feature = "other-tools")]
fn what_cannot_be_read_of_a_bake_file_is_said_also_without_a_target() {
    let bake = "variable \"TAG\" {}\ntarget \"app\" {\n  tags = [\"acme/app:${TAG}\"]\n}\n";
    let folder = folder(&[("docker-bake.hcl", bake), ("Dockerfile", "FROM alpine:3\n")]);
    let found = init::scan(folder.path()).unwrap();
    let computed = "left out app of docker-bake.hcl: its tags are computed; `docker buildx bake --print > \
                    docker-bake.json` writes what they are";
    let expected = ["app: `tags` could not be read", computed, "took no image over from docker-bake.hcl"];
    assert_eq!(found.notes, expected);
}

#[test]
fn a_bake_target_that_would_build_something_else_here_is_left_out() {
    let bake = r#"{ "target": {
      "inline": { "dockerfile-inline": "FROM scratch", "tags": ["acme/inline:1"] },
      "remote": { "context": "https://git.example/acme/x.git", "tags": ["acme/remote:1"] },
      "base": { "args": { "A": "1" } },
      "app": {
        "inherits": ["base"], "tags": ["acme/app:1"], "labels": { "team": "{a}" },
        "secret": ["id=token,env=TOKEN"], "cache-to": ["type=inline"], "ssh": [{ "id": "default" }]
      }
    } }"#;
    let folder = folder(&[("docker-bake.json", bake), ("Dockerfile", "FROM alpine:3\n")]);
    let found = init::scan(folder.path()).unwrap();
    let names: Vec<&str> = found.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["app"]);
    let text = init::propose(&found).text;
    let build = "build.args = { A = \"1\" }\nbuild.labels = { team = \"{{a}}\" }\nbuild.cache-to = [\"type=inline\"]\n\
                 build.secrets = [\"id=token,env=TOKEN\"]\n";
    assert!(text.contains(build), "{text}");
    assert_eq!(found.services[0].notes, ["`ssh` of docker-bake.json is not taken over"]);
    assert_eq!(
        found.notes,
        [
            "left out inline of docker-bake.json: its Dockerfile stands in that file: give it one of its own",
            "left out remote of docker-bake.json: its context is not on this machine",
        ]
    );
}
