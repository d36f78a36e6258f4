//! Images that are taken for fresh: what is served of them, what was checked of them, and when they are not.

use std::os::unix::fs::PermissionsExt as _;

use crate::project::{NO_ENGINE, Project};
use crate::support::{DebianRegistry, docker, docker_ok};

const COPIES: &str = "FROM scratch\nARG TARGETARCH\nCOPY text/$TARGETARCH /text\n";

/// Changes the declaration, and commits.
fn declare(project: &Project, change: impl Fn(String) -> String) {
    project.workspace.write("manifests.toml", &change(project.workspace.read("manifests.toml")));
    project.commit();
}

#[test]
fn fresh_images_are_served_under_the_references_of_a_new_version() {
    let project = Project::new("renamed", COPIES);
    project.said(&["release"]);
    let host = project.registry.host();
    let locked: Vec<String> = ["amd64", "arm64"]
        .map(|arch| {
            project.lock().split(&format!("/{arch}\"]\ndigest = \"")).nth(1).unwrap()[..71].to_owned()
        })
        .to_vec();
    let mut tag = "1".to_owned();
    for (what, image, next) in [
        ("another tag", "HOST/renamed-{arch}:2", "2"),
        ("another repository", "HOST/moved/{arch}:3", "3"),
        ("the list's own repository", "HOST/renamed:4-{arch}", "4"),
        ("the same again", "HOST/renamed:4-{arch}", "4"),
    ] {
        let image = image.replace("HOST", &host);
        declare(&project, |text| {
            let lines = text.lines().map(|line| match line.starts_with("image = ") {
                true => format!("image = \"{image}\"\n"),
                false => format!("{}\n", line.replace(&format!("\"{tag}\", "), &format!("\"{next}\", "))),
            });
            lines.collect()
        });
        tag = next.to_owned();
        let plan = project.run(&["plan", "--exit-code"]);
        let changes = what != "the same again";
        assert_eq!(plan.status.code(), Some(if changes { 3 } else { 0 }), "{what}");
        let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
        let shown = plan.matches("(not built again)").count();
        assert_eq!(shown, if changes { 2 } else { 0 }, "{what}: {plan}");
        project.said(&[&["release"][..], &NO_ENGINE].concat());
        for (arch, digest) in ["amd64", "arm64"].iter().zip(&locked) {
            let reference = image.replace("{arch}", arch);
            let reference = reference.strip_prefix(&format!("{host}/")).unwrap();
            assert_eq!(project.served(&project.registry, reference), *digest, "{what}");
        }
        project.said(&[&["reconcile"][..], &NO_ENGINE].concat());
        project.said(&[&["release", "--locked"][..], &NO_ENGINE].concat());
    }

    // A reference that somebody moved gets its image back.
    let (from, to) = (format!("docker://{host}/renamed:4-arm64"), format!("docker://{host}/renamed:4-amd64"));
    let insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    let copy = [&["--insecure-policy", "copy"][..], &insecure, &[&from, &to]].concat();
    assert!(std::process::Command::new("skopeo").args(copy).status().unwrap().success());
    let locked_run = project.run(&[&["release", "--locked"][..], &NO_ENGINE].concat());
    assert_eq!(locked_run.status.code(), Some(3));
    project.said(&[&["release"][..], &NO_ENGINE].concat());
    assert_eq!(project.served(&project.registry, "renamed:4-amd64"), locked[0]);
}

