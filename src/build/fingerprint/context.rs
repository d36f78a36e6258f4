//! Reads what a build reaches of its context, side by side on all cores. I/O; decides nothing.
//!
//! `rayon` walks and hashes; `ignore` and `walkdir` know other rules than Docker's. SHA-256 has instructions of its own
//! on current machines, so that disks are slower than it is: `blake3` would be one more crate for nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use rayon::prelude::*;

use super::attributes;
use crate::build::dockerfile::{Ignore, MOST_IGNORE_STEPS, Pattern, Verdict};
use crate::model::inner_path::{join, link};

/// As many links as Linux follows in one path.
const LINKS: usize = 40;

/// How much a source may still have to go, over all places that wildcards and links lead it to: places with their parts.
const MOST_PLACES: usize = 1_000_000;

/// A file, folder, link or device of a context.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Where it is.
    pub location: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// A digest of its extended attributes; empty without any.
    pub attributes: String,
    /// The clients that alone send it, where not all do.
    pub only: &'static str,
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
    /// A FIFO, socket or device, in words with its mode and numbers. It is never opened.
    Special(String),
}

/// What `sources` (paths and patterns, an empty one is everything) reach in the context at `root`, by their paths in
/// it. A link that a source itself names is followed within the context, as COPY does.
///
/// # Errors
///
/// Something that is there cannot be read, or has a name that is not UTF-8: clients differ in what they send of it.
pub fn reached(root: &Path, sources: &BTreeSet<String>, ignore: &Ignore) -> Result<BTreeMap<String, Found>> {
    let walk = Walk { root, ignore };
    let mut found = BTreeMap::new();
    for source in sources {
        // What is in it already needs no second look.
        if !source.is_empty() && sources.contains("") {
            continue;
        }
        walk.reach(source, &mut found)?;
        if ignore.is_spent() {
            break;
        }
    }
    if ignore.is_spent() {
        bail!("the ignore file takes more than {MOST_IGNORE_STEPS} steps to compare with {}", root.display());
    }
    Ok(found)
}

struct Walk<'a> {
    root: &'a Path,
    ignore: &'a Ignore,
}

/// Parts of a path that are still to go from a folder.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
struct Ahead {
    folder: String,
    parts: Vec<String>,
    /// How many more links are followed.
    links: usize,
}

