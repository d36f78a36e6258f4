//! Bytes and meaning of manifests: lists (Docker manifest list, OCI image index) and images. Pure.
//!
//! What was received is kept as it is: members that this program does not know stay in [`Descriptor::other`],
//! [`PlatformFields::other`] and [`List::other`]. `oci-spec`'s types write `os_version` for `os.version` and lose the
//! order of annotations, hence these.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Failure;
use crate::model::digest::Digest;
use crate::model::go_json::{self, Json, keeps_other_members};
use crate::model::media;
use crate::model::platform::Platform;

/// Annotation of an attestation's entry: what kind of thing it is (moby/buildkit, `docs/attestations`).
pub const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// Annotation of an attestation's entry: the digest of the image that it is about.
pub const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// A reference to content by digest (image-spec, descriptor.md), with the platform when it is a list's entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Descriptor {
    /// The content's type.
    #[serde(default)]
    pub media_type: String,
    /// The content's digest.
    pub digest: Digest,
    /// The content's length in bytes.
    pub size: u64,
    /// Other places to fetch the content from; layers that have some are not distributed by registries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// What the entry says of itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What the image runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformFields>,
    /// Everything else.
    #[serde(flatten, skip_deserializing)]
    pub other: Map<String, Value>,
}

/// The platform object of an entry (image-spec, image-index.md).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
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
    #[serde(flatten, skip_deserializing)]
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

keeps_other_members!(Descriptor, PlatformFields, WireList);

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

    /// The attestations of the image `digest`. For several images, [`List::attestations`] reads the list once.
    pub fn attestations_of(&self, digest: &Digest) -> Vec<Descriptor> {
        self.attestations().remove(digest).into_iter().flatten().cloned().collect()
    }

    /// All attestations, by the image that they are about.
    pub fn attestations(&self) -> BTreeMap<Digest, Vec<&Descriptor>> {
        let mut by_image: BTreeMap<Digest, Vec<&Descriptor>> = BTreeMap::new();
        for entry in &self.entries {
            if let Role::Attestation(image) = entry.role() {
                by_image.entry(image).or_default().push(entry);
            }
        }
        by_image
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
struct WireList {
    #[serde(default)]
    schema_version: u64,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(flatten, skip_deserializing)]
    other: Map<String, Value>,
}

/// An image manifest: what it takes to serve it, and what it is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageManifest {
    /// [`media::DOCKER_IMAGE`] or [`media::OCI_IMAGE`].
    pub media_type: String,
    /// What the manifest holds when that is not an image (image-spec, manifest.md, "Guidelines for Artifact Usage").
    pub artifact_type: Option<String>,
    /// The image's configuration.
    pub config: Descriptor,
    /// Bottom first.
    pub layers: Vec<Descriptor>,
}

impl ImageManifest {
    /// The blobs that a repository must hold before it takes this manifest: config and layers, each once, but for
    /// layers with `urls`, which no registry is given.
    pub fn blobs(&self) -> Vec<&Descriptor> {
        let mut seen = BTreeSet::new();
        let all = std::iter::once(&self.config).chain(&self.layers);
        all.filter(|blob| blob.urls.is_empty() && seen.insert(&blob.digest)).collect()
    }

    /// Whether the configuration may be an image's although its type does not say so: in Docker's manifests, where what
    /// it holds decides ([`media::is_vague_config`]).
    pub fn has_vague_config(&self) -> bool {
        self.media_type == media::DOCKER_IMAGE && media::is_vague_config(&self.config.media_type)
    }

