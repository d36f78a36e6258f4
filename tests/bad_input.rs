//! What goes wrong for people: each a clear error with a way out, the documented exit code, and nothing half-made.
#![allow(clippy::unwrap_used, reason = "what a test does not expect may panic")]

mod support;

use support::{DebianRegistry, ImageGuard, Workspace, free_port};

const DOCKERFILE: &str = "FROM scratch\nARG TARGETARCH\nCOPY manifests.toml /\n";

fn declaration(host: &str, more: &str) -> String {
    format!(
        "[target.app]\nrepository = \"{host}/app\"\ntags = [\"1\"]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n{more}"
    )
}

/// Exit code, stdout, stderr.
fn run(workspace: &Workspace, args: &[&str]) -> (Option<i32>, String, String) {
    let output = workspace.manifests(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn refused(workspace: &Workspace, args: &[&str], code: i32, words: &[&str]) {
    let (found, _, stderr) = run(workspace, args);
    assert_eq!(found, Some(code), "{args:?}: {stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word:?} is not in: {stderr}");
    }
}

#[test]
fn a_file_that_is_right_passes_the_check_offline() {
    let text = declaration("ghcr.io/o", "build.context = \".\"\n");
    let workspace = Workspace::new(&[("manifests.toml", &text), ("Dockerfile", DOCKERFILE)]);
    let (code, stdout, stderr) = run(&workspace, &["check"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("app: ghcr.io/o/app:1 for linux/amd64, linux/arm64"), "{stdout}");
}

#[test]
fn a_missing_or_broken_file_names_place_and_way_out() {
    let workspace = Workspace::new(&[]);
    refused(&workspace, &["check"], 2, &["there is no manifests.toml", "hint: `manifests init`"]);
    workspace.write("manifests.toml", "[target.app\n");
    refused(&workspace, &["release"], 2, &["manifests.toml:1:1"]);
    workspace.write(
        "manifests.toml",
        &declaration("ghcr.io/o", "platform.\"linux/arm46\" = {}\nundeclard = \"x\"\n"),
    );
    refused(
        &workspace,
        &["check"],
        2,
        &["manifests.toml has 2 problems", "did you mean `arm64`?", "did you mean `undeclared`?", "^^^"],
    );
    refused(&workspace, &["check", "--config", "nowhere.toml"], 2, &["could not read", "nowhere.toml"]);
    refused(&workspace, &["relase"], 2, &["release"]);
}

#[test]
fn a_target_or_platform_that_is_not_declared_comes_with_the_near_miss() {
    let text = declaration("ghcr.io/o", "build.context = \".\"\n");
    let workspace = Workspace::new(&[("manifests.toml", &text), ("Dockerfile", DOCKERFILE)]);
    refused(&workspace, &["plan", "ap"], 2, &["no target `ap`", "did you mean `app`?"]);
    refused(
        &workspace,
        &["build", "--platform", "linux/s390x"],
        2,
        &["declared are linux/amd64, linux/arm64"],
    );
    refused(&workspace, &["inspect", "ghcr.io/O/app"], 2, &["lower-case"]);
}

#[test]
fn images_that_are_not_there_are_all_named_and_nothing_is_published() {
    let registry = DebianRegistry::start();
    let workspace = Workspace::new(&[("manifests.toml", &declaration(&registry.host(), ""))]);
    let missing = ["2 images of target app not in the registry", "1-linux-amd64", "1-linux-arm64", "hint:"];
    refused(&workspace, &["reconcile"], 1, &missing);
    refused(&workspace, &["tags", &format!("{}/app", registry.host())], 1, &["is not in the registry"]);
    let (code, stdout, _) = run(&workspace, &["plan"]);
    assert_eq!(code, Some(1));
    assert!(stdout.contains("error: 2 images of target app not in the registry"), "{stdout}");
}

#[test]
fn an_image_of_another_platform_is_not_listed() {
    let registry = DebianRegistry::start();
    let host = registry.host();
    let build = "build.context = \".\"\n";
    let workspace =
        Workspace::new(&[("manifests.toml", &declaration(&host, build)), ("Dockerfile", DOCKERFILE)]);
    let mut images = ImageGuard::new(format!("{host}/app:1-linux-amd64"));
    images.add(format!("{host}/app:1-linux-arm64"));
    let (code, stdout, stderr) = run(&workspace, &["push", "--platform", "linux/amd64"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with(&format!("{host}/app:1-linux-amd64: digest: sha256:")), "{stdout}");

    // The amd64 image under arm64's name.
    let wrong = format!(
        "[target.app]\nrepository = \"{host}/app\"\ntags = [\"1\"]\nplatforms = [\"linux/arm64\"]\nimage = \"{host}/app:1-linux-amd64\"\n"
    );
    workspace.write("manifests.toml", &wrong);
    refused(
        &workspace,
        &["reconcile"],
        1,
        &["is declared as linux/arm64, but its configuration says linux/amd64"],
    );
    let (_, tags, _) = run(&workspace, &["tags", &format!("{host}/app")]);
    assert_eq!(tags, "1-linux-amd64\n", "no list was published");
}

#[test]
fn a_daemon_or_registry_that_is_down_is_named() {
    let down = format!("127.0.0.1:{}", free_port());
    let workspace = Workspace::new(&[
        ("manifests.toml", &declaration(&down, "build.context = \".\"\n")),
        ("Dockerfile", DOCKERFILE),
    ]);
    refused(&workspace, &["release"], 1, &[&down, "is the registry running?"]);

    let output =
        workspace.manifests(&["build"]).env("DOCKER_HOST", "unix:///nowhere/docker.sock").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("its daemon does not answer") && stderr.contains("hint: start the daemon"),
        "{stderr}"
    );

    refused(&workspace, &["build", "--engine", "/nowhere/docker"], 1, &["/nowhere/docker", "hint:"]);
}

#[test]
fn a_dirty_tree_is_not_released() {
    let registry = DebianRegistry::start();
    let text = declaration(&registry.host(), "build.context = \".\"\n");
    let workspace = Workspace::new(&[("manifests.toml", &text), ("Dockerfile", DOCKERFILE)]);
    workspace.write("Dockerfile", &format!("{DOCKERFILE}# changed\n"));
    refused(&workspace, &["release"], 1, &["uncommitted changes: Dockerfile", "--allow-dirty"]);
    refused(&workspace, &["tags", &format!("{}/app", registry.host())], 1, &["is not in the registry"]);
}

#[test]
fn what_a_release_keeps_leaves_the_tree_clean() {
    let registry = DebianRegistry::start();
    let host = registry.host();
    let text = declaration(&host, "build.context = \".\"\n");
    // Nothing ignores `target`, as in a project without Cargo.
    let workspace =
        Workspace::new(&[("manifests.toml", &text), ("Dockerfile", DOCKERFILE), (".gitignore", "")]);
    let mut images = ImageGuard::new(format!("{host}/app:1-linux-amd64"));
    images.add(format!("{host}/app:1-linux-arm64"));
    for turn in ["the first release", "the next one"] {
        let (code, _, stderr) = run(&workspace, &["release"]);
        assert_eq!(code, Some(0), "{turn}: {stderr}");
        assert!(workspace.path().join("target/manifests").is_dir());
        // The lock is proposed to whoever releases.
        assert_eq!(workspace.git(&["status", "--porcelain"]).trim(), "?? manifests.lock", "{turn}");
    }
}

#[test]
fn a_smoke_run_that_prints_something_else_stops_its_platform_before_the_push() {
    let registry = DebianRegistry::start();
    let host = registry.host();
    let base = support::busybox_base(&host, &["linux/amd64", "linux/arm64"]);
    let smoke = "build.context = \".\"\nsmoke = { command = [\"uname\", \"-m\"], expect = \"aarch64\" }\n";
    let dockerfile = format!("FROM {base}\n");
    let workspace =
        Workspace::new(&[("manifests.toml", &declaration(&host, smoke)), ("Dockerfile", &dockerfile)]);
    let mut images = ImageGuard::new(format!("{host}/app:1-linux-amd64"));
    images.add(format!("{host}/app:1-linux-arm64"));
    refused(
        &workspace,
        &["release"],
        1,
        &[
            "1 of 2 images failed: linux/amd64",
            "expected: \"aarch64\"",
            "found: \"x86_64\"",
            "nothing was published but images under tags of their own:",
            &format!("pushed: {host}/app:1-linux-arm64 sha256:"),
        ],
    );
    let (_, tags, _) = run(&workspace, &["tags", &format!("{host}/app")]);
    assert_eq!(tags, "1-linux-arm64\n", "neither the wrong image nor a list");
}

#[test]
fn two_releases_of_one_workspace_take_turns() {
    let registry = DebianRegistry::start();
    let host = registry.host();
    let text = declaration(&host, "build.context = \".\"\n");
    let workspace = Workspace::new(&[("manifests.toml", &text), ("Dockerfile", DOCKERFILE)]);
    let mut images = ImageGuard::new(format!("{host}/app:1-linux-amd64"));
    images.add(format!("{host}/app:1-linux-arm64"));
    let release = || run(&workspace, &["release", "--format", "json"]);
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(release);
        let other = scope.spawn(release);
        (one.join().unwrap(), other.join().unwrap())
    });
    for (code, _, stderr) in [&one, &other] {
        assert_eq!(*code, Some(0), "{stderr}");
    }
    let written = |(_, stdout, _): &(Option<i32>, String, String)| {
        let account = support::last_json(stdout.as_bytes());
        account["targets"][0]["repositories"][0]["tags"][0]["written"].as_bool().unwrap()
    };
    assert_eq!(
        u8::from(written(&one)) + u8::from(written(&other)),
        1,
        "one publishes, the other finds it done"
    );
}

