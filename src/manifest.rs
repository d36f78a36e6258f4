//! Bytes and meaning of manifests: lists (Docker manifest list, OCI image index) and images. Pure.
//!
//! What was received is kept as it is: fields this program does not know stay in [`Descriptor::other`] and
//! [`List::other`]. `oci-spec`'s types write `os_version` for `os.version` and lose the order of annotations, hence
//! these.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::media;
use crate::platform::Platform;

/// Annotation of an attestation's entry: what kind of thing it is (moby/buildkit, `docs/attestations`).
pub const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// Annotation of an attestation's entry: the digest of the image that it is about.
pub const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// A reference to content by digest (image-spec, descriptor.md), with the platform when it is a list's entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The content's type.
    #[serde(default)]
    pub media_type: String,
    /// The content's digest.
    pub digest: Digest,
    /// The content's length in bytes.
    pub size: u64,
    /// Other places to fetch the content from; layers that have some are not distributed by registries.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// What the entry says of itself.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What the image runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformFields>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The platform object of an entry (image-spec, image-index.md).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformFields {
    /// `GOARCH`.
    #[serde(default)]
    pub architecture: String,
    /// `GOOS`.
    #[serde(default)]
    pub os: String,
    /// Version of the operating system.
    #[serde(rename = "os.version", default, skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// Features of the operating system that the image needs.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// Variant of the architecture.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl From<&Platform> for PlatformFields {
    fn from(platform: &Platform) -> Self {
        Self {
            architecture: platform.arch.clone(),
            os: platform.os.clone(),
            os_version: platform.os_version.clone().unwrap_or_default(),
            os_features: platform.os_features.clone(),
            variant: platform.variant.clone().unwrap_or_default(),
            other: Map::new(),
        }
    }
}

impl From<&PlatformFields> for Platform {
    fn from(fields: &PlatformFields) -> Self {
        let filled = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Self {
            os: fields.os.clone(),
            arch: fields.architecture.clone(),
            variant: filled(&fields.variant),
            os_version: filled(&fields.os_version),
            os_features: fields.os_features.clone(),
        }
    }
}

/// Go writes an absent list or map as `null`.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What an entry of a list is there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The image of a platform.
    Image(Platform),
    /// An attestation of the image with this digest.
    Attestation(Digest),
    /// Neither: an artifact, or an entry without a platform.
    Other,
}

impl Descriptor {
    /// A descriptor without platform and annotations.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            other: Map::new(),
        }
    }

    /// What this entry of a list is there for.
    pub fn role(&self) -> Role {
        if self.annotations.contains_key(REFERENCE_TYPE) {
            let subject = self.annotations.get(REFERENCE_DIGEST).and_then(|digest| digest.parse().ok());
            return subject.map_or(Role::Other, Role::Attestation);
        }
        match &self.platform {
            Some(fields) if fields.os != "unknown" && !fields.os.is_empty() => Role::Image(fields.into()),
            _ => Role::Other,
        }
    }
}

/// The two kinds of list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// A Docker manifest list.
    Docker,
    /// An OCI image index.
    Oci,
}

impl ListKind {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Docker => media::DOCKER_LIST,
            Self::Oci => media::OCI_INDEX,
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "manifest list",
            Self::Oci => "image index",
        }
    }
}

/// A manifest list or image index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Which of the two.
    pub kind: ListKind,
    /// In the order of the list.
    pub entries: Vec<Descriptor>,
    /// Annotations of the list itself.
    pub annotations: BTreeMap<String, String>,
    /// Everything else, `subject` and `artifactType` among it.
    pub other: Map<String, Value>,
}

impl List {
    /// An empty list.
    pub fn new(kind: ListKind) -> Self {
        Self { kind, entries: Vec::new(), annotations: BTreeMap::new(), other: Map::new() }
    }

