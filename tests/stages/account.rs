//! What is said of a run is what it did: the lock, the report and the files for other programs, tag by tag.

use std::collections::BTreeMap;
use std::path::Path;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use manifests::model::digest::Digest;
use serde_json::{Value, json};

use crate::fixture::{Client, OCI_INDEX, Ruled, Say, run, writes_tag};
use crate::support::Workspace;

/// A target whose images exist, with the version `1.0`.
pub(crate) struct Project {
    pub(crate) registry: Ruled,
    pub(crate) client: Client,
    pub(crate) workspace: Workspace,
    pub(crate) app: String,
}

impl Project {
    pub(crate) fn new() -> Self {
        let (registry, client) = (Ruled::start(), Client::new());
        let app = format!("{}/app", registry.host());
        client.push_image(&app, "amd64", &json!({}));
        let workspace = Workspace::new(&[("manifests.toml", &declaration(&app, "1.0.0"))]);
        Self { registry, client, workspace, app }
    }

    /// Another image, to be published as `version`.
    pub(crate) fn change(&self, version: &str) {
        self.client.push_image(&self.app, "amd64", &json!({ "changed for": version }));
        self.workspace.write("manifests.toml", &declaration(&self.app, version));
    }

    /// The digests in the lock, by tag.
    pub(crate) fn locked(&self) -> BTreeMap<String, Digest> {
        locked(&self.workspace.path(), &self.app)
    }

    /// The list that a run would publish now: the same images, the same bytes, in another repository.
    fn list(&self) -> Digest {
        let twin = format!("{}/twin", self.registry.host());
        let text = declaration(&twin, "0.0.1")
            .replace(&format!("{twin}:{{arch}}"), &format!("{}:{{arch}}", self.app));
        let workspace = Workspace::new(&[("manifests.toml", &text)]);
        run(&workspace, &["reconcile"]).ends(0, &[]);
        self.client.served(&twin, "0.0.1").unwrap()
    }

    pub(crate) fn served(&self, tags: &[&str]) -> BTreeMap<String, Digest> {
        let served = |tag: &&str| Some((tag.to_string(), self.client.served(&self.app, tag)?));
        tags.iter().filter_map(served).collect()
    }
}

pub(crate) fn declaration(app: &str, version: &str) -> String {
    format!(
        "[target.app]\nrepository = \"{app}\"\nplatforms = [\"linux/amd64\"]\nimage = \"{app}:{{arch}}\"\n\
         tags = [\"{version}\", {{ name = \"latest\", policy = \"newest\" }}]\n"
    )
}

/// The digests in the lock of a folder, by tag.
pub(crate) fn locked(folder: &Path, repository: &str) -> BTreeMap<String, Digest> {
    let text = std::fs::read_to_string(folder.join("manifests.lock")).unwrap();
    let lock: toml::Table = toml::from_str(&text).unwrap();
    let tags = lock["target"]["app"]["repository"][repository].as_table().unwrap();
    tags.iter().map(|(tag, digest)| (tag.clone(), digest.as_str().unwrap().parse().unwrap())).collect()
}

/// What happens while the tag `latest` of version 1.1.0 is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meddle {
    Nobody,
    NewerIsReleased,
    SameListIsThere,
    OtherListIsThere,
    OtherListComesAfter,
    Refused,
}

/// What the lock says of `latest` then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Latest {
    /// The list that was written.
    New,
    /// What was locked before.
    Old,
    /// Nothing: what it serves was not published from here.
    Nothing,
}