    /// The type of artifact that this is, as far as its types say; `None` for an image that can be run.
    pub fn artifact(&self) -> Option<&str> {
        let config = &self.config.media_type;
        self.artifact_type.as_deref().or((!media::is_image_config(config)).then_some(config))
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
    /// It reads as two kinds of manifest: clients that believe one or the other would run different images.
    #[error("ambiguous: {0} (see CVE-2021-41190)")]
    Ambiguous(String),
    /// Neither an image nor a list.
    #[error("of type {0:?}, neither an image nor a list")]
    Unknown(String),
}

impl ManifestError {
    /// The error about what `reference` serves.
    pub(crate) fn at(&self, reference: impl std::fmt::Display) -> Failure {
        Failure::new(format!("{reference} is {self}"))
    }
}

/// Reads a manifest. `content_type` is what the registry served it as; the type in the bytes counts where there is one.
///
/// # Errors
///
/// The bytes are not a manifest of a known type, or could be taken for one of another type.
pub fn parse(bytes: &[u8], content_type: &str) -> Result<Manifest, ManifestError> {
    let served = content_type.split(';').next().unwrap_or_default().trim();
    let malformed = |media_type: &str, error: &go_json::Error| ManifestError::Malformed {
        media_type: if media_type.is_empty() { "manifest".to_owned() } else { media_type.to_owned() },
        reason: error.to_string(),
    };
    let json = Json::parse(bytes).map_err(|error| malformed(served, &error))?;
    let media_type = media_type(&json, served)?;
    let malformed = |error: go_json::Error| malformed(&media_type, &error);
    if media::is_list(&media_type) {
        let wire = <WireList as Deserialize>::deserialize(json).map_err(malformed)?;
        let kind = if media_type == media::DOCKER_LIST { ListKind::Docker } else { ListKind::Oci };
        return Ok(Manifest::List(List {
            kind,
            entries: wire.manifests,
            annotations: wire.annotations,
            other: wire.other,
        }));
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct WireImage {
        artifact_type: Option<String>,
        config: Descriptor,
        #[serde(default)]
        layers: Vec<Descriptor>,
    }
    let wire = WireImage::deserialize(json).map_err(malformed)?;
    let artifact_type = wire.artifact_type.filter(|artifact_type| !artifact_type.is_empty());
    Ok(Manifest::Image(ImageManifest { media_type, artifact_type, config: wire.config, layers: wire.layers }))
}

/// The type of a manifest: what it says, else what it was `served` as, else what its members show. Only types of images
/// and lists are given, and only when the members are those of that type alone.
pub(crate) fn media_type(json: &Json, served: &str) -> Result<String, ManifestError> {
    let has = |member: &str| json.member(member).is_some();
    let own = match json.member("mediaType") {
        None => None,
        Some(Json::Text(own)) => Some(own.as_str()).filter(|own| !own.is_empty()),
        Some(_) => {
            return Err(ManifestError::Malformed {
                media_type: "manifest".to_owned(),
                reason: "mediaType is not a string".to_owned(),
            });
        }
    };
    let known = |media_type: &&str| media::is_list(media_type) || media::is_image(media_type);
    let by_members = || match () {
        () if has("manifests") => Some(media::OCI_INDEX),
        () if has("config") || has("layers") => Some(media::OCI_IMAGE),
        () => None,
    };
    let media_type = match own.or(Some(served).filter(known)) {
        Some(media_type) => media_type,
        None if has("fsLayers") => return Err(ManifestError::Schema1),
        None => by_members().unwrap_or(served),
    };
    if media::DOCKER_SCHEMA1.contains(&media_type) {
        return Err(ManifestError::Schema1);
    }
    if !known(&media_type) {
        return Err(ManifestError::Unknown(media_type.to_owned()));
    }
    let foreign: &[&str] = match media::is_list(media_type) {
        true => &["config", "layers", "fsLayers"],
        false => &["manifests", "fsLayers"],
    };
    if let Some(member) = foreign.iter().find(|member| has(member)) {
        return Err(ManifestError::Ambiguous(format!("of type {media_type}, with the member `{member}`")));
    }
    if known(&served) && media::is_list(served) != media::is_list(media_type) {
        return Err(ManifestError::Ambiguous(format!(
            "served as {served}, and says that it is {media_type}"
        )));
    }
    Ok(media_type.to_owned())
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
    ///
    /// # Errors
    ///
    /// They are not a configuration.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Inner {
            #[serde(rename = "Labels")]
            labels: BTreeMap<String, String>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Config {
            config: Inner,
        }
        let malformed = |error: go_json::Error| ManifestError::Malformed {
            media_type: "image configuration".to_owned(),
            reason: error.to_string(),
        };
        let json = Json::parse(bytes).map_err(malformed)?;
        let platform = <PlatformFields as Deserialize>::deserialize(json.clone()).map_err(malformed)?;
        let Config { config } = Config::deserialize(json).map_err(malformed)?;
        Ok(Self { platform: (&platform).into(), labels: config.labels })
    }
}

#[cfg(test)]
mod tests;
