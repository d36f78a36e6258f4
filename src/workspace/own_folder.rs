//! Folders that this program may empty or write into without asking: what makes one ours, and what keeps it so. I/O.
//!
//! Two rules. Below the folder that a person named, every step is a real folder: a link that came with a checkout leads
//! into somebody else's. And nothing is removed from a folder that does not hold the marker which was written when the
//! folder was new or empty.
//!
//! The rules are about what a folder holds when a run starts. They do not stop another process of the same user that
//! changes the folder meanwhile: it could remove the files itself.

use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Write as _};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};

/// Why a folder is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// A link could lead into a folder of somebody else.
    #[error("{} is a symbolic link, where a real file or folder is needed", .0.display())]
    Link(PathBuf),
    /// Something else has the name of the folder.
    #[error("{} is not a folder", .0.display())]
    NoFolder(PathBuf),
    /// It has content, and the marker is missing.
    #[error("{} holds files, and no `{marker}` says that they are this program's", .folder.display())]
    #[cfg(feature = "embedded-registry")]
    NotOurs {
        /// The folder.
        folder: PathBuf,
        /// The name of the marker.
        marker: &'static str,
    },
}

/// Creates the folders of `below` in `base`, one in the other, and gives the innermost. `base` itself may be a link.
///
/// # Errors
///
/// [`Refused`] when one of them is a link or a file, and what the file system says.
pub(crate) fn create_below(base: &Path, below: impl AsRef<Path>) -> Result<PathBuf> {
    let mut folder = base.to_owned();
    for part in below.as_ref().components() {
        // Names only: `..` would leave the folder.
        let Component::Normal(name) = part else { return Err(Refused::NoFolder(folder.join(part)).into()) };
        folder.push(name);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => created.with_context(|| format!("could not create {}", folder.display()))?,
        }
        require_folder(&folder)?;
    }
    Ok(folder)
}

/// Whether there is a real folder at `path`; nothing there is no error.
///
/// # Errors
///
/// [`Refused`] when it is a link or a file, and what the file system says.
pub(crate) fn require_folder(path: &Path) -> Result<bool> {
    match look(path)? {
        Some(metadata) if metadata.is_dir() => Ok(true),
        Some(_) => Err(Refused::NoFolder(path.to_owned()).into()),
        None => Ok(false),
    }
}

/// Whether there is a folder at `path`, and neither a file nor nothing.
///
/// # Errors
///
/// [`Refused::Link`], and what the file system says.
#[cfg(feature = "embedded-registry")]
pub(crate) fn is_folder(path: &Path) -> Result<bool> {
    Ok(look(path)?.is_some_and(|metadata| metadata.is_dir()))
}

/// Refuses a link at `path`.
///
/// # Errors
///
/// [`Refused::Link`], and what the file system says.
#[cfg(feature = "embedded-registry")]
pub(crate) fn refuse_link(path: &Path) -> Result<()> {
    look(path).map(drop)
}

/// Refuses links directly in `folder`.
///
/// # Errors
///
/// [`Refused::Link`], and what the file system says.
pub(crate) fn refuse_links_in(folder: &Path) -> Result<()> {
    let what = || format!("could not read the folder {}", folder.display());
    for entry in fs::read_dir(folder).with_context(what)? {
        let entry = entry.with_context(what)?;
        if entry.file_type().with_context(what)?.is_symlink() {
            return Err(Refused::Link(entry.path()).into());
        }
    }
    Ok(())
}

/// Writes a file by rename, so that a link in its place is replaced and not followed.
///
/// # Errors
///
/// What the file system says.
#[cfg(feature = "embedded-registry")]
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let write = || -> Result<()> {
        crate::workspace::rewrite::beside(path, text)?.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("could not write {}", path.display()))
}

/// Creates a file with this text unless there is something of its name, be it a link.
///
/// # Errors
///
/// What the file system says.
pub(crate) fn create_new(path: &Path, text: &str) -> Result<()> {
    let written = match File::create_new(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        // What a full disk left of it would count as there next time.
        created => created.and_then(|mut file| {
            file.write_all(text.as_bytes()).inspect_err(|_| drop(fs::remove_file(path)))
        }),
    };
    written.with_context(|| format!("could not write {}", path.display()))
}

/// What the file system says of `path` itself, `None` if there is nothing.
fn look(path: &Path) -> Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Ok(metadata) if metadata.is_symlink() => Err(Refused::Link(path.to_owned()).into()),
        found => found.map(Some).with_context(|| format!("could not look at {}", path.display())),
    }
}

