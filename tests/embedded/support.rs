//! A registry of one test's own, and the words to talk to it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Once;

use anyhow::{Context, Result, ensure};
use manifests::embedded::{Options, Server};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};

pub(crate) const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A client of some registry.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    addr: SocketAddr,
}

/// A registry, its root and a client of it.
pub(crate) struct Registry {
    pub(crate) server: Server,
    pub(crate) client: Client,
    root: tempfile::TempDir,
}

impl Registry {
    pub(crate) async fn start() -> Result<Self> {
        Self::start_as(|_| {}).await
    }

    pub(crate) async fn start_as(adjust: impl FnOnce(&mut Options)) -> Result<Self> {
        let root = tempfile::tempdir()?;
        let mut options = Options::new(root.path());
        adjust(&mut options);
        let server = Server::start(options).await?;
        Ok(Self { client: Client::new(server.addr())?, server, root })
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Stops the server and starts another one on the same root.
    pub(crate) async fn restart(self) -> Result<Self> {
        self.server.stop().await?;
        let server = Server::start(Options::new(self.root.path())).await?;
        Ok(Self { client: Client::new(server.addr())?, server, root: self.root })
    }
}

impl std::ops::Deref for Registry {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Client {
    pub(crate) fn new(addr: SocketAddr) -> Result<Self> {
        static PROVIDER: Once = Once::new();
        // The client is built with TLS and wants to know whose, although nothing here uses it.
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        Ok(Self { http: reqwest::Client::builder().no_proxy().build()?, addr })
    }

    /// A request to a path below `/v2/`, or to a `Location`.
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let url = match path.strip_prefix('/') {
            Some(absolute) => format!("http://{}/{absolute}", self.addr),
            None => format!("http://{}/v2/{path}", self.addr),
        };
        self.http.request(Method::from_bytes(method.as_bytes()).unwrap_or_default(), url)
    }

    pub(crate) async fn call(&self, method: &str, path: &str) -> Result<Answer> {
        self.request(method, path).answer().await
    }

    /// Pushes a blob with `POST` and `PUT`, and returns its digest.
    pub(crate) async fn push_blob(&self, name: &str, bytes: &[u8]) -> Result<String> {
        let digest = sha256(bytes);
        let started = self.call("POST", &format!("{name}/blobs/uploads/")).await?.expect(202)?;
        let location = format!("{}?digest={digest}", started.header("location"));
        self.request("PUT", &location).body(bytes.to_vec()).answer().await?.expect(201)?;
        Ok(digest)
    }

    pub(crate) async fn put_manifest(
        &self,
        name: &str,
        reference: &str,
        media_type: &str,
        manifest: impl Into<Vec<u8>>,
    ) -> Result<Answer> {
        let request = self.request("PUT", &format!("{name}/manifests/{reference}"));
        request.header("content-type", media_type).body(manifest.into()).answer().await
    }

    /// Pushes an image with one layer under a tag, and returns its manifest.
    pub(crate) async fn push_image(&self, name: &str, tag: &str, layer: &[u8]) -> Result<Vec<u8>> {
        self.push_blob(name, b"{}").await?;
        self.push_blob(name, layer).await?;
        let manifest = image(b"{}", &[layer]).to_string().into_bytes();
        self.put_manifest(name, tag, OCI_IMAGE, manifest.clone()).await?.expect(201)?;
        Ok(manifest)
    }
}

/// A response that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

pub(crate) trait Send {
    async fn answer(self) -> Result<Answer>;
}

impl Send for RequestBuilder {
    async fn answer(self) -> Result<Answer> {
        let response = self.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes().await?.to_vec() })
    }
}

impl Answer {
    pub(crate) fn expect(self, status: u16) -> Result<Self> {
        ensure!(self.status == status, "expected {status}: {} {}", self.status, self.text());
        Ok(self)
    }

    /// Expects an error in the specification's form.
    pub(crate) fn expect_error(self, status: u16, code: &str) -> Result<Self> {
        let answer = self.expect(status)?;
        let errors = answer.json()?["errors"].as_array().cloned().context("the body has no errors")?;
        ensure!(!errors.is_empty() && errors.iter().all(|error| error["code"] == code), "{}", answer.text());
        Ok(answer)
    }

    /// A header's value, empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| self.text())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}

pub(crate) fn sha512(bytes: &[u8]) -> String {
    let hex: String = Sha512::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    format!("sha512:{hex}")
}

pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": sha256(bytes), "size": bytes.len() })
}

pub(crate) fn image(config: &[u8], layers: &[&[u8]]) -> Value {
    let layers: Vec<_> = layers.iter().map(|layer| descriptor(OCI_LAYER, layer)).collect();
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": descriptor(OCI_CONFIG, config),
        "layers": layers,
    })
}

pub(crate) fn index(children: &[&[u8]]) -> Value {
    let manifests: Vec<_> = children.iter().map(|child| descriptor(OCI_IMAGE, child)).collect();
    json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests })
}

/// Bytes that differ everywhere, so that a piece in a wrong place shows.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}
