//! The lock on disk. I/O.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::rewrite::{beside, folder_of};
use crate::error::{Exit, Failure};
use crate::lock::{Lock, LockError};

/// What became of a lock that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It says the same already.
    Unchanged,
    /// It is another now.
    Changed,
}

/// The lock at `path`; a missing one is empty.
///
/// # Errors
///
/// It cannot be read, does not parse, or is of a later version.
pub(crate) fn read(path: &Path) -> Result<Lock> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Lock::default()),
        Err(error) => return Err(error).with_context(|| format!("could not read {}", path.display())),
    };
    Lock::parse(&text).map_err(|error| {
        let hint = match &error {
            LockError::Newer { requires: Some(requires), .. } => {
                format!("install manifests {requires} or later")
            }
            LockError::Newer { requires: None, .. } => "install the version of manifests that wrote it".to_owned(),
            LockError::Conflict(_) => format!(
                "`git checkout --theirs -- {0}` takes one side whole; or remove it: then nothing is taken for fresh",
                path.display()
            ),
            LockError::Malformed(_) => format!(
                "`git checkout HEAD -- {}` takes it from the last commit; or remove it: then nothing is taken for fresh",
                path.display()
            ),
        };
        Failure::new(format!("could not read {}", path.display()))
            .because(error)
            .hint(hint)
            .exit(Exit::Usage)
            .into()
    })
}

/// Brings the file at `path` to what `lock` says, by rename: nobody reads half of it, and what says the same already,
/// if in an earlier version of the format, is not touched.
///
/// # Errors
///
/// The file cannot be written, or what is there is not this program's to replace, as for [`read`].
pub(crate) fn write(path: &Path, lock: &Lock) -> Result<Written> {
    let what = || format!("could not write {}", path.display());
    let text = lock.to_text();
    // Most often it says this word for word: there is nothing to understand then.
    if std::fs::read(path).is_ok_and(|there| there == text.as_bytes())
        || (read(path).with_context(what)? == *lock && path.exists())
    {
        return Ok(Written::Unchanged);
    }
    std::fs::create_dir_all(folder_of(path)).with_context(what)?;
    let file = beside(path, &text).with_context(what)?;
    file.as_file().sync_all().with_context(what)?;
    file.persist(path).with_context(what)?;
    Ok(Written::Changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{exit_of, render};
    use crate::lock::LockedTarget;

    #[test]
    fn a_lock_is_written_only_when_it_says_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/manifests.lock");
        assert_eq!(read(&path).unwrap(), Lock::default());
        let mut lock = Lock::default();
        assert_eq!(write(&path, &lock).unwrap(), Written::Changed);
        assert_eq!(write(&path, &lock).unwrap(), Written::Unchanged);
        // Who formats it otherwise keeps that.
        std::fs::write(&path, "version=1").unwrap();
        assert_eq!(write(&path, &lock).unwrap(), Written::Unchanged);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "version=1");
        lock.targets.insert("app".to_owned(), LockedTarget::default());
        assert_eq!(write(&path, &lock).unwrap(), Written::Changed);
        assert_eq!(read(&path).unwrap(), lock);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_is_not_understood_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifests.lock");
        for (text, hint) in [
            ("version = 99\n", "install the version of manifests that wrote it"),
            ("version = 99\nrequires = \"7.1.0\"\n", "install manifests 7.1.0 or later"),
            ("<<<<<<< HEAD\n", "git checkout --theirs -- "),
            ("version = 2\nunknown = 1\n", "git checkout HEAD -- "),
        ] {
            std::fs::write(&path, text).unwrap();
            for error in [read(&path).unwrap_err(), write(&path, &Lock::default()).unwrap_err()] {
                assert_eq!(exit_of(&error), Exit::Usage);
                assert!(render(&error).contains(hint), "{}", render(&error));
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
