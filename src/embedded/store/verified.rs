//! Which stored bytes are known to have their digest.
//!
//! Bytes are read as a whole and compared before they are served for the first time in a process, once more when their
//! file is not what it was, and once more after a day: a disk may change them without a trace.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Seek as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Store;
use crate::embedded::digest::Digest;

/// How long a comparison counts.
const VALID: Duration = Duration::from_secs(24 * 60 * 60);

/// The digests that were compared, and with which file.
#[derive(Default)]
pub(super) struct Verified {
    stamps: Mutex<HashMap<Digest, (Stamp, Instant)>>,
    /// One comparison at a time for each of these: many who ask for one blob wait for the first.
    turns: [Mutex<()>; 16],
}

/// What changes whenever a file is written to or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Verified {
    /// The file at `path` was compared while it was written.
    pub(super) fn insert(&self, digest: &Digest, path: &Path) {
        if let Ok(metadata) = std::fs::symlink_metadata(path) {
            self.set(digest, Stamp::of(&metadata));
        }
    }

    pub(super) fn forget(&self, digest: &Digest) {
        self.stamps.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
    }

    fn set(&self, digest: &Digest, stamp: Stamp) {
        let mut stamps = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        stamps.insert(digest.clone(), (stamp, Instant::now()));
    }

    fn has(&self, digest: &Digest, stamp: Stamp) -> bool {
        let stamps = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        stamps.get(digest).is_some_and(|(known, at)| *known == stamp && at.elapsed() < VALID)
    }
}

impl Store {
    /// Opens stored bytes, with their length; `None` when there are none, or when they do not have the digest any more.
    pub(super) fn open_verified(&self, digest: &Digest) -> Result<Option<(File, u64)>> {
        let path = self.blob_path(digest);
        let open = || -> io::Result<Option<(File, Stamp)>> {
            let file = match File::open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                opened => opened?,
            };
            let metadata = file.metadata()?;
            Ok(metadata.is_file().then(|| (file, Stamp::of(&metadata))))
        };
        let opened = open().with_context(|| format!("cannot open {}", path.display()))?;
        let Some((mut file, stamp)) = opened else { return Ok(None) };
        if !self.verified.has(digest, stamp) {
            let turn = usize::from(digest.hex.as_bytes()[1]) % self.verified.turns.len();
            let _turn = self.verified.turns[turn].lock().unwrap_or_else(PoisonError::into_inner);
            if !self.verified.has(digest, stamp) {
                let what = || format!("cannot read {}", path.display());
                let actual = digest.algorithm.digest_reader(&file).with_context(what)?;
                file.rewind().with_context(what)?;
                if actual != *digest {
                    self.verified.forget(digest);
                    return Ok(None);
                }
                self.verified.set(digest, stamp);
            }
        }
        Ok(Some((file, stamp.length)))
    }
}
