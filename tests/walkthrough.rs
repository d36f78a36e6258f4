//! The walkthrough, on real parts: Docker Engine with emulators, an independent registry, independent readers.
#![allow(clippy::unwrap_used, reason = "what a test does not expect may panic")]

mod support;

use std::process::Command;

use serde_json::Value;
use support::{DebianRegistry, ImageGuard, Workspace, busybox_base, docker_ok, docker_run};

const DOCKERFILE: &str = include_str!("../examples/echo-platform/Dockerfile.walkthrough");

/// The walkthrough's declaration on a registry of its own, for `platforms`; `more` goes into the target.
fn declaration(host: &str, base: &str, platforms: &[&str], more: &str) -> String {
    format!(
        r#"
[target.echo-platform]
repository = "{host}/bookadmusic/echo-platform"
tags = ["20240716"]
image = "{host}/bookadmusic/echo-platform-{{arch}}:20240716"
platforms = {platforms:?}
build.args = {{ BASE = "{base}" }}
smoke = {{ command = ["cat", "/os.txt"], expect = "{{machine}}" }}
{more}
"#
    )
}

struct Walkthrough {
    registry: DebianRegistry,
    base: String,
    workspace: Workspace,
    _images: ImageGuard,
}

impl Walkthrough {
    fn new() -> Self {
        let registry = DebianRegistry::start();
        let base = busybox_base(&registry.host(), &["linux/amd64", "linux/arm64", "linux/arm/v7"]);
        let image = |arch: &str| format!("{}/bookadmusic/echo-platform-{arch}:20240716", registry.host());
        let mut images = ImageGuard::new(image("amd64"));
        images.add(image("arm64"));
        images.add(image("arm"));
        let text = declaration(&registry.host(), &base, &["linux/amd64", "linux/arm64"], "");
        let workspace = Workspace::new(&[("manifests.toml", &text), ("Dockerfile", DOCKERFILE)]);
        Self { registry, base, workspace, _images: images }
    }

    /// Changes the declaration and commits nothing: the commit is a label of the images, which are to stay the same.
    fn declare(&self, platforms: &[&str], more: &str) {
        self.workspace
            .write("manifests.toml", &declaration(&self.registry.host(), &self.base, platforms, more));
    }

    /// Runs a release and gives its account, what it wrote, and its exit code.
    fn release(&self) -> (Option<i32>, Value, String) {
        let output =
            self.workspace.manifests(&["release", "--allow-dirty", "--format", "json"]).output().unwrap();
        let account = support::last_json(&output.stdout);
        (output.status.code(), account, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn list(&self) -> String {
        format!("{}/bookadmusic/echo-platform:20240716", self.registry.host())
    }

    /// The list as skopeo reads it.
    fn served(&self) -> Value {
        let output = Command::new("skopeo")
            .args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{}", self.list())])
            .output()
            .expect("skopeo is installed by `cargo xtask ci`");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn platforms(&self) -> Vec<String> {
        let entries = self.served()["manifests"].as_array().unwrap().clone();
        let text = |entry: &Value| {
            let variant = entry["platform"]["variant"].as_str().map_or(String::new(), |v| format!("/{v}"));
            format!("{}{variant}", entry["platform"]["architecture"].as_str().unwrap())
        };
        entries.iter().map(text).collect()
    }
}

#[test]
fn images_in_repositories_of_their_own_and_their_list_in_a_third() {
    let walk = Walkthrough::new();
    let (code, account, stderr) = walk.release();
    assert_eq!(code, Some(0), "{stderr}");
    let digest = account["targets"][0]["repositories"][0]["digest"].as_str().unwrap().to_owned();

    // Independent readers agree.
    let by_docker: Value =
        serde_json::from_str(&docker_ok(&["manifest", "inspect", "--insecure", &walk.list()])).unwrap();
    let by_skopeo = walk.served();
    assert_eq!(by_docker["manifests"], by_skopeo["manifests"]);
    assert_eq!(walk.platforms(), ["amd64", "arm64"]);
    for (platform, machine) in [("linux/arm64", "aarch64"), ("linux/amd64", "x86_64")] {
        let _pulled = ImageGuard::new(walk.list());
        docker_ok(&["pull", "--quiet", "--platform", platform, &walk.list()]);
        let printed = docker_run(&["--platform", platform, &walk.list()]);
        assert!(printed.contains(machine), "{platform}: {printed}");
    }

    // Changing nothing writes nothing.
    let (code, account, stderr) = walk.release();
    assert_eq!(code, Some(0), "{stderr}");
    let place = &account["targets"][0]["repositories"][0];
    assert_eq!(
        (place["digest"].as_str(), &place["tags"][0]["written"]),
        (Some(digest.as_str()), &Value::Bool(false))
    );

    // One platform more amends the list by one entry; the others stay as they are.
    walk.declare(&["linux/amd64", "linux/arm64", "linux/arm/v7"], "");
    let before = walk.served();
    let (code, _, stderr) = walk.release();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("+ linux/arm/v7"), "{stderr}");
    assert_eq!(walk.platforms(), ["amd64", "arm64", "arm/v7"]);
    let after = walk.served();
    assert_eq!(after["manifests"].as_array().unwrap()[..2], before["manifests"].as_array().unwrap()[..]);

    // One platform less: refused by a checkout that does not know who published it, done by one with the lock.
    let lock = walk.workspace.path().join("manifests.lock");
    let aside = walk.workspace.path().join("target/manifests.lock");
    std::fs::rename(&lock, &aside).unwrap();
    walk.declare(&["linux/amd64", "linux/arm64"], "");
    let (code, _, stderr) = walk.release();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("also lists linux/arm/v7") && stderr.contains("undeclared"), "{stderr}");
    assert_eq!(walk.platforms().len(), 3, "nothing was written");
    std::fs::rename(&aside, &lock).unwrap();
    let (code, _, stderr) = walk.release();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("- linux/arm/v7"), "{stderr}");
    assert_eq!(walk.platforms(), ["amd64", "arm64"]);
}

