//! Digests of files, taken on all cores.
//!
//! SHA-256 has instructions of its own on current machines, so that disks are slower than it is: `blake3` would be one
//! more crate for nothing.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::model::digest::hex;

/// Larger files are hashed in parts of this size, so that one does not keep a single core busy.
const PART: u64 = 16 * 1024 * 1024;

/// The hexadecimal digests of the content of `files`, given with their sizes.
///
/// # Errors
///
/// One of them cannot be read, or is shorter or longer by now.
pub(crate) fn hash(files: &BTreeMap<PathBuf, u64>) -> Result<HashMap<PathBuf, String>> {
    let parts: Vec<(&Path, u64, u64)> = files
        .iter()
        .flat_map(|(path, size)| {
            (0..size.div_ceil(PART).max(1)).map(move |part| (path.as_path(), part * PART, *size))
        })
        .collect();
    let hashed = parts.par_iter().map(|(path, start, size)| {
        let digest =
            hash_part(path, *start, *size).with_context(|| format!("could not read {}", path.display()))?;
        Ok((*path, digest))
    });
    let mut digests: HashMap<PathBuf, String> = HashMap::new();
    for (path, digest) in hashed.collect::<Result<Vec<_>>>()? {
        match digests.get_mut(path) {
            Some(whole) => whole.push_str(&digest),
            None => {
                digests.insert(path.to_owned(), digest);
            }
        }
    }
    Ok(digests)
}

fn hash_part(path: &Path, start: u64, size: u64) -> Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut hasher = Sha256::new();
    // One byte more than there should be tells a file that grows.
    let last = start + PART >= size;
    let mut part = file.take(if last { PART + 1 } else { PART });
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        match part.read(&mut buffer)? {
            0 if total == PART.min(size - start) => return Ok(hex(&hasher.finalize())),
            0 => return Err(anyhow!("it changes while it is read")),
            read => {
                total += read as u64;
                hasher.update(&buffer[..read]);
            }
        }
    }
}
