use std::collections::BTreeSet;

use super::*;
use crate::author::edit::{Change, apply};
use crate::model::digest::Digest;
use crate::model::manifest::{Descriptor, List, ListKind};
use crate::model::media::{OCI_IMAGE, OCI_INDEX};
use crate::observe::Inspected;

/// Plain scalars that YAML readers take for numbers, truth values and nulls, and what is written there.
const SCALARS: &[(&str, &str)] = &[
    ("word", "word"),
    ("1", "1"),
    ("1.10", "1.10"),
    ("007", "007"),
    ("1e3", "1e3"),
    ("0x1F", "0x1F"),
    ("0o17", "0o17"),
    ("0b11", "0b11"),
    ("1_000", "1_000"),
    ("+12", "+12"),
    ("-0", "-0"),
    (".5", ".5"),
    ("5.", "5."),
    (".inf", ".inf"),
    (".NaN", ".NaN"),
    ("no", "no"),
    ("Yes", "Yes"),
    ("on", "on"),
    ("false", "false"),
    ("True", "True"),
    ("2024-01-31", "2024-01-31"),
    ("12:30:45", "12:30:45"),
    ("99999999999999999999999999", "99999999999999999999999999"),
    ("123456789012345678", "123456789012345678"),
    ("null", "null"),
    ("~", "~"),
    ("'1.10'", "1.10"),
    ("\"no\"", "no"),
    ("\"\\u0031.0\"", "1.0"),
    ("!!str 1.10", "1.10"),
    ("&anchor 1.10", "1.10"),
];

