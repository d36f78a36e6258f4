use super::*;
use crate::edit::{Change, apply};

/// The file that an import makes, and its notes.
fn declared(text: &str) -> (String, Vec<String>) {
    let imported = file(text).unwrap_or_else(|why| panic!("{why}"));
    let mut out = String::new();
    for target in imported.targets {
        out = apply(&out, &[Change::AddTarget(target)]).unwrap();
    }
    (out, imported.notes)
}

#[test]
fn a_manifest_tool_spec_is_a_target() {
    let (text, notes) = declared(
        "image: registry.corp:5000/acme/app:1.0\ntags: ['1', latest, '1.0', '1']\nannotations: {org: acme}\nmanifests:\n\
         - image: registry.corp:5000/acme/app:amd64\n  platform: {architecture: amd64, os: linux}\n\
         - image: registry.corp:5000/acme/app:arm\n  platform:\n    architecture: arm\n    os: linux\n    variant: v7\n\
         - image: registry.corp:5000/acme/app:win\n  extra: 1\n  platform:\n    architecture: amd64\n    os: windows\n    \
         osversion: 10.0.17763.1\n    osfeatures: [win32k]\n    features: [sse]\nunheard-of: true\n",
    );
    assert_eq!(
        text,
        r#"[target.app]
repository = "registry.corp:5000/acme/app"
tags = ["1.0", "1", "latest"]
annotations = { org = "acme" }

[target.app.platform."linux/amd64"]
image = "registry.corp:5000/acme/app:amd64"

[target.app.platform."linux/arm/v7"]
image = "registry.corp:5000/acme/app:arm"

[target.app.platform."windows(10.0.17763.1)/amd64"]
image = "registry.corp:5000/acme/app:win"
os-features = ["win32k"]
"#
    );
    assert_eq!(
        notes,
        [
            "the spec: `unheard-of: true` has no equivalent here",
            "manifest 3: `extra: 1` has no equivalent here",
            "manifest 3, platform: `features: [\"sse\"]` has no equivalent here",
        ]
    );
}

#[test]
fn docker_manifests_with_the_same_images_are_tags_of_one_target() {
    let (text, notes) = declared(
        r#"
project_name: tool
dockers:
  - image_templates: ["ghcr.io/acme/{{ .ProjectName }}:{{ .Tag }}-one"]
    goarch: arm64
    use: buildx
  - image_templates: ["ghcr.io/acme/{{ .ProjectName }}:{{ .Tag }}-two"]
    goarch: arm
    goarm: 7
docker_manifests:
  - name_template: "ghcr.io/acme/{{ .ProjectName }}:{{ .Tag }}"
    image_templates: &images
      - "ghcr.io/acme/{{ .ProjectName }}:{{ .Tag }}-one"
      - "ghcr.io/acme/{{ .ProjectName }}:{{ .Tag }}-two"
      - "ghcr.io/acme/{{ .ProjectName }}:{{ .Tag }}-amd64"
    create_flags: [--insecure]
  - name_template: "ghcr.io/acme/{{.ProjectName}}:v{{ .Major }}.{{- .Minor }}"
    image_templates: *images
  - name_template: "ghcr.io/acme/{{ .ProjectName }}:{{ .Tag }}"
    image_templates: *images
  - name_template: "ghcr.io/acme/{{ .ProjectName }}:v{{ .Patch }}"
    image_templates: *images
  - name_template: "ghcr.io/acme/other:{{ .Env.BRANCH }}"
    image_templates: ["ghcr.io/acme/other:what"]
docker_signs: [{artifacts: all}]
"#,
    );
    assert_eq!(
        text,
        r#"[target.tool]
repository = "ghcr.io/acme/tool"
tags = ["{git.tag}", "v{major}.{minor}"]

[target.tool.platform."linux/arm64"]
image = "ghcr.io/acme/tool:{git.tag}-one"

[target.tool.platform."linux/arm/v7"]
image = "ghcr.io/acme/tool:{git.tag}-two"

[target.tool.platform."linux/amd64"]
image = "ghcr.io/acme/tool:{git.tag}-amd64"
"#
    );
    let by_name = "`ghcr.io/acme/{{ .ProjectName }}:{{ .Tag }}-amd64` is taken for linux/amd64, by its name";
    assert_eq!(
        notes,
        [
            &format!("docker_manifests, entry 1: {by_name}"),
            "docker_manifests, entry 1: `create_flags: [\"--insecure\"]` has no equivalent here",
            &format!("docker_manifests, entry 2: {by_name}"),
            &format!("docker_manifests, entry 3: {by_name}"),
            &format!("docker_manifests, entry 4: {by_name}"),
            "docker_manifests, entry 4: `ghcr.io/acme/{{ .ProjectName }}:v{{ .Patch }}` is not declared: \
             `{{ .Patch }}` in `ghcr.io/acme/{{ .ProjectName }}:v{{ .Patch }}` has no equivalent here",
            "docker_manifests, entry 5: `ghcr.io/acme/other:what` is left out: nothing says its platform",
            "docker_manifests, entry 5: `ghcr.io/acme/other:{{ .Env.BRANCH }}` is not declared: its images are not \
             all known",
            "`dockers`: their images are declared as existing; `build` declares how they are built",
            "`docker_signs` has no equivalent here",
        ]
    );
}

