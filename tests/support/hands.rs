//! Pushing to a registry by hand: what no engine pushes, or not so.
#![allow(clippy::unwrap_used, reason = "what a test does not expect may panic")]

use std::process::Output;

use manifests::embedded::{Options, Request, Server};
use manifests::model::digest::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Workspace;

pub const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A registry to push to by hand, over the wire: one of its own, or one that runs already.
pub struct Hands {
    host: String,
    server: Option<(Server, TempDir)>,
    client: reqwest::Client,
}

impl Hands {
    /// On an embedded registry, which ends with this.
    pub async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let server = Server::start(Options::new(root.path())).await.unwrap();
        let host = server.addr().to_string();
        Self { server: Some((server, root)), ..Self::at(&host) }
    }

    /// On the registry at `host`.
    pub fn at(host: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
        Self { host: host.to_owned(), server: None, client }
    }

    /// As references have it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What an embedded registry was asked.
    pub fn requests(&self) -> Vec<Request> {
        self.server.as_ref().expect("an embedded registry").0.requests()
    }

    /// Pushes a blob and gives its descriptor.
    pub async fn blob(&self, repository: &str, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        self.upload(repository, &digest, bytes.to_vec()).await;
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    /// Pushes the bytes of `body`, which have the digest.
    pub async fn upload(&self, repository: &str, digest: &Digest, body: impl Into<reqwest::Body>) {
        let url = format!("http://{}/v2/{repository}/blobs/uploads/", self.host);
        let begun = self.client.post(url).body("").send().await.unwrap();
        let location = begun.headers()["location"].to_str().unwrap();
        let mut location = begun.url().join(location).unwrap();
        location.query_pairs_mut().append_pair("digest", digest.as_str());
        let answer = self.client.put(location).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    }

    /// Pushes a manifest under a tag and gives its descriptor.
    pub async fn manifest(&self, repository: &str, tag: &str, manifest: &Value) -> Value {
        let bytes = serde_json::to_vec(manifest).unwrap();
        let media_type = manifest["mediaType"].as_str().unwrap();
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.host);
        let answer =
            self.client.put(url).header("content-type", media_type).body(bytes.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
        json!({ "mediaType": media_type, "digest": Digest::of(&bytes), "size": bytes.len() })
    }

    /// An image whose configuration says `platform`.
    pub async fn image(&self, repository: &str, tag: &str, platform: Value) -> Value {
        let config = self.blob(repository, OCI_CONFIG, &serde_json::to_vec(&platform).unwrap()).await;
        let layer = self.blob(repository, "application/vnd.oci.image.layer.v1.tar", tag.as_bytes()).await;
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": OCI_IMAGE, "config": config, "layers": [layer] });
        self.manifest(repository, tag, &manifest).await
    }

    /// What BuildKit pushes for one platform by default: an index of the image and an attestation about it.
    pub async fn attested(&self, repository: &str, tag: &str, platform: Value) -> (Value, Value) {
        let mut image = self.image(repository, &format!("{tag}-image"), platform.clone()).await;
        let config = self.blob(repository, OCI_CONFIG, br#"{"architecture":"unknown","os":"unknown"}"#).await;
        let statement = self.blob(repository, "application/vnd.in-toto+json", tag.as_bytes()).await;
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": OCI_IMAGE, "config": config, "layers": [statement] });
        let mut attestation = self.manifest(repository, &format!("{tag}-attestation"), &manifest).await;
        attestation["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
        attestation["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": image["digest"],
        });
        image["platform"] = platform;
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [image, attestation] });
        self.manifest(repository, tag, &index).await;
        (image, attestation)
    }

    /// What the registry serves.
    pub async fn served(&self, repository: &str, tag: &str) -> Option<Value> {
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.host);
        let answer = self
            .client
            .get(url)
            .header("accept", format!("{OCI_IMAGE}, {OCI_INDEX}, */*"))
            .send()
            .await
            .unwrap();
        if answer.status() == 404 {
            return None;
        }
        Some(serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
    }

    /// Runs `manifests ARGS` with a declaration in which `HOST` stands for this registry.
    pub async fn run(&self, declaration: &str, args: &[&str]) -> Output {
        let workspace = Workspace::new(&[("manifests.toml", &declaration.replace("HOST", &self.host))]);
        let command = workspace.manifests(args);
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
    }

    /// `manifests reconcile`, which must succeed.
    pub async fn reconcile(&self, declaration: &str) {
        let output = self.run(declaration, &["reconcile"]).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