    /// The bytes to publish: same list, same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let wire = WireList {
            schema_version: 2,
            media_type: self.kind.media_type().to_owned(),
            manifests: self.entries.clone(),
            annotations: self.annotations.clone(),
            other: self.other.clone(),
        };
        serde_json::to_vec_pretty(&wire).unwrap_or_default()
    }

    /// The attestations of the image `digest`.
    pub fn attestations_of(&self, digest: &Digest) -> Vec<Descriptor> {
        let is_about = |entry: &&Descriptor| entry.role() == Role::Attestation(digest.clone());
        self.entries.iter().filter(is_about).cloned().collect()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireList {
    schema_version: u8,
    media_type: String,
    #[serde(default, deserialize_with = "or_default")]
    manifests: Vec<Descriptor>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// An image manifest: what it takes to serve it, and what it is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageManifest {
    /// [`media::DOCKER_IMAGE`] or [`media::OCI_IMAGE`].
    pub media_type: String,
    /// The image's configuration.
    pub config: Descriptor,
    /// Bottom first.
    pub layers: Vec<Descriptor>,
}

impl ImageManifest {
    /// The blobs that a repository must hold before it takes this manifest: config and layers, each once, but for
    /// layers with `urls`, which no registry is given.
    pub fn blobs(&self) -> Vec<&Descriptor> {
        let mut blobs: Vec<&Descriptor> = Vec::new();
        for blob in std::iter::once(&self.config).chain(&self.layers) {
            if blob.urls.is_empty() && !blobs.iter().any(|known| known.digest == blob.digest) {
                blobs.push(blob);
            }
        }
        blobs
    }
}

/// A manifest of either shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// One platform's image, or an attestation of one.
    Image(ImageManifest),
    /// A list.
    List(List),
}

/// Why bytes are no manifest that this program works with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not of the shape that the media type promises.
    #[error("not a valid {media_type}: {reason}")]
    Malformed {
        /// The media type it was served with.
        media_type: String,
        /// What the parser says.
        reason: String,
    },
    /// An image of the first schema.
    #[error("a Docker image of schema 1, which cannot be listed; push it again with a current engine")]
    Schema1,
    /// Neither an image nor a list.
    #[error("of type {0}, neither an image nor a list")]
    Unknown(String),
}

/// Reads a manifest. `content_type` is what the registry served it as; the type in the bytes counts where there is one.
pub fn parse(bytes: &[u8], content_type: &str) -> Result<Manifest, ManifestError> {
    let malformed = |reason: String| ManifestError::Malformed { media_type: content_type.to_owned(), reason };
    let mut value: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    let served = content_type.split(';').next().unwrap_or_default().trim();
    let media_type = match value.get("mediaType").and_then(Value::as_str) {
        Some(own) => own.to_owned(),
        None if media::is_list(served) || media::is_image(served) => served.to_owned(),
        None if value.contains_key("fsLayers") => return Err(ManifestError::Schema1),
        None if value.contains_key("manifests") => media::OCI_INDEX.to_owned(),
        None if value.contains_key("config") => media::OCI_IMAGE.to_owned(),
        None => served.to_owned(),
    };
    if media::DOCKER_SCHEMA1.contains(&media_type.as_str()) {
        return Err(ManifestError::Schema1);
    }
    value.insert("mediaType".to_owned(), Value::String(media_type.clone()));
    if media::is_list(&media_type) {
        let wire: WireList =
            serde_json::from_value(Value::Object(value)).map_err(|error| malformed(error.to_string()))?;
        let kind = if media_type == media::DOCKER_LIST { ListKind::Docker } else { ListKind::Oci };
        return Ok(Manifest::List(List {
            kind,
            entries: wire.manifests,
            annotations: wire.annotations,
            other: wire.other,
        }));
    }
    if !media::is_image(&media_type) {
        return Err(ManifestError::Unknown(media_type));
    }
    let mut part = |name: &str| value.remove(name).unwrap_or(Value::Null);
    let config =
        serde_json::from_value(part("config")).map_err(|error| malformed(format!("config: {error}")))?;
    let layers =
        serde_json::from_value(part("layers")).map_err(|error| malformed(format!("layers: {error}")))?;
    Ok(Manifest::Image(ImageManifest { media_type, config, layers }))
}

