//! Takes an image out of an engine that cannot reach the registry, as parts that can be pushed from here.
//!
//! `docker save` writes a tar archive; what is in it depends on where the engine keeps images:
//!
//! - its own store: configuration and bare layers, named by `manifest.json` (moby, `image/spec`), from version 25 on
//!   within an OCI layout. The layers are compressed here, and a Docker manifest is written as the engine would when
//!   it pushes;
//! - containerd's store: an OCI layout with the manifests as they are, and compressed layers. They go out byte for
//!   byte, attestations included.
//!
//! Layers stream from and to disk; none is held in memory.

mod archive;
mod layers;
mod layout;
mod parts;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{Engine, indent};
use crate::error::Failure;
use crate::model::digest::Digest;
use crate::model::platform::Platform;
use archive::Archive;
pub use layers::SavedLayer;

/// An image as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Configurations, layers and whatever else the manifests name, each once.
    pub blobs: Vec<ExportedBlob>,
    /// The manifests in the order in which they are put: an index comes last, and is what gets the tag.
    pub manifests: Vec<ExportedManifest>,
}

/// A blob as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Where it is.
    pub path: PathBuf,
}

/// A manifest or index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedManifest {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its media type.
    pub media_type: String,
}

impl Engine {
    /// Writes the parts of an image into `folder`, which is the caller's to remove.
    ///
    /// # Errors
    ///
    /// The engine does not give the image, or the archive is not of a known shape, or not whole.
    pub async fn export(&self, image: &str, platform: &Platform, folder: &Path) -> Result<Exported> {
        let file = self.save(image, folder).await?;
        let (into, platform) = (folder.to_owned(), platform.clone());
        let parts = tokio::task::spawn_blocking(move || {
            let exported = read(&file, &platform, &into)?;
            // Everything has been copied out of it.
            std::fs::remove_file(&file)?;
            anyhow::Ok(exported)
        });
        let what = || format!("could not read the export of {image} from {}", self.describe());
        parts.await.with_context(what)?.with_context(what)
    }

    /// The archive of an image, as a file in `folder`.
    async fn save(&self, image: &str, folder: &Path) -> Result<PathBuf> {
        let file = folder.join("image.tar");
        let save = self.command(["image", "save", "--output"]).args([file.as_os_str()]).args([image]);
        let ended = save.abridged().merged().await?;
        if ended.success {
            return Ok(file);
        }
        let output = indent(&ended.stdout);
        Err(Failure::new(format!("the export of {image} ended with {}:\n{output}", ended.status)).into())
    }
}

/// The parts of the archive at `file`, written into `folder`.
fn read(file: &Path, platform: &Platform, folder: &Path) -> Result<Exported> {
    let mut archive = Archive::open(file)?;
    if let Some(exported) = layout::read(&mut archive, platform, folder)? {
        return Ok(exported);
    }
    parts::read(&mut archive, folder)
}

#[cfg(test)]
mod tests;
