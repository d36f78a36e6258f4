//! Releases that end before everything is tagged, and the runs after them.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use serde_json::Value;

use crate::fixture::{Client, Ran, Ruled, Say, run, writes_tag};
use crate::support::{ImageGuard, Workspace, docker};

const JOURNAL: &str = "target/manifests/journal.json";

/// A target in two registries whose images are never the same when they are built again.
struct Release {
    one: Ruled,
    other: Ruled,
    client: Client,
    workspace: Workspace,
    _images: ImageGuard,
}

impl Release {
    fn new(labels: &str) -> Self {
        let (one, other) = (Ruled::start(), Ruled::start());
        let text = format!(
            "[target.app]\nrepository = [\"{0}/app\", \"{1}/app\"]\n\
             tags = [{{ name = \"1.0\", policy = \"immutable\" }}, \"latest\"]\n\
             platforms = [\"linux/amd64\", \"linux/arm64\"]\nbuild = {{ no-cache = true{labels} }}\n",
            one.host(),
            other.host()
        );
        let dockerfile = "FROM scratch\nARG TARGETARCH\nCOPY manifests.toml /\n";
        let workspace = Workspace::new(&[("manifests.toml", &text), ("Dockerfile", dockerfile)]);
        // Every call of the engine is written down.
        let script = format!(
            "#!/bin/sh\necho \"$1\" >> \"{}\"\nexec {} \"$@\"\n",
            workspace.path().join("target/engine.log").display(),
            docker().display()
        );
        workspace.write("target/engine", &script);
        let engine = workspace.path().join("target/engine");
        std::fs::set_permissions(engine, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut images = ImageGuard::new(format!("{}/app:1.0-linux-amd64", one.host()));
        images.add(format!("{}/app:1.0-linux-arm64", one.host()));
        Self { one, other, client: Client::new(), workspace, _images: images }
    }

    fn args(&self) -> Vec<String> {
        let engine = self.workspace.path().join("target/engine").display().to_string();
        ["release", "--format", "json", "--engine", &engine].map(str::to_owned).to_vec()
    }

    fn run(&self, more: &[&str]) -> Ran {
        let args = self.args();
        let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        run(&self.workspace, &args)
    }

    fn engine_calls(&self) -> usize {
        let log = self.workspace.path().join("target/engine.log");
        std::fs::read_to_string(log).map_or(0, |text| text.lines().count())
    }

    fn journal(&self) -> Option<Value> {
        let text = std::fs::read_to_string(self.workspace.path().join(JOURNAL)).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }

    /// The digest of the list that is to be published, as the journal has it.
    fn promised(&self) -> String {
        let journal = self.journal().expect("an interrupted run leaves its journal");
        let lists = journal["targets"]["app"]["lists"].as_object().unwrap().clone();
        let digests: Vec<&Value> = lists.values().collect();
        assert_eq!((digests.len(), digests[0]), (2, digests[1]), "{lists:?}");
        digests[0].as_str().unwrap().to_owned()
    }

    /// The tags of one repository.
    fn tags(&self, registry: &Ruled) -> [Option<String>; 2] {
        let app = format!("{}/app", registry.host());
        ["1.0", "latest"].map(|tag| self.client.served(&app, tag).map(|digest| digest.to_string()))
    }

    /// The next run finishes with `promised`, without the engine, and leaves no journal.
    #[track_caller]
    fn finishes_with(&self, promised: &str) {
        let calls = self.engine_calls();
        assert!(calls > 0, "the first run built");
        self.run(&[]).ends(0, &["a release of this revision was interrupted"]);
        assert_eq!(self.engine_calls(), calls, "nothing is built again");
        for registry in [&self.one, &self.other] {
            let expected = Some(promised.to_owned());
            assert_eq!(self.tags(registry), [expected.clone(), expected]);
        }
        assert_eq!(self.journal(), None);
        // The lock says what the images were built from, as the run that built them knew.
        let lock = std::fs::read_to_string(self.workspace.path().join("manifests.lock")).unwrap();
        assert_eq!(lock.matches("\nfingerprint = ").count(), 2, "{lock}");
    }
}

#[test]
fn a_registry_that_fails_between_two_tags() {
    let release = Release::new("");
    release.other.rule(|request| writes_tag(request, "1.0").then_some(Say::Status(403)));
    let ran = release.run(&[]);
    release.other.heal();
    let (one, other) = (release.one.host(), release.other.host());
    ran.ends(
        4,
        &[
            "target app was published in part",
            &format!("{one}/app: done 1.0; pending latest"),
            &format!("{other}/app: staged; pending 1.0, latest"),
            "run the same command again to finish",
        ],
    );
    let promised = release.promised();
    assert_eq!(release.tags(&release.one), [Some(promised.clone()), None], "moving tags wait for all");
    assert_eq!(release.tags(&release.other), [None, None]);
    release.finishes_with(&promised);
}

/// The images do not say their revision themselves: only the journal knows it, and once they are published the lock.
#[test]
fn images_that_do_not_say_their_revision_are_known_from_the_journal() {
    let release = Release::new(", labels = { \"org.opencontainers.image.revision\" = \"none\" }");
    release.other.rule(|request| writes_tag(request, "1.0").then_some(Say::Status(403)));
    release.run(&[]).ends(4, &[]);
    release.other.heal();
    release.finishes_with(&release.promised());

    // With the lock there is nothing to do. Without either an immutable tag of unknown revision stops a release before
    // anything is built.
    let calls = release.engine_calls();
    release.run(&[]).ends(0, &[]);
    std::fs::remove_file(release.workspace.path().join("manifests.lock")).unwrap();
    release.run(&[]).ends(1, &["app:1.0 is immutable and published already", "raise the version"]);
    assert_eq!(release.engine_calls(), calls);
}

#[test]
fn killed_between_two_tags() {
    let release = Release::new("");
    let (arrived, arrival) = mpsc::channel();
    release.other.rule(move |request| {
        writes_tag(request, "latest").then(|| {
            arrived.send(()).unwrap();
            Say::Silence
        })
    });
    let mut child = Command::new(env!("CARGO_BIN_EXE_manifests"))
        .args(release.args())
        .current_dir(release.workspace.path())
        .env("DOCKER_CONFIG", release.workspace.docker_config())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    arrival.recv().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    release.other.heal();
    let promised = release.promised();
    assert_eq!(release.tags(&release.other), [Some(promised.clone()), None]);
    release.finishes_with(&promised);
}

#[test]
fn a_second_registry_that_is_down_when_the_list_comes() {
    let release = Release::new("");
    // It answers as long as it is read.
    release
        .other
        .rule(|request| (!matches!(request.method().as_str(), "GET" | "HEAD")).then_some(Say::Status(403)));
    release.run(&[]).ends(1, &["nothing of target app was published"]);
    release.other.heal();
    assert_eq!(release.tags(&release.one), [None, None]);
    let promised = release.promised();
    // What a plan shows is what the next release does.
    let plan = run(&release.workspace, &["plan"]);
    plan.ends(0, &[]);
    assert!(plan.stdout.contains("was interrupted: its images are taken"), "{}", plan.stdout);
    assert!(release.journal().is_some(), "a plan changes nothing");
    release.finishes_with(&promised);
}

#[test]
fn what_another_run_cannot_finish_is_put_aside() {
    let release = Release::new("");
    release.other.rule(|request| writes_tag(request, "1.0").then_some(Say::Status(403)));
    release.run(&[]).ends(4, &[]);
    release.other.heal();
    let promised = release.promised();

    // A rehearsal has a journal of its own.
    run(&release.workspace, &["release", "--rehearse"]).ends(0, &[]);
    let port = release.workspace.read("target/manifests/rehearsal/port");
    let mapped = format!("127.0.0.1:{}/{}", port.trim(), release.one.host().replace(':', "-"));
    let _images = ["amd64", "arm64"].map(|arch| ImageGuard::new(format!("{mapped}/app:1.0-linux-{arch}")));
    assert_eq!(release.promised(), promised);

    // Other files: the images would not be these. The tag that is out still says its revision, and goes on to pin.
    release.workspace.write("new file", "");
    release.run(&["--allow-dirty"]).ends(
        0,
        &[
            "warning: an interrupted release of app is not finished, as the files here have changed since",
            "journal.aside.json",
            "an immutable tag is published from this revision already",
        ],
    );
    assert_eq!(release.tags(&release.other), [Some(promised.clone()), Some(promised)]);
    let aside: Value =
        serde_json::from_str(&release.workspace.read("target/manifests/journal.aside.json")).unwrap();
    assert!(aside["targets"]["app"]["images"].is_array(), "{aside}");

    // A journal that cannot be understood stops nobody.
    release.workspace.write(JOURNAL, "{ \"version\": 7 }");
    release.run(&["--allow-dirty"]).ends(0, &["cannot be understood: it is of version 7"]);
    assert_eq!(release.journal(), None);
}