#[test]
fn scalars_are_text_as_written() {
    for (written, expected) in SCALARS {
        for text in [
            format!("- {written}\n"),
            format!("# é, before\n-   {written}   # behind\n"),
            format!("[{written}]\n"),
            format!("[ {written} , x]\n"),
            format!("- {written}\r\n- x\r\n"),
        ] {
            let read: Vec<String> = yaml::parse(&text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(read[0], *expected, "{text:?}");
        }
        let spec = format!("image: a/b:1\nannotations: {{key: {written}, é: x}}\nmanifests: []\n");
        let imported = file(&spec, &BTreeMap::new()).unwrap();
        // Go reads a null into a string as an empty one.
        let expected = if ["null", "~"].contains(written) { "" } else { expected };
        assert_eq!(imported.targets[0].annotations["key"], expected, "{spec}");
    }
    // An alias says what its anchor does, and so does a merged mapping.
    let text = "a: &a 1.10\nb: *a\nbase: &base {version: 007}\nc: {<<: *base}\n";
    let read = yaml::read(text).unwrap();
    assert_eq!((&read["b"], &read["c"]["version"]), (&"1.10".into(), &"007".into()));
    assert_eq!(yaml::read("1.10: x\n").unwrap()["1.10"], "x");
}

#[test]
fn tags_and_platforms_of_a_spec_are_text_as_written() {
    let (text, notes) = declared(
        "image: r.test/acme/app:1.10\ntags: [007, 1e3, no, 1_0]\nannotations: {a: 1.0, b: yes, c: ~}\nmanifests:\n\
         - image: r.test/acme/app:1.10\n  platform: {architecture: 386, os: linux}\n\
         - image: r.test/acme/app:win\n  platform: {architecture: amd64, os: windows, osversion: 10.0}\n",
    );
    assert_eq!(
        text,
        r#"[target.app]
repository = "r.test/acme/app"
tags = ["1.10", "007", "1e3", "no", "1_0"]
annotations = { a = "1.0", b = "yes", c = "" }

[target.app.platform."linux/386"]
image = "r.test/acme/app:1.10"

[target.app.platform."windows(10.0)/amd64"]
image = "r.test/acme/app:win"
"#
    );
    assert_eq!(notes, Vec::<String>::new());
}

#[test]
fn images_without_a_platform_have_that_of_their_configuration() {
    let spec = "image: a/b:1\nmanifests:\n- image: a/b:arm\n- image: a/b:x\n  platform:\n\
                - image: a/b:y\n  platform: {os: linux, architecture: amd64}\n";
    assert_eq!(without_platform(spec).unwrap(), ["a/b:arm", "a/b:x"]);
    assert_eq!(without_platform("dockers_v2: []\n").unwrap(), Vec::<String>::new());
    let known = [("a/b:arm", "linux/arm/v7"), ("a/b:x", "linux/s390x")];
    let known = known.map(|(image, platform)| (image.to_owned(), platform.parse().unwrap()));
    let imported = file(spec, &known.into()).unwrap();
    let platforms = imported.targets[0].platforms.iter().map(|new| new.platform.to_string());
    assert_eq!(platforms.collect::<Vec<_>>(), ["linux/arm/v7", "linux/s390x", "linux/amd64"]);
}

#[test]
fn a_platform_that_is_listed_twice_is_declared_once_or_refused() {
    let entry = |image: &str, arch: &str| {
        format!("- image: {image}\n  platform: {{os: linux, architecture: {arch}}}\n")
    };
    let spec = |entries: &[String]| format!("image: r.test/app:1\nmanifests:\n{}", entries.concat());
    let (amd64, arm64) = (entry("r.test/app:a", "amd64"), entry("r.test/app:b", "arm64"));
    let once = declared(&spec(&[amd64.clone(), arm64.clone()]));
    assert_eq!(once.1, Vec::<String>::new());
    let twice = declared(&spec(&[amd64.clone(), arm64, entry("r.test/app:a", "x86_64")]));
    assert_eq!(
        twice,
        (once.0, vec!["target app: linux/x86_64 is listed twice, and declared once".to_owned()])
    );
    let two = file(&spec(&[amd64, entry("r.test/app:c", "amd64")]), &BTreeMap::new());
    assert_eq!(
        two.unwrap_err(),
        "target app lists two images for linux/amd64, `r.test/app:a` and `r.test/app:c`; take one of them out"
    );
    // goreleaser/goreleaser#2192
    let (text, _) = declared(
        "docker_manifests:\n- name_template: r.test/app:1\n  image_templates: [r.test/app:1-amd64, r.test/app:1-amd64]\n",
    );
    assert_eq!(text.matches("image = ").count(), 1, "{text}");
}

/// `check` takes no reference with a digest whose content nobody here could compare with it.
#[test]
fn an_image_of_another_digest_algorithm_is_kept_and_not_declared() {
    let entry = |arch: &str, algorithm: &str| {
        let digest = format!("{algorithm}:{}", "ab".repeat(32));
        let mut entry = Descriptor::new(OCI_IMAGE, digest.parse().unwrap(), 1);
        entry.platform = Some((&Platform::new("linux", arch)).into());
        entry
    };
    let inspected = |entries: Vec<Descriptor>| Inspected {
        reference: "r.test/app:1".parse().unwrap(),
        descriptor: Descriptor::new(OCI_INDEX, Digest::of(b"list"), 1),
        bytes: Vec::new(),
        list: Some(List { entries, ..List::new(ListKind::Oci) }),
        images: BTreeMap::new(),
        absent: BTreeSet::new(),
    };
    let imported = published(&inspected(vec![entry("amd64", "sha256"), entry("arm64", "blake3")])).unwrap();
    let target = &imported.targets[0];
    let platforms: Vec<String> = target.platforms.iter().map(|new| new.platform.to_string()).collect();
    assert_eq!((platforms, target.undeclared), (vec!["linux/amd64".to_owned()], Some("keep")));
    assert!(imported.notes[0].contains("is for linux/arm64: content of blake3:"), "{:?}", imported.notes);
    let why = published(&inspected(vec![entry("arm64", "blake3")])).unwrap_err();
    assert!(why.contains("lists no image of a known platform"), "{why}");
}

/// The file that an import makes, and its notes.
fn declared(text: &str) -> (String, Vec<String>) {
    let imported = file(text, &BTreeMap::new()).unwrap_or_else(|why| panic!("{why}"));
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
        let error = file(text, &BTreeMap::new()).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
}
