//! Files that are there as a whole or not at all, also after a crash.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// How the names of files begin that are being written.
pub(super) const UNFINISHED: &str = "unfinished-";

/// Creates a folder and its missing parents so that they outlast a crash.
pub(super) fn create_dir(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().with_context(|| format!("{} has no parent folder", path.display()))?;
    create_dir(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => result.with_context(|| format!("cannot create {}", path.display()))?,
    }
    sync_dir(parent)
}

/// Makes the names in a folder durable: a renamed file is only safe once its folder is.
pub(super) fn sync_dir(path: &Path) -> Result<()> {
    // Elsewhere folders cannot be opened as files, and their entries are journalled.
    if cfg!(unix) {
        let synced = File::open(path).and_then(|folder| folder.sync_all());
        synced.with_context(|| format!("cannot sync {}", path.display()))?;
    }
    Ok(())
}

/// Moves a file whose content is synced already to where it is visible.
pub(super) fn publish(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().with_context(|| format!("{} has no parent folder", to.display()))?;
    create_dir(folder)?;
    fs::rename(from, to).with_context(|| format!("cannot move {} to {}", from.display(), to.display()))?;
    sync_dir(folder)
}

/// Writes `bytes` to `path`, replacing what is there at once. `temporary` is a folder on the same file system.
pub(super) fn write(path: &Path, bytes: &[u8], temporary: &Path) -> Result<()> {
    let mut file = tempfile::NamedTempFile::with_prefix_in(UNFINISHED, temporary)
        .with_context(|| format!("cannot create a file in {}", temporary.display()))?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .with_context(|| format!("cannot write {}", file.path().display()))?;
    let file = file.into_temp_path();
    publish(&file, path)?;
    // It has been moved away: nothing is left to delete.
    let _ = file.keep();
    Ok(())
}

/// Removes a file; that it is gone already is no error.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("cannot remove {}", path.display())),
    }
}

/// The names in a folder, none if there is no such folder; names that are not UTF-8 are nobody's here.
pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        result => result.with_context(|| format!("cannot read the folder {}", path.display()))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read the folder {}", path.display()))?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}
