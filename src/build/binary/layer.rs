//! A layer's files, as far as programs need them, and how layers lie upon each other (image-spec, layer.md).

use std::collections::BTreeMap;
use std::io::{Read, Result};

use super::header::Program;
use crate::model::inner_path::{clean, join, link};

/// What marks a file as removed, and a folder as emptied.
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// As many links as Linux follows in one path.
const LINKS: usize = 40;

/// What a layer brings and takes away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layer {
    /// In the order of the archive, paths without a slash in front.
    changes: Vec<(String, Change)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    File(Option<Program>),
    Folder,
    Link(String),
    /// Another name of a file.
    HardLink(String),
    Removed,
    Emptied,
}

impl Layer {
    /// Reads a layer's tar archive, not compressed.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no archive.
    pub(crate) fn read(archive: impl Read) -> Result<Self> {
        let mut changes = Vec::new();
        for entry in tar::Archive::new(archive).entries()? {
            let entry = entry?;
            let path = clean(&entry.path()?.to_string_lossy());
            let target = entry.link_name()?.map(|target| target.to_string_lossy().into_owned());
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
            let change = match entry.header().entry_type() {
                _ if name == OPAQUE => (folder.to_owned(), Change::Emptied),
                _ if name.starts_with(WHITEOUT) => (join(folder, &name[WHITEOUT.len()..]), Change::Removed),
                tar::EntryType::Directory => (path, Change::Folder),
                tar::EntryType::Symlink => (path, Change::Link(target.unwrap_or_default())),
                tar::EntryType::Link => (path, Change::HardLink(clean(&target.unwrap_or_default()))),
                _ => {
                    let executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
                    (path, Change::File(program(entry, executable)?))
                }
            };
            changes.push(change);
        }
        Ok(Self { changes })
    }
}

/// The program in a file, if it is one. Files for Windows carry no mode.
fn program(file: impl Read, executable: bool) -> Result<Option<Program>> {
    let mut bytes = Vec::new();
    let mut file = file.take(Program::ENOUGH);
    (&mut file).take(4).read_to_end(&mut bytes)?;
    if bytes.starts_with(b"MZ") || (executable && bytes.starts_with(b"\x7fELF")) {
        file.read_to_end(&mut bytes)?;
        return Ok(Program::read(&bytes));
    }
    Ok(None)
}

/// An image's files.
pub(super) struct Files<'a> {
    files: BTreeMap<&'a str, Node<'a>>,
    /// What comes from layers below this one may have been replaced by a layer that could not be read.
    certain_from: usize,
}

#[derive(Clone, Copy)]
struct Node<'a> {
    change: &'a Change,
    /// Whether the build added it.
    added: bool,
    /// The layer that its content comes from.
    layer: usize,
}

impl<'a> Files<'a> {
    /// What is left when all layers lie upon each other; the first `given` are the base image's.
    pub(super) fn of(layers: &'a [Option<Layer>], given: usize) -> Self {
        let mut files: BTreeMap<&str, Node<'_>> = BTreeMap::new();
        for (index, layer) in
            layers.iter().enumerate().filter_map(|(index, layer)| Some((index, layer.as_ref()?)))
        {
            // What a layer takes away is of those below, wherever in the archive it says so.
            for (path, change) in &layer.changes {
                if matches!(change, Change::Removed | Change::Emptied) {
                    remove_below(&mut files, path);
                }
                if *change == Change::Removed {
                    files.remove(path.as_str());
                }
            }
            for (path, change) in &layer.changes {
                let node = match change {
                    Change::Removed | Change::Emptied => continue,
                    Change::HardLink(target) => match files.get(target.as_str()) {
                        Some(node) => Node { added: index >= given, ..*node },
                        None => continue,
                    },
                    change => Node { change, added: index >= given, layer: index },
                };
                let before = files.insert(path, node);
                if *node.change != Change::Folder && before.is_some_and(|node| *node.change == Change::Folder)
                {
                    remove_below(&mut files, path);
                }
            }
        }
        let certain_from = layers.iter().rposition(Option::is_none).map_or(0, |unread| unread + 1);
        Self { files, certain_from }
    }

    /// The programs that the build certainly added, with their paths.
    pub(super) fn added_programs(&self) -> impl Iterator<Item = (&'a str, &'a Program)> {
        let certain = self.files.iter().filter(|(_, node)| node.added && node.layer >= self.certain_from);
        certain.filter_map(|(path, node)| match node.change {
            Change::File(Some(program)) => Some((*path, program)),
            _ => None,
        })
    }

    /// Whether a file is at `path`, with links followed.
    pub(super) fn has(&self, path: &str) -> bool {
        let mut path = clean(path);
        'links: for _ in 0..LINKS {
            let ends: Vec<usize> = path.match_indices('/').map(|(at, _)| at).chain([path.len()]).collect();
            for end in ends {
                let (here, rest) = path.split_at(end);
                if let Some(Change::Link(target)) = self.files.get(here).map(|node| node.change) {
                    path = clean(&join(&link(here, target), rest));
                    continue 'links;
                }
            }
            return self.files.get(path.as_str()).is_some_and(|node| matches!(node.change, Change::File(_)));
        }
        false
    }
}

/// Forgets what is in `folder`; what is in the top is everything.
fn remove_below<'a>(files: &mut BTreeMap<&'a str, Node<'a>>, folder: &str) {
    let start = join(folder, "");
    let below: Vec<&str> = files
        .range(start.as_str()..)
        .map(|(path, _)| *path)
        .take_while(|path| path.starts_with(&start))
        .collect();
    for path in below {
        files.remove(path);
    }
}
