//! What the engine knows of an image that it holds.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::Engine;
use crate::error::Failure;
use crate::model::digest::Digest;
use crate::model::foreign::Foreign;
use crate::model::go_json;
use crate::model::platform::Platform;
use crate::model::reference::{Reference, Repository};

/// An image in the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalImage {
    /// What the engine knows it by: the digest of its configuration or, with the containerd image store, of its
    /// manifest or index.
    pub id: Digest,
    /// What it says it runs on.
    pub platform: Platform,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The digests of its layers' uncompressed contents, bottom first.
    pub layers: Vec<Digest>,
    /// The manifests that it was pulled or pushed as, each with its repository.
    pub recorded: Vec<(Repository, Digest)>,
}

impl LocalImage {
    /// The digests that it is recorded under in `repository`. There are several when it was pushed there by different
    /// tools, which compress differently.
    pub fn recorded_in<'a>(&'a self, repository: &'a Repository) -> impl Iterator<Item = &'a Digest> {
        self.recorded.iter().filter(move |(known, _)| known == repository).map(|(_, digest)| digest)
    }
}

impl Engine {
    /// The image behind an ID or a reference; `None` when the engine does not hold it.
    ///
    /// # Errors
    ///
    /// The engine cannot be asked.
    pub async fn inspect(&self, image: &str) -> Result<Option<LocalImage>> {
        let asked = self.command(["image", "inspect", "--format", "{{json .}}", image]).apart().await?;
        if asked.success {
            let parsed = parse(&asked.stdout);
            return parsed
                .map(Some)
                .with_context(|| format!("could not read what the engine says of {image}"));
        }
        // Its one word for "not there" is part of the API (moby, `errdefs`): every version says it.
        if asked.stderr.to_ascii_lowercase().contains("no such image") {
            return Ok(None);
        }
        Err(Failure::new(format!(
            "{} could not say what it knows of {image}: {}",
            self.describe(),
            Foreign(asked.stderr.trim())
        ))
        .hint("is the engine's daemon running? `doctor` looks")
        .into())
    }

    /// The digests under which the engine remembers having pushed or pulled this image in `repository`: while the
    /// registry serves one of them, another push would change nothing.
    ///
    /// # Errors
    ///
    /// The engine cannot be asked.
    pub async fn recorded_digests(&self, image_id: &str, repository: &Repository) -> Result<Vec<Digest>> {
        let image = self.inspect(image_id).await?;
        Ok(image.map(|image| image.recorded_in(repository).cloned().collect()).unwrap_or_default())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: Digest,
    os: String,
    architecture: String,
    #[serde(default)]
    variant: String,
    #[serde(default)]
    os_version: String,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
    #[serde(rename = "RootFS", default)]
    root: RootFs,
    #[serde(default)]
    config: Option<Config>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    #[serde(default)]
    layers: Option<Vec<Digest>>,
}

fn parse(json: &str) -> Result<LocalImage> {
    let inspected: Inspected = go_json::from_slice(json.as_bytes())?;
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let recorded = inspected.repo_digests.unwrap_or_default();
    let recorded = recorded.iter().filter_map(|text| text.parse::<Reference>().ok());
    Ok(LocalImage {
        id: inspected.id,
        platform: Platform {
            os: inspected.os,
            arch: inspected.architecture,
            variant: some(inspected.variant),
            os_version: some(inspected.os_version),
            os_features: Vec::new(),
        },
        labels: inspected.config.unwrap_or_default().labels.unwrap_or_default(),
        layers: inspected.root.layers.unwrap_or_default(),
        recorded: recorded
            .filter_map(|reference| reference.digest.map(|digest| (reference.repository, digest)))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_read_as_every_version_writes_it() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|bytes| Digest::of(bytes));
        let full = format!(
            r#"{{"Id":"{a}","Os":"linux","Architecture":"arm","Variant":"v6","Config":{{"Labels":{{"l":"m"}}}},
                "RepoDigests":["app@{b}","ghcr.io/o/app@{b}","ghcr.io/o/app@{c}","<none>@<none>"]}}"#
        );
        let image = parse(&full).unwrap();
        assert_eq!(image.platform.to_string(), "linux/arm/v6");
        assert_eq!(image.labels["l"], "m");
        let recorded = |repository: &str| {
            let repository: Repository = repository.parse().unwrap();
            image.recorded_in(&repository).cloned().collect::<Vec<_>>()
        };
        assert_eq!(recorded("docker.io/library/app"), std::slice::from_ref(&b));
        assert_eq!(recorded("ghcr.io/o/app"), [b, c]);
        assert!(recorded("ghcr.io/o/other").is_empty());

        let bare = format!(
            r#"{{"Id":"{a}","Os":"linux","Architecture":"amd64","RepoDigests":null,"Config":{{"Labels":null}}}}"#
        );
        let image = parse(&bare).unwrap();
        assert_eq!((image.platform.variant, image.recorded.len()), (None, 0));
        assert!(parse("[]").is_err());
    }
}
