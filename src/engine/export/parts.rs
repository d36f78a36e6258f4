//! An archive of configuration and layers: the manifest is written here.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::archive::Archive;
use super::{Exported, ExportedBlob, ExportedManifest};
use crate::model::digest::Digest;
use crate::model::go_json;
use crate::model::manifest::Descriptor;
use crate::model::media;

const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Saved {
    pub(super) config: String,
    pub(super) layers: Option<Vec<String>>,
}

#[derive(Deserialize)]
pub(super) struct Config {
    pub(super) rootfs: RootFs,
}

#[derive(Deserialize)]
pub(super) struct RootFs {
    pub(super) diff_ids: Option<Vec<Digest>>,
}

pub(super) fn read(archive: &mut Archive, folder: &Path) -> Result<Exported> {
    let saved: Vec<Saved> = go_json::from_slice(&archive.document("manifest.json")?)
        .context("manifest.json of the archive is not of the known shape")?;
    let [saved] = &saved[..] else { anyhow::bail!("the archive holds {} images, not one", saved.len()) };
    let config: Config = go_json::from_slice(&archive.document(&saved.config)?)
        .context("the image's configuration is not of the known shape")?;
    let diff_ids = config.rootfs.diff_ids.unwrap_or_default();
    let names = saved.layers.as_deref().unwrap_or_default();
    ensure!(
        names.len() == diff_ids.len(),
        "the archive has {} layers, the image's configuration {}",
        names.len(),
        diff_ids.len()
    );

    let config = archive.copy(&saved.config, folder)?;
    let mut layers: Vec<(Digest, ExportedBlob)> = Vec::new();
    for (name, expected) in names.iter().zip(&diff_ids) {
        if let Some(known) = layers.iter().find(|(known, _)| known == expected) {
            layers.push(known.clone());
            continue;
        }
        let layer = match &archive.start(name)?[..] {
            // Compressed already: what is in it cannot be compared, which pulling does.
            [0x1f, 0x8b, ..] => archive.copy(name, folder)?,
            _ => {
                let (found, layer) = archive.compress(name, folder)?;
                ensure!(found == *expected, "layer {name} is {found}, the configuration says {expected}");
                layer
            }
        };
        layers.push((expected.clone(), layer));
    }
    Ok(assemble(config, layers.into_iter().map(|(_, layer)| layer).collect()))
}

fn assemble(config: ExportedBlob, layers: Vec<ExportedBlob>) -> Exported {
    let descriptor =
        |media_type: &str, blob: &ExportedBlob| Descriptor::new(media_type, blob.digest.clone(), blob.size);
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media::DOCKER_IMAGE,
        "config": descriptor(CONFIG, &config),
        "layers": layers.iter().map(|layer| descriptor(LAYER, layer)).collect::<Vec<_>>(),
    });
    let mut blobs: Vec<ExportedBlob> = Vec::new();
    for blob in layers.into_iter().chain([config]) {
        if !blobs.contains(&blob) {
            blobs.push(blob);
        }
    }
    let bytes = format!("{manifest:#}").into_bytes();
    Exported {
        blobs,
        manifests: vec![ExportedManifest { bytes, media_type: media::DOCKER_IMAGE.to_owned() }],
    }
}
