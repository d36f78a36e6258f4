//! Declarations that are rehearsed to the letter: every registry in them is mapped into the embedded one.

use std::collections::BTreeSet;

use crate::example::{Base, Example, entries, platforms};

const REHEARSE: &str = "manifests release --rehearse";

fn images(target: &str, platforms: &[&str]) -> BTreeSet<String> {
    platforms.iter().map(|platform| format!("{target} {platform}")).collect()
}

#[test]
fn one_repository_per_platform() {
    let all = ["linux/amd64", "linux/arm64", "linux/arm/v7"];
    let base = Base::new(&all);
    let mut example = Example::copy("repository-per-platform", &[base.stands_in()]);
    let ran = example.run(REHEARSE);
    assert_eq!(ran.went_through("smoke run"), images("greet", &all));

    let served = example.rehearsed();
    let list = served.inspect("docker.io/acme/greet:1.0");
    assert_eq!(platforms(&list), all);
    assert_eq!(served.inspect("docker.io/acme/greet:latest")["digest"], list["digest"]);
    assert_eq!(served.tags("docker.io/acme/greet"), ["1.0", "latest"]);
    for (entry, arch) in entries(&list).iter().zip(["amd64", "arm64", "arm"]) {
        let image = served.inspect(&format!("docker.io/acme/greet-{arch}:1.0"));
        assert_eq!(image["digest"], entry["digest"], "{arch}");
    }
}

#[test]
fn two_registries_and_tags_that_follow_the_version() {
    let mut example = Example::copy("two-registries", &[]);
    let mut version = "1.4.2".to_owned();
    let mut becomes = |example: &Example, next: &str| {
        let package = example.workspace.read("Cargo.toml");
        example.workspace.write("Cargo.toml", &package.replace(&version, next));
        version = next.to_owned();
    };
    let ran = example.run(REHEARSE);
    assert_eq!(ran.went_through("smoke run"), images("tool", &["linux/amd64", "linux/arm64"]));
    let served = example.rehearsed();
    let first = served.inspect("docker.io/acme/tool:1.4.2")["digest"].clone();
    for registry in ["docker.io", "ghcr.io"] {
        for tag in ["1.4.2", "1.4", "latest"] {
            assert_eq!(served.inspect(&format!("{registry}/acme/tool:{tag}"))["digest"], first, "{tag}");
        }
    }
    assert_eq!(served.tags("ghcr.io/acme/tool"), ["1.4", "1.4.2", "latest"]);
    drop(served);

    // A prerelease has its own tag alone, a late fix that of its line too.
    becomes(&example, "1.5.0-rc.1");
    example.run(REHEARSE);
    becomes(&example, "1.3.9");
    example.run(REHEARSE);
    let served = example.rehearsed();
    let tags = ["1.3", "1.3.9", "1.4", "1.4.2", "1.5.0-rc.1", "latest"];
    assert_eq!(served.tags("ghcr.io/acme/tool"), tags);
    let digest = |tag: &str| served.inspect(&format!("ghcr.io/acme/tool:{tag}"))["digest"].clone();
    assert_eq!([digest("1.4"), digest("latest")], [first.clone(), first]);
    assert_eq!(digest("1.3"), digest("1.3.9"));
    assert_ne!(digest("1.3"), digest("latest"));
}

#[test]
fn twelve_services_share_defaults() {
    let both = ["linux/amd64", "linux/arm64"];
    let base = Base::new(&both);
    let mut example = Example::copy("twelve-services", &[base.stands_in()]);
    let ran = example.run(REHEARSE);
    let services = [
        "accounts",
        "billing",
        "catalogue",
        "frontend",
        "gateway",
        "invoices",
        "mail",
        "orders",
        "reports",
        "search",
        "stock",
        "users",
    ];
    let all = services.iter().flat_map(|service| images(service, &both)).collect();
    assert_eq!(ran.went_through("smoke run"), all);

    let served = example.rehearsed();
    let mut digests = BTreeSet::new();
    for service in services {
        let owner = if service == "gateway" { "acme-public" } else { "acme" };
        let list = served.inspect(&format!("ghcr.io/{owner}/{service}:2024.11"));
        assert_eq!(platforms(&list), both, "{service}");
        digests.insert(list["digest"].to_string());
    }
    assert_eq!(digests.len(), services.len(), "each is another one");
    drop(served);

    example.workspace.write("services/mail.sh", "echo \"mail on $(uname -m), again\"\n");
    assert_eq!(example.run(REHEARSE).went_through("building"), images("mail", &both));
    example.workspace.write("services/mail.sh", "echo \"mail on $(uname -m), once more\"\n");
    example.workspace.write("services/users.sh", "echo \"users on $(uname -m), again\"\n");
    let ran = example.run("manifests release --rehearse mail");
    assert_eq!(ran.went_through("building"), images("mail", &both));
}

/// That the programs are static is seen by their smoke runs: there is nothing in the images but them.
#[test]
fn static_binaries_from_scratch() {
    let both = ["linux/amd64", "linux/arm64"];
    let mut example = Example::copy("static-binary", &[]);
    let ran = example.run(REHEARSE);
    for stage in ["building the program", "looking at programs", "smoke run"] {
        assert_eq!(ran.went_through(stage), images("machine", &both), "{stage}");
    }
    let served = example.rehearsed();
    let list = served.inspect("ghcr.io/acme/machine:latest");
    assert_eq!(platforms(&list), both);
    for entry in entries(&list) {
        assert_eq!(entry["image"]["layers"].as_array().unwrap().len(), 1, "{entry}");
        assert_eq!(entry["image"]["labels"]["org.opencontainers.image.version"], "0.3.0", "{entry}");
    }
}
