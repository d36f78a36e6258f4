//! What registries served, kept on this machine: manifests and configurations under their digest, and of each
//! reference which digest it served last.
//!
//! Nothing in the folder is trusted. Content is checked by its digest whenever it is read; what a reference served is
//! only a hint that a HEAD will do. Several processes may use one folder: files appear whole, by rename, and a file
//! that another process removed is one that was never there. A cache that cannot be read or written is no error, only
//! slower.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::model::digest::Digest;
use crate::model::reference::Repository;

/// A folder of content; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Cache(Arc<PathBuf>);

/// What all files of one shelf may take together, in bytes. There are 256 shelves for content and as many for
/// references, and digests spread evenly: 128 MiB in all.
const SHELF: u64 = 256 << 10;
/// A larger file would push too much else from its shelf. Manifests and configurations have some kilobytes.
const LARGEST: usize = 64 << 10;
/// How exactly a file remembers when it was last used. Less exactly is fewer writes.
const USE_GRAIN: Duration = Duration::from_secs(60 * 60);

impl Cache {
    /// Touches nothing yet: folders are made when something is kept.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(Arc::new(folder))
    }

    /// The content with this digest, if it was fetched before.
    pub(super) async fn content(&self, digest: &Digest) -> Option<Bytes> {
        let path = self.content_path(digest);
        let digest = digest.clone();
        in_background(move || {
            let bytes = read(&path)?;
            if !digest.matches(&bytes) {
                // Left half-written by a machine that went down, or changed by somebody.
                let _ = fs::remove_file(&path);
                return None;
            }
            Some(Bytes::from(bytes))
        })
        .await
    }

    /// Keeps content whose digest was checked. Nobody has to wait until it is on disk.
    pub(super) fn keep(&self, digest: &Digest, bytes: &Bytes) -> JoinHandle<()> {
        let (path, bytes) = (self.content_path(digest), bytes.clone());
        tokio::task::spawn_blocking(move || drop(write(&path, &bytes)))
    }

    /// The digest that `lookup` served when it was last asked for.
    pub(super) async fn served(&self, repository: &Repository, lookup: &str) -> Option<Digest> {
        let path = self.reference_path(repository, lookup);
        in_background(move || String::from_utf8(read(&path)?).ok()?.parse().ok()).await
    }

    /// Keeps what `lookup`, a tag, served. Nobody has to wait until it is on disk.
    pub(super) fn keep_served(
        &self,
        repository: &Repository,
        lookup: &str,
        digest: &Digest,
    ) -> JoinHandle<()> {
        let (path, text) = (self.reference_path(repository, lookup), digest.to_string());
        tokio::task::spawn_blocking(move || drop(write(&path, text.as_bytes())))
    }

    fn content_path(&self, digest: &Digest) -> PathBuf {
        self.shelved(digest.algorithm(), digest.hex())
    }

    /// A reference may hold characters that no file name does, and be of any length.
    fn reference_path(&self, repository: &Repository, lookup: &str) -> PathBuf {
        let name = Digest::of(format!("{repository}:{lookup}").as_bytes());
        self.shelved("served", name.hex())
    }

    fn shelved(&self, kind: &str, hex: &str) -> PathBuf {
        self.0.join(kind).join(hex.get(..2).unwrap_or(hex)).join(hex)
    }
}

/// File systems block.
async fn in_background<T: Send + 'static>(work: impl FnOnce() -> Option<T> + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok().flatten()
}

/// The file's bytes; it counts as used now.
fn read(path: &Path) -> Option<Vec<u8>> {
    let file = open(path).ok()?;
    let metadata = file.metadata().ok().filter(|metadata| metadata.is_file() && fits(metadata.len()))?;
    let used = metadata.modified().ok()?;
    let mut bytes = Vec::new();
    // It may grow meanwhile.
    (&file).take(LARGEST as u64 + 1).read_to_end(&mut bytes).ok()?;
    if !fits(bytes.len() as u64) {
        return None;
    }
    if used.elapsed().is_ok_and(|age| age > USE_GRAIN) {
        let _ = file.set_modified(SystemTime::now());
    }
    Some(bytes)
}

/// Opens what may be anything: a link is not followed, and a pipe without a writer is not waited for.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed());
    }
    options.open(path)
}

fn fits(length: u64) -> bool {
    length <= LARGEST as u64
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let Some(shelf) = path.parent().filter(|_| bytes.len() <= LARGEST) else { return Ok(()) };
    fs::create_dir_all(shelf)?;
    // For nobody else to read: a private registry's content is as private here.
    let mut file = tempfile::NamedTempFile::new_in(shelf)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    make_room(shelf)
}

