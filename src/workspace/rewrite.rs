//! Changes a file in place so that no change is lost: lock, read, write beside it, rename. I/O; what is written is the
//! caller's to decide.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

use anyhow::{Context as _, Result};

/// How the name of a file begins that will take another one's place in the project: a run that was killed may leave one.
pub(crate) const UNFINISHED: &str = ".manifests-";

/// Gives the content of `path` to `change` and writes what it returns, unless that is the same. Says whether anything
/// was written.
///
/// Other processes that change the file in this way wait, so `change` should be quick. Readers see the old content or
/// the new one. A symbolic link stays one, and the file keeps its mode, and its owner where this process may set it. A
/// file that is not there is made, with `change` given an empty text.
///
/// # Errors
///
/// Those of `change`, then nothing is written, and those of the file system.
pub(crate) fn rewrite(path: &Path, mut change: impl FnMut(&str) -> Result<String>) -> Result<bool> {
    loop {
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let text = change("")?;
                if text.is_empty() {
                    return Ok(false);
                }
                if create(path, &text)? {
                    return Ok(true);
                }
                continue;
            }
            Err(error) => return Err(error).with_context(|| format!("could not find {}", path.display())),
        };
        let Some(mut locked) = lock(&real).with_context(|| format!("could not lock {}", path.display()))?
        else {
            continue;
        };
        let mut text = String::new();
        locked.read_to_string(&mut text).with_context(|| format!("could not read {}", path.display()))?;
        let changed = change(&text)?;
        if changed == text {
            return Ok(false);
        }
        replace(&real, &locked, &changed).with_context(|| format!("could not write {}", path.display()))?;
        return Ok(true);
    }
}

/// The file at `path`, locked; `None` when another one took its place meanwhile.
fn lock(path: &Path) -> std::io::Result<Option<File>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    file.lock()?;
    let identity = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    let locked = identity(&file.metadata()?);
    let there = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        metadata => identity(&metadata?),
    };
    Ok((locked == there).then_some(file))
}

/// Puts a file with the new content, and everything else as it was, in the place of `old`.
fn replace(path: &Path, old: &File, text: &str) -> std::io::Result<()> {
    let mut new = beside(path, text)?;
    let (was, is) = (old.metadata()?, new.as_file().metadata()?);
    if (was.uid(), was.gid()) != (is.uid(), is.gid()) {
        // Only the system's administrator may; for everybody else the new file is their own.
        let _ = chown(new.path(), Some(was.uid()), Some(was.gid()));
    }
    new.as_file_mut().set_permissions(was.permissions())?;
    new.as_file().sync_all()?;
    new.persist(path)?;
    Ok(())
}

/// Makes a file that nobody else has made meanwhile, and says whether it did.
fn create(path: &Path, text: &str) -> Result<bool> {
    let create = || {
        let new = beside(path, text)?;
        new.as_file().sync_all()?;
        match new.persist_noclobber(path) {
            Ok(_) => Ok(true),
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error.error),
        }
    };
    create().with_context(|| format!("could not write {}", path.display()))
}

/// The folder that `path` is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file with the content `text` in the folder of `path`, to take its place.
pub(crate) fn beside(path: &Path, text: &str) -> std::io::Result<tempfile::NamedTempFile> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut new = tempfile::Builder::new()
        .prefix(UNFINISHED)
        // As any new file: the process's mask takes away what it takes away.
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder_of(path))?;
    new.write_all(text.as_bytes())?;
    Ok(new)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use anyhow::bail;

    use super::*;

    #[test]
    fn links_and_permissions_stay_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.toml"), folder.path().join("link.toml"));
        fs::write(&real, "one").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("real.toml", &link).unwrap();
        assert!(rewrite(&link, |text| Ok(format!("{text} two"))).unwrap());
        assert_eq!(fs::read_to_string(&real).unwrap(), "one two");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_fails_or_changes_nothing_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        assert!(!rewrite(&path, |_| Ok(String::new())).unwrap());
        assert!(rewrite(&path, |_| bail!("no")).is_err());
        assert!(!path.exists());
        assert!(rewrite(&path, |text| Ok(format!("{text}new"))).unwrap());
        let before = fs::metadata(&path).unwrap().ino();
        assert!(rewrite(&path, |_| bail!("no")).is_err());
        assert!(!rewrite(&path, |text| Ok(text.to_owned())).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().ino(), before);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn no_concurrent_change_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    for round in 0..20 {
                        rewrite(path, |text| Ok(format!("{text}{writer}.{round}\n"))).unwrap();
                    }
                });
            }
        });
        let text = fs::read_to_string(&path).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), 160);
    }
}
