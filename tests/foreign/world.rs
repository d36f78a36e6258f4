//! A registry that serves hostile text wherever there is text, and a workspace that declares some.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use manifests::embedded::{self, Server};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::hostile::SECRET;
use crate::support::{Hands, OCI_CONFIG, OCI_IMAGE, OCI_INDEX, Workspace};

/// How the registry answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As it should; lists of tags are made up.
    Serving,
    /// With an error of this status, and hostile words.
    Refusing(u16),
    /// With something that is no manifest.
    Lying,
}

/// An embedded registry behind a layer that says hostile things.
pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) host: String,
    mood: Arc<Mutex<(Mood, String)>>,
    _server: Server,
    _root: TempDir,
}

/// What a command wrote.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The summary of the step.
    pub(crate) summary: String,
}

impl World {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let root = tempfile::tempdir().unwrap();
        let mood = Arc::new(Mutex::new((Mood::Serving, String::new())));
        let asked = mood.clone();
        let layer = middleware::from_fn(move |request: Request, next: Next| {
            let (mood, text) = asked.lock().unwrap().clone();
            let answer = answer(&request, mood, &text);
            async move {
                match answer {
                    Some(answer) => answer,
                    None => next.run(request).await,
                }
            }
        });
        let options = embedded::Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            ..embedded::Options::new(root.path())
        };
        let server = runtime.block_on(Server::start_with(options, |router| router.layer(layer))).unwrap();
        Self { host: server.addr().to_string(), runtime, mood, _server: server, _root: root }
    }

    /// From now on it answers so, with these words.
    pub(crate) fn says(&self, mood: Mood, text: &str) {
        *self.mood.lock().unwrap() = (mood, text.to_owned());
    }

    /// Publishes a list at `REPOSITORY:1` whose every text is `text`.
    pub(crate) fn publish(&self, repository: &str, text: &str) {
        self.runtime.block_on(async {
            let hands = Hands::at(&self.host);
            let mut entries = Vec::new();
            for (name, arch) in [("plain", "amd64"), ("hostile", "arm64")] {
                let mut entry = image(&hands, repository, name, arch, text).await;
                entry["platform"] = json!({ "os": "linux", "architecture": arch });
                entry["annotations"] = json!({ text: text, "note": text });
                entries.push(entry);
            }
            entries[1]["platform"]["os.features"] = json!([text]);
            let index = json!({
                "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries,
                "annotations": { "title": text },
            });
            hands.manifest(repository, "1", &index).await;
            // Platforms that are none, and a version of hostile text.
            let mut odd = image(&hands, repository, "odd", "amd64", text).await;
            odd["platform"] =
                json!({ "os": text, "architecture": text, "variant": text, "os.version": text });
            let mut windows = odd.clone();
            windows["platform"] = json!({ "os": "windows", "architecture": "amd64", "os.version": text });
            odd["artifactType"] = text.into();
            let index = json!({
                "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entries[0], odd, windows],
                "annotations": { "title": text }, text: text,
            });
            hands.manifest(repository, "odd", &index).await;
        });
    }
}

/// An image whose labels and layers hold the text, at a tag of `name`.
async fn image(hands: &Hands, repository: &str, name: &str, arch: &str, text: &str) -> Value {
    let config = json!({
        "os": "linux", "architecture": arch, "author": text,
        "config": { "Labels": { text: text, "org.opencontainers.image.revision": text } },
        "history": [{ "created_by": text }],
    });
    let config = hands.blob(repository, OCI_CONFIG, &serde_json::to_vec(&config).unwrap()).await;
    let mut layer = hands
        .blob(repository, "application/vnd.oci.image.layer.v1.tar", format!("{name} {text}").as_bytes())
        .await;
    layer["annotations"] = json!({ text: text });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_IMAGE, "config": config, "layers": [layer],
        "annotations": { "note": text },
    });
    hands.manifest(repository, &format!("1-linux-{name}"), &manifest).await
}

/// What the layer says by itself.
fn answer(request: &Request, mood: Mood, text: &str) -> Option<Response> {
    let path = request.uri().path();
    let json = |status: u16, body: Value| {
        let body = Body::from(body.to_string());
        Response::builder().status(status).header("content-type", "application/json").body(body).unwrap()
    };
    match mood {
        Mood::Serving if path.ends_with("/tags/list") => {
            let name = path.trim_start_matches("/v2/").trim_end_matches("/tags/list");
            Some(json(200, json!({ "name": name, "tags": ["1", text] })))
        }
        Mood::Serving => None,
        _ if path == "/v2/" => None,
        Mood::Refusing(status) => {
            let error = json!({ "code": text, "message": text, "detail": { text: text } });
            Some(json(status, json!({ "errors": [error] })))
        }
        Mood::Lying => {
            let body = json!({ "schemaVersion": text, "mediaType": text, "manifests": [{ "mediaType": text, "digest": text }] });
            Some(json(200, body))
        }
    }
}

/// `manifests ARGS` as a step of a job.
pub(crate) fn run(workspace: &Workspace, args: &[&str]) -> Ran {
    let summary: PathBuf = workspace.path().join("target/summary.md");
    fs::create_dir_all(summary.parent().unwrap()).unwrap();
    let _ = fs::remove_file(&summary);
    let output = workspace
        .command(args)
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", &summary)
        .env("SECRET", SECRET)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    Ran {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        summary: fs::read_to_string(&summary).unwrap_or_default(),
    }
}

/// A TOML string that means `text`, and is a literal for templates.
pub(crate) fn literal(text: &str) -> String {
    let doubled = text.replace('{', "{{").replace('}', "}}");
    let escaped: String = doubled.chars().map(|c| format!("\\U{:08X}", u32::from(c))).collect();
    format!("\"{escaped}\"")
}
