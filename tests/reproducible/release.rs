//! Releases that do only what is needed, and what the lock is good for afterwards.

use crate::engines::OwnEngine;
use crate::project::{NO_ENGINE, Project};
use crate::support::{DebianRegistry, ImageGuard, Workspace, busybox_base, docker_ok};

const COPIES: &str = "FROM scratch\nARG TARGETARCH\nCOPY text/$TARGETARCH /text\n";

#[test]
fn what_did_not_change_is_not_built_and_what_did_alone_is() {
    let project = Project::new("fresh", COPIES);
    project.said(&["release"]);
    let lock = project.lock();
    assert!(lock.contains("[target.fresh.image.\"linux/arm64\"]"), "{lock}");

    let said = project.said(&[&["release"][..], &NO_ENGINE].concat());
    assert!(said.contains("up to date"), "{said}");
    assert_eq!(project.lock(), lock);
    project.said(&[&["release", "--locked"][..], &NO_ENGINE].concat());
    // A commit that changes no input is no reason either, and leaves the lock alone.
    project.workspace.write("README.md", "read me");
    project.commit();
    project.said(&[&["release", "--locked"][..], &NO_ENGINE].concat());
    assert_eq!(project.lock(), lock);

    project.workspace.write("text/arm64", "other");
    project.commit();
    let plan = project.run(&["plan"]);
    let plan = String::from_utf8_lossy(&plan.stdout);
    assert!(plan.contains("known after the build  (text/arm64 has changed)"), "{plan}");
    assert!(plan.contains("= linux/amd64"), "{plan}");
    let locked = project.run(&[&["release", "--locked"][..], &NO_ENGINE].concat());
    assert_eq!(locked.status.code(), Some(3), "{}", String::from_utf8_lossy(&locked.stderr));
    assert_eq!(project.lock(), lock);

    let said = project.said(&["release"]);
    assert!(said.contains("linux/arm64: building"), "{said}");
    assert!(!said.contains("linux/amd64: building"), "{said}");
    let next = project.lock();
    let changed = next.lines().zip(lock.lines()).filter(|(new, old)| new != old).count();
    assert!((1..=6).contains(&changed), "{changed} lines changed:\n{lock}\n{next}");
    project.said(&[&["release", "--locked"][..], &NO_ENGINE].concat());

    // Who asks for it gets everything built.
    let said = project.said(&["release", "--rebuild"]);
    assert!(said.contains("linux/amd64: building") && said.contains("linux/arm64: building"), "{said}");
    project.said(&[&["release", "--locked"][..], &NO_ENGINE].concat());
}

#[test]
fn without_the_notes_of_this_machine_a_reason_is_general() {
    let project = Project::new("noted", COPIES);
    project.said(&["release"]);
    std::fs::remove_dir_all(project.workspace.path().join("target")).unwrap();
    project.said(&[&["release"][..], &NO_ENGINE].concat());
    std::fs::remove_dir_all(project.workspace.path().join("target")).unwrap();
    project.workspace.write("text/arm64", "other");
    let plan = project.run(&["plan"]);
    let plan = String::from_utf8_lossy(&plan.stdout);
    assert!(plan.contains("(inputs have changed since the locked release)"), "{plan}");
}

