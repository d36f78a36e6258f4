//! Whole commands against registries that ask who is there: Debian's `docker-registry` with a password file, with
//! signed tokens; credentials from files and from helpers; and what docker and skopeo read afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use manifests::model::digest::Digest;
use manifests::model::reference::Repository;
use manifests::registry::{Options, Registry};
use serde_json::{Value, json};

use crate::auth::{BASIC, PASSWORD, guarded};
use crate::debian::{Debian, signed_token};
use crate::scripted::{Reply, Server, entry, options};
use crate::support::{ImageGuard, Workspace, certificates, docker};

const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Brings an image that an engine can pull, although there is nothing in it to run.
async fn put_image(registry: &Registry, repository: &Repository, architecture: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    let text = architecture.as_bytes();
    header.set_size(text.len() as u64);
    archive.append_data(&mut header, "architecture", text).unwrap();
    let layer = archive.into_inner().unwrap();
    let config = json!({
        "os": "linux", "architecture": architecture, "config": { "Cmd": ["/none"] },
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer)] },
    });
    let mut descriptors = Vec::new();
    for (kind, bytes) in [("config.v1+json", config.to_string().into_bytes()), ("layer.v1.tar", layer)] {
        let (path, digest) = (folder.path().join(kind), Digest::of(&bytes));
        fs::write(&path, &bytes).unwrap();
        registry.upload_file(repository, &digest, bytes.len() as u64, &path).await.unwrap();
        let media_type = format!("application/vnd.oci.image.{kind}");
        descriptors.push(json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() }));
    }
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_IMAGE, "config": descriptors[0], "layers": [descriptors[1]],
    });
    registry.put_manifest(repository, "1", OCI_IMAGE, manifest.to_string().as_bytes()).await.unwrap();
}

/// Two images in repositories of their own, listed in a third.
pub(crate) fn declaration(host: &str) -> String {
    format!(
        r#"
        [target.app]
        repository = "{host}/team/app"
        tags = ["1", "latest"]
        image = "{host}/team/app-{{arch}}:1"
        platforms = ["linux/amd64", "linux/arm64"]
        "#
    )
}

pub(crate) async fn put_images(registry: &Registry, host: &str) {
    for architecture in ["amd64", "arm64"] {
        let path = format!("team/app-{architecture}");
        put_image(registry, &Repository { host: host.to_owned(), path }, architecture).await;
    }
}

/// Adds to the workspace's `config.json`, which says already where docker's plugins are.
fn configure(workspace: &Workspace, additions: &Value) {
    let file = workspace.docker_config().join("config.json");
    let mut config: Value =
        fs::read(&file).map_or_else(|_| json!({}), |bytes| serde_json::from_slice(&bytes).unwrap());
    for (key, value) in additions.as_object().unwrap() {
        config[key] = value.clone();
    }
    fs::write(file, config.to_string()).unwrap();
}

pub(crate) fn log_in(workspace: &Workspace, host: &str, password: &str) {
    let auth = BASE64_STANDARD.encode(format!("me:{password}"));
    configure(workspace, &json!({ "auths": { host: { "auth": auth } } }));
}

