//! The engine adapter against the engine of this machine and a registry that is not ours.
#![allow(clippy::unwrap_used, reason = "tests say what they expect, in their helpers too")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use manifests::children::Lines;
use manifests::config::{Build, Smoke, WithoutEmulator};
use manifests::engine::{BuildJob, Engine, Request};
use manifests::error::render;
use manifests::model::digest::Digest;
use manifests::model::platform::Platform;
use manifests::model::reference::Reference;
use support::{DebianRegistry, ImageGuard, busybox_program};

async fn engine() -> Engine {
    Engine::find(&Request { explicit: None }).await.unwrap_or_else(|error| panic!("{}", render(&error)))
}

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

fn quiet() -> Lines {
    Arc::new(|_: &str| {})
}

fn recorder() -> (Lines, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    (Arc::new(move |line: &str| sink.lock().unwrap().push(line.to_owned())), seen)
}

/// A context whose image has a busybox, and what makes it unlike that of any other test.
fn context(dockerfile: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    program(&folder.path().join("busybox"), &busybox_program("linux/amd64"));
    std::fs::write(folder.path().join("note"), format!("{:?}", folder.path())).unwrap();
    std::fs::write(folder.path().join("Dockerfile"), dockerfile).unwrap();
    folder
}

fn program(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

const DOCKERFILE: &str =
    "FROM scratch\nCOPY busybox /bin/busybox\nCOPY note /note\nCMD [\"/bin/busybox\", \"cat\", \"/note\"]\n";

fn job(context: &Path, reference: &str, platform: &str) -> BuildJob {
    BuildJob {
        target: "app".to_owned(),
        platform: platform.parse().unwrap(),
        reference: reference.parse().unwrap(),
        root: context.to_owned(),
        build: Build {
            context: context.to_owned(),
            labels: BTreeMap::from([("org.example.a".to_owned(), "b c".to_owned())]),
            ..Build::default()
        },
    }
}

fn smoke(command: &[&str], expect: Option<&str>) -> Smoke {
    Smoke {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        expect: expect.map(str::to_owned),
        timeout: Duration::from_secs(60),
        without_emulator: WithoutEmulator::Fail,
    }
}

/// What an independent tool says that the registry serves.
fn skopeo_digest(reference: &Reference) -> String {
    let output = Command::new("skopeo")
        .args(["inspect", "--tls-verify=false", "--raw", &format!("docker://{reference}")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Digest::of(&output.stdout).to_string()
}

fn alive(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("in vain: {what}");
}

#[tokio::test]
async fn a_platform_is_built_tried_and_pushed_under_the_digest_that_the_registry_serves() {
    let (engine, registry) = (engine().await, DebianRegistry::start());
    let folder = context(DOCKERFILE);
    for name in ["linux/amd64", "linux/arm64"] {
        let reference = format!("{}/app:{}", registry.host(), name.replace('/', "-"));
        let _images = ImageGuard::new(&reference);
        let job = job(folder.path(), &reference, name);
        let (lines, seen) = recorder();
        let built = engine.build(&job, lines).await.unwrap_or_else(|error| panic!("{}", render(&error)));
        assert!(seen.lock().unwrap().iter().any(|line| line.contains("COPY note")), "{seen:?}");

        let image = engine.inspect(&built.image_id).await.unwrap().unwrap();
        assert!(image.platform.same_as(&job.platform), "{image:?}");
        assert_eq!(image.labels["org.example.a"], "b c");
        assert_eq!(engine.build(&job, quiet()).await.unwrap(), built, "from the cache it is the same");

        let repository = &job.reference.repository;
        let pushed =
            engine.push(&job.reference, quiet()).await.unwrap_or_else(|error| panic!("{}", render(&error)));
        assert_eq!(pushed.digest.to_string(), skopeo_digest(&job.reference));
        assert!(pushed.size.is_some());
        let recorded = engine.recorded_digests(&built.image_id, repository).await.unwrap();
        assert_eq!(recorded, [pushed.digest]);
        let elsewhere = "registry.example/app".parse().unwrap();
        assert!(engine.recorded_digests(&built.image_id, &elsewhere).await.unwrap().is_empty());
    }
    assert_eq!(engine.inspect("manifests.invalid/no/such:image").await.unwrap(), None);
}

#[tokio::test]
async fn a_smoke_run_compares_what_is_printed() {
    let engine = engine().await;
    let folder = context(DOCKERFILE);
    let reference = "manifests.invalid/smoke:1";
    let _images = ImageGuard::new(reference);
    let job = job(folder.path(), reference, "linux/amd64");
    let built = engine.build(&job, quiet()).await.unwrap();
    let amd64 = platform("linux/amd64");
    let run = async |smoke: &Smoke| {
        let run = engine.smoke(&built.image_id, &job.reference, &amd64, smoke, quiet()).await;
        run.map_err(|error| render(&error))
    };
    run(&smoke(&["/bin/busybox", "uname", "-m"], Some("x86_64"))).await.unwrap();
    run(&smoke(&[], Some("/tmp"))).await.unwrap();
    let error = run(&smoke(&["/bin/busybox", "uname", "-m"], Some("aarch64"))).await.unwrap_err();
    assert!(error.contains("expected: \"aarch64\"\n  found: \"x86_64\""), "{error}");
    let error = run(&smoke(&["/bin/busybox", "sh", "-c", "echo why >&2; exit 3"], None)).await.unwrap_err();
    assert!(error.contains("exit status: 3") && error.contains("stderr:\n    why"), "{error}");
    let error = run(&smoke(&["/note"], None)).await.unwrap_err();
    assert!(error.contains("smoke run of manifests.invalid/smoke:1 for linux/amd64, `/note`"), "{error}");
    // While a container is on its way out its image cannot go.
    until("the containers are gone", || containers_of(&built.image_id).is_empty()).await;
}

#[tokio::test]
async fn a_program_of_another_platform_is_named_as_such() {
    let engine = engine().await;
    let folder = context("FROM scratch\nCOPY alien /alien\n");
    // An ELF header of a machine that nobody has.
    let mut alien = busybox_program("linux/amd64");
    alien[18..20].copy_from_slice(&0xdead_u16.to_le_bytes());
    program(&folder.path().join("alien"), &alien);
    let reference = "manifests.invalid/alien:1";
    let _images = ImageGuard::new(reference);
    let job = job(folder.path(), reference, "linux/amd64");
    let built = engine.build(&job, quiet()).await.unwrap();
    let smoke = smoke(&["/alien"], None);
    let run = engine.smoke(&built.image_id, &job.reference, &job.platform, &smoke, quiet()).await;
    let error = render(&run.unwrap_err());
    assert!(error.contains("hint: the image holds a program for another platform"), "{error}");
    until("the container is gone", || containers_of(&built.image_id).is_empty()).await;
}

/// The names of the containers of an image, running or not.
fn containers_of(image_id: &str) -> String {
    support::docker_ok(&[
        "ps",
        "--all",
        "--no-trunc",
        "--filter",
        &format!("ancestor={image_id}"),
        "--format",
        "{{.Names}}",
    ])
}

#[tokio::test]
async fn a_smoke_run_that_is_ended_leaves_no_container() {
    let engine = engine().await;
    let folder = context(DOCKERFILE);
    let reference = "manifests.invalid/slow:1";
    let _images = ImageGuard::new(reference);
    let job = job(folder.path(), reference, "linux/amd64");
    let id = engine.build(&job, quiet()).await.unwrap().image_id;
    // It heeds no TERM, as the first process of a container does by default.
    let sleep = ["/bin/busybox", "sh", "-c", "echo begun; /bin/busybox sleep 600"];

    let short = Smoke { timeout: Duration::from_secs(3), ..smoke(&sleep, None) };
    let run = engine.smoke(&id, &job.reference, &job.platform, &short, quiet()).await;
    let error = render(&run.unwrap_err());
    assert!(error.contains("did not end within 3s"), "{error}");
    assert_eq!(containers_of(&id), "");

    let (lines, seen) = recorder();
    let endless = smoke(&sleep, None);
    tokio::select! {
        run = engine.smoke(&id, &job.reference, &job.platform, &endless, lines) => panic!("{run:?}"),
        () = until("the container runs", || !seen.lock().unwrap().is_empty()) => {}
    }
    until("the container is gone", || containers_of(&id).is_empty()).await;
}

#[tokio::test]
async fn a_build_that_fails_shows_all_that_the_failed_step_wrote() {
    let engine = engine().await;
    let folder = context(
        "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo one; echo two >&2; exit 7\"]\n",
    );
    let job = job(folder.path(), "manifests.invalid/failing:1", "linux/amd64");
    let error = render(&engine.build(&job, quiet()).await.unwrap_err());
    assert!(
        error.starts_with("error: the build of manifests.invalid/failing:1 for linux/amd64 ended with"),
        "{error}"
    );
    for word in ["[2/2] RUN", " one\n", " two\n", "exit code: 7"] {
        assert!(error.contains(word), "{word:?}: {error}");
    }
    assert!(!error.contains("load build definition"), "{error}");

    std::fs::remove_file(folder.path().join("Dockerfile")).unwrap();
    let error = render(&engine.build(&job, quiet()).await.unwrap_err());
    assert!(
        error.contains("there is no") && error.contains("Dockerfile\nhint: `build.dockerfile`"),
        "{error}"
    );
}

#[tokio::test]
async fn before_runs_first_and_may_make_the_context() {
    let engine = engine().await;
    let folder = context(DOCKERFILE);
    let reference = "manifests.invalid/before:1";
    let _images = ImageGuard::new(reference);
    let mut job = job(folder.path(), reference, "linux/amd64");
    let script = "env | grep ^MANIFESTS_ | grep -v _TEST_ | sort; mkdir made; cp busybox note Dockerfile made; test $MANIFESTS_ARCH = amd64";
    job.build.before = ["sh", "-c", script].map(str::to_owned).to_vec();
    job.build.context = folder.path().join("made");
    let (lines, seen) = recorder();
    job.run_before(lines).await.unwrap_or_else(|error| panic!("{}", render(&error)));
    engine.build(&job, quiet()).await.unwrap_or_else(|error| panic!("{}", render(&error)));
    let seen = seen.lock().unwrap().join("\n");
    let variables = "MANIFESTS_ARCH=amd64\nMANIFESTS_IMAGE=manifests.invalid/before:1\nMANIFESTS_MACHINE=x86_64\n\
                     MANIFESTS_OS=linux\nMANIFESTS_PLATFORM=linux/amd64\nMANIFESTS_TARGET=app\nMANIFESTS_VARIANT=";
    assert!(seen.starts_with(variables), "{seen}");

    job.build.before = ["sh", "-c", "echo broken; exit 9"].map(str::to_owned).to_vec();
    let error = render(&job.run_before(quiet()).await.unwrap_err());
    assert!(error.contains("ended with exit status: 9:\n    broken"), "{error}");
}

#[tokio::test]
async fn cancelling_a_build_ends_its_children() {
    let engine = engine().await;
    let folder = context(DOCKERFILE);
    let mut job = job(folder.path(), "manifests.invalid/cancelled:1", "linux/amd64");
    job.build.before = ["sh", "-c", "sleep 600 & echo $!; wait"].map(str::to_owned).to_vec();
    let (lines, seen) = recorder();
    tokio::select! {
        ran = job.run_before(lines) => panic!("{ran:?}"),
        () = until("it runs", || !seen.lock().unwrap().is_empty()) => {}
    }
    let grandchild = seen.lock().unwrap()[0].clone();
    until("the grandchild is gone", || !alive(&grandchild)).await;

    // The engine's own CLI as well, in the midst of a build.
    std::fs::write(
        folder.path().join("Dockerfile"),
        "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo begun; /bin/busybox sleep 600\"]\n",
    )
    .unwrap();
    job.build.before = Vec::new();
    let clis = || {
        let ps = Command::new("ps").args(["-eo", "args"]).output().unwrap().stdout;
        let context = folder.path().display().to_string();
        String::from_utf8_lossy(&ps)
            .lines()
            .filter(|line| line.contains("build") && line.ends_with(&context))
            .count()
    };
    let (lines, seen) = recorder();
    tokio::select! {
        built = engine.build(&job, lines) => panic!("{built:?}"),
        () = until("it runs", || seen.lock().unwrap().iter().any(|line| line.contains("begun"))) => {}
    }
    assert_eq!(clis(), 1);
    until("the CLI is gone", || clis() == 0).await;
}

#[tokio::test]
async fn an_exported_image_is_the_image() {
    let (engine, registry) = (engine().await, DebianRegistry::start());
    let folder = context(DOCKERFILE);
    let reference = format!("{}/exported:1", registry.host());
    let _images = ImageGuard::new(&reference);
    let job = job(folder.path(), &reference, "linux/arm64");
    let id = engine.build(&job, quiet()).await.unwrap().image_id;

    let parts = tempfile::tempdir().unwrap();
    let exported =
        engine.export(&id, &job.platform, parts.path()).await.unwrap_or_else(|e| panic!("{}", render(&e)));
    assert!(!parts.path().join("image.tar").exists());
    for blob in &exported.blobs {
        let bytes = std::fs::read(&blob.path).unwrap();
        assert!(blob.digest.matches(&bytes) && blob.size == bytes.len() as u64);
    }
    let manifest = &exported.manifests[exported.manifests.len() - 1];
    let json: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
    if !engine.info().await.unwrap().containerd_store {
        assert_eq!(json["config"]["digest"], id, "an image's ID is its configuration's digest");
    }

    // An independent tool takes the parts and gives them to a registry; the engine pulls the same image from there.
    let layout = tempfile::tempdir().unwrap();
    for blob in &exported.blobs {
        std::fs::copy(&blob.path, layout.path().join(blob.digest.hex())).unwrap();
    }
    std::fs::write(layout.path().join("manifest.json"), &manifest.bytes).unwrap();
    std::fs::write(layout.path().join("version"), "Directory Transport Version: 1.1\n").unwrap();
    let copied = Command::new("skopeo")
        .args(["copy", "--insecure-policy", "--preserve-digests", "--dest-tls-verify=false"])
        .args([format!("dir:{}", layout.path().display()), format!("docker://{reference}")])
        .output()
        .unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    assert_eq!(skopeo_digest(&job.reference), Digest::of(&manifest.bytes).to_string());
    support::docker_ok(&["image", "rm", &reference]);
    support::docker_ok(&["pull", "--platform", "linux/arm64", &reference]);
    assert_eq!(engine.inspect(&reference).await.unwrap().unwrap().id.to_string(), id);
}

#[tokio::test]
async fn what_is_not_there_is_neither_pushed_nor_exported() {
    let engine = engine().await;
    let reference: Reference = "manifests.invalid/no/such:1".parse().unwrap();
    let error = render(&engine.push(&reference, quiet()).await.unwrap_err());
    assert!(error.contains("the push of manifests.invalid/no/such:1 ended with"), "{error}");
    assert!(error.contains("hint: the engine holds no image"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let export = engine.export(&reference.to_string(), &platform("linux/amd64"), folder.path()).await;
    assert!(render(&export.unwrap_err()).contains("the export of manifests.invalid/no/such:1 ended with"));
}
