//! What is stored, on disk and in memory. Everything here blocks: the handlers call it off the runtime's threads.
//!
//! ```text
//! ROOT/.manifests-registry                       says that the folder is a registry's
//! ROOT/lock                                      held while a process serves this root
//! ROOT/temporary/…                               files being written; swept on start
//! ROOT/blobs/<algorithm>/<hex>                   the bytes of blobs and manifests, shared by all repositories
//! ROOT/repositories/<name>/_blobs/<algorithm>/<hex>   empty: the repository holds this blob
//! ROOT/repositories/<name>/_index.json           the repository's manifests and tags
//! ROOT/repositories/<name>/_uploads/<uuid>       the bytes of an unfinished upload so far
//! ```
//!
//! Invariants:
//! - Nothing is removed from a folder without the marker, nothing that has none of the names above, and nothing behind
//!   a symbolic link: below the root every folder is a real one, or the registry does not start.
//! - A file under `blobs/` is complete, verified and synced before it has that name.
//! - Bytes come before what names them and go after it. A crash leaves at most bytes that nothing names, which the
//!   next start sweeps; never a name without bytes.
//! - `_index.json` is replaced as a whole, so several tags, or a manifest and its tags, change in one step.
//! - The lock makes the process the only writer: what it holds in memory is what is on disk.
//! - Locks are taken in the order: a repository's `commit`, then one of `by_digest`, then the maps, which are held for
//!   a look only and never while writing to disk.

mod blobs;
mod files;
mod repository;
mod uploads;
mod verified;

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use anyhow::{Context, Result, anyhow};

use super::digest::{Algorithm, Digest};
use super::names::Name;
use crate::workspace::own_folder::{self, Marker};
pub(super) use repository::{Index, ManifestEntry, Repository};
use uploads::Sessions;
pub(super) use uploads::{Finish, Session};
use verified::Verified;

/// Says that a folder is a registry's, so that it may be swept.
const MARKER: Marker = Marker {
    name: ".manifests-registry",
    text: "Content of a registry of `manifests` (`manifests registry serve --root`).\n\
           It removes what nothing refers to. While no registry serves it, the folder may be deleted as a whole.\n",
};

/// The registry's content under one root.
pub(super) struct Store {
    root: PathBuf,
    repositories: RwLock<BTreeMap<Name, Arc<Repository>>>,
    sessions: Sessions,
    /// One of these is held while bytes under `blobs/` come or go, so that nobody gains a link to bytes that are
    /// just being removed for want of one.
    by_digest: [Mutex<()>; 64],
    verified: Verified,
    /// Held open for its lock.
    _lock: File,
}

impl Store {
    /// Takes the root, reads what is there and sweeps what a crash left behind.
    pub(super) fn open(root: &Path) -> Result<Self> {
        fs::create_dir_all(root)
            .with_context(|| format!("cannot create the registry's root {}", root.display()))?;
        // Absolute, because the process may change its folder later.
        let root = root
            .canonicalize()
            .with_context(|| format!("cannot resolve the registry's root {}", root.display()))?;
        MARKER.claim(&root)?;
        let lock = lock(&root)?;
        let store = Self {
            repositories: RwLock::default(),
            sessions: Sessions::default(),
            by_digest: std::array::from_fn(|_| Mutex::default()),
            verified: Verified::default(),
            _lock: lock,
            root,
        };
        files::create_dir(&store.temporary())?;
        store.refuse_links()?;
        store.sweep_temporary()?;
        let mut repositories = BTreeMap::new();
        for name in store.names_on_disk()? {
            if let Some(repository) = Repository::load(&store.repository_path(&name), &name)? {
                repositories.insert(name, Arc::new(repository));
            }
        }
        *store.repositories.write().unwrap_or_else(PoisonError::into_inner) = repositories;
        store.sweep_blobs()?;
        store.expire_uploads(uploads::EXPIRY)?;
        Ok(store)
    }

    /// The repository of this name, if anything was ever pushed to it.
    pub(super) fn repository(&self, name: &Name) -> Option<Arc<Repository>> {
        let repositories = self.repositories.read().unwrap_or_else(PoisonError::into_inner);
        repositories.get(name).filter(|repository| repository.is_known()).cloned()
    }

    fn repository_or_new(&self, name: &Name) -> Arc<Repository> {
        let mut repositories = self.repositories.write().unwrap_or_else(PoisonError::into_inner);
        repositories.entry(name.clone()).or_default().clone()
    }

    /// Refuses links where folders or files of this registry are: sweeping and writing would follow them.
    fn refuse_links(&self) -> Result<()> {
        own_folder::refuse_links_in(&self.root)?;
        own_folder::refuse_links_in(&self.temporary())?;
        own_folder::require_folder(&self.root.join("repositories"))?;
        let mut shelves = vec![self.root.join("blobs")];
        for name in self.names_on_disk()? {
            let path = self.repository_path(&name);
            own_folder::refuse_links_in(&path)?;
            shelves.push(path.join("_blobs"));
        }
        for shelf in shelves {
            if own_folder::require_folder(&shelf)? {
                own_folder::refuse_links_in(&shelf)?;
            }
        }
        Ok(())
    }

    /// Removes files that were being written when a process ended.
    fn sweep_temporary(&self) -> Result<()> {
        for name in files::names(&self.temporary())? {
            let path = self.temporary().join(&name);
            if name.starts_with(files::UNFINISHED) && path.is_file() {
                files::remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes the bytes that no repository names.
    fn sweep_blobs(&self) -> Result<()> {
        let mut named = HashSet::new();
        for repository in self.repositories.read().unwrap_or_else(PoisonError::into_inner).values() {
            named.extend(repository.all_digests());
        }
        for algorithm in Algorithm::ALL {
            let folder = self.root.join("blobs").join(algorithm.name());
            for hex in files::names(&folder)? {
                // What has no digest for a name is nothing that this registry wrote.
                let Ok(digest) = format!("{}:{hex}", algorithm.name()).parse::<Digest>() else { continue };
                if !named.contains(&digest) {
                    files::remove(&folder.join(hex))?;
                }
            }
        }
        Ok(())
    }

    /// Every folder that is, or might become, a repository.
    fn names_on_disk(&self) -> Result<Vec<Name>> {
        let top = self.root.join("repositories");
        let mut names = Vec::new();
        let mut folders: Vec<String> = files::names(&top)?;
        while let Some(folder) = folders.pop() {
            // What begins with `_` is a repository's content; what else is no name is not ours.
            let Ok(name) = Name::parse(&folder) else { continue };
            let path = top.join(name.to_path());
            if own_folder::is_folder(&path)? {
                folders.extend(files::names(&path)?.into_iter().map(|child| format!("{folder}/{child}")));
                names.push(name);
            }
        }
        Ok(names)
    }

    fn temporary(&self) -> PathBuf {
        self.root.join("temporary")
    }

    fn repository_path(&self, name: &Name) -> PathBuf {
        self.root.join("repositories").join(name.to_path())
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm.name()).join(&digest.hex)
    }

    fn lock_digest(&self, digest: &Digest) -> MutexGuard<'_, ()> {
        // The digest is uniform already: its first byte spreads the digests over the locks.
        let byte = u8::from_str_radix(&digest.hex[..2], 16).unwrap_or_default();
        let lock = &self.by_digest[usize::from(byte) % self.by_digest.len()];
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the root for this process; the lock goes with the file, however the process ends.
fn lock(root: &Path) -> Result<File> {
    let path = root.join("lock");
    own_folder::refuse_link(&path)?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(anyhow!("the registry's root {} is in use by another registry", root.display()))
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}