/// What an image's configuration says of itself (image-spec, config.md).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// The platform it was made for.
    pub platform: Platform,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl ImageConfig {
    /// Reads the configuration's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(flatten)]
            platform: PlatformFields,
            #[serde(default)]
            config: Option<Inner>,
        }
        #[derive(Deserialize, Default)]
        struct Inner {
            #[serde(rename = "Labels", default)]
            labels: Option<BTreeMap<String, String>>,
        }
        let wire: Wire = serde_json::from_slice(bytes).map_err(|error| ManifestError::Malformed {
            media_type: "image configuration".to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            platform: (&wire.platform).into(),
            labels: wire.config.unwrap_or_default().labels.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(content: &str, os: &str, arch: &str) -> Descriptor {
        let mut entry =
            Descriptor::new(media::OCI_IMAGE, Digest::of(content.as_bytes()), content.len() as u64);
        entry.platform = Some((&Platform::new(os, arch)).into());
        entry
    }

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let mut list = List::new(ListKind::Oci);
        list.entries = vec![entry("a", "linux", "amd64"), entry("b", "linux", "arm64")];
        list.annotations.insert("k".to_owned(), "v".to_owned());
        list.other.insert("artifactType".to_owned(), "x/y".into());
        list.entries[0].other.insert("data".to_owned(), "YQ==".into());
        let bytes = list.to_bytes();
        assert_eq!(parse(&bytes, "text/plain"), Ok(Manifest::List(list.clone())));
        assert_eq!(bytes, list.to_bytes());
    }

    #[test]
    fn the_type_comes_from_the_bytes_then_the_header_then_the_shape() {
        let docker = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, media::DOCKER_LIST);
        let bare = r#"{"schemaVersion":2,"manifests":[]}"#;
        let kind = |bytes: &str, content_type| match parse(bytes.as_bytes(), content_type) {
            Ok(Manifest::List(list)) => list.kind,
            other => panic!("{other:?}"),
        };
        assert_eq!(kind(&docker, media::OCI_INDEX), ListKind::Docker);
        assert_eq!(
            kind(bare, "application/vnd.docker.distribution.manifest.list.v2+json; x=y"),
            ListKind::Docker
        );
        assert_eq!(kind(bare, "application/json"), ListKind::Oci);
        assert_eq!(
            parse(br#"{"schemaVersion":1,"fsLayers":[]}"#, "application/json"),
            Err(ManifestError::Schema1)
        );
        assert!(matches!(parse(b"{}", "text/html"), Err(ManifestError::Unknown(_))));
        assert!(matches!(parse(b"<html>", "text/html"), Err(ManifestError::Malformed { .. })));
    }

    #[test]
    fn an_entry_is_an_image_an_attestation_or_neither() {
        let image = entry("a", "linux", "amd64");
        assert_eq!(image.role(), Role::Image(Platform::new("linux", "amd64")));
        let mut attestation = entry("b", "unknown", "unknown");
        assert_eq!(attestation.role(), Role::Other);
        attestation.annotations.insert(REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned());
        attestation.annotations.insert(REFERENCE_DIGEST.to_owned(), image.digest.to_string());
        assert_eq!(attestation.role(), Role::Attestation(image.digest.clone()));
        let mut list = List::new(ListKind::Oci);
        list.entries = vec![image.clone(), attestation.clone()];
        assert_eq!(list.attestations_of(&image.digest), vec![attestation]);
    }

    #[test]
    fn blobs_are_named_once_and_foreign_layers_not_at_all() {
        let layer = Descriptor::new("x", Digest::of(b"layer"), 5);
        let foreign =
            Descriptor { urls: vec!["https://x".to_owned()], ..Descriptor::new("x", Digest::of(b"f"), 1) };
        let image = ImageManifest {
            media_type: media::OCI_IMAGE.to_owned(),
            config: Descriptor::new("c", Digest::of(b"config"), 6),
            layers: vec![layer.clone(), foreign, layer.clone()],
        };
        let digests: Vec<_> = image.blobs().iter().map(|blob| blob.digest.clone()).collect();
        assert_eq!(digests, vec![Digest::of(b"config"), layer.digest]);
    }

    #[test]
    fn a_configuration_gives_platform_and_labels() {
        let config = ImageConfig::parse(
            br#"{"architecture":"amd64","os":"windows","os.version":"10.0.17763.1","config":{"Labels":{"a":"b"}}}"#,
        )
        .unwrap();
        assert_eq!(config.platform.to_string(), "windows(10.0.17763.1)/amd64");
        assert_eq!(config.labels["a"], "b");
        assert!(
            ImageConfig::parse(br#"{"architecture":"amd64","os":"linux","config":{"Labels":null}}"#).is_ok()
        );
    }
}
