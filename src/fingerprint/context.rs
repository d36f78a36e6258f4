//! Reads what a build reaches of its context, side by side on all cores. I/O; decides nothing.
//!
//! `rayon` walks and hashes; `ignore` and `walkdir` know other rules than Docker's. SHA-256 has instructions of its own
//! on current machines, so that disks are slower than it is: `blake3` would be one more crate for nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{File, Metadata};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::digest::hex;
use crate::dockerfile::{Ignore, Pattern};
use crate::inner_path::{join, link};

/// Larger files are hashed in parts of this size, so that one does not keep a single core busy.
const PART: u64 = 16 * 1024 * 1024;

/// As many links as Linux follows in one path.
const LINKS: usize = 40;

/// A file, folder or link of a context.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Where it is.
    pub location: PathBuf,
    /// What it is.
    pub kind: Kind,
}

/// What is found at a path. Times and owners do not count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A file with its mode and size.
    File(u32, u64),
    /// A folder with its mode.
    Folder(u32),
    /// A symbolic link with its target.
    Link(String),
}

/// What `sources` (paths and patterns, an empty one is everything) reach in the context at `root`, by their paths in
/// it. A link that a source itself names is followed within the context, as COPY does.
///
/// # Errors
///
/// Something that is there cannot be read.
pub fn reached(root: &Path, sources: &BTreeSet<String>, ignore: &Ignore) -> Result<BTreeMap<String, Found>> {
    let walk = Walk { root, ignore };
    let mut found = BTreeMap::new();
    for source in sources {
        let parts: Vec<&str> = source.split('/').filter(|part| !part.is_empty()).collect();
        walk.reach(String::new(), &parts, LINKS, &mut found)?;
    }
    Ok(found)
}

/// The hexadecimal digests of the content of `files`, given with their sizes.
///
/// # Errors
///
/// One of them cannot be read.
pub fn hash(files: &BTreeMap<PathBuf, u64>) -> Result<HashMap<PathBuf, String>> {
    let parts: Vec<(&Path, u64)> = files
        .iter()
        .flat_map(|(path, size)| (0..size.div_ceil(PART).max(1)).map(|part| (path.as_path(), part * PART)))
        .collect();
    let hashed = parts.par_iter().map(|(path, start)| {
        let digest = hash_part(path, *start).with_context(|| format!("could not read {}", path.display()))?;
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

fn hash_part(path: &Path, start: u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut hasher = Sha256::new();
    let mut part = file.take(PART);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match part.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

struct Walk<'a> {
    root: &'a Path,
    ignore: &'a Ignore,
}

impl Walk<'_> {
    /// What `parts` mean within the folder `path`.
    fn reach(
        &self,
        path: String,
        parts: &[&str],
        links: usize,
        found: &mut BTreeMap<String, Found>,
    ) -> Result<()> {
        let Some((part, rest)) = parts.split_first() else {
            found.extend(self.below(&path)?);
            return Ok(());
        };
        if !part.contains(['*', '?', '[', '\\']) {
            return self.step(join(&path, part), rest, links, found);
        }
        let Ok(pattern) = Pattern::of_source(part) else { return Ok(()) };
        for name in self.names(&path)? {
            if pattern.matches(&name) {
                self.step(join(&path, &name), rest, links, found)?;
            }
        }
        Ok(())
    }

    /// Goes on at `path`, which is one that a source names.
    fn step(
        &self,
        path: String,
        rest: &[&str],
        links: usize,
        found: &mut BTreeMap<String, Found>,
    ) -> Result<()> {
        let Some(here) = self.look(&path)? else { return Ok(()) };
        match &here.kind {
            Kind::Link(target) => {
                let target = target.clone();
                if !self.ignore.ignores(&path) {
                    found.insert(path.clone(), here);
                }
                if links == 0 {
                    return Ok(());
                }
                let leads = link(&path, &target);
                let leads = leads.split('/').filter(|part| !part.is_empty());
                let parts: Vec<&str> = leads.chain(rest.iter().copied()).collect();
                self.reach(String::new(), &parts, links - 1, found)
            }
            Kind::Folder(_) if !rest.is_empty() => self.reach(path, rest, links, found),
            _ if rest.is_empty() => {
                found.extend(self.tree(path, here)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// `here` and everything below that is not ignored.
    fn tree(&self, path: String, here: Found) -> Result<Vec<(String, Found)>> {
        let ignored = self.ignore.ignores(&path);
        if !matches!(here.kind, Kind::Folder(_)) {
            return Ok(if ignored { Vec::new() } else { vec![(path, here)] });
        }
        if ignored && !self.ignore.takes_from(&path) {
            return Ok(Vec::new());
        }
        let mut found = self.below(&path)?;
        // An ignored folder comes with what is taken from it.
        if !ignored || !found.is_empty() {
            found.push((path, here));
        }
        Ok(found)
    }

    /// Everything in the folder `path` that is not ignored.
    fn below(&self, path: &str) -> Result<Vec<(String, Found)>> {
        let trees = self.names(path)?.into_par_iter().map(|name| {
            let path = join(path, &name);
            match self.look(&path)? {
                Some(here) => self.tree(path, here),
                None => Ok(Vec::new()),
            }
        });
        Ok(trees.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn names(&self, path: &str) -> Result<Vec<String>> {
        let folder = self.root.join(path);
        let what = || format!("could not read the folder {}", folder.display());
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&folder).with_context(what)? {
            let name = entry.with_context(what)?.file_name();
            // Dockerfiles cannot name another one, and its image would hold it under a name made up here.
            names.push(name.to_str().map_or_else(|| format!("{name:?}"), str::to_owned));
        }
        Ok(names)
    }

    /// What is at `path`; `None` for nothing, and for what no image takes: sockets and devices.
    fn look(&self, path: &str) -> Result<Option<Found>> {
        let location = self.root.join(path);
        let metadata = match location.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => {
                return Err(error).with_context(|| format!("could not look at {}", location.display()));
            }
        };
        let kind = if metadata.is_symlink() {
            let target = std::fs::read_link(&location)
                .with_context(|| format!("could not read the link {}", location.display()))?;
            Kind::Link(target.to_string_lossy().into_owned())
        } else if metadata.is_dir() {
            Kind::Folder(mode(&metadata))
        } else if metadata.is_file() {
            Kind::File(mode(&metadata), metadata.len())
        } else {
            return Ok(None);
        };
        Ok(Some(Found { location, kind }))
    }
}

#[cfg(unix)]
fn mode(metadata: &Metadata) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    metadata.mode() & 0o7777
}

/// There is none: engines say the same of every file.
#[cfg(not(unix))]
fn mode(_: &Metadata) -> u32 {
    0o755
}
