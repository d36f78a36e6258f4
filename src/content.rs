//! What a manifest of any type is made from and refers to. Pure.
//!
//! Copying needs less than listing: artifacts of every kind are copied byte for byte, with what they name.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::digest::Digest;
use crate::go_json::{self, Json};
use crate::manifest::{self, Descriptor, ManifestError};
use crate::media;

/// What a manifest says, as far as copying it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// The blobs that a repository must hold before it takes the manifest, each once; without layers that have `urls`,
    /// which no registry is given.
    pub blobs: Vec<Descriptor>,
    /// What an index lists.
    pub children: Vec<Descriptor>,
    /// The manifest that this one refers to (distribution-spec, "Pushing Manifests with Subject").
    pub subject: Option<Digest>,
    artifact_type: Option<String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wire {
    config: Option<Descriptor>,
    layers: Vec<Descriptor>,
    /// Of the artifact manifest that image-spec 1.1 had before its release.
    blobs: Vec<Descriptor>,
    manifests: Vec<Descriptor>,
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    annotations: BTreeMap<String, String>,
}

impl Content {
    /// Reads a manifest; `media_type` is only for the error.
    ///
    /// # Errors
    ///
    /// It is no JSON, not of the shape that all manifests have, or of two kinds at once.
    pub(crate) fn of(bytes: &[u8], media_type: &str) -> Result<Self, ManifestError> {
        let malformed = |error: go_json::Error| ManifestError::Malformed {
            media_type: media_type.to_owned(),
            reason: error.to_string(),
        };
        let json = Json::parse(bytes).map_err(malformed)?;
        // Of any type, but of one: what two clients take for different things is not copied either.
        if let Err(ambiguous @ ManifestError::Ambiguous(_)) = manifest::media_type(&json, media_type) {
            return Err(ambiguous);
        }
        let wire = Wire::deserialize(json).map_err(malformed)?;
        // The type of an artifact without one is that of its configuration (distribution-spec, "Listing Referrers").
        let artifact_type = wire.artifact_type.filter(|text| !text.is_empty());
        let artifact_type = artifact_type.or(wire.config.as_ref().map(|config| config.media_type.clone()));
        let mut content = Self {
            children: wire.manifests,
            subject: wire.subject.map(|subject| subject.digest),
            artifact_type,
            annotations: wire.annotations,
            ..Self::default()
        };
        let mut seen = BTreeSet::new();
        let blobs = wire.config.into_iter().chain(wire.layers).chain(wire.blobs);
        content.blobs.extend(blobs.filter(|blob| blob.urls.is_empty() && seen.insert(blob.digest.clone())));
        Ok(content)
    }

    /// What lists of referrers say of the manifest, which has the given type, digest and size (distribution-spec,
    /// "Listing Referrers").
    pub(crate) fn as_referrer(&self, manifest: &Descriptor) -> Descriptor {
        let mut referrer = Descriptor::new(&manifest.media_type, manifest.digest.clone(), manifest.size);
        referrer.annotations = self.annotations.clone();
        if let Some(artifact_type) = &self.artifact_type {
            referrer.other.insert("artifactType".to_owned(), artifact_type.clone().into());
        }
        referrer
    }
}

/// Whether a descriptor in an index names a manifest. Indexes may list blobs, too: build caches do.
pub(crate) fn is_manifest(media_type: &str) -> bool {
    const ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";
    media::is_list(media_type) || media::is_image(media_type) || media_type == ARTIFACT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(content: &str, media_type: &str) -> serde_json::Value {
        serde_json::json!({ "mediaType": media_type, "digest": Digest::of(content.as_bytes()), "size": content.len() })
    }

    fn of(value: &serde_json::Value) -> Content {
        Content::of(&serde_json::to_vec(value).unwrap(), "").unwrap()
    }

    #[test]
    fn everything_that_a_manifest_needs_comes_once_but_foreign_layers() {
        let mut foreign = descriptor("far away", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        foreign["urls"] = serde_json::json!(["https://elsewhere.example/layer"]);
        let layer = descriptor("layer", "l");
        let image = serde_json::json!({
            "config": descriptor("config", "c"), "layers": [layer, foreign, layer], "blobs": null,
        });
        let digests = |content: &Content| content.blobs.iter().map(|b| b.digest.clone()).collect::<Vec<_>>();
        assert_eq!(digests(&of(&image)), [Digest::of(b"config"), Digest::of(b"layer")]);
        let artifact = serde_json::json!({ "blobs": [layer], "subject": descriptor("image", "i") });
        assert_eq!(digests(&of(&artifact)), [Digest::of(b"layer")]);
        assert_eq!(of(&artifact).subject, Some(Digest::of(b"image")));
        assert!(Content::of(b"<html>", "text/html").is_err());
        let both = serde_json::json!({ "config": descriptor("config", "c"), "layers": [], "manifests": [] });
        assert!(matches!(
            Content::of(&serde_json::to_vec(&both).unwrap(), ""),
            Err(ManifestError::Ambiguous(_))
        ));
    }

    #[test]
    fn a_referrer_says_its_type_or_that_of_its_configuration() {
        let manifest = Descriptor::new(media::OCI_IMAGE, Digest::of(b"m"), 1);
        for (value, expected) in [
            (serde_json::json!({ "artifactType": "a/b", "config": descriptor("{}", "c/d") }), Some("a/b")),
            (serde_json::json!({ "artifactType": "", "config": descriptor("{}", "c/d") }), Some("c/d")),
            (serde_json::json!({ "manifests": [] }), None),
        ] {
            let referrer = of(&value).as_referrer(&manifest);
            assert_eq!(referrer.other.get("artifactType").and_then(|t| t.as_str()), expected, "{value}");
            assert_eq!(referrer.digest, manifest.digest);
        }
        let annotated = of(&serde_json::json!({ "annotations": { "k": "v" } })).as_referrer(&manifest);
        assert_eq!(annotated.annotations["k"], "v");
    }
}
