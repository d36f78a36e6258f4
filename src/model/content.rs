//! What a manifest of any type is made from and refers to. Pure.
//!
//! Copying needs less than listing: artifacts of every kind are copied byte for byte, with what they name.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::model::digest::Digest;
use crate::model::go_json::{self, Json};
use crate::model::manifest::{self, Descriptor, Manifest, ManifestError};
use crate::model::media;

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

/// Which other manifests a manifest may need. Its content decides, never the type that a descriptor gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leads {
    /// The entries of a list; `None` for what lists no manifests.
    pub entries: Option<Vec<Descriptor>>,
    /// Of a manifest of a type that is not known here: every digest in its text. Any of them may be a manifest's.
    pub named: BTreeSet<Digest>,
    /// The manifest that it refers to, and does not need.
    pub subject: Option<Digest>,
}

impl Leads {
    /// Reads a manifest. `served` is the type that the registry gave it, empty when that says nothing.
    ///
    /// # Errors
    ///
    /// It is not understood at all: no manifest, of two kinds at once, or without a type and without a digest.
    pub(crate) fn of(bytes: &[u8], served: &str) -> Result<Self, ManifestError> {
        let content = Content::of(bytes, served);
        let mut leads = Self::default();
        match manifest::parse(bytes, served) {
            Ok(Manifest::List(list)) => leads.entries = Some(list.entries),
            Ok(Manifest::Image(_)) | Err(ManifestError::Schema1) => {}
            Err(unknown @ ManifestError::Unknown(_)) => {
                let json = Json::parse(bytes).unwrap_or(Json::Null);
                digests_in(&json, &mut leads.named);
                // Without a type of its own it is whatever was served in place of a manifest.
                if leads.named.is_empty() || json.member("mediaType").is_none() {
                    return Err(unknown);
                }
                let children = content.as_ref().map(|content| content.children.clone());
                leads.entries = children.ok().filter(|children| !children.is_empty());
            }
            Err(error) => return Err(error),
        }
        leads.subject = content.ok().and_then(|content| content.subject);
        Ok(leads)
    }
}

/// Adds every digest in the texts of `json`, also those at the end of references.
fn digests_in(json: &Json, found: &mut BTreeSet<Digest>) {
    let within = |text: &str| -> Vec<Digest> {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "+._-:".contains(c)));
        words.filter_map(|word| Digest::verifiable(word).ok()).collect()
    };
    match json {
        Json::Text(text) => found.extend(within(text)),
        Json::Array(items) => items.iter().for_each(|item| digests_in(item, found)),
        Json::Object(members) => {
            for (key, value) in members {
                found.extend(within(key));
                digests_in(value, found);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
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

    #[test]
    fn content_decides_what_a_manifest_leads_to() {
        let (a, b) = (descriptor("a", media::OCI_IMAGE), descriptor("b", ""));
        let image = serde_json::json!({ "config": descriptor("c", media::OCI_CONFIG), "layers": [descriptor("l", "t")] });
        let with = |value: &serde_json::Value, key: &str, member: serde_json::Value| {
            let mut value = value.clone();
            value[key] = member;
            value
        };
        let list = serde_json::json!({ "schemaVersion": 2, "manifests": [a, b] });
        let bundle = serde_json::json!({ "mediaType": "a/bundle", "images": { "x": format!("r/app@{}", Digest::of(b"a")) } });
        let error = serde_json::json!({ "errors": [{ "code": "UNKNOWN", "detail": Digest::of(b"a") }] });
        // The type served, the manifest, its entries, what it names besides; `None` for an error.
        type Row<'a> = (&'a str, serde_json::Value, Option<(&'a [&'a str], &'a [&'a str])>);
        let table: &[Row<'_>] = &[
            (media::OCI_IMAGE, image.clone(), Some((&[], &[]))),
            (media::OCI_INDEX, list.clone(), Some((&["a", "b"], &[]))),
            ("", list.clone(), Some((&["a", "b"], &[]))),
            (media::OCI_INDEX, with(&list, "mediaType", "".into()), Some((&["a", "b"], &[]))),
            (media::OCI_INDEX, with(&list, "mediaType", media::DOCKER_LIST.into()), Some((&["a", "b"], &[]))),
            (
                media::OCI_INDEX,
                with(&list, "mediaType", "application/json".into()),
                Some((&["a", "b"], &["a", "b"])),
            ),
            ("a/index", with(&list, "mediaType", "a/index".into()), Some((&["a", "b"], &["a", "b"]))),
            ("a/bundle", bundle, Some((&[], &["a"]))),
            ("a/list", with(&image, "mediaType", "a/list".into()), Some((&[], &["c", "l"]))),
            (media::OCI_IMAGE, list.clone(), None),
            (media::OCI_INDEX, with(&list, "layers", serde_json::json!([])), None),
            ("application/json", error, None),
            ("application/json", serde_json::json!({}), None),
            ("application/json", serde_json::json!({ "mediaType": "application/json" }), None),
        ];
        let digests =
            |names: &[&str]| names.iter().map(|name| Digest::of(name.as_bytes())).collect::<BTreeSet<_>>();
        for (served, value, expected) in table {
            let leads = Leads::of(&serde_json::to_vec(value).unwrap(), served).ok();
            let found = leads.map(|leads| {
                let entries = leads.entries.into_iter().flatten().map(|entry| entry.digest);
                (entries.collect::<BTreeSet<_>>(), leads.named)
            });
            let expected = expected.map(|(entries, named)| (digests(entries), digests(named)));
            assert_eq!(found, expected, "{served} {value}");
        }
        for bytes in [&b"<html>"[..], b"", b"[]", b"null"] {
            assert!(Leads::of(bytes, "text/html").is_err());
        }
        let referrer = with(&image, "subject", descriptor("s", media::OCI_IMAGE));
        let leads = Leads::of(&serde_json::to_vec(&referrer).unwrap(), media::OCI_IMAGE).unwrap();
        assert_eq!((leads.entries, leads.subject), (None, Some(Digest::of(b"s"))));
    }
}
