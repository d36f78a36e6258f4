//! A tar archive with its entries at hand: the engine writes them in any order, the table of contents last.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom, Take};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};

use super::ExportedBlob;
use crate::model::compression::uncompressed;
use crate::model::digest::{Digest, hex};

/// What a manifest, an index or the table of contents may measure: a registry's limit (distribution-spec, "Pushing
/// manifests").
const DOCUMENT: u64 = 4 * 1024 * 1024;

/// An archive on disk.
#[derive(Debug)]
pub(super) struct Archive {
    file: File,
    /// Where each entry's bytes are: position and length.
    entries: BTreeMap<String, (u64, u64)>,
    links: BTreeMap<String, String>,
}

impl Archive {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut entries = BTreeMap::new();
        let mut links = BTreeMap::new();
        let mut archive = tar::Archive::new(File::open(path)?);
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            let name = normal(&entry.path()?);
            match (entry.header().entry_type(), entry.link_name()?) {
                (tar::EntryType::Regular | tar::EntryType::Continuous, _) => {
                    entries.insert(name, (entry.raw_file_position(), entry.size()));
                }
                // The same layer twice is a link to its first: relative to itself, or, when hard, to the root.
                (tar::EntryType::Symlink, Some(target)) => {
                    let beside = Path::new(&name).parent().unwrap_or(Path::new("")).join(target);
                    links.insert(name, normal(&beside));
                }
                (tar::EntryType::Link, Some(target)) => {
                    links.insert(name, normal(&target));
                }
                _ => {}
            }
        }
        Ok(Self { file: File::open(path)?, entries, links })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// The whole of a small entry.
    pub(super) fn document(&mut self, name: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut entry = self.entry(name)?;
        ensure!(entry.limit() <= DOCUMENT, "{name} has {} bytes, more than {DOCUMENT}", entry.limit());
        entry.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The first bytes of an entry.
    pub(super) fn start(&mut self, name: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.entry(name)?.take(4).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Copies an entry into `folder`, as it is.
    pub(super) fn copy(&mut self, name: &str, folder: &Path) -> Result<ExportedBlob> {
        let mut entry = self.entry(name)?;
        let mut file = Measured::create(folder)?;
        std::io::copy(&mut entry, &mut file)?;
        file.finish()
    }

    /// Compresses an entry with gzip into `folder`, always to the same bytes; also gives the digest of what was
    /// compressed, without any compression that it had.
    pub(super) fn compress(&mut self, name: &str, folder: &Path) -> Result<(Digest, ExportedBlob)> {
        let entry = uncompressed(BufReader::new(self.entry(name)?))?;
        let mut bare = Hashing { inner: entry, hasher: Sha256::new() };
        // Without a time and a name, the header says nothing of when and where.
        let mut encoder = GzBuilder::new().mtime(0).write(Measured::create(folder)?, Compression::default());
        std::io::copy(&mut bare, &mut encoder)?;
        Ok((digest(bare.hasher)?, encoder.finish()?.finish()?))
    }

    fn entry(&mut self, name: &str) -> Result<Take<&File>> {
        let (position, length) = self.place(name).with_context(|| format!("the archive has no {name}"))?;
        self.file.seek(SeekFrom::Start(position))?;
        Ok((&self.file).take(length))
    }

    /// Where an entry's bytes are: position and length.
    pub(super) fn place(&self, name: &str) -> Option<(u64, u64)> {
        let mut name = normal(Path::new(name));
        // A link to a link to itself would have no end.
        for _ in 0..=self.links.len() {
            match (self.entries.get(&name), self.links.get(&name)) {
                (Some(place), _) => return Some(*place),
                (None, Some(target)) => name.clone_from(target),
                (None, None) => return None,
            }
        }
        None
    }
}

/// `path` without `.` and `..`. It is a name to look up, and never becomes one of a file.
fn normal(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                parts.pop();
            }
            std::path::Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            _ => {}
        }
    }
    parts.join("/")
}

/// A new file that is hashed and counted as it is written; named after its digest in the end.
struct Measured {
    file: tempfile::NamedTempFile,
    folder: PathBuf,
    hasher: Sha256,
    size: u64,
}

impl Measured {
    fn create(folder: &Path) -> Result<Self> {
        let file = tempfile::NamedTempFile::new_in(folder)?;
        Ok(Self { file, folder: folder.to_owned(), hasher: Sha256::new(), size: 0 })
    }

    fn finish(self) -> Result<ExportedBlob> {
        let digest = digest(self.hasher)?;
        let path = self.folder.join(format!("{}-{}", digest.algorithm(), digest.hex()));
        self.file.persist(&path)?;
        Ok(ExportedBlob { digest, size: self.size, path })
    }
}

impl std::io::Write for Measured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Hashes what is read.
struct Hashing<R> {
    inner: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

fn digest(hasher: Sha256) -> Result<Digest> {
    Ok(format!("sha256:{}", hex(&hasher.finalize())).parse()?)
}