impl Walk<'_> {
    /// What a source means, from the top of the context.
    fn reach(&self, source: &str, found: &mut BTreeMap<String, Found>) -> Result<()> {
        let parts = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let mut ahead = vec![Ahead { folder: String::new(), parts: parts(source), links: LINKS }];
        // Links and wildcards may lead to one place in many ways.
        let mut been = BTreeSet::new();
        let mut places = 0;
        while let Some(next) = ahead.pop() {
            places += 1 + next.parts.len();
            if places > MOST_PLACES {
                bail!("`{source}` leads to more than {MOST_PLACES} places in {}", self.root.display());
            }
            if !been.insert(next.clone()) {
                continue;
            }
            let Ahead { folder, parts: mut rest, links } = next;
            if rest.is_empty() {
                found.extend(self.below(&folder, &self.ignore.look_at(&folder))?);
                continue;
            }
            let part = rest.remove(0);
            for path in self.named(&folder, &part)? {
                let Some(mut here) = self.look(&path)? else { continue };
                here.only = self.ignore.look_at(&path).only();
                match &here.kind {
                    Kind::Link(target) => {
                        let target = target.clone();
                        // How `..` behind a name is read depends on whether the name is a link, too.
                        let parts = match wandering(&target) {
                            true => Vec::new(),
                            false => [parts(&link(&path, &target)), rest.clone()].concat(),
                        };
                        if !self.ignore.look_at(&path).ignored() {
                            found.insert(path, here);
                        }
                        if links > 0 {
                            ahead.push(Ahead { folder: String::new(), parts, links: links - 1 });
                        }
                    }
                    Kind::Folder(_) if !rest.is_empty() => {
                        ahead.push(Ahead { folder: path, parts: rest.clone(), links });
                    }
                    _ if rest.is_empty() => {
                        let verdict = self.ignore.look_at(&path);
                        found.extend(self.tree(path, here, &verdict)?);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// The paths that `part` of a source means in `folder`.
    fn named(&self, folder: &str, part: &str) -> Result<Vec<String>> {
        if !part.contains(['*', '?', '[', '\\']) {
            return Ok(vec![join(folder, part)]);
        }
        // Of a pattern that is not understood, everything is meant.
        let pattern = Pattern::of_source(part);
        let meant = |name: &String| pattern.as_ref().is_none_or(|pattern| pattern.matches(name));
        Ok(self.names(folder)?.into_iter().filter(meant).map(|name| join(folder, &name)).collect())
    }

    /// `here` and everything below that is not ignored.
    fn tree(&self, path: String, here: Found, verdict: &Verdict) -> Result<Vec<(String, Found)>> {
        if !matches!(here.kind, Kind::Folder(_)) {
            return Ok(if verdict.ignored() { Vec::new() } else { vec![(path, here)] });
        }
        if !verdict.entered() {
            return Ok(Vec::new());
        }
        let mut found = self.below(&path, verdict)?;
        // An ignored folder comes with what is taken from it.
        if verdict.sends_folder() || !found.is_empty() {
            found.push((path, here));
        }
        Ok(found)
    }

    /// Everything in the folder `path` that is not ignored.
    fn below(&self, path: &str, above: &Verdict) -> Result<Vec<(String, Found)>> {
        let mut found = BTreeMap::new();
        let mut ignored = Vec::new();
        let mut folders = vec![(path.to_owned(), above.clone())];
        // All folders of one depth, and then those in them.
        while !folders.is_empty() && !self.ignore.is_spent() {
            let inside = folders.par_iter().map(|(path, above)| self.inside(path, above));
            let inside: Vec<Vec<(String, Found, Verdict)>> = inside.collect::<Result<_>>()?;
            folders.clear();
            for (path, here, verdict) in inside.into_iter().flatten() {
                let is_folder = matches!(here.kind, Kind::Folder(_));
                if is_folder && !verdict.entered() || !is_folder && verdict.ignored() {
                    continue;
                }
                if is_folder && !verdict.sends_folder() {
                    ignored.push((path.clone(), here));
                } else {
                    found.insert(path.clone(), here);
                }
                if is_folder {
                    folders.push((path, verdict));
                }
            }
        }
        // An ignored folder comes with what is taken from it; the deepest of them first.
        for (path, here) in ignored.into_iter().rev() {
            let inside = format!("{path}/");
            if found.range(inside.clone()..).next().is_some_and(|(path, _)| path.starts_with(&inside)) {
                found.insert(path, here);
            }
        }
        Ok(found.into_iter().collect())
    }

    /// What is in the folder `path` and may count.
    fn inside(&self, path: &str, above: &Verdict) -> Result<Vec<(String, Found, Verdict)>> {
        let mut inside = Vec::new();
        for name in self.names(path)? {
            let path = join(path, &name);
            let verdict = self.ignore.look(&path, above);
            if verdict.ignored() && !verdict.entered() {
                continue;
            }
            if let Some(mut here) = self.look(&path)? {
                here.only = verdict.only();
                inside.push((path, here, verdict));
            }
        }
        Ok(inside)
    }

    fn names(&self, path: &str) -> Result<Vec<String>> {
        let folder = self.root.join(path);
        let what = || format!("could not read the folder {}", folder.display());
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&folder).with_context(what)? {
            let name = entry.with_context(what)?.file_name();
            let name = name.into_string().map_err(|name| {
                anyhow!("the name of {} is not UTF-8", folder.join(name).display().to_string().escape_debug())
            })?;
            names.push(name);
        }
        Ok(names)
    }

    /// What is at `path`; `None` for nothing.
    fn look(&self, path: &str) -> Result<Option<Found>> {
        let location = self.root.join(path);
        let metadata = match location.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => {
                return Err(error).with_context(|| format!("could not look at {}", location.display()));
            }
        };
        let kind = if metadata.is_symlink() {
            let target = std::fs::read_link(&location)
                .with_context(|| format!("could not read the link {}", location.display()))?;
            let target = target.into_os_string().into_string();
            Kind::Link(target.map_err(|_| anyhow!("the link {} is not UTF-8", location.display()))?)
        } else if metadata.is_dir() {
            Kind::Folder(mode(&metadata))
        } else if metadata.is_file() {
            Kind::File(mode(&metadata), metadata.len())
        } else {
            Kind::Special(special(&metadata))
        };
        let attributes = attributes::digest(&location)
            .with_context(|| format!("could not read the attributes of {}", location.display()))?;
        Ok(Some(Found { location, kind, attributes, only: "" }))
    }
}

/// Whether a link's target goes up again after it went down.
fn wandering(target: &str) -> bool {
    let mut parts = target.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.any(|part| part != "..") && parts.any(|part| part == "..")
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

#[cfg(unix)]
fn special(metadata: &Metadata) -> String {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    let kind = metadata.file_type();
    let name = if kind.is_fifo() {
        "fifo"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_block_device() {
        "block device"
    } else if kind.is_char_device() {
        "character device"
    } else {
        "special file"
    };
    format!("{name} {:o} {}", mode(metadata), metadata.rdev())
}

#[cfg(not(unix))]
fn special(metadata: &Metadata) -> String {
    format!("special file {:o}", mode(metadata))
}
