//! The file of `--metadata-file`: opened before there is anything to say, so that what was done is not lost, and in its
//! place only when it is whole.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::NamedTempFile;

use crate::error::{Exit, Failure};
use crate::workspace::rewrite::{beside, folder_of};

/// A file beside the one that it takes the place of.
pub(super) struct MetadataFile {
    path: PathBuf,
    file: NamedTempFile,
}

impl MetadataFile {
    /// Makes sure that `path` can be written.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let folder = folder_of(path);
        match beside(path, "") {
            Ok(file) => Ok(Self { path: path.to_owned(), file }),
            Err(error) => {
                let tried = format!("could not write the metadata file {}", path.display());
                Err(Failure::new(tried)
                    .hint(format!("is there a folder {}?", folder.display()))
                    .exit(Exit::Usage)
                    .because(error)
                    .into())
            }
        }
    }

    /// Puts `text` in its place; `done` says what has been done by now.
    pub(super) fn write(mut self, text: &str, done: &str) -> Result<(), Failure> {
        let write = || {
            self.file.write_all(text.as_bytes())?;
            self.file.as_file().sync_all()?;
            self.file.persist(&self.path)?;
            std::io::Result::Ok(())
        };
        write().map_err(|error| {
            let tried = format!("{done}; could not write the metadata file {}", self.path.display());
            Failure::new(tried)
                .hint("run the same command again: it does nothing twice")
                .exit(Exit::Partial)
                .because(error)
        })
    }
}
