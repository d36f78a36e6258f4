//! A version's binaries: the steps of the release workflow that need no runner, and that `cargo binstall` finds what
//! they pack where the metadata says.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::project::{here, yaml};

/// The script of a step.
fn step(name: &str) -> String {
    let workflow = yaml(&std::fs::read_to_string(here(".github/workflows/release.yml")).unwrap());
    let jobs = workflow["jobs"].as_object().unwrap().values();
    let mut steps = jobs.flat_map(|job| job["steps"].as_array().unwrap());
    let found = steps.find(|step| step["name"] == name).unwrap_or_else(|| panic!("no step {name}"));
    found["run"].as_str().unwrap().to_owned()
}

/// Runs a step as the runner does.
fn run(name: &str, folder: &Path, variables: &[(&str, &str)]) -> Output {
    Command::new("bash")
        .args(["-e", "-o", "pipefail", "-c", &step(name)])
        .current_dir(folder)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn assert_succeeds(name: &str, folder: &Path, variables: &[(&str, &str)]) {
    let output = run(name, folder, variables);
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What `gh` was called with by the step that publishes `tag`; whether the release is there already.
fn published(tag: &str, there: bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    let gh = folder.path().join("gh");
    let view = if there { 0 } else { 1 };
    let script = format!("#!/bin/sh\necho \"$@\" >> calls\ntest \"$2\" != view || exit {view}\n");
    std::fs::write(&gh, script).unwrap();
    std::fs::set_permissions(&gh, std::fs::Permissions::from_mode(0o755)).unwrap();
    for file in ["manifests-a.tar.gz", "manifests-a.tar.gz.sha256"] {
        std::fs::write(folder.path().join(file), "").unwrap();
    }
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", folder.path().display());
    assert_succeeds("Publish", folder.path(), &[("GITHUB_REF_NAME", tag), ("PATH", &path)]);
    std::fs::read_to_string(folder.path().join("calls")).unwrap()
}

/// The package's `key` of `[package.metadata.binstall]`, filled in for `target`.
fn binstall(key: &str, target: &str) -> String {
    let cargo = std::fs::read_to_string(here("Cargo.toml")).unwrap();
    let cargo: toml::Table = cargo.parse().unwrap();
    let template = cargo["package"]["metadata"]["binstall"][key].as_str().unwrap();
    template
        .replace("{ target }", target)
        .replace("{ bin }", "manifests")
        .replace("{ version }", env!("CARGO_PKG_VERSION"))
}

#[test]
fn a_tag_that_is_not_the_version_is_not_released() {
    let check = |tag: &str| run("Check that the tag is the version", &here("."), &[("GITHUB_REF_NAME", tag)]);
    assert!(check(concat!("v", env!("CARGO_PKG_VERSION"))).status.success());
    assert!(!check("v999.0.0").status.success());
}

#[test]
fn what_is_packed_is_what_binstall_looks_for() {
    let folder = tempfile::tempdir().unwrap();
    let workflow = yaml(&std::fs::read_to_string(here(".github/workflows/release.yml")).unwrap());
    let matrix = workflow["jobs"]["binaries"]["strategy"]["matrix"]["include"].as_array().unwrap();
    let targets: Vec<&str> = matrix.iter().filter_map(|row| row["target"].as_str()).collect();
    assert!(targets.contains(&"x86_64-unknown-linux-musl"), "{targets:?}");
    for file in ["README.md", "LICENSE-APACHE", "LICENSE-MIT"] {
        std::fs::copy(here(file), folder.path().join(file)).unwrap();
    }
    for target in targets {
        // The program is this machine's; what matters here is where it goes.
        let built = folder.path().join("target").join(target).join("dist");
        std::fs::create_dir_all(&built).unwrap();
        std::fs::copy(env!("CARGO_BIN_EXE_manifests"), built.join("manifests")).unwrap();
        assert_succeeds("Pack", folder.path(), &[("TARGET", target)]);

        let url = binstall("pkg-url", target);
        let (place, archive) = url.rsplit_once('/').unwrap();
        assert_eq!(place, concat!("{ repo }/releases/download/v", env!("CARGO_PKG_VERSION")));
        let unpacked = tempfile::tempdir().unwrap();
        let tar = Command::new("tar")
            .args(["--extract", "--gzip", "--file"])
            .arg(folder.path().join(archive))
            .current_dir(unpacked.path())
            .status();
        assert!(tar.unwrap().success(), "{archive}");
        let program = unpacked.path().join(binstall("bin-dir", target));
        let version = Command::new(&program).arg("--version").output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&version.stdout),
            concat!("manifests ", env!("CARGO_PKG_VERSION"), "\n")
        );
        let completions = std::fs::read_to_string(program.with_file_name("manifests.bash")).unwrap();
        assert!(completions.contains("complete "), "{completions}");
    }
    assert_succeeds("Check what came", folder.path(), &[]);

    let archive = binstall("pkg-url", "x86_64-unknown-linux-musl");
    let archive = folder.path().join(archive.rsplit_once('/').unwrap().1);
    std::fs::write(archive, "another").unwrap();
    assert!(!run("Check what came", folder.path(), &[]).status.success());
}

#[test]
fn a_release_that_is_there_gets_its_files_again() {
    let upload = "upload v1.0.0 --clobber manifests-a.tar.gz manifests-a.tar.gz.sha256";
    let first = published("v1.0.0", false);
    assert!(first.contains("release create v1.0.0 --verify-tag --title v1.0.0"), "{first}");
    assert!(first.contains(upload), "{first}");
    let again = published("v1.0.0", true);
    assert!(!again.contains("create") && again.contains(upload), "{again}");
    let candidate = published("v1.0.0-rc.1", false);
    assert!(candidate.contains("release create v1.0.0-rc.1 --verify-tag --prerelease "), "{candidate}");
}