#[test]
fn lock_events_summary_and_metadata_say_what_was_applied() {
    for (meddle, code, latest) in [
        (Meddle::Nobody, 0, Latest::New),
        (Meddle::NewerIsReleased, 0, Latest::Nothing),
        (Meddle::SameListIsThere, 0, Latest::New),
        (Meddle::OtherListIsThere, 4, Latest::Old),
        (Meddle::OtherListComesAfter, 4, Latest::Nothing),
        (Meddle::Refused, 4, Latest::Old),
    ] {
        let project = Project::new();
        run(&project.workspace, &["reconcile"]).ends(0, &[]);
        let before = project.locked();
        assert_eq!(before, project.served(&["1.0.0", "latest"]), "{meddle:?}");
        project.change("1.1.0");
        let new = project.list();
        project.registry.rule(rule(meddle, new.clone()));

        let [summary, metadata] =
            ["summary.md", "digests.json"].map(|name| project.workspace.path().join("target").join(name));
        let args =
            ["release", "--allow-dirty", "--format", "json", "--metadata-file", metadata.to_str().unwrap()];
        let output =
            project.workspace.manifests(&args).env("GITHUB_STEP_SUMMARY", &summary).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{meddle:?}: {stderr}");
        project.registry.heal();

        let mut expected = BTreeMap::from([("1.1.0".to_owned(), new.clone())]);
        match latest {
            Latest::New => drop(expected.insert("latest".to_owned(), new.clone())),
            Latest::Old => drop(expected.insert("latest".to_owned(), before["latest"].clone())),
            Latest::Nothing => {}
        }
        assert_eq!(project.locked(), expected, "{meddle:?}: {stderr}");
        // Where the registry only said so, it serves something else by now.
        if !matches!(meddle, Meddle::SameListIsThere) {
            run(&project.workspace, &["verify"]).ends(0, &[]);
        }

        let events = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
        let events: Vec<Value> = events.collect::<Result<_, _>>().unwrap();
        let reference = format!("{}:latest", project.app);
        let told =
            |name: &str| events.iter().any(|event| event["event"] == name && event["reference"] == reference);
        assert_eq!(
            told("published"),
            matches!(meddle, Meddle::Nobody | Meddle::OtherListComesAfter),
            "{meddle:?}"
        );
        assert_eq!(told("skipped"), meddle == Meddle::NewerIsReleased, "{meddle:?}");
        let summary = std::fs::read_to_string(&summary).unwrap();
        assert_eq!(summary.contains("Released in part"), code == 4, "{meddle:?}: {summary}");
        let row = summary.lines().find(|line| line.contains(":latest")).unwrap();
        assert_eq!(row.contains(new.as_str()), latest == Latest::New, "{meddle:?}: {row}");
        match std::fs::read_to_string(&metadata) {
            Ok(text) => {
                let names = serde_json::from_str::<Value>(&text).unwrap()["app"]["image.name"].to_string();
                assert_eq!(
                    (names.contains(":latest"), code),
                    (latest == Latest::New, 0),
                    "{meddle:?}: {names}"
                );
            }
            Err(_) => assert_eq!(code, 4, "{meddle:?}"),
        }
        // The next run brings all of it to the same.
        run(&project.workspace, &["reconcile"]).ends(0, &[]);
        let all = BTreeMap::from(["1.1.0", "latest"].map(|tag| (tag.to_owned(), new.clone())));
        assert_eq!(project.locked(), all, "{meddle:?}");
    }
}

/// What the registry answers. `latest` is looked at for the plan, just before it is written, and after that.
fn rule(meddle: Meddle, list: Digest) -> impl FnMut(&Request) -> Option<Say> + Send {
    let (mut lists, mut looks) = (0, 0);
    move |request| {
        let path = request.uri().path();
        lists += usize::from(path.ends_with("/tags/list"));
        looks += usize::from(request.method() == "HEAD" && path.ends_with("/manifests/latest"));
        let is_look = request.method() == "HEAD" && path.ends_with("/manifests/latest");
        match meddle {
            Meddle::NewerIsReleased if path.ends_with("/tags/list") && lists > 1 => {
                let page = json!({ "name": "app", "tags": ["2.0.0"] }).to_string();
                Some(Say::Answer(Response::new(Body::from(page))))
            }
            Meddle::SameListIsThere if is_look && looks > 1 => Some(serves(&list)),
            Meddle::OtherListIsThere if is_look && looks == 2 => Some(serves(&Digest::of(b"other"))),
            Meddle::OtherListComesAfter if is_look && looks == 3 => Some(serves(&Digest::of(b"other"))),
            Meddle::Refused if writes_tag(request, "latest") => Some(Say::Status(403)),
            _ => None,
        }
    }
}

fn serves(digest: &Digest) -> Say {
    let answer = Response::builder().header("docker-content-digest", digest.as_str());
    let answer = answer.header("content-type", OCI_INDEX).header("content-length", "100");
    Say::Answer(answer.body(Body::empty()).unwrap())
}
