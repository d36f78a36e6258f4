//! Images and lists as bytes, small ones.

use axum::body::Bytes;
use manifests::model::digest::Digest;
use manifests::model::manifest::{
    Descriptor, List, ListKind, PlatformFields, REFERENCE_DIGEST, REFERENCE_TYPE,
};
use manifests::model::media::OCI_IMAGE;
use manifests::model::platform::Platform;
use serde_json::{Value, json};

use crate::backdoor::Backdoor;

/// Something that a repository holds before a run, with all that it needs.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// Which of the scenario's registries.
    pub(crate) registry: usize,
    pub(crate) repository: String,
    /// Tags, or none: then only its digest.
    pub(crate) tags: Vec<String>,
    pub(crate) media_type: &'static str,
    pub(crate) manifest: Bytes,
    pub(crate) blobs: Vec<Bytes>,
    pub(crate) children: Vec<Content>,
}

/// The image of `text`'s platform, with one layer of so many bytes; another `salt` makes another image of it.
pub(crate) fn image(text: &str, salt: &str, layer: usize) -> Content {
    let platform: Platform = text.parse().unwrap();
    let mut config = serde_json::to_value(PlatformFields::from(&platform)).unwrap();
    config["config"] = json!({ "Labels": { "salt": salt } });
    let config = Bytes::from(config.to_string());
    let layer = Bytes::from(format!("{text} {salt} ").repeat(layer / (text.len() + salt.len()) + 1));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
    });
    Content::new(OCI_IMAGE, manifest.to_string().into(), vec![config, layer])
}

/// An attestation of an image, as BuildKit makes them.
fn attestation() -> Content {
    let config = Bytes::from(r#"{"architecture":"unknown","os":"unknown"}"#);
    let statement = Bytes::from(r#"{"_type":"https://in-toto.io/Statement/v0.1"}"#);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.in-toto+json", &statement)],
    });
    Content::new(OCI_IMAGE, manifest.to_string().into(), vec![config, statement])
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() })
}

/// A list of images, each with its platform.
pub(crate) fn list(images: Vec<(&str, Content)>) -> Content {
    let mut list = List::new(ListKind::Oci);
    for (platform, image) in &images {
        list.entries.push(image.entry(platform));
    }
    let children = images.into_iter().map(|(_, image)| image).collect();
    Content { children, ..Content::new(ListKind::Oci.media_type(), list.to_bytes().into(), Vec::new()) }
}

/// One image and its attestation, as engines push them today.
pub(crate) fn attested(platform: &str, image: Content) -> Content {
    let attestation = attestation();
    let mut beside = attestation.entry("unknown/unknown");
    beside.annotations.insert(REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned());
    beside.annotations.insert(REFERENCE_DIGEST.to_owned(), image.digest().to_string());
    let mut list = List::new(ListKind::Oci);
    list.entries = vec![image.entry(platform), beside];
    let children = vec![image, attestation];
    Content { children, ..Content::new(ListKind::Oci.media_type(), list.to_bytes().into(), Vec::new()) }
}

impl Content {
    pub(crate) fn new(media_type: &'static str, manifest: Bytes, blobs: Vec<Bytes>) -> Self {
        let children = Vec::new();
        let (repository, tags) = ("team/app".to_owned(), Vec::new());
        Self { registry: 0, repository, tags, media_type, manifest, blobs, children }
    }

    pub(crate) fn tagged(self, tag: &str) -> Self {
        Self { tags: vec![tag.to_owned()], ..self }
    }

    /// In another repository.
    pub(crate) fn within(self, registry: usize, repository: &str) -> Self {
        let children = self.children.into_iter().map(|child| child.within(registry, repository)).collect();
        Self { registry, repository: repository.to_owned(), children, ..self }
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    /// As an entry of a list.
    pub(crate) fn entry(&self, platform: &str) -> Descriptor {
        let platform: Platform = platform.parse().unwrap();
        let mut entry = Descriptor::new(self.media_type, self.digest(), self.manifest.len() as u64);
        entry.platform = Some(PlatformFields::from(&platform));
        entry
    }

    /// Puts it into the registry, what it needs first.
    pub(crate) async fn put(&self, registries: &[Backdoor]) {
        let backdoor = &registries[self.registry];
        for child in &self.children {
            Box::pin(child.put(registries)).await;
        }
        for blob in &self.blobs {
            backdoor.put_blob(&self.repository, blob.clone()).await;
        }
        let digest = self.digest();
        for lookup in std::iter::once(digest.as_str()).chain(self.tags.iter().map(String::as_str)) {
            let path = format!("/v2/{}/manifests/{lookup}", self.repository);
            backdoor.put(&path, self.media_type, self.manifest.clone()).await;
        }
    }
}