/// The file that says whose a folder is.
#[cfg(feature = "embedded-registry")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marker {
    /// Its name in the folder.
    pub(crate) name: &'static str,
    /// All that it says, at most a few lines.
    pub(crate) text: &'static str,
}

#[cfg(feature = "embedded-registry")]
impl Marker {
    /// Makes `folder` ours if it is new or empty, and checks that it is ours otherwise. A folder that a file system
    /// makes in its root, `lost+found`, counts for nothing.
    ///
    /// # Errors
    ///
    /// [`Refused`] when the folder holds anything and not the marker, and what the file system says.
    pub(crate) fn claim(self, folder: &Path) -> Result<()> {
        let path = folder.join(self.name);
        if look(&path)?.is_some() {
            let found = fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
            if found == self.text.as_bytes() {
                return Ok(());
            }
            // What a crash may leave of it is as new as an empty folder.
            if !self.text.as_bytes().starts_with(&found) {
                return Err(self.refusal(folder));
            }
        }
        let what = || format!("could not read the folder {}", folder.display());
        for entry in fs::read_dir(folder).with_context(what)? {
            let name = entry.with_context(what)?.file_name();
            if name != self.name && name != "lost+found" {
                return Err(self.refusal(folder));
            }
        }
        let write = || -> std::io::Result<()> {
            let mut file = File::options().create(true).truncate(true).write(true).open(&path)?;
            file.write_all(self.text.as_bytes())?;
            file.sync_all()
        };
        write().with_context(|| format!("could not write {}", path.display()))
    }

    fn refusal(self, folder: &Path) -> anyhow::Error {
        Refused::NotOurs { folder: folder.to_owned(), marker: self.name }.into()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn refused(result: Result<impl Sized>) -> Option<Refused> {
        result.err().map(|error| error.downcast().unwrap())
    }

    #[test]
    fn folders_are_made_and_links_and_files_are_refused() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path();
        assert_eq!(create_below(base, "").unwrap(), base);
        assert_eq!(create_below(base, "a/b").unwrap(), base.join("a/b"));
        assert_eq!(create_below(base, "a/b/c").unwrap(), base.join("a/b/c"));
        fs::write(base.join("file"), "").unwrap();
        symlink(base.join("a"), base.join("link")).unwrap();
        symlink(base.join("nothing"), base.join("dangling")).unwrap();
        for (below, expected) in [
            ("file", Refused::NoFolder(base.join("file"))),
            ("link", Refused::Link(base.join("link"))),
            ("link/c", Refused::Link(base.join("link"))),
            ("dangling", Refused::Link(base.join("dangling"))),
            ("a/../../b", Refused::NoFolder(base.join("a/.."))),
        ] {
            assert_eq!(refused(create_below(base, below)), Some(expected), "{below}");
        }
        // The one that a person named may be one.
        assert!(create_below(&base.join("link"), "d").is_ok());
        assert!(!base.join("nothing").exists());
        assert_eq!(refused(refuse_links_in(&base.join("a"))), None);
        assert!(matches!(refused(refuse_links_in(base)), Some(Refused::Link(_))));
    }

    #[test]
    #[cfg(feature = "embedded-registry")]
    fn a_folder_is_ours_when_it_was_empty_or_has_the_marker() {
        let marker = Marker { name: "marker", text: "ours\n" };
        let ours = |fill: &dyn Fn(&Path)| {
            let folder = tempfile::tempdir().unwrap();
            fill(folder.path());
            let claimed = refused(marker.claim(folder.path())).is_none();
            // Once ours, always ours.
            assert_eq!(refused(marker.claim(folder.path())).is_none(), claimed);
            claimed
        };
        assert!(ours(&|_| {}));
        assert!(ours(&|folder| fs::create_dir(folder.join("lost+found")).unwrap()));
        // Torn by a crash.
        assert!(ours(&|folder| fs::write(folder.join("marker"), "ou").unwrap()));
        let full = |folder: &Path| fs::write(folder.join("file"), "").unwrap();
        let mark = |folder: &Path, text: &str| fs::write(folder.join("marker"), text).unwrap();
        assert!(ours(&|folder| {
            full(folder);
            mark(folder, "ours\n");
        }));
        assert!(!ours(&full));
        for text in ["", "ou", "theirs", "ours\nand more"] {
            assert!(
                !ours(&|folder| {
                    full(folder);
                    mark(folder, text);
                }),
                "{text:?}"
            );
        }
        assert!(!ours(&|folder| mark(folder, "theirs")));
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        fs::write(elsewhere.path(), "ours\n").unwrap();
        assert!(!ours(&|folder| symlink(elsewhere.path(), folder.join("marker")).unwrap()));
    }
}