#[test]
fn two_reconciliations_at_once_keep_each_others_lock() {
    let registry = DebianRegistry::start();
    let host = registry.host();
    let target = |name: &str| declaration(&host, "build.context = \".\"\n").replace("app", name);
    let text = format!("{}\n{}", target("app"), target("web"));
    let workspace = Workspace::new(&[("manifests.toml", &text), ("Dockerfile", DOCKERFILE)]);
    let mut images = ImageGuard::new(format!("{host}/app:1-linux-amd64"));
    for name in ["app:1-linux-arm64", "web:1-linux-amd64", "web:1-linux-arm64"] {
        images.add(format!("{host}/{name}"));
    }
    let (code, _, stderr) = run(&workspace, &["push"]);
    assert_eq!(code, Some(0), "{stderr}");
    std::thread::scope(|scope| {
        for name in ["app", "web"] {
            let workspace = &workspace;
            scope.spawn(move || {
                let (code, _, stderr) = run(workspace, &["reconcile", name]);
                assert_eq!(code, Some(0), "{name}: {stderr}");
            });
        }
    });
    let lock = workspace.read("manifests.lock");
    assert!(lock.contains("[target.app]") && lock.contains("[target.web]"), "{lock}");
}

#[test]
fn markdown_is_refused_before_anything_is_done() {
    let text = declaration("localhost:1", "build.context = \".\"\n");
    let workspace = Workspace::new(&[("manifests.toml", &text), ("Dockerfile", DOCKERFILE)]);
    for command in [&["release"][..], &["push"], &["import", "localhost:1/a"], &["unpublish", "app", "--yes"]]
    {
        let (code, _, stderr) = run(&workspace, &[command, &["--format", "markdown"]].concat());
        assert_eq!(
            (code, &*stderr),
            (Some(2), "error: `--format markdown` is for `plan` only\n"),
            "{command:?}"
        );
    }
}

#[test]
fn ended_by_term_it_says_what_was_published_and_leaves_no_child() {
    let registry = DebianRegistry::start();
    let host = registry.host();
    let base = support::busybox_base(&host, &["linux/amd64", "linux/arm64"]);
    let marker = format!("manifests-test-{}", std::process::id());
    let dockerfile = format!("FROM {base}\nRUN sleep 60 && echo {marker}\n");
    let text = declaration(&host, "build.context = \".\"\n");
    let workspace = Workspace::new(&[("manifests.toml", &text), ("Dockerfile", &dockerfile)]);
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_manifests"))
        .args(["release", "--verbose"])
        .current_dir(workspace.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    // Once BuildKit runs the step, the builds are under way.
    let started = lines.by_ref().map_while(Result::ok).find(|line| line.contains("sleep 60"));
    assert!(started.is_some());
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().unwrap().code(), Some(143), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("ended by SIGTERM; nothing was published")), "{rest:?}");
    let running = std::process::Command::new("pgrep")
        .args(["-f", &format!("docker.*build.*{host}/app")])
        .output()
        .unwrap();
    assert!(running.stdout.is_empty(), "left behind: {}", String::from_utf8_lossy(&running.stdout));
}