#[test]
fn a_build_that_fails_on_one_platform_publishes_nothing() {
    let walk = Walkthrough::new();
    let dockerfile = format!(
        "{DOCKERFILE}\nARG TARGETARCH\nRUN test \"$TARGETARCH\" != arm64 || (echo no luck here; exit 7)\n"
    );
    walk.workspace.write("Dockerfile", &dockerfile);
    walk.workspace.git(&["commit", "--all", "--quiet", "--message=Break"]);
    let (code, _, stderr) = walk.release();
    assert_eq!(code, Some(1), "{stderr}");
    for expected in
        ["1 of 2 images failed: linux/arm64", "nothing was published", "no luck here", "linux/amd64: ok"]
    {
        assert!(stderr.contains(expected), "{expected}: {stderr}");
    }
    let tags =
        walk.workspace.manifests(&["tags", &format!("{}/bookadmusic/echo-platform", walk.registry.host())]);
    assert_eq!(tags.output().unwrap().status.code(), Some(1), "the list's repository does not exist");
}

/// kill -9 at twenty moments spread over a whole release: at none of them is a list served that lacks a platform.
#[test]
fn killed_anywhere_nobody_sees_a_half_made_list_and_the_next_run_finishes() {
    let walk = Walkthrough::new();
    let list = walk.list();
    let tagged = |walk: &Walkthrough| {
        let output = walk.workspace.manifests(&["inspect", &list, "--format", "json"]).output().unwrap();
        match output.status.code() {
            Some(0) => Some(serde_json::from_slice::<Value>(&output.stdout).unwrap()),
            Some(1) => None,
            other => panic!("{other:?}: {}", String::from_utf8_lossy(&output.stderr)),
        }
    };
    let mut seen_none = 0;
    for moment in 0..20u64 {
        // Each release changes the images, so that each kill hits one that has something to publish. The moments go
        // through a run's whole length in steps that no stage repeats.
        let dockerfile = format!("{DOCKERFILE}\nLABEL moment={moment}\n");
        walk.workspace.write("Dockerfile", &dockerfile);
        walk.workspace.git(&["commit", "--all", "--quiet", &format!("--message={moment}")]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_manifests"));
        command.args(["release", "--skip-smoke"]).current_dir(walk.workspace.path());
        command.env("DOCKER_CONFIG", walk.workspace.docker_config());
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(100 + 137 * ((moment * 7) % 20)));
        child.kill().unwrap();
        child.wait().unwrap();
        match tagged(&walk) {
            Some(served) => {
                let platforms: Vec<&str> = served["entries"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter_map(|e| e["platform"].as_str())
                    .collect();
                assert_eq!(platforms, ["linux/amd64", "linux/arm64"], "after kill {moment}");
            }
            None => seen_none += 1,
        }
    }
    let (code, finished, stderr) = walk.release();
    assert_eq!(code, Some(0), "{stderr}");
    let digest =
        |account: &Value| account["targets"][0]["repositories"][0]["digest"].as_str().unwrap().to_owned();
    let (code, again, _) = walk.release();
    assert_eq!((code, digest(&again)), (Some(0), digest(&finished)));

    // With the build cache kept, a registry that saw none of the kills is given the same list.
    let fresh = DebianRegistry::start();
    let text = walk.workspace.read("manifests.toml").replace(&walk.registry.host(), &fresh.host());
    let text =
        text.replace(&format!("BASE = \"{}", fresh.host()), &format!("BASE = \"{}", walk.registry.host()));
    let mut images = ImageGuard::new(format!("{}/bookadmusic/echo-platform-amd64:20240716", fresh.host()));
    images.add(format!("{}/bookadmusic/echo-platform-arm64:20240716", fresh.host()));
    walk.workspace.write("manifests.toml", &text);
    // The commit stays the same, as it is a label of the images.
    let output =
        walk.workspace.manifests(&["release", "--allow-dirty", "--format", "json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let account = support::last_json(&output.stdout);
    assert_eq!(digest(&account), digest(&finished), "{seen_none} kills came before any list was there");
}
