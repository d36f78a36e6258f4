//! The layers of an image as they lie upon each other, for who looks into them. Nothing is compressed or copied.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use flate2::read::MultiGzDecoder;

use super::archive::Archive;
use super::parts::{Config, Saved};
use crate::digest::Digest;
use crate::engine::Engine;

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
    pub fn open(&self) -> Result<Box<dyn Read>> {
        let open = || {
            let mut file = File::open(&self.archive)?;
            std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(self.position))?;
            anyhow::Ok(BufReader::new(file.take(self.length)))
        };
        let mut start = Vec::new();
        open()?.take(4).read_to_end(&mut start)?;
        match &start[..] {
            [0x1f, 0x8b, ..] => Ok(Box::new(MultiGzDecoder::new(open()?))),
            [0x28, 0xb5, 0x2f, 0xfd] => bail!("layer {} is compressed with zstd", self.diff_id),
            _ => Ok(Box::new(open()?)),
        }
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
    let saved: Vec<Saved> = serde_json::from_slice(&archive.document("manifest.json")?)
        .context("manifest.json of the archive is not of the known shape")?;
    let [saved] = &saved[..] else { bail!("the archive holds {} images, not one", saved.len()) };
    let config: Config = serde_json::from_slice(&archive.document(&saved.config)?)
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