#[test]
fn drift_is_named_and_repaired() {
    let project = Project::new("drift", COPIES);
    project.said(&["release"]);
    assert_eq!(project.run(&["verify"]).status.code(), Some(0));
    let (host, lock) = (project.registry.host(), project.lock());
    let locked = project.served(&project.registry, "drift:1");

    // A tag moved by hand, an image deleted by hand.
    let skopeo = |arguments: &[&str]| {
        let output = std::process::Command::new("skopeo").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let (from, to) = (format!("docker://{host}/drift-amd64:1"), format!("docker://{host}/drift:latest"));
    let insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    skopeo(&[&["--insecure-policy", "copy"][..], &insecure, &[&from, &to]].concat());
    let section = lock.split("[target.drift.image.\"linux/arm64\"]\n").nth(1).unwrap();
    let arm64 = section.split('"').nth(1).unwrap();
    skopeo(&["delete", "--tls-verify=false", &format!("docker://{host}/drift@{arm64}")]);
    let output = project.run(&["verify"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(
        text.contains(&format!("- {host}/drift:latest {locked}\n+ {host}/drift:latest sha256:")),
        "{text}"
    );
    assert!(text.contains(&format!("- {host}/drift@{arm64} (linux/arm64)")), "{text}");

    project.said(&[&["release"][..], &NO_ENGINE].concat());
    assert_eq!(project.run(&["verify"]).status.code(), Some(0));
    assert_eq!(project.lock(), lock);

    // Nothing has it any more: it is built again.
    skopeo(&["delete", "--tls-verify=false", &format!("docker://{host}/drift@{arm64}")]);
    skopeo(&["delete", "--tls-verify=false", &format!("docker://{host}/drift-arm64@{arm64}")]);
    let plan = project.run(&["plan"]);
    let plan = String::from_utf8_lossy(&plan.stdout);
    assert!(plan.contains("is not in the registry any more)"), "{plan}");
    project.said(&["release"]);
    assert_eq!(project.run(&["verify"]).status.code(), Some(0));
}

#[test]
fn a_locked_release_is_promoted_byte_for_byte() {
    let project = Project::new("promoted", COPIES);
    project.said(&["release"]);
    let first = project.served(&project.registry, "promoted:1");
    let other = DebianRegistry::start();
    project.said(&[&["promote", "--to", &other.host()][..], &NO_ENGINE].concat());
    assert_eq!(project.served(&other, "promoted:1"), first);
    assert_eq!(project.served(&other, "promoted:latest"), first);
    let said = project.said(&["promote", "--to", &other.host()]);
    assert!(said.contains("up to date"), "{said}");

    // A tag goes back to an older release.
    project.workspace.write("text/amd64", "next");
    project.commit();
    let declaration = project.workspace.read("manifests.toml");
    project.workspace.write("manifests.toml", &declaration.replace("\"1\", \"latest\"", "\"2\", \"latest\""));
    project.commit();
    project.said(&["release"]);
    assert_ne!(project.served(&project.registry, "promoted:latest"), first);
    let said = project.said(&["promote", "--from", "1", "--tag", "latest"]);
    assert!(said.contains("still say otherwise of `latest`"), "{said}");
    assert_eq!(project.served(&project.registry, "promoted:latest"), first);
    assert_ne!(project.served(&project.registry, "promoted:2"), first);

    // What is not declared is said, and what is immutable stays.
    let said = project.said(&["promote", "--from", "1", "--tag", "lastest"]);
    assert!(said.contains("`lastest` is not declared"), "{said}");
    let declaration = project.workspace.read("manifests.toml");
    let pinned = declaration.replace("\"2\", \"latest\"", "{ name = \"2\", policy = \"immutable\" }");
    project.workspace.write("manifests.toml", &pinned);
    let output = project.run(&["promote", "--from", "1", "--tag", "2"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("promoted:2 is immutable and serves another list"), "{stderr}");
    assert_ne!(project.served(&project.registry, "promoted:2"), first);
    let output = project.run(&["promote", "--to", "quay.io/acme"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("`quay.io/acme` is no registry"), "{stderr}");
}

#[test]
fn a_program_for_another_machine_is_stopped_before_the_push() {
    // Both platforms get the program of one.
    let project = Project::new("mistaken", "FROM scratch\nCOPY bin/amd64 /usr/bin/app\n");
    let output = project.run(&["release"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("/usr/bin/app is a program for amd64, expected arm64"), "{stderr}");
    assert!(!stderr.contains("linux/arm64: pushing"), "{stderr}");
    let reference = format!("{}/mistaken-arm64:1", project.registry.host());
    assert_ne!(project.run(&["inspect", &reference]).status.code(), Some(0));

    let declaration = project.workspace.read("manifests.toml");
    project.workspace.write("manifests.toml", &format!("{declaration}binary-check = \"warn\"\n"));
    project.commit();
    let said = project.said(&["release"]);
    assert!(said.contains("/usr/bin/app is a program for amd64, expected arm64"), "{said}");
}

#[test]
fn what_a_base_brings_is_not_judged() {
    // The base's programs are for amd64, whatever the platform says.
    let project =
        Project::new("given", "FROM --platform=linux/amd64 HOST/busybox-base\nCOPY text/arm64 /text\n");
    busybox_base(&project.registry.host(), &["linux/amd64"]);
    let said = project.said(&["push", "--platform", "linux/amd64"]);
    assert!(said.contains("pushed"), "{said}");
}

#[test]
fn machines_push_one_platform_each_and_a_third_reconciles() {
    let project = Project::new("machines", COPIES);
    let push = |engine: &OwnEngine, platform: &str, file: &str| {
        let arguments = ["push", "--platform", platform, "--metadata-file", file];
        let output = project
            .workspace
            .manifests(&arguments)
            .env("DOCKER_HOST", engine.docker_host())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    std::fs::create_dir_all(project.workspace.path().join("target")).unwrap();
    std::thread::scope(|machines| {
        machines.spawn(|| push(&OwnEngine::start(), "linux/amd64", "target/a.json"));
        machines.spawn(|| push(&OwnEngine::start(), "linux/arm64", "target/b.json"));
    });
    let incomplete = project.run(&["reconcile", "--images", "target/a.json"]);
    let stderr = String::from_utf8_lossy(&incomplete.stderr);
    assert_eq!(incomplete.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("none of target/a.json has machines for linux/arm64"), "{stderr}");

    project.said(&[&["reconcile", "--images", "target/a.json", "target/b.json"][..], &NO_ENGINE].concat());
    let together = project.served(&project.registry, "machines:1");
    let lock = project.lock();

    // The same images, and one machine that knows nothing of the others: the list is the same to the byte.
    let skopeo = ["delete", "--tls-verify=false"];
    let list = format!("docker://{}/machines@{together}", project.registry.host());
    let deleted = std::process::Command::new("skopeo").args(skopeo).arg(list).status().unwrap();
    assert!(deleted.success());
    std::fs::remove_file(project.workspace.path().join("manifests.lock")).unwrap();
    project.said(&[&["reconcile"][..], &NO_ENGINE].concat());
    assert_eq!(project.served(&project.registry, "machines:1"), together);

    // What the machines said of their images is locked: nothing is left to build.
    project.workspace.write("manifests.lock", &lock);
    project.said(&[&["release", "--locked"][..], &NO_ENGINE].concat());
}

#[test]
fn one_changed_service_of_three_is_built_alone() {
    let registry = DebianRegistry::start();
    let host = registry.host();
    let services = ["one", "two", "three"];
    let mut declaration = format!(
        "[defaults]\nrepository = \"{host}/{{target}}\"\ntags = [\"1\"]\nplatforms = [\"linux/amd64\"]\n\
         build.cargo.target-libc = \"gnu\"\nbuild.dockerfile = \"{{target}}.Dockerfile\"\n"
    );
    for service in services {
        declaration.push_str(&format!("[target.service-{service}]\n"));
    }
    let mut files: Vec<(String, String)> = vec![
        ("manifests.toml".to_owned(), declaration),
        ("Cargo.toml".to_owned(), "[workspace]\nmembers = [\"service-*\"]\nresolver = \"3\"\n".to_owned()),
        (
            ".cargo/config.toml".to_owned(),
            "[target.x86_64-unknown-linux-gnu]\nrustflags = [\"-C\", \"target-feature=+crt-static\"]\n"
                .to_owned(),
        ),
    ];
    let mut images = ImageGuard::default();
    for service in services {
        let name = format!("service-{service}");
        files.push((
            format!("{name}/Cargo.toml"),
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n"),
        ));
        files.push((format!("{name}/src/main.rs"), format!("fn main() {{ println!(\"{service}\"); }}\n")));
        files.push((
            format!("{name}.Dockerfile"),
            format!(
                "FROM scratch\nARG TARGETOS TARGETARCH\nCOPY ${{TARGETOS}}-${{TARGETARCH}}/{name} /\n\
                 ENTRYPOINT [\"/{name}\"]\n"
            ),
        ));
        images.add(format!("{host}/{name}:1-linux-amd64"));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let workspace = Workspace::new(&files);
    let release = |arguments: &[&str]| {
        let output =
            workspace.manifests(&[&["release", "--allow-dirty"], arguments].concat()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
        stderr
    };
    let said = release(&[]);
    assert_eq!(said.matches(": building\n").count(), 3, "{said}");
    let printed = docker_ok(&["run", "--rm", &format!("{host}/service-two:1-linux-amd64")]);
    assert_eq!(printed, "two\n");
    release(&NO_ENGINE);

    workspace.write("service-two/src/main.rs", "fn main() { println!(\"another\"); }\n");
    let said = release(&[]);
    assert_eq!(said.matches(": building\n").count(), 1, "{said}");
    assert!(said.contains(&format!("ok pushed {host}/service-two:1-linux-amd64")), "{said}");
}