#[test]
fn dockers_v2_is_built() {
    let (text, notes) = declared(
        r#"
dockers_v2:
  - images: ["acme/app", "ghcr.io/acme/app"]
    tags: ["v{{ .Version }}", "{{ if .IsNightly }}nightly{{ end }}", latest, "v{{ .Version }}"]
    platforms: [linux/amd64, linux/arm/v7]
    dockerfile: docker/Dockerfile
    build_args: {RUST: "1.89", COMMIT: "{{ .FullCommit }}"}
    labels: {made.by: "{us}"}
    annotations: {org.opencontainers.image.title: app}
    flags: [--pull]
    extra_files: [README.md]
    sbom: true
"#,
    );
    assert_eq!(
        text,
        r#"[target.app]
repository = ["acme/app", "ghcr.io/acme/app"]
tags = ["v{version}", "latest"]
platforms = ["linux/amd64", "linux/arm/v7"]
build.context = "."
build.dockerfile = "docker/Dockerfile"
build.args = { COMMIT = "{git.sha}", RUST = "1.89" }
build.labels = { "made.by" = "{{us}}" }
build.extra-args = ["--pull"]
annotations = { "org.opencontainers.image.title" = "app" }
"#
    );
    assert_eq!(
        notes,
        [
            "dockers_v2, entry 1: `tags`: left out: `{{ if .IsNightly }}` in \
             `{{ if .IsNightly }}nightly{{ end }}` has no equivalent here",
            "dockers_v2, entry 1: the context is this folder, where GoReleaser makes one of the binaries that it built",
            "dockers_v2, entry 1: `extra_files: [\"README.md\"]` has no equivalent here",
            "dockers_v2, entry 1: `sbom: true` has no equivalent here",
            "`{{ .Version }}` became `{version}`, the Cargo package's",
        ]
    );
}

#[test]
fn what_is_no_such_file_is_said() {
    for (text, why) in [
        ("a: [", "it is no YAML: "),
        ("- a\n", "its top is no mapping"),
        ("builds: []\n", "it is neither a manifest-tool spec"),
        ("image: a\nmanifests:\n- image: b\n", "manifest 1 has no `platform`"),
        (
            "image: a\nmanifests:\n- image: b\n  platform: {os: linux}\n",
            "names no operating system and architecture",
        ),
        (
            "image: a\nmanifests:\n- image: b\n  platform: {os: linux, architecture: x}\n",
            "unknown architecture `x`",
        ),
        ("docker_manifests: [{name_template: a, image_templates: [b]}]\n", "nothing of it can be declared; "),
    ] {
        let error = file(text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
}
