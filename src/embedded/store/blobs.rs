//! Bytes by digest, and which repository holds them.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use anyhow::{Context, Result};

use super::{Store, files};
use crate::embedded::digest::Digest;
use crate::embedded::manifests::MAX_MANIFEST;
use crate::embedded::names::Name;

impl Store {
    /// Opens a repository's blob, with its length. An open file outlives the blob's deletion.
    pub(in crate::embedded) fn open_blob(&self, name: &Name, digest: &Digest) -> Result<Option<(File, u64)>> {
        let holds = self.repository(name).is_some_and(|repository| repository.holds_blob(digest));
        if holds { self.open_verified(digest) } else { Ok(None) }
    }

    /// The length of stored bytes, whoever names them.
    pub(in crate::embedded) fn length(&self, digest: &Digest) -> Result<Option<u64>> {
        Ok(self.open_verified(digest)?.map(|(_, length)| length))
    }

    /// The bytes of a manifest, unless they went bad. That a repository holds it is for the caller to know.
    pub(in crate::embedded) fn read_manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let path = self.blob_path(digest);
        let mut bytes = Vec::new();
        // Whatever is longer is no manifest of ours.
        let read =
            File::open(&path).and_then(|file| file.take(MAX_MANIFEST as u64 + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) if digest.algorithm.digest(&bytes) == *digest => Ok(Some(bytes)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Gives a repository the blob whose synced and verified bytes are in the file `from`.
    pub(super) fn add_blob(&self, name: &Name, digest: &Digest, from: &Path) -> Result<()> {
        let _guard = self.lock_digest(digest);
        // Also over bytes that are there already: they are the same, and a file that went bad is healed.
        let added = files::publish(from, &self.blob_path(digest)).and_then(|()| {
            self.verified.insert(digest, &self.blob_path(digest));
            self.link_blob(name, digest)
        });
        if added.is_err() {
            // Of a full disk: what nobody was told of only takes space. The first error says more.
            let _ = self.remove_unnamed(digest);
        }
        added
    }

    /// Gives a repository a blob that another one holds: the one in `from`, or any when it does not matter whose
    /// (distribution-spec, Mounting a blob from another repository). Returns whether there was one.
    pub(in crate::embedded) fn mount_blob(
        &self,
        name: &Name,
        digest: &Digest,
        from: Option<&Name>,
    ) -> Result<bool> {
        let _guard = self.lock_digest(digest);
        let held = match from {
            Some(from) => self.repository(from).is_some_and(|repository| repository.holds_blob(digest)),
            None => {
                let repositories = self.repositories.read().unwrap_or_else(PoisonError::into_inner);
                repositories.values().any(|repository| repository.holds_blob(digest))
            }
        };
        if !held || self.open_verified(digest)?.is_none() {
            return Ok(false);
        }
        self.link_blob(name, digest)?;
        Ok(true)
    }

    /// Takes a blob from a repository. Returns whether it was there.
    pub(in crate::embedded) fn delete_blob(&self, name: &Name, digest: &Digest) -> Result<bool> {
        let Some(repository) = self.repository(name) else { return Ok(false) };
        // So that no manifest that needs it is just being accepted.
        let _turn = repository.commit.lock().unwrap_or_else(PoisonError::into_inner);
        let _guard = self.lock_digest(digest);
        if !repository.holds_blob(digest) {
            return Ok(false);
        }
        let link = self.link_path(name, digest);
        files::remove(&link)?;
        if let Some(folder) = link.parent() {
            files::sync_dir(folder)?;
        }
        repository.blobs.write().unwrap_or_else(PoisonError::into_inner).remove(digest);
        self.remove_unnamed(digest)?;
        Ok(true)
    }

    /// The caller holds the digest's lock.
    fn link_blob(&self, name: &Name, digest: &Digest) -> Result<()> {
        let repository = self.repository_or_new(name);
        if repository.holds_blob(digest) {
            return Ok(());
        }
        let link = self.link_path(name, digest);
        if let Some(folder) = link.parent() {
            files::create_dir(folder)?;
            let created = File::create(&link).with_context(|| format!("cannot create {}", link.display()));
            if let Err(error) = created.and_then(|_| files::sync_dir(folder)) {
                let _ = files::remove(&link);
                return Err(error);
            }
        }
        repository.blobs.write().unwrap_or_else(PoisonError::into_inner).insert(digest.clone());
        repository.set_known();
        Ok(())
    }

    /// Removes bytes unless a repository still names them. The caller holds the digest's lock.
    pub(super) fn remove_unnamed(&self, digest: &Digest) -> Result<()> {
        let repositories = self.repositories.read().unwrap_or_else(PoisonError::into_inner);
        let named = repositories.values().any(|repository| repository.names_bytes(digest));
        drop(repositories);
        if named {
            return Ok(());
        }
        self.verified.forget(digest);
        files::remove(&self.blob_path(digest))
    }

    fn link_path(&self, name: &Name, digest: &Digest) -> PathBuf {
        self.repository_path(name).join("_blobs").join(digest.algorithm.name()).join(&digest.hex)
    }
}
