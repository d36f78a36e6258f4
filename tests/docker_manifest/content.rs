//! What is in the registry before the commands run: the same images in a namespace for each side.

use std::sync::Once;

use manifests::model::digest::Digest;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

pub(crate) const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// How an image is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As Docker writes it: three spaces.
    Docker,
    /// As many other tools do: OCI's types, on one line.
    Oci,
}

/// A registry to push to by hand.
pub(crate) struct Registry {
    host: String,
    client: Client,
    runtime: tokio::runtime::Runtime,
}

impl Registry {
    pub(crate) fn new(host: String) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let client = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { host, client, runtime }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = match path.strip_prefix('/') {
            Some(absolute) => format!("http://{}/{absolute}", self.host),
            None if path.starts_with("http") => path.to_owned(),
            None => format!("http://{}/v2/{path}", self.host),
        };
        self.client.request(method, url)
    }

    /// Sends a request, and gives the status, the `Location` and the body.
    fn send(&self, request: RequestBuilder) -> (u16, String, Vec<u8>) {
        self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
            let (status, location) = (answer.status().as_u16(), location.unwrap_or_default().to_owned());
            (status, location, answer.bytes().await.unwrap().to_vec())
        })
    }

    fn blob(&self, repository: &str, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        let (status, location, _) =
            self.send(self.request(Method::POST, &format!("{repository}/blobs/uploads/")));
        assert_eq!(status, 202);
        let separator = if location.contains('?') { '&' } else { '?' };
        let put = self.request(Method::PUT, &format!("{location}{separator}digest={digest}"));
        assert_eq!(self.send(put.body(bytes.to_vec())).0, 201);
        json!({ "mediaType": media_type, "size": bytes.len(), "digest": digest })
    }

    /// Pushes a manifest's bytes under a tag, and gives its descriptor.
    pub(crate) fn manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) -> Value {
        let put = self.request(Method::PUT, &format!("{repository}/manifests/{tag}"));
        let (status, _, body) = self.send(put.header(CONTENT_TYPE, media_type).body(bytes.to_vec()));
        assert_eq!(status, 201, "{repository}:{tag}: {}", String::from_utf8_lossy(&body));
        json!({ "mediaType": media_type, "size": bytes.len(), "digest": Digest::of(bytes) })
    }

    /// Pushes an image whose configuration is `config`; `content` makes it another one.
    pub(crate) fn image(&self, at: (&str, &str), kind: Kind, config: &Value, content: &str) -> Value {
        let (repository, tag) = at;
        let types = match kind {
            Kind::Docker => [
                DOCKER_IMAGE,
                "application/vnd.docker.container.image.v1+json",
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
            ],
            Kind::Oci => [
                OCI_IMAGE,
                "application/vnd.oci.image.config.v1+json",
                "application/vnd.oci.image.layer.v1.tar+gzip",
            ],
        };
        let config = self.blob(repository, types[1], config.to_string().as_bytes());
        let layer = self.blob(repository, types[2], content.as_bytes());
        let mut manifest =
            json!({ "schemaVersion": 2, "mediaType": types[0], "config": config, "layers": [layer] });
        let bytes = match kind {
            Kind::Docker => serde_json::to_vec_pretty(&manifest).unwrap(),
            Kind::Oci => {
                manifest["annotations"] = json!({ "note": "<a> & \"b\"", "empty": "" });
                serde_json::to_vec(&manifest).unwrap()
            }
        };
        self.manifest(repository, tag, types[0], &bytes)
    }

    /// What a reference serves: the bytes, or `None`.
    pub(crate) fn served(&self, repository: &str, lookup: &str) -> Option<Vec<u8>> {
        let accept = [DOCKER_IMAGE, DOCKER_LIST, OCI_IMAGE, OCI_INDEX].join(",");
        let get = self.request(Method::GET, &format!("{repository}/manifests/{lookup}"));
        let (status, _, bytes) = self.send(get.header("accept", accept));
        assert!(status == 200 || status == 404, "{repository}:{lookup}: {status}");
        (status == 200).then_some(bytes)
    }

    pub(crate) fn delete(&self, repository: &str, digest: &str) {
        let delete = self.request(Method::DELETE, &format!("{repository}/manifests/{digest}"));
        assert_eq!(self.send(delete).0, 202);
    }

    /// Everything that the commands work on, in one namespace.
    pub(crate) fn fill(&self, namespace: &str) {
        let name = |repository: &str| format!("{namespace}/{repository}");
        let linux = |arch: &str| json!({ "architecture": arch, "os": "linux" });
        let variant =
            |arch: &str, variant: &str| json!({ "architecture": arch, "os": "linux", "variant": variant });
        let windows = |version: &str| json!({ "architecture": "amd64", "os": "windows", "os.version": version, "os.features": ["win32k"] });
        for (at, kind, config) in [
            (("amd64", "1"), Kind::Docker, linux("amd64")),
            (("arm", "1"), Kind::Docker, variant("arm", "v7")),
            (("arm64", "1"), Kind::Docker, linux("arm64")),
            (("arm64v8", "1"), Kind::Docker, variant("arm64", "v8")),
            (("oci-amd64", "1"), Kind::Oci, linux("amd64")),
            (("oci-arm64", "1"), Kind::Oci, variant("arm64", "v8")),
            (("app", "amd64"), Kind::Docker, linux("amd64")),
            (("app", "s390x"), Kind::Docker, linux("s390x")),
            (("win", "2019"), Kind::Docker, windows("10.0.17763.1")),
            (("win", "2022"), Kind::Docker, windows("10.0.20348.2")),
            (("loong64", "1"), Kind::Docker, linux("loong64")),
            (("sparc", "1"), Kind::Docker, linux("sparc")),
            (("nothing", "1"), Kind::Docker, json!({})),
        ] {
            self.image((&name(at.0), at.1), kind, &config, &format!("{}:{}", at.0, at.1));
        }
        self.lists(&name("lists"));
    }

    /// Lists as other tools publish them.
    fn lists(&self, lists: &str) {
        let entry = |mut descriptor: Value, platform: Value| {
            descriptor["platform"] = platform;
            descriptor
        };
        let linux = |arch: &str| json!({ "architecture": arch, "os": "linux" });
        let amd64 = self.image((lists, "amd64"), Kind::Oci, &linux("amd64"), "listed amd64");
        let arm64 = self.image((lists, "arm64"), Kind::Docker, &linux("arm64"), "listed arm64");
        let mut attestation = self.image(
            (lists, "att"),
            Kind::Oci,
            &json!({ "architecture": "unknown", "os": "unknown" }),
            "att",
        );
        attestation["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
        attestation["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": amd64["digest"],
        });
        let amd64 = entry(amd64, linux("amd64"));
        let full = json!({
            "os": "linux", "variant": "v8", "architecture": "arm64", "os.version": "1", "os.features": ["b", "a"],
        });
        let arm64 = entry(arm64, full);
        let list = |media_type: &str, manifests: &[&Value]| {
            json!({ "manifests": manifests, "schemaVersion": 2, "mediaType": media_type,
                    "annotations": { "of": "the <index>" } })
        };
        let mut untyped = list(OCI_INDEX, &[&amd64]);
        untyped.as_object_mut().unwrap().remove("mediaType");
        let mut docker = list(DOCKER_LIST, &[&arm64, &amd64]);
        docker.as_object_mut().unwrap().remove("annotations");
        for (tag, media_type, list) in [
            ("attested", OCI_INDEX, list(OCI_INDEX, &[&amd64, &attestation])),
            ("oci", OCI_INDEX, list(OCI_INDEX, &[&amd64, &arm64])),
            ("docker-first", OCI_INDEX, list(OCI_INDEX, &[&arm64, &amd64])),
            ("docker", DOCKER_LIST, docker),
            ("untyped", OCI_INDEX, untyped),
            ("empty", OCI_INDEX, list(OCI_INDEX, &[])),
        ] {
            self.manifest(lists, tag, media_type, &serde_json::to_vec(&list).unwrap());
        }
    }
}
