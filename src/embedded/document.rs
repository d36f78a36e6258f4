//! What a manifest says, as far as a registry has to know it. Pure: bytes in, values or reasons out.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::digest::Digest;

pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";

/// What a manifest is. Only `Unknown` ones are stored without being understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Image,
    Index,
    /// The artifact manifest of a release candidate of image-spec 1.1, still in use.
    Artifact,
    Unknown,
}

impl Kind {
    fn of(media_type: &str) -> Self {
        match media_type {
            OCI_IMAGE | DOCKER_IMAGE => Self::Image,
            OCI_INDEX | DOCKER_LIST => Self::Index,
            OCI_ARTIFACT => Self::Artifact,
            _ => Self::Unknown,
        }
    }
}

/// A manifest that may be stored once what it needs is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) media_type: String,
    /// Blobs that have to be in the repository.
    pub(super) blobs: Vec<Descriptor>,
    /// What an index lists.
    pub(super) children: Vec<Descriptor>,
    /// The manifest that this one refers to (distribution-spec, Pushing Manifests with Subject).
    pub(super) subject: Option<Digest>,
}

/// A content descriptor (image-spec, Content Descriptors).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    #[serde(default, deserialize_with = "null_is_empty")]
    urls: Vec<String>,
}

impl Descriptor {
    /// Whether it describes a manifest and not a blob. Indexes may list blobs too: build caches do.
    pub(super) fn is_manifest(&self) -> bool {
        Kind::of(&self.media_type) != Kind::Unknown
    }

    /// Whether it may be absent, to be fetched from where `urls` says (image-spec, Non-Distributable Layers).
    fn is_foreign(&self) -> bool {
        !self.urls.is_empty()
            || self.media_type.contains(".layer.nondistributable.")
            || self.media_type.contains(".rootfs.foreign.")
    }
}

/// What a list of referrers says about a manifest (distribution-spec, Listing Referrers).
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Referrer {
    pub(super) artifact_type: Option<String>,
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: Option<u64>,
    config: Option<Descriptor>,
    #[serde(default, deserialize_with = "present")]
    layers: Option<Vec<Descriptor>>,
    #[serde(default, deserialize_with = "present")]
    blobs: Option<Vec<Descriptor>>,
    #[serde(default, deserialize_with = "present")]
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
}

/// Reads a manifest that came with the header `Content-Type`. The error says what is wrong with it.
pub(super) fn read(content_type: Option<&str>, bytes: &[u8]) -> Result<Manifest, String> {
    let shape = Shape::read(bytes)?;
    // Parameters of the type are to be ignored, and types are compared without regard to case (RFC 9110).
    let content_type = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    let content_type = content_type.filter(|value| !value.is_empty()).map(str::to_ascii_lowercase);
    let media_type = match (content_type, shape.media_type) {
        (Some(header), Some(body)) if !header.eq_ignore_ascii_case(&body) => {
            return Err(format!("the Content-Type is `{header}`, the manifest's mediaType `{body}`"));
        }
        (Some(header), _) => header,
        (None, Some(body)) => body,
        (None, None) if shape.manifests.is_some() => OCI_INDEX.to_owned(),
        (None, None) if shape.layers.is_some() => OCI_IMAGE.to_owned(),
        (None, None) => return Err("neither a Content-Type nor the manifest says what it is".to_owned()),
    };
    if !is_media_type(&media_type) {
        return Err(format!("`{}` is not a media type", media_type.escape_debug()));
    }
    if media_type.starts_with(DOCKER_SCHEMA_1) {
        return Err("Docker's schema 1 is not supported".to_owned());
    }
    let kind = Kind::of(&media_type);
    if kind == Kind::Unknown {
        return Ok(Manifest { media_type, blobs: Vec::new(), children: Vec::new(), subject: None });
    }
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| format!("the manifest is not a `{media_type}`: {error}"))?;
    check(&document, kind, &media_type)?;

    let mut blobs: Vec<_> = document.config.into_iter().collect();
    let layers = document.layers.into_iter().chain(document.blobs).flatten();
    blobs.extend(layers.filter(|layer| !layer.is_foreign()));
    let children: Vec<_> = document.manifests.unwrap_or_default();
    // Docker's own types have no such field.
    let is_docker = matches!(media_type.as_str(), DOCKER_IMAGE | DOCKER_LIST);
    let subject = document.subject.filter(|_| !is_docker).map(|subject| subject.digest);
    Ok(Manifest { media_type, blobs, children, subject })
}

/// What each kind must have and must not have. A document that reads as two kinds is none: clients that believe the
/// one or the other would run different images.
fn check(document: &Document, kind: Kind, media_type: &str) -> Result<(), String> {
    let has = |present: bool, field: &str| {
        if present { Ok(()) } else { Err(format!("a `{media_type}` needs the field `{field}`")) }
    };
    let lacks = |present: bool, field: &str| {
        if present { Err(format!("a `{media_type}` cannot have the field `{field}`")) } else { Ok(()) }
    };
    if kind != Kind::Artifact && document.schema_version != Some(2) {
        return Err(format!("a `{media_type}` needs the schemaVersion 2"));
    }
    match kind {
        Kind::Image => {
            has(document.config.is_some(), "config")?;
            has(document.layers.is_some(), "layers")?;
            lacks(document.manifests.is_some(), "manifests")
        }
        Kind::Index => {
            has(document.manifests.is_some(), "manifests")?;
            lacks(document.config.is_some(), "config")?;
            lacks(document.layers.is_some(), "layers")
        }
        Kind::Artifact | Kind::Unknown => lacks(document.manifests.is_some(), "manifests"),
    }
}

/// What a list of referrers says about a stored manifest.
pub(super) fn referrer(media_type: &str, bytes: &[u8]) -> Referrer {
    let Ok(document) = serde_json::from_slice::<Document>(bytes) else { return Referrer::default() };
    let own = document.artifact_type.filter(|artifact_type| !artifact_type.is_empty());
    let artifact_type = match Kind::of(media_type) {
        Kind::Image => own.or(document.config.map(|config| config.media_type)),
        _ => own,
    };
    Referrer { artifact_type, annotations: document.annotations }
}

/// What tells one kind of manifest from another. As in `Document`, a field that comes twice is an error: readers
/// disagree about which of the two counts.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
}

impl Shape {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        // Serde would take an array of the values too.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err("the manifest is no JSON object".to_owned());
        }
        serde_json::from_slice(bytes).map_err(|error| format!("the manifest is no JSON object: {error}"))
    }
}

/// It goes into a response's header later.
fn is_media_type(text: &str) -> bool {
    text.contains('/') && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Tells `null`, which Go writes for a list of none, from a field that is not there.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Descriptor>>, D::Error> {
    Ok(Some(Option::deserialize(deserializer)?.unwrap_or_default()))
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
