//! An embedded registry that answers as a test tells it, and images to list.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use manifests::embedded::{self, Server};
use manifests::model::digest::Digest;
use manifests::model::reference::Repository;
use manifests::registry::{Options, Registry};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::Workspace;

/// What a rule says to a request.
pub(crate) enum Say {
    /// This status, and nothing is done.
    Status(u16),
    /// This answer.
    Answer(Response),
    /// Nothing, ever.
    Silence,
}

type Rule = dyn FnMut(&Request) -> Option<Say> + Send;

/// A registry of its own; a rule sees each request first.
pub(crate) struct Ruled {
    server: Server,
    rule: Arc<Mutex<Option<Box<Rule>>>>,
    _runtime: Runtime,
    root: TempDir,
}

impl Ruled {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let root = tempfile::tempdir().unwrap();
        let rule = Arc::<Mutex<Option<Box<Rule>>>>::default();
        let asked = rule.clone();
        let layer = middleware::from_fn(move |request: Request, next: Next| {
            let said = asked.lock().unwrap().as_mut().and_then(|rule| rule(&request));
            async move {
                match said {
                    None => next.run(request).await,
                    Some(Say::Answer(response)) => response,
                    Some(Say::Status(status)) => {
                        Response::builder().status(status).body(Body::empty()).unwrap()
                    }
                    Some(Say::Silence) => std::future::pending().await,
                }
            }
        });
        let options = embedded::Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            ..embedded::Options::new(root.path())
        };
        let server = runtime.block_on(Server::start_with(options, |router| router.layer(layer))).unwrap();
        Self { server, rule, _runtime: runtime, root }
    }

    pub(crate) fn host(&self) -> String {
        self.server.addr().to_string()
    }

    pub(crate) fn rule(&self, rule: impl FnMut(&Request) -> Option<Say> + Send + 'static) {
        *self.rule.lock().unwrap() = Some(Box::new(rule));
    }

    pub(crate) fn heal(&self) {
        *self.rule.lock().unwrap() = None;
    }

    /// The file in which the registry keeps the bytes of a manifest or blob.
    pub(crate) fn stored(&self, digest: &Digest) -> PathBuf {
        self.root.path().join("blobs").join(digest.algorithm()).join(digest.hex())
    }

    /// `METHOD PATH STATUS` of all requests so far.
    pub(crate) fn log(&self) -> Vec<String> {
        let requests = self.server.requests();
        requests.iter().map(|seen| format!("{} {} {}", seen.method, seen.path, seen.status)).collect()
    }
}

/// Whether a request writes a manifest under this lookup.
pub(crate) fn writes_tag(request: &Request, tag: &str) -> bool {
    request.method() == "PUT" && request.uri().path().ends_with(&format!("/manifests/{tag}"))
}

/// A client for looking and for making what is there beforehand, in a runtime of its own.
pub(crate) struct Client {
    runtime: Runtime,
    registry: Registry,
}

pub(crate) const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

impl Client {
    pub(crate) fn new() -> Self {
        let options = Options { certificate_folders: Some(Vec::new()), ..Options::default() };
        Self { runtime: Runtime::new().unwrap(), registry: Registry::new(options).unwrap() }
    }

    /// The digest that a reference's tag or digest serves.
    pub(crate) fn served(&self, repository: &str, lookup: &str) -> Option<Digest> {
        let repository: Repository = repository.parse().unwrap();
        let head = self.runtime.block_on(self.registry.head_manifest(&repository, lookup)).unwrap();
        head.map(|head| head.digest)
    }

    pub(crate) fn put(&self, repository: &str, lookup: &str, media_type: &str, bytes: &[u8]) -> Digest {
        let repository: Repository = repository.parse().unwrap();
        self.runtime.block_on(self.registry.put_manifest(&repository, lookup, media_type, bytes)).unwrap()
    }

    pub(crate) fn get(&self, repository: &str, lookup: &str) -> Vec<u8> {
        let repository: Repository = repository.parse().unwrap();
        let fetched = self.runtime.block_on(self.registry.get_manifest(&repository, lookup)).unwrap();
        fetched.unwrap().bytes.to_vec()
    }

    pub(crate) fn finds_referrers(&self, repository: &str, digest: &str) -> bool {
        let repository: Repository = repository.parse().unwrap();
        let digest = digest.parse().unwrap();
        !self.runtime.block_on(self.registry.referrers(&repository, &digest)).unwrap().is_empty()
    }

    /// A small image of `linux/ARCH` with these labels under `REPOSITORY:ARCH`.
    pub(crate) fn push_image(&self, repository: &str, arch: &str, labels: &serde_json::Value) -> Digest {
        let layer = format!("layer of {arch}");
        let config = json!({ "os": "linux", "architecture": arch, "config": { "Labels": labels },
            "rootfs": { "type": "layers", "diff_ids": [Digest::of(layer.as_bytes())] } })
        .to_string();
        let folder = tempfile::tempdir().unwrap();
        for blob in [&layer, &config] {
            let path = folder.path().join("blob");
            std::fs::write(&path, blob).unwrap();
            self.upload(repository, &path, blob.as_bytes());
        }
        let part = |media_type: &str, blob: &str| json!({ "mediaType": media_type, "digest": Digest::of(blob.as_bytes()), "size": blob.len() });
        let manifest = json!({ "schemaVersion": 2, "mediaType": OCI_IMAGE,
            "config": part("application/vnd.oci.image.config.v1+json", &config),
            "layers": [part("application/vnd.oci.image.layer.v1.tar", &layer)] });
        self.put(repository, arch, OCI_IMAGE, manifest.to_string().as_bytes())
    }

    pub(crate) fn upload(&self, repository: &str, path: &Path, bytes: &[u8]) {
        let repository: Repository = repository.parse().unwrap();
        let digest = Digest::of(bytes);
        let upload = self.registry.upload_file(&repository, &digest, bytes.len() as u64, path);
        self.runtime.block_on(upload).unwrap();
    }
}

/// What a run came to.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stderr))
    }

    /// Asserts the exit code, and that each of the words is on stderr.
    #[track_caller]
    pub(crate) fn ends(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in: {}", self.stderr);
        }
    }
}

pub(crate) fn run(workspace: &Workspace, args: &[&str]) -> Ran {
    let output = workspace.manifests(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}