/// Runs `manifests ARGS` and checks that nothing it prints holds a secret.
pub(crate) async fn run(workspace: &Workspace, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = workspace.manifests(args);
    for (name, value) in variables {
        command = command.env(name, value);
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = format!("{}{}", stderr(&output), String::from_utf8_lossy(&output.stdout));
    for secret in ["hunter2", "bWU6", "wrong-password"] {
        assert!(!text.contains(secret), "{args:?} prints a secret: {text}");
    }
    output
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) async fn ok(workspace: &Workspace, args: &[&str], variables: &[(&str, &str)]) -> String {
    let output = run(workspace, args, variables).await;
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Fails with 1, as nothing was published, and says `expected`.
pub(crate) async fn fails(workspace: &Workspace, variables: &[(&str, &str)], expected: &[&str]) {
    for args in [&["reconcile"][..], &["reconcile", "-v", "--format", "json"]] {
        let output = run(workspace, args, variables).await;
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        for part in expected {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
    }
}

/// Reconciles, and again without a write; then reads the list in every way that there is.
pub(crate) async fn reconciled(workspace: &Workspace, host: &str, writes: impl Fn() -> usize) -> String {
    ok(workspace, &["reconcile", "-v"], &[]).await;
    let before = writes();
    let again = ok(workspace, &["reconcile", "--format", "json"], &[]).await;
    assert_eq!(writes(), before, "the second run writes nothing");
    let list = format!("{host}/team/app:latest");
    let inspected = ok(workspace, &["inspect", "-v", &list], &[]).await;
    assert!(inspected.contains("linux/arm64"), "{inspected}");
    let tags = ok(workspace, &["tags", &format!("{host}/team/app")], &[]).await;
    // Distribution 2 serves them in no particular order.
    assert!(tags == "1\nlatest\n" || tags == "latest\n1\n", "{tags}");
    let again: Value = serde_json::from_str(&again).unwrap();
    let text = again.to_string();
    let start = text.find("sha256:").unwrap();
    text[start..start + 71].to_owned()
}

/// What skopeo, a client of its own, reads: the architectures of the list.
pub(crate) fn skopeo_reads(reference: &str, args: &[&str]) -> Vec<String> {
    let output = Command::new("skopeo")
        .args(["inspect", "--raw"])
        .args(args)
        .arg(format!("docker://{reference}"))
        .output()
        .unwrap_or_else(|error| panic!("skopeo: {error}; `cargo xtask ci` installs it"));
    assert!(output.status.success(), "{}", stderr(&output));
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let entries = list["manifests"].as_array().unwrap().iter();
    entries.map(|entry| entry["platform"]["architecture"].as_str().unwrap().to_owned()).collect()
}

/// Docker pulls the platform's image through the list, with the workspace's credentials.
pub(crate) fn docker_pulls(workspace: &Workspace, reference: &str, architecture: &str) {
    let _guard = ImageGuard::new(reference);
    let docker = |args: &[&str]| {
        let output = Command::new(docker())
            .arg("--config")
            .arg(workspace.docker_config())
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "docker {args:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    docker(&["pull", "--quiet", "--platform", &format!("linux/{architecture}"), reference]);
    let found = docker(&["image", "inspect", "--format", "{{.Architecture}}", reference]);
    assert_eq!(found.trim(), architecture);
}

pub(crate) fn count(requests: &[String], methods: &[&str]) -> usize {
    let is = |line: &&String| methods.iter().any(|method| line.contains(&format!("\"{method} ")));
    requests.iter().filter(is).count()
}

pub(crate) const WRITES: [&str; 4] = ["PUT", "POST", "PATCH", "DELETE"];

/// Debian's registry with a password file and the images, and a workspace that declares the list.
async fn with_passwords() -> (Debian, Workspace) {
    let debian = Debian::with_passwords("", |_| {});
    let host = debian.host();
    let named = Registry::new(Options { credentials: entry(&host, PASSWORD), ..options() }).unwrap();
    put_images(&named, &host).await;
    let workspace = Workspace::new(&[("manifests.toml", &declaration(&host))]);
    (debian, workspace)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_password_file() {
    let (debian, workspace) = with_passwords().await;
    let host = debian.host();

    fails(&workspace, &[], &["401 Unauthorized", &format!("docker login {host}")]).await;
    log_in(&workspace, &host, "wrong-password");
    let file = workspace.docker_config().join("config.json");
    fails(&workspace, &[], &["refuses the credentials of", file.to_str().unwrap()]).await;
    let doctor = run(&workspace, &["doctor"], &[]).await;
    assert!(String::from_utf8_lossy(&doctor.stdout).contains(file.to_str().unwrap()));
    assert!(
        debian
            .requests()
            .iter()
            .all(|line| count(std::slice::from_ref(line), &WRITES) == 0 || !line.contains("/team/app/"))
    );

    log_in(&workspace, &host, "hunter2");
    reconciled(&workspace, &host, || count(&debian.requests(), &WRITES)).await;
    let list = format!("{host}/team/app:1");
    assert_eq!(skopeo_reads(&list, &["--tls-verify=false", "--creds", "me:hunter2"]), ["amd64", "arm64"]);
    docker_pulls(&workspace, &list, "arm64");

    // The same from the variable that CI systems set, and from podman's file.
    fs::remove_file(&file).unwrap();
    let config = json!({ "auths": { host.clone(): { "auth": "bWU6aHVudGVyMg==" } } }).to_string();
    ok(&workspace, &["reconcile", "-v"], &[("DOCKER_AUTH_CONFIG", &config)]).await;
    let folder = tempfile::tempdir().unwrap();
    let podman = folder.path().join("auth.json");
    let entry = format!("{host}/team");
    let parts = json!({ "auths": { host.clone(): { "auth": "bWU6d3JvbmctcGFzc3dvcmQ=" }, entry: { "auth": "bWU6aHVudGVyMg==" } } });
    fs::write(&podman, parts.to_string()).unwrap();
    ok(&workspace, &["reconcile", "-v"], &[("REGISTRY_AUTH_FILE", podman.to_str().unwrap())]).await;
}

/// A token server: reading is for everybody, writing for those with a name.
async fn token_server(keys: &Path) -> Server {
    let keys = keys.to_owned();
    Server::start(move |seen, _| {
        let may = !seen.target.contains("push") || seen.header("authorization") == Some(BASIC);
        Some(if may { signed_token(&keys, "service", seen) } else { Reply::status(401) })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_with_signed_tokens() {
    let keys = tempfile::tempdir().unwrap();
    certificates(keys.path());
    let tokens = token_server(keys.path()).await;
    let section = format!(
        "auth: {{ token: {{ realm: 'http://{}/token', service: service, issuer: tests, rootcertbundle: {}/ca.pem }} }}",
        tokens.address,
        keys.path().display()
    );
    let debian = Debian::start(&section, |_| {});
    let host = debian.host();
    let declared = format!("{}\nbuild.context = \".\"\n", declaration(&host));
    let dockerfile =
        "FROM scratch\nARG TARGETARCH\nCOPY manifests.toml /from-${TARGETARCH}\nCMD [\"/none\"]\n";
    let workspace = Workspace::new(&[("manifests.toml", &declared), ("Dockerfile", dockerfile)]);
    let image = |architecture: &str| format!("{host}/team/app-{architecture}:1");
    let mut built = ImageGuard::new(image("amd64"));
    built.add(image("arm64"));

    // Nobody may write, and that is known before anything is built.
    log_in(&workspace, &host, "wrong-password");
    let output = run(&workspace, &["release", "-v", "--skip-smoke"], &[]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));

    log_in(&workspace, &host, "hunter2");
    ok(&workspace, &["release", "-v", "--skip-smoke", "--allow-dirty"], &[]).await;
    let list = format!("{host}/team/app:1");
    assert_eq!(skopeo_reads(&list, &["--tls-verify=false"]), ["amd64", "arm64"]);
    drop(built);
    docker_pulls(&workspace, &list, "arm64");

    // One challenge, one token for everything, and then only what is to be done.
    let (tokens_before, before) = (tokens.log().len(), debian.requests().len());
    ok(&workspace, &["reconcile", "--format", "json"], &[]).await;
    assert_eq!(tokens.log().len() - tokens_before, 1, "{:?}", &tokens.log()[tokens_before..]);
    let asked = debian.requests().split_off(before);
    assert_eq!(asked.iter().filter(|line| line.contains("\" 401 ")).count(), 1, "{asked:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_over_eight_repositories_costs_one_challenge_and_one_token() {
    let server = guarded(|_| None).await;
    let host = server.address.to_string();
    let named = Registry::new(Options { credentials: entry(&host, PASSWORD), ..options() }).unwrap();
    let architectures = ["amd64", "arm64", "s390x", "ppc64le", "riscv64", "386", "mips64le", "loong64"];
    for architecture in architectures {
        let path = format!("team/app-{architecture}");
        put_image(&named, &Repository { host: host.clone(), path }, architecture).await;
    }
    let platforms = architectures.map(|architecture| format!("\"linux/{architecture}\"")).join(", ");
    let declared = declaration(&host).replace("\"linux/amd64\", \"linux/arm64\"", &platforms);
    let workspace = Workspace::new(&[("manifests.toml", &declared)]);
    log_in(&workspace, &host, "hunter2");
    for what in ["first", "unchanged"] {
        let (before, tokens) = (server.log().len(), server.count("GET", "/token"));
        ok(&workspace, &["reconcile"], &[]).await;
        let asked = server.seen().split_off(before);
        let unauthorised = asked.iter().filter(|seen| seen.header("authorization").is_none());
        assert_eq!(unauthorised.count(), 1, "{what}: {:#?}", &server.log()[before..]);
        assert_eq!(server.count("GET", "/token") - tokens, 1, "{what}");
    }
    let list = format!("{host}/team/app:1");
    let inspected = ok(&workspace, &["inspect", &list], &[]).await;
    assert!(architectures.iter().all(|architecture| inspected.contains(architecture)), "{inspected}");
}

/// A program on the PATH of the workspace that answers as credential helper NAME.
fn helper(folder: &Path, name: &str, script: &str) {
    let path = folder.join(format!("docker-credential-{name}"));
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn credential_helpers() {
    let (debian, workspace) = with_passwords().await;
    let host = debian.host();
    let programs = tempfile::tempdir().unwrap();
    let answer = r#"read host; echo "$1 $host" >> "$0.log"; echo '{"ServerURL":"","Username":"me","Secret":"hunter2"}'"#;
    helper(programs.path(), "good", answer);
    helper(programs.path(), "empty", "echo 'credentials not found in native keychain'; exit 1");
    helper(programs.path(), "locked", "echo hunter2; echo 'the keyring is locked' >&2; exit 3");
    helper(programs.path(), "babbling", "echo 'Password: hunter2'");
    let path = format!("{}:{}", programs.path().display(), std::env::var("PATH").unwrap());
    let path = [("PATH", path.as_str())];

    let use_helper = |name: &str| {
        configure(
            &workspace,
            &json!({ "auths": { host.clone(): {} }, "credHelpers": { host.clone(): name } }),
        )
    };
    for (name, expected) in [
        ("missing", "docker-credential-missing is not on PATH"),
        ("locked", "docker-credential-locked failed (exit status: 3): the keyring is locked"),
        ("babbling", "docker-credential-babbling did not answer with credentials in JSON"),
    ] {
        use_helper(name);
        let file = workspace.docker_config().join("config.json");
        fails(&workspace, &path, &[expected, &format!("named in {}", file.display()), "hint:"]).await;
    }
    use_helper("empty");
    fails(&workspace, &path, &["no credentials were found for", "docker login"]).await;

    use_helper("good");
    ok(&workspace, &["reconcile", "-v"], &path).await;
    let asked = fs::read_to_string(programs.path().join("docker-credential-good.log")).unwrap();
    assert_eq!(asked, format!("get {host}\n"), "once for the whole run");
    configure(&workspace, &json!({ "credHelpers": {}, "credsStore": "good" }));
    ok(&workspace, &["reconcile", "-v"], &path).await;
    let doctor = run(&workspace, &["doctor", "--format", "json"], &path).await;
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("docker-credential-good"));
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_are_shown() {
    let server = Server::start(|seen, _| {
        let limited = Reply::error(429, "TOOMANYREQUESTS").header("retry-after", "1");
        (seen.is("GET", "/team/app/manifests/1") && seen.before == 0).then_some(limited)
    })
    .await;
    let host = server.address.to_string();
    put_images(&Registry::new(options()).unwrap(), &host).await;
    let workspace = Workspace::new(&[("manifests.toml", &declaration(&host))]);
    let output = run(&workspace, &["reconcile"], &[]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let expected = format!("could not read {host}/team/app:1: 429 Too Many Requests (TOOMANYREQUESTS");
    let shown = stderr(&output);
    let line = shown.lines().find(|line| line.contains(&expected)).unwrap_or_else(|| panic!("{shown}"));
    assert!(line.contains("; trying again in 1."), "{line}");
}
