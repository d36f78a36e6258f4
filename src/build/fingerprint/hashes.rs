//! Digests of files that are looked at twice, before and after a build: what has not been written in between is not
//! read again. I/O.

use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use rayon::prelude::*;

use crate::workspace::hash::hash;

/// File systems keep times in steps, of two seconds at most (FAT). A file that was written within the last step may be
/// written again without another time (git's Documentation/technical/racy-git.txt), so its content is read again.
const STEP: Duration = Duration::from_secs(2);

/// What files held, and what their metadata said just before they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hashes {
    files: HashMap<PathBuf, Hashed>,
    /// What was written since the look before, if only to say the same as before.
    rewritten: Vec<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Hashed {
    stamp: Option<Stamp>,
    digest: String,
}

/// What changes when a file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
    /// Device and inode, where there are such.
    identity: [u64; 2],
    /// When content or metadata changed last: seconds and nanoseconds.
    changed: Option<[i64; 2]>,
    /// It was so new that another write may leave the times as they are.
    racy: bool,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = path.symlink_metadata().ok()?;
        let modified = metadata.modified().ok();
        let (identity, changed) = unix(&metadata);
        let settled = SystemTime::now().checked_sub(STEP);
        let old = |time: SystemTime| settled.is_some_and(|settled| time < settled);
        let changed_at = changed.and_then(|[seconds, _]| {
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
        });
        // A platform without the second time has the first one only.
        let racy = !modified.is_some_and(old) || changed.is_some() && !changed_at.is_some_and(old);
        Some(Self { size: metadata.len(), modified, identity, changed, racy })
    }

    /// Whether nothing was written since `earlier`.
    fn proves_same(&self, earlier: &Self) -> bool {
        !earlier.racy && self.changed == earlier.changed && !self.was_rewritten(earlier)
    }

    /// Whether something was written since `earlier` for certain. A change of mode or of the number of names is none.
    fn was_rewritten(&self, earlier: &Self) -> bool {
        (self.size, self.modified, self.identity) != (earlier.size, earlier.modified, earlier.identity)
    }
}

#[cfg(unix)]
fn unix(metadata: &Metadata) -> ([u64; 2], Option<[i64; 2]>) {
    use std::os::unix::fs::MetadataExt as _;
    ([metadata.dev(), metadata.ino()], Some([metadata.ctime(), metadata.ctime_nsec()]))
}

#[cfg(not(unix))]
fn unix(_: &Metadata) -> ([u64; 2], Option<[i64; 2]>) {
    ([0; 2], None)
}

impl Hashes {
    /// The digests of `files`, given with their sizes; what was not written since `earlier` is not read.
    ///
    /// # Errors
    ///
    /// One of them cannot be read.
    pub fn after(earlier: &Self, files: &BTreeMap<PathBuf, u64>) -> Result<Self> {
        let stamps: Vec<(&PathBuf, Option<Stamp>)> =
            files.par_iter().map(|(path, _)| (path, Stamp::of(path))).collect();
        let mut all = Self::default();
        let mut unknown = BTreeMap::new();
        let mut read = Vec::new();
        for ((path, stamp), size) in stamps.into_iter().zip(files.values()) {
            let before = earlier.files.get(path);
            if let (Some(Hashed { stamp: Some(before), .. }), Some(stamp)) = (before, &stamp)
                && stamp.was_rewritten(before)
            {
                all.rewritten.push(path.clone());
            }
            match (before, &stamp) {
                (Some(Hashed { stamp: Some(before), digest }), Some(stamp)) if stamp.proves_same(before) => {
                    let hashed = Hashed { stamp: Some(stamp.clone()), digest: digest.clone() };
                    all.files.insert(path.clone(), hashed);
                }
                _ => {
                    unknown.insert(path.clone(), *size);
                    read.push((path, stamp));
                }
            }
        }
        let mut digests = hash(&unknown)?;
        for (path, stamp) in read {
            if let Some(digest) = digests.remove(path) {
                all.files.insert(path.clone(), Hashed { stamp, digest });
            }
        }
        Ok(all)
    }

    /// The digest of the file at `path`, when it was among those that were asked for.
    pub fn get(&self, path: &Path) -> Option<&str> {
        self.files.get(path).map(|hashed| hashed.digest.as_str())
    }

    /// What was written since the look before, if only to say the same as before: a build may have read either.
    pub fn rewritten(&self) -> &[PathBuf] {
        &self.rewritten
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    const OLD: Duration = Duration::from_secs(3600);

    /// Writes `text` and dates the file `age` back.
    fn write(path: &Path, text: &str, age: Duration) {
        std::fs::write(path, text).unwrap();
        File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
    }

    fn look(path: &Path, earlier: &Hashes) -> Hashes {
        let size = path.metadata().unwrap().len();
        Hashes::after(earlier, &BTreeMap::from([(path.to_owned(), size)])).unwrap()
    }

    #[test]
    fn what_was_written_in_between_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, "a", OLD);
        let before = look(&path, &Hashes::default());
        let time = path.metadata().unwrap().modified().unwrap();
        let rename_over = || {
            let other = folder.path().join("other");
            std::fs::write(&other, "a").unwrap();
            std::fs::rename(&other, &path).unwrap();
        };
        let dated = |text: &str| {
            std::fs::write(&path, text).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        };
        let cases: [(&str, &dyn Fn(), bool, bool); 6] = [
            ("nothing", &|| {}, true, false),
            ("other content", &|| write(&path, "b", Duration::ZERO), false, true),
            ("other content of the same time", &|| dated("c"), false, false),
            (
                "the same content, and there was another in between",
                &|| write(&path, "a", Duration::ZERO),
                true,
                true,
            ),
            ("another file of the same content", &rename_over, true, true),
            ("longer content of the same time", &|| dated("aa"), false, true),
        ];
        for (what, change, same, rewritten) in cases {
            change();
            let after = look(&path, &before);
            assert_eq!(after.get(&path) == before.get(&path), same, "{what}");
            assert_eq!(!after.rewritten().is_empty(), rewritten, "{what}");
        }
    }

    #[test]
    fn only_what_may_have_been_written_is_read_again() {
        let stamp = |modified: SystemTime, racy| Stamp {
            size: 1,
            modified: Some(modified),
            identity: [1, 1],
            changed: Some([1, 1]),
            racy,
        };
        let now = SystemTime::now();
        let old = stamp(now - OLD, false);
        assert!(old.proves_same(&old));
        assert!(!stamp(now, true).proves_same(&stamp(now, true)), "written within a step of the clock");
        assert!(!Stamp { changed: Some([1, 2]), ..old.clone() }.proves_same(&old), "its mode or its names");
        assert!(!Stamp { changed: Some([1, 2]), ..old.clone() }.was_rewritten(&old));
        assert!(Stamp { identity: [1, 2], ..old.clone() }.was_rewritten(&old));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, "a", Duration::ZERO);
        assert!(Stamp::of(&path).unwrap().racy);
        File::options().write(true).open(&path).unwrap().set_modified(now + OLD).unwrap();
        assert!(Stamp::of(&path).unwrap().racy, "a time to come proves nothing");
    }
}