#[test]
fn what_a_declaration_asks_to_check_is_checked_of_fresh_images_too() {
    let project = Project::new("checked", "FROM scratch\nARG TARGETARCH\nCOPY bin/$TARGETARCH /busybox\n");
    let smoke = |expect: &str| {
        format!(
            "[target.checked.platform.\"linux/amd64\"]\n\
             smoke = {{ command = [\"/busybox\", \"echo\", \"hello\"], expect = \"{expect}\" }}\n"
        )
    };
    let plain = project.workspace.read("manifests.toml");
    let expect = |text: &str| declare(&project, |_| format!("{plain}{}", smoke(text)));
    expect("hello");
    project.said(&["release"]);
    let first = project.lock();
    assert!(first.contains("checked = [\"binary-check\", \"smoke sha256:"), "{first}");
    project.said(&[&["release", "--locked"][..], &NO_ENGINE].concat());

    // The engine may not hold the image any more.
    let image = format!("{}/checked-amd64:1", project.registry.host());
    docker_ok(&["image", "rm", "--force", &image]);
    expect("hell");
    let plan = project.run(&["plan"]);
    let plan = String::from_utf8_lossy(&plan.stdout);
    assert!(plan.contains("linux/amd64 is not built again, but its smoke run is not recorded"), "{plan}");
    assert_eq!(project.run(&["release", "--locked"]).status.code(), Some(3));
    project.said(&[&["release", "--skip-smoke"][..], &NO_ENGINE].concat());
    assert_eq!(project.lock(), first, "what is skipped is not recorded");
    let said = project.said(&["release"]);
    assert!(said.contains("linux/amd64: smoke run") && !said.contains(": building"), "{said}");
    let second = project.lock();
    let changed: Vec<_> = second.lines().zip(first.lines()).filter(|(new, old)| new != old).collect();
    assert!(matches!(changed[..], [(new, _)] if new.starts_with("checked = ")), "{changed:?}");
    project.said(&[&["release", "--locked"][..], &NO_ENGINE].concat());

    // One that fails publishes nothing, and is recorded as nothing.
    expect("bye");
    let output = project.run(&["release"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("bye"), "{stderr}");
    assert_eq!(project.lock(), second);

    // A check that was off is made once it is declared.
    declare(&project, |_| {
        format!("{}binary-check = \"off\"\n", plain.replace("build = {}", "build.labels.a = \"1\""))
    });
    project.said(&["release"]);
    assert!(!project.lock().contains("binary-check"), "{}", project.lock());
    declare(&project, |_| plain.replace("build = {}", "build.labels.a = \"1\""));
    project.said(&["release"]);
    assert_eq!(project.lock().matches("checked = [\"binary-check\"]").count(), 2, "{}", project.lock());
}

#[test]
fn inputs_that_change_while_an_image_is_built_are_not_recorded() {
    let project = Project::new("edited", "FROM scratch\nARG TARGETARCH\nCOPY text/$TARGETARCH* /text/\n");
    let outside = tempfile::tempdir().unwrap();
    let engine = outside.path().join("docker");
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *\" build \"*) sh {}/during.sh ;; esac\nexec {} \"$@\"\n",
        outside.path().display(),
        docker().display()
    );
    std::fs::write(&engine, script).unwrap();
    std::fs::set_permissions(&engine, std::fs::Permissions::from_mode(0o755)).unwrap();
    let release = |during: &str| {
        let text = project.workspace.path().join("text");
        let during = format!("cd {} && {during}\n", text.display());
        std::fs::write(outside.path().join("during.sh"), during).unwrap();
        let engine = engine.to_str().unwrap();
        project.said(&["release", "--allow-dirty", "--rebuild", "--engine", engine])
    };
    let recorded = |lock: &str| lock.matches("fingerprint = ").count();

    for (what, during) in [
        ("another content", "echo other > amd64"),
        (
            "the same content, and there was another in between",
            "cp amd64 ../x; echo y > amd64; mv ../x amd64",
        ),
        ("one that is new", "touch amd64-new"),
        ("one that is gone", "rm -f amd64-new"),
        ("another mode", "chmod 600 amd64"),
    ] {
        // The lock has it as built from what is here now.
        let said = release("true");
        assert!(!said.contains("while it was built"), "{what}: {said}");
        let _ = std::fs::remove_file(project.workspace.path().join("manifests.lock"));
        let said = release(during);
        assert!(said.contains("while it was built"), "{what}: {said}");
        assert_eq!(recorded(&project.lock()), 1, "{what}: {}", project.lock());
        let plan = project.run(&["plan"]);
        let plan = String::from_utf8_lossy(&plan.stdout);
        let reason = "(the lock does not say what it was built from: ";
        assert_eq!(plan.matches(reason).count(), 1, "{what}: {plan}");
        assert!(plan.contains(" while it was built)"), "{what}: {plan}");
        let said = project.said(&["release", "--allow-dirty"]);
        assert!(said.contains("linux/amd64: building") && !said.contains("linux/arm64: building"), "{said}");
        assert_eq!(recorded(&project.lock()), 2, "{what}");
        project.said(&[&["release", "--locked", "--allow-dirty"][..], &NO_ENGINE].concat());
    }
}

