//! An OCI layout (image-spec, image-layout.md) whose manifests can go out as they are.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use super::archive::Archive;
use super::{Exported, ExportedBlob, ExportedManifest};
use crate::model::digest::Digest;
use crate::model::go_json;
use crate::model::media;
use crate::model::platform::Platform;

/// An index or an image manifest, as far as it names others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    manifests: Vec<Entry>,
    #[serde(default)]
    config: Option<Entry>,
    #[serde(default)]
    layers: Vec<Entry>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    media_type: String,
    digest: Digest,
    #[serde(default)]
    urls: Vec<String>,
    #[serde(default)]
    platform: Option<EntryPlatform>,
}

#[derive(Clone, Deserialize)]
struct EntryPlatform {
    os: String,
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

/// The image as it is; `None` when the archive is no layout, or one whose layers are bare: an engine that keeps images
/// in its own store pushes others than it saves.
pub(super) fn read(archive: &mut Archive, platform: &Platform, folder: &Path) -> Result<Option<Exported>> {
    if !archive.has("oci-layout") || !archive.has("index.json") {
        return Ok(None);
    }
    let index: Document = parse(&archive.document("index.json")?, "index.json")?;
    let mut roots = index.manifests;
    // An image with several names is there once for each.
    roots.dedup_by(|a, b| a.digest == b.digest);
    let [root] = &roots[..] else { bail!("the archive holds {} images, not one", roots.len()) };
    let root = here(archive, root, platform)?;

    let mut taken = Taken { folder, exported: Exported { blobs: Vec::new(), manifests: Vec::new() } };
    Ok(taken.manifest(archive, &root)?.then_some(taken.exported))
}

/// `entry`, or, when it is an index of which the engine holds but one platform, that platform's.
fn here(archive: &mut Archive, entry: &Entry, platform: &Platform) -> Result<Entry> {
    if !media::is_list(&entry.media_type) {
        return Ok(entry.clone());
    }
    let index: Document = parse(&document(archive, &entry.digest)?, entry.digest.as_str())?;
    if index.manifests.iter().all(|child| archive.has(&path(&child.digest))) {
        return Ok(entry.clone());
    }
    let of_platform = |child: &&Entry| {
        child.platform.as_ref().is_some_and(|found| {
            let found =
                Platform { variant: found.variant.clone(), ..Platform::new(&found.os, &found.architecture) };
            found.base() == platform.base()
        })
    };
    let found = index.manifests.iter().find(of_platform);
    found.cloned().with_context(|| format!("the archive has no image for {platform}"))
}

struct Taken<'a> {
    folder: &'a Path,
    exported: Exported,
}

impl Taken<'_> {
    /// Takes a manifest after all that it names; `false` when it has a bare layer.
    fn manifest(&mut self, archive: &mut Archive, entry: &Entry) -> Result<bool> {
        let bytes = document(archive, &entry.digest)?;
        let names: Document = parse(&bytes, entry.digest.as_str())?;
        let bare =
            |layer: &Entry| layer.media_type.ends_with(".tar") || layer.media_type.ends_with("diff.tar");
        if names.layers.iter().any(bare) {
            return Ok(false);
        }
        for child in &names.manifests {
            if !self.manifest(archive, child)? {
                return Ok(false);
            }
        }
        for blob in names.config.iter().chain(&names.layers) {
            // Such a layer is fetched from where it says; registries do not take it.
            if blob.urls.is_empty() || archive.has(&path(&blob.digest)) {
                self.blob(archive, blob)?;
            }
        }
        let manifest = ExportedManifest { bytes, media_type: entry.media_type.clone() };
        if !self.exported.manifests.contains(&manifest) {
            self.exported.manifests.push(manifest);
        }
        Ok(true)
    }

    fn blob(&mut self, archive: &mut Archive, entry: &Entry) -> Result<()> {
        if self.exported.blobs.iter().any(|known: &ExportedBlob| known.digest == entry.digest) {
            return Ok(());
        }
        let blob = archive.copy(&path(&entry.digest), self.folder)?;
        ensure!(
            blob.digest == entry.digest || entry.digest.algorithm() != blob.digest.algorithm(),
            "the archive says {}, but its content is {}",
            entry.digest,
            blob.digest
        );
        // The manifest's name for it, which may be of another algorithm.
        self.exported.blobs.push(ExportedBlob { digest: entry.digest.clone(), ..blob });
        Ok(())
    }
}

fn document(archive: &mut Archive, digest: &Digest) -> Result<Vec<u8>> {
    let bytes = archive.document(&path(digest))?;
    if let Some(why) = digest.unverifiable() {
        bail!(why);
    }
    ensure!(digest.matches(&bytes), "the content of {digest} in the archive is another");
    Ok(bytes)
}

fn parse(bytes: &[u8], name: &str) -> Result<Document> {
    go_json::from_slice(bytes).with_context(|| format!("{name} in the archive is not of the known shape"))
}

fn path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}