/// Removes the files of a shelf that were not used for longest, until the rest fits. What a dying process left
/// half-written goes with them.
fn make_room(shelf: &Path) -> io::Result<()> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(shelf)?.flatten() {
        // Gone meanwhile: another process makes room, too.
        let Ok(metadata) = entry.metadata() else { continue };
        files.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), metadata.len(), entry.path()));
    }
    let mut taken: u64 = files.iter().map(|(_, size, _)| size).sum();
    if taken <= SHELF {
        return Ok(());
    }
    files.sort();
    for (_, size, path) in files {
        if taken <= SHELF {
            break;
        }
        let _ = fs::remove_file(path);
        taken -= size;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> Repository {
        "registry.corp:5000/team/app".parse().unwrap()
    }

    #[tokio::test]
    async fn what_was_kept_is_found_by_every_process() {
        let folder = tempfile::tempdir().unwrap();
        let content = Bytes::from_static(b"a manifest");
        let digest = Digest::of(&content);
        let cache = Cache::new(folder.path().join("new"));
        assert_eq!(cache.content(&digest).await, None);
        cache.keep(&digest, &content).await.unwrap();
        cache.keep_served(&repository(), "latest", &digest).await.unwrap();

        let other = Cache::new(folder.path().join("new"));
        assert_eq!(other.content(&digest).await, Some(content));
        assert_eq!(other.served(&repository(), "latest").await, Some(digest));
        assert_eq!(other.served(&repository(), "other").await, None);
    }

    #[tokio::test]
    async fn altered_content_is_never_given_out() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        let content = Bytes::from_static(b"a manifest");
        let digest = Digest::of(&content);
        for altered in ["", "a manifes", "another one"] {
            cache.keep(&digest, &content).await.unwrap();
            fs::write(cache.content_path(&digest), altered).unwrap();
            assert_eq!(cache.content(&digest).await, None, "{altered:?}");
            assert!(!cache.content_path(&digest).exists());
        }
        cache.keep_served(&repository(), "latest", &digest).await.unwrap();
        fs::write(cache.reference_path(&repository(), "latest"), "no digest").unwrap();
        assert_eq!(cache.served(&repository(), "latest").await, None);
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_used_is_no_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let cache = Cache::new(file.path().to_owned());
        let content = Bytes::from_static(b"a manifest");
        cache.keep(&Digest::of(&content), &content).await.unwrap();
        assert_eq!(cache.content(&Digest::of(&content)).await, None);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_is_no_file_of_the_cache_is_not_read() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("cache"));
        let content = Bytes::from_static(b"a manifest");
        let digest = Digest::of(&content);
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, &content).unwrap();
        type Make<'a> = (&'static str, &'a dyn Fn(&Path));
        let make: [Make<'_>; 5] = [
            ("a link to endless bytes", &|path| symlink("/dev/zero", path).unwrap()),
            ("a link to the right bytes", &|path| symlink(&elsewhere, path).unwrap()),
            ("a folder", &|path| fs::create_dir(path).unwrap()),
            ("a pipe", &|path| {
                assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
            }),
            ("a file of a terabyte", &|path| File::create(path).unwrap().set_len(1 << 40).unwrap()),
        ];
        for (what, make) in make {
            cache.keep(&digest, &content).await.unwrap();
            assert!(cache.content(&digest).await.is_some(), "{what}");
            let path = cache.content_path(&digest);
            fs::remove_file(&path).unwrap();
            make(&path);
            let read = tokio::time::timeout(Duration::from_secs(20), cache.content(&digest)).await;
            assert_eq!(read.expect(what), None, "{what}");
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        }
    }

    #[test]
    fn a_shelf_stays_within_its_bound_and_keeps_what_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = folder.path().join("ab");
        let used = shelf.join("used");
        write(&used, &[0; 1000]).unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(24 * 60 * 60);
        for n in 0..40 {
            let path = shelf.join(n.to_string());
            write(&path, &vec![0; 16 << 10]).unwrap();
            File::open(&path).unwrap().set_modified(long_ago + Duration::from_secs(n)).unwrap();
            let taken: u64 =
                fs::read_dir(&shelf).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
            assert!(taken <= SHELF, "{taken}");
            File::open(&used).unwrap().set_modified(long_ago).unwrap();
            assert_eq!(read(&used).map(|bytes| bytes.len()), Some(1000));
        }
        write(&shelf.join("large"), &vec![0; LARGEST + 1]).unwrap();
        assert!(!shelf.join("large").exists());
        assert!(shelf.join("39").exists() && !shelf.join("0").exists());
    }
}
