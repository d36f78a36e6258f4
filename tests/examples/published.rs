//! Declarations that need a registry to be there: another machine, another pipeline or a person put something into it.

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::example::{Base, Example, entries, platforms};
use crate::support::{DebianRegistry, Hands};

const REGISTRY: &str = "registry.example.com";
const BOTH: [&str; 2] = ["linux/amd64", "linux/arm64"];

#[test]
fn a_native_runner_per_platform() {
    let base = Base::new(&BOTH);
    let host = base.registry.host();
    let clone = || Example::copy("native-runners", &[base.stands_in(), (REGISTRY, &host)]);
    let mut last = clone().without_engine();
    for (platform, file) in [("linux/amd64", "amd64.json"), ("linux/arm64", "arm64.json")] {
        let mut machine = clone();
        let ran = machine.run(&format!("manifests push --platform {platform} --metadata-file {file}"));
        let images = ran.result()["images"].as_array().unwrap();
        assert_eq!(images.len(), 1);
        assert_eq!(images[0]["platform"], platform);
        last.workspace.write(file, &machine.workspace.read(file));
    }
    let (code, said) = last.fails("manifests reconcile --images amd64.json");
    assert!(code == Some(2) && said.contains("linux/arm64"), "{code:?} {said}");
    let (code, said) = last.fails("manifests reconcile --images amd64.json arm64.json amd64.json");
    assert!(code == Some(2) && said.contains("amd64.json"), "{code:?} {said}");

    last.run("manifests reconcile --images amd64.json arm64.json");
    let list = last.inspect(&format!("{host}/acme/greet:1.0"));
    assert_eq!(platforms(&list), BOTH);
    for (entry, file) in entries(&list).iter().zip(["amd64.json", "arm64.json"]) {
        let digest = entry["digest"].as_str().unwrap();
        assert!(last.workspace.read(file).contains(digest), "{file} does not have {digest}");
    }
    assert_eq!(last.inspect(&format!("{host}/acme/greet:latest"))["digest"], list["digest"]);
}

/// Puts images into a registry as another pipeline does.
struct Pipeline {
    runtime: Runtime,
    hands: Hands,
}

impl Pipeline {
    fn at(host: &str) -> Self {
        Self { runtime: Runtime::new().unwrap(), hands: Hands::at(host) }
    }

    /// Pushes an image whose configuration is `platform`, and returns its digest.
    fn push(&self, repository: &str, tag: &str, platform: Value) -> Value {
        self.runtime.block_on(self.hands.image(repository, tag, platform))["digest"].clone()
    }
}

#[test]
fn images_of_another_pipeline_one_by_digest() {
    let registry = DebianRegistry::start();
    let host = registry.host();
    let mut example = Example::copy("existing-images", &[(REGISTRY, &host)]).without_engine();
    let linux = |arch: &str| json!({ "os": "linux", "architecture": arch });
    let pipeline = Pipeline::at(&host);
    let amd64 = pipeline.push("builds/app", "2.1-amd64", linux("amd64"));
    let arm64 = pipeline.push("builds/app", "2.1-arm64", linux("arm64"));
    let declaration = example.workspace.read("manifests.toml");
    assert!(declaration.contains(arm64.as_str().unwrap()), "the example has another digest than {arm64}");

    let ran = example.run("manifests plan");
    assert_eq!(ran.result()["targets"][0]["changes"], true);
    example.run("manifests reconcile");
    let listed = |example: &Example| {
        let list = example.inspect(&format!("{host}/acme/app:latest"));
        assert_eq!(platforms(&list), BOTH);
        entries(&list).iter().map(|entry| entry["digest"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&example), [amd64.clone(), arm64.clone()]);

    // The other pipeline moves both of its tags.
    let labelled = |arch: &str| json!({ "os": "linux", "architecture": arch, "author": "somebody" });
    let next = pipeline.push("builds/app", "2.1-amd64", labelled("amd64"));
    assert_ne!(pipeline.push("builds/app", "2.1-arm64", labelled("arm64")), arm64);
    assert_ne!(next, amd64);
    example.run("manifests reconcile");
    assert_eq!(listed(&example), [next, arm64]);
}

#[test]
fn two_versions_of_windows_and_linux_in_one_list() {
    let base = Base::new(&BOTH);
    let host = base.registry.host();
    let mut example = Example::copy("windows-and-linux", &[base.stands_in(), (REGISTRY, &host)]);
    let windows = |version: &str| json!({ "os": "windows", "architecture": "amd64", "os.version": version });
    let pipeline = Pipeline::at(&host);
    let first = pipeline.push("acme/agent", "3.0-ltsc2019", windows("10.0.17763.6414"));
    let second = pipeline.push("acme/agent", "3.0-ltsc2022", windows("10.0.20348.2762"));

    let ran = example.run("manifests release");
    let smoked = ran.went_through("smoke run");
    assert_eq!(smoked, BOTH.iter().map(|platform| format!("agent {platform}")).collect());
    let list = example.inspect(&format!("{host}/acme/agent:3.0"));
    let all = ["linux/amd64", "linux/arm64", "windows(10.0.17763)/amd64", "windows(10.0.20348)/amd64"];
    assert_eq!(platforms(&list), all);
    assert_eq!([&entries(&list)[2]["digest"], &entries(&list)[3]["digest"]], [&first, &second]);

    // An image of the other version under that name is noticed.
    pipeline.push("acme/agent", "3.0-ltsc2019", windows("10.0.20348.2762"));
    let (code, said) = example.fails("manifests reconcile");
    assert!(code == Some(1) && said.contains("10.0.20348.2762"), "{code:?} {said}");
}

#[test]
fn a_private_registry_with_its_own_authority() {
    let base = Base::new(&BOTH);
    let registry = DebianRegistry::start_with_tls();
    let host = registry.host();
    let mut example = Example::copy("private-registry", &[base.stands_in(), ("registry.corp:5000", &host)]);
    // The example's authority is not this registry's.
    let (code, said) = example.fails("manifests reconcile");
    assert!(code == Some(1) && said.contains("certificate"), "{code:?} {said}");
    assert_eq!(example.fails("manifests doctor").0, Some(1));

    let authority = std::fs::read_to_string(registry.authority()).unwrap();
    example.workspace.write("certs/corp.pem", &authority);
    example.workspace.git(&["commit", "--quiet", "--all", "--message=Our authority"]);
    let ran = example.run("manifests doctor");
    let checks = ran.result()["checks"].as_array().unwrap();
    let registry = checks.iter().find(|check| check["check"] == format!("registry {host}"));
    assert_eq!(registry.unwrap()["state"], "ok", "{checks:?}");
    let ran = example.run("manifests release");
    assert_eq!(ran.went_through("pushing").len(), 2);
    let list = example.inspect(&format!("{host}/team/greet:latest"));
    assert_eq!(platforms(&list), BOTH);
    assert_eq!(ran.result()["targets"][0]["repositories"][0]["digest"], list["digest"]);
}
