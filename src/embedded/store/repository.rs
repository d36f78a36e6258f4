//! One repository: which blobs, manifests and tags it holds.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{Store, files};
use crate::embedded::digest::{Algorithm, Digest};
use crate::embedded::names::{Name, Reference};

const INDEX: &str = "_index.json";
const BLOBS: &str = "_blobs";

/// A repository in memory. What it holds is on disk first.
#[derive(Default)]
pub(in crate::embedded) struct Repository {
    /// Held over a change of `index` and while a blob leaves, from looking at what is there until the change is on
    /// disk.
    pub(super) commit: Mutex<()>,
    index: RwLock<Arc<Index>>,
    pub(super) blobs: RwLock<HashSet<Digest>>,
    /// Whether anything was ever pushed. It stays when everything is deleted again.
    known: AtomicBool,
}

/// A repository's manifests and tags, as one value and as one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::embedded) struct Index {
    pub(in crate::embedded) manifests: BTreeMap<Digest, ManifestEntry>,
    /// Ordered as the specification wants them listed.
    pub(in crate::embedded) tags: BTreeMap<String, Digest>,
}

/// What is known of a manifest besides its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::embedded) struct ManifestEntry {
    pub(in crate::embedded) media_type: String,
    pub(in crate::embedded) size: u64,
    /// The manifest that this one refers to; kept here so that referrers are found without reading every manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::embedded) subject: Option<Digest>,
}

impl Index {
    /// The manifest that a reference names.
    pub(in crate::embedded) fn find(&self, reference: &Reference) -> Option<(&Digest, &ManifestEntry)> {
        match reference {
            Reference::Tag(tag) => self.manifests.get_key_value(self.tags.get(tag)?),
            Reference::Digest(digest) => self.manifests.get_key_value(digest),
        }
    }
}

impl Repository {
    /// Reads a repository; `None` for a folder that only holds other repositories or unfinished uploads.
    pub(super) fn load(path: &Path, name: &Name) -> Result<Option<Self>> {
        let index_path = path.join(INDEX);
        let index =
            match fs::read(&index_path) {
                Ok(bytes) => Some(serde_json::from_slice(&bytes).with_context(|| {
                    format!("cannot read the index of {name} in {}", index_path.display())
                })?),
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read {}", index_path.display()));
                }
            };
        let links = path.join(BLOBS);
        if index.is_none() && !links.exists() {
            return Ok(None);
        }
        let mut blobs = HashSet::new();
        for algorithm in Algorithm::ALL {
            for hex in files::names(&links.join(algorithm.name()))? {
                blobs.extend(format!("{}:{hex}", algorithm.name()).parse::<Digest>());
            }
        }
        Ok(Some(Self {
            commit: Mutex::default(),
            index: RwLock::new(Arc::new(index.unwrap_or_default())),
            blobs: RwLock::new(blobs),
            known: AtomicBool::new(true),
        }))
    }

    /// The manifests and tags as they are now; later changes make a new value.
    pub(in crate::embedded) fn index(&self) -> Arc<Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(in crate::embedded) fn holds_blob(&self, digest: &Digest) -> bool {
        self.blobs.read().unwrap_or_else(PoisonError::into_inner).contains(digest)
    }

    pub(super) fn is_known(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }

    pub(super) fn set_known(&self) {
        self.known.store(true, Ordering::Release);
    }

    /// Whether the repository names these bytes, as a blob or as a manifest.
    pub(super) fn names_bytes(&self, digest: &Digest) -> bool {
        self.holds_blob(digest) || self.index().manifests.contains_key(digest)
    }

    pub(super) fn all_digests(&self) -> Vec<Digest> {
        let blobs = self.blobs.read().unwrap_or_else(PoisonError::into_inner);
        blobs.iter().cloned().chain(self.index().manifests.keys().cloned()).collect()
    }
}

impl Store {
    /// Stores a manifest and moves `tags` to it, in one step, if `check` finds nothing against it.
    ///
    /// The check sees the repository as the change will find it: nothing is deleted between the two.
    pub(in crate::embedded) fn put_manifest<E: From<anyhow::Error>>(
        &self,
        name: &Name,
        digest: &Digest,
        bytes: &[u8],
        entry: ManifestEntry,
        tags: &[String],
        check: impl FnOnce(&Repository) -> Result<(), E>,
    ) -> Result<(), E> {
        let repository = self.repository_or_new(name);
        let _turn = repository.commit.lock().unwrap_or_else(PoisonError::into_inner);
        check(&repository)?;
        let _guard = self.lock_digest(digest);
        let mut next = Index::clone(&repository.index());
        next.manifests.insert(digest.clone(), entry);
        next.tags.extend(tags.iter().map(|tag| (tag.clone(), digest.clone())));
        let path = self.blob_path(digest);
        let stored = || -> Result<()> {
            // Not when something is there, but when the right thing is: a push heals what went bad.
            if self.read_manifest(digest)?.is_none() {
                files::write(&path, bytes, &self.temporary())?;
            }
            self.commit(name, &repository, next)
        };
        stored().map_err(|error| {
            // Of a full disk: what nobody was told of only takes space.
            let _ = self.remove_unnamed(digest);
            error.into()
        })
    }

    /// Removes a tag, or a manifest with all its tags. Returns whether there was any.
    pub(in crate::embedded) fn delete_manifest(&self, name: &Name, reference: &Reference) -> Result<bool> {
        let Some(repository) = self.repository(name) else { return Ok(false) };
        let _turn = repository.commit.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Index::clone(&repository.index());
        let digest = match reference {
            Reference::Tag(tag) => {
                let found = next.tags.remove(tag).is_some();
                if found {
                    self.commit(name, &repository, next)?;
                }
                return Ok(found);
            }
            Reference::Digest(digest) => digest,
        };
        if next.manifests.remove(digest).is_none() {
            return Ok(false);
        }
        next.tags.retain(|_, tagged| tagged != digest);
        let _guard = self.lock_digest(digest);
        self.commit(name, &repository, next)?;
        self.remove_unnamed(digest)?;
        Ok(true)
    }

    /// Makes `next` the repository's index, on disk and then in memory. The caller holds the repository's `commit`.
    fn commit(&self, name: &Name, repository: &Repository, next: Index) -> Result<()> {
        if *repository.index() == next {
            return Ok(());
        }
        let path = self.repository_path(name).join(INDEX);
        let bytes = serde_json::to_vec(&next).with_context(|| format!("cannot write the index of {name}"))?;
        if let Err(error) = files::write(&path, &bytes, &self.temporary()) {
            // It may have its name already, and only that this lasts is not known. Then memory says what the file says.
            if fs::read(&path).is_ok_and(|there| there == bytes) {
                *repository.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
            }
            return Err(error);
        }
        *repository.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        repository.set_known();
        Ok(())
    }
}
