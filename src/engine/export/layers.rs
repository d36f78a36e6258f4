//! The layers of an image as they lie upon each other, for who looks into them. Nothing is compressed or copied.

use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::archive::Archive;
use super::parts::{Config, Saved};
use crate::engine::Engine;
use crate::model::compression::uncompressed;
use crate::model::digest::Digest;
use crate::model::go_json;

/// A layer within an archive.
#[derive(Debug)]
pub struct SavedLayer {
    /// The digest of its uncompressed content, as the image's configuration has it.
    pub diff_id: Digest,
    archive: PathBuf,
    position: u64,
    length: u64,
}

impl SavedLayer {
    /// Its tar archive, uncompressed.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is compressed in a way that is not known here.
    pub fn open(&self) -> std::io::Result<Box<dyn Read>> {
        let mut file = File::open(&self.archive)?;
        file.seek(SeekFrom::Start(self.position))?;
        uncompressed(BufReader::new(file.take(self.length)))
    }
}

impl Engine {
    /// Writes an image's archive into `folder`, which is the caller's to remove, and finds its layers in it, bottom
    /// first.
    ///
    /// # Errors
    ///
    /// The engine does not give the image, or the archive is not of a known shape, or not whole.
    pub async fn layers(&self, image: &str, folder: &Path) -> Result<Vec<SavedLayer>> {
        let file = self.save(image, folder).await?;
        let layers = tokio::task::spawn_blocking(move || layers(&file));
        let what = || format!("could not read the layers of {image} from {}", self.describe());
        layers.await.with_context(what)?.with_context(what)
    }
}

/// Every kind of archive has the table that engines load images by.
fn layers(file: &Path) -> Result<Vec<SavedLayer>> {
    let mut archive = Archive::open(file)?;
    let saved: Vec<Saved> = go_json::from_slice(&archive.document("manifest.json")?)
        .context("manifest.json of the archive is not of the known shape")?;
    let [saved] = &saved[..] else { bail!("the archive holds {} images, not one", saved.len()) };
    let config: Config = go_json::from_slice(&archive.document(&saved.config)?)
        .context("the image's configuration is not of the known shape")?;
    let diff_ids = config.rootfs.diff_ids.unwrap_or_default();
    let names = saved.layers.as_deref().unwrap_or_default();
    ensure!(names.len() == diff_ids.len(), "the archive has {} layers, not {}", names.len(), diff_ids.len());
    let layer = |(name, diff_id): (&String, Digest)| {
        let (position, length) = archive.place(name).with_context(|| format!("the archive has no {name}"))?;
        Ok(SavedLayer { diff_id, archive: file.to_owned(), position, length })
    };
    names.iter().zip(diff_ids).map(layer).collect()
}