/// What the first version of the format would say of the same.
fn first_version(lock: &str) -> String {
    let lines =
        lock.lines().filter(|line| !line.starts_with("checked = ") && !line.starts_with("requires = "));
    let lines = lines.map(|line| format!("{}\n", line.replace("\"2:sha256:", "\"sha256:")));
    lines.collect::<String>().replace("version = 2\n", "version = 1\n")
}

#[test]
fn every_command_works_with_the_lock_of_an_older_version() {
    let project = Project::new("older", COPIES);
    project.said(&["release"]);
    let current = project.lock();
    let older = first_version(&current);
    assert_ne!(older, current);
    project.workspace.write("manifests.lock", &older);
    assert_eq!(project.run(&["verify"]).status.code(), Some(0));
    let other = DebianRegistry::start();
    project.said(&[&["promote", "--to", &other.host()][..], &NO_ENGINE].concat());
    project.said(&[&["reconcile"][..], &NO_ENGINE].concat());
    assert_eq!(project.lock(), older, "nothing is new to say");
    let reason = "its inputs were hashed by an older version of manifests";
    let plan = project.run(&["plan"]);
    let plan = String::from_utf8_lossy(&plan.stdout);
    assert_eq!(plan.matches(&format!("({reason})")).count(), 2, "{plan}");
    let locked = project.run(&[&["release", "--locked"][..], &NO_ENGINE].concat());
    assert_eq!(locked.status.code(), Some(3));
    project.said(&["release"]);
    assert_eq!(project.lock(), current);
}

#[test]
fn a_lock_that_is_not_understood_stops_every_command() {
    let project = Project::new("misread", COPIES);
    for (lock, said) in [
        ("version = 99\n", "it is of version 99 and needs manifests newer than"),
        ("version = 99\nrequires = \"7.1.0\"\n[x]\ny = 1\n", "needs manifests 7.1.0 or later"),
        ("version = 2\nunknown = true\n", "unknown field `unknown`"),
        ("version = 2\n<<<<<<< HEAD\n=======\n>>>>>>> main\n", "line 2 has a conflict mark of a merge"),
    ] {
        project.workspace.write("manifests.lock", lock);
        for command in
            [&["release"][..], &["plan"], &["verify"], &["reconcile"], &["promote", "--to", "r.test"]]
        {
            let output = project.run(&[command, &NO_ENGINE].concat());
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{command:?}: {stderr}");
            assert!(stderr.contains(said) && stderr.contains("hint: "), "{command:?}: {stderr}");
        }
        assert_eq!(project.lock(), lock);
    }
}

#[test]
fn images_that_are_not_built_here_are_run_before_they_are_listed() {
    let project = Project::new("given", "FROM scratch\nARG TARGETARCH\nCOPY bin/$TARGETARCH /busybox\n");
    project.said(&["push", "--platform", "linux/amd64"]);
    let host = project.registry.host();
    let expect = |text: &str| {
        declare(&project, |_| {
            format!(
                "[target.run]\nrepository = \"{host}/run\"\ntags = [\"1\"]\n\
                 [target.run.platform.\"linux/amd64\"]\nimage = \"{host}/given-amd64:1\"\n\
                 smoke = {{ command = [\"/busybox\", \"echo\", \"hello\"], expect = \"{text}\" }}\n"
            )
        });
    };
    expect("bye");
    let output = project.run(&["release"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("expected: \"bye\""), "{stderr}");
    assert_ne!(project.run(&["inspect", &format!("{host}/run:1")]).status.code(), Some(0));

    expect("hello");
    let plan = project.run(&["plan"]);
    let plan = String::from_utf8_lossy(&plan.stdout);
    assert!(plan.contains("linux/amd64 is not built here, but its smoke run is not recorded"), "{plan}");
    let said = project.said(&["release"]);
    assert!(said.contains("linux/amd64: smoke run") && !said.contains(": building"), "{said}");
    assert!(project.lock().contains("checked = [\"smoke sha256:"), "{}", project.lock());
    project.said(&[&["release", "--locked"][..], &NO_ENGINE].concat());
}
