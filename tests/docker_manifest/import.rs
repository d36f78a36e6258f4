//! `import`: what is published already is declared, and reconciling it changes nothing.

use serde_json::Value;

use crate::sides::{Side, Sides};

/// Imports each list into a file that has content already, and gives what was said.
fn import(sides: &Sides, list: &str) -> (Option<i32>, String, String) {
    let reference = list.replace("R/", &format!("{}/ours/", sides.host()));
    let output = sides.project.manifests(&["import", &reference]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn reconciling_right_after_it_changes_nothing() {
    let sides = Sides::new();
    for args in [
        "create --insecure R/win:1 R/amd64:1 R/win:2019 R/win:2022",
        "annotate R/win:1 R/amd64:1 --os-version ubuntu22.04 --os-features a",
        "push --insecure --purge R/win:1",
    ] {
        assert!(sides.both(args).iter().all(|ended| ended.code == Some(0)));
    }
    sides.project.write("manifests.toml", "# what we publish\n");
    let lists = [
        "R/win:1",
        "R/lists:oci",
        "R/lists:docker",
        "R/lists:docker-first",
        "R/lists:attested",
        "R/lists:untyped",
    ];
    let before = lists.map(|list| sides.published(Side::Ours, list).unwrap());
    for list in lists {
        let (code, stdout, stderr) = import(&sides, list);
        assert_eq!(code, Some(0), "{list}: {stderr}");
        assert!(stdout.starts_with("manifests.toml: target "), "{stdout}");
        assert!(!stderr.contains("reconcile"), "{list}: {stderr}");
    }
    let text = sides.project.read("manifests.toml");
    assert!(text.starts_with("# what we publish\n"), "{text}");
    assert!(text.contains("annotations = { of = \"the <index>\" }"), "{text}");
    assert!(text.contains("[target.lists-docker-first]"), "{text}");

    let output = sides.project.manifests(&["plan", "--exit-code", "--format", "json"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}{}", String::from_utf8_lossy(&output.stdout));
    let output = sides.project.manifests(&["reconcile", "--format", "json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let account: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!account.to_string().contains("\"written\":true"), "{account:#}");
    assert_eq!(lists.map(|list| sides.published(Side::Ours, list).unwrap()), before);
}

#[test]
fn what_cannot_be_imported_changes_no_file() {
    let sides = Sides::new();
    sides.project.write("spec.yaml", "image: a\n");
    for (source, why) in [
        ("R/none:1", "is not in the registry"),
        ("R/amd64:1", "is an image, no list"),
        ("R/lists:empty", "lists no image of a known platform"),
        ("spec.yaml", "could not import spec.yaml: it is neither"),
        ("none.yml", "could not read none.yml"),
    ] {
        let (code, _, stderr) = import(&sides, source);
        assert_eq!(code, Some(1), "{source}: {stderr}");
        assert!(stderr.contains(why), "{source}: {stderr}");
    }
    assert!(!sides.project.path().join("manifests.toml").exists());
    assert_eq!(import(&sides, "R/lists:oci").0, Some(0));
    let text = sides.project.read("manifests.toml");
    let (code, _, stderr) = import(&sides, "R/lists:oci");
    assert!(code == Some(1) && stderr.contains("is declared already, by target lists"), "{stderr}");
    assert_eq!(sides.project.read("manifests.toml"), text);
}

#[test]
fn another_tools_file_is_declared_and_what_is_left_out_is_said() {
    let sides = Sides::new();
    let place = format!("{}/ours", sides.host());
    let spec = format!(
        "image: {place}/spec:1\ntags: [latest]\nmanifests:\n\
         - image: {place}/amd64:1\n  platform: {{architecture: amd64, os: linux}}\n\
         - image: {place}/arm:1\n  platform: {{architecture: arm, os: linux, variant: v7, features: [x]}}\n"
    );
    sides.project.write("spec.yaml", &spec);
    let (code, stdout, stderr) = import(&sides, "spec.yaml");
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout, "manifests.toml: target spec for linux/amd64, linux/arm/v7\n");
    assert!(stderr.contains("manifest 2, platform: `features: [\"x\"]` has no equivalent here"), "{stderr}");
    let output = sides.project.manifests(&["reconcile"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(sides.architectures(Side::Ours, "R/spec:latest"), ["amd64", "arm"]);
}

#[test]
fn one_target_that_cannot_be_declared_leaves_the_file_as_it_was() {
    let sides = Sides::new();
    let list = |name: &str, arch: &str| {
        format!("- {{name_template: '{name}', image_templates: ['ghcr.io/acme/app:{arch}']}}\n")
    };
    let file = |last: &str| {
        let lists =
            [list("ghcr.io/acme/app:1", "amd64"), list("ghcr.io/acme/app:2", "arm64"), last.to_owned()];
        format!("docker_signs: [{{artifacts: all}}]\ndocker_manifests:\n{}", lists.concat())
    };
    sides.project.write("manifests.toml", "# mine\n");
    sides.project.write("goreleaser.yaml", &file(&list("ghcr.io/acme/app:no tag", "s390x")));
    let (code, stdout, stderr) = import(&sides, "goreleaser.yaml");
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("`docker_signs` has no equivalent here"), "{stderr}");
    assert!(stderr.contains("no tag"), "{stderr}");
    assert_eq!(sides.project.read("manifests.toml"), "# mine\n");

    sides.project.write("goreleaser.yaml", &file(""));
    let (code, stdout, stderr) = import(&sides, "goreleaser.yaml");
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(
        stdout,
        "manifests.toml: target app for linux/amd64\nmanifests.toml: target app-2 for linux/arm64\n"
    );
}
