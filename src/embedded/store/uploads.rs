//! Unfinished uploads. The file is the truth: its length is how far an upload has come, also after a restart.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use bytes::Bytes;

use super::{Store, files};
use crate::embedded::digest::{Algorithm, Digest, Hasher};
use crate::embedded::names::Name;

/// Uploads that nothing was added to for so long are given up (distribution-spec, Cancel a blob upload).
pub(super) const EXPIRY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The sessions that this process has touched; those of an earlier one are only on disk until they are asked for.
pub(super) type Sessions = Mutex<HashMap<(Name, String), Arc<tokio::sync::Mutex<Session>>>>;

/// One upload. A request holds it for as long as it adds to it.
pub(in crate::embedded) struct Session {
    name: Name,
    id: String,
    path: PathBuf,
    offset: u64,
    /// The digest of what is there so far; `None` when it is to be read from the file again.
    hasher: Option<Hasher>,
    /// Whether the file goes with this value: nobody but one request knows of it.
    unnamed: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.unnamed {
            // A finished one has been moved away.
            let _ = files::remove(&self.path);
        }
    }
}

/// How an attempt to turn an upload into a blob came out.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::embedded) enum Finish {
    Stored,
    /// The bytes have another digest. The upload is gone: what was sent cannot become right.
    Mismatch(Digest),
}

impl Store {
    /// Begins an upload and returns its id. `algorithm` is only what the digest will probably be of.
    pub(in crate::embedded) fn start_upload(&self, name: &Name, algorithm: Algorithm) -> Result<String> {
        let id = new_uuid();
        let path = self.upload_path(name, &id);
        if let Some(folder) = path.parent() {
            files::create_dir(folder)?;
        }
        let session = Session::create(name, id.clone(), path, algorithm, false)?;
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.insert((name.clone(), id.clone()), Arc::new(tokio::sync::Mutex::new(session)));
        Ok(id)
    }

    /// Begins an upload that is one request's alone; what is left of it goes with it.
    pub(in crate::embedded) fn unnamed_upload(
        &self,
        name: &Name,
        algorithm: Algorithm,
    ) -> Result<Arc<tokio::sync::Mutex<Session>>> {
        let id = new_uuid();
        // Here a crash does not leave it, either.
        let path = self.temporary().join(format!("{}{id}", files::UNFINISHED));
        Ok(Arc::new(tokio::sync::Mutex::new(Session::create(name, id, path, algorithm, true)?)))
    }

    /// Finds an upload again, also one of an earlier process.
    pub(in crate::embedded) fn upload(
        &self,
        name: &Name,
        id: &str,
    ) -> Result<Option<Arc<tokio::sync::Mutex<Session>>>> {
        let Some(offset) = self.upload_length(name, id)? else { return Ok(None) };
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.entry((name.clone(), id.to_owned())).or_insert_with(|| {
            let path = self.upload_path(name, id);
            let (name, id) = (name.clone(), id.to_owned());
            let session = Session { name, id, path, offset, hasher: None, unnamed: false };
            Arc::new(tokio::sync::Mutex::new(session))
        });
        Ok(Some(session.clone()))
    }

    /// How far an upload has come, without waiting for a request that is adding to it.
    pub(in crate::embedded) fn upload_length(&self, name: &Name, id: &str) -> Result<Option<u64>> {
        if !is_uuid(id) {
            return Ok(None);
        }
        let path = self.upload_path(name, id);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Turns an upload into a blob of its repository if it has the digest expected.
    pub(in crate::embedded) fn finish_upload(
        &self,
        session: &mut Session,
        expected: &Digest,
    ) -> Result<Finish> {
        let actual = session.digest(expected.algorithm)?;
        if actual != *expected {
            self.cancel_upload(session)?;
            return Ok(Finish::Mismatch(actual));
        }
        let store = || -> Result<()> {
            let context = || format!("cannot sync {}", session.path.display());
            let file = OpenOptions::new().append(true).open(&session.path).with_context(context)?;
            file.sync_all().with_context(context)?;
            self.add_blob(&session.name, expected, &session.path)
        };
        if let Err(error) = store() {
            // Most often the disk is full. What cannot become a blob has no business there.
            let _ = self.cancel_upload(session);
            return Err(error);
        }
        self.forget(session);
        Ok(Finish::Stored)
    }

    /// Gives an upload up.
    pub(in crate::embedded) fn cancel_upload(&self, session: &Session) -> Result<()> {
        files::remove(&session.path)?;
        self.forget(session);
        Ok(())
    }

    /// Gives up the uploads that nothing was added to for `age`.
    pub(in crate::embedded) fn expire_uploads(&self, age: Duration) -> Result<()> {
        for name in self.names_on_disk()? {
            let folder = self.repository_path(&name).join("_uploads");
            for id in files::names(&folder)?.into_iter().filter(|id| is_uuid(id)) {
                let path = folder.join(&id);
                let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
                let idle = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
                if idle.is_some_and(|idle| idle >= age) {
                    files::remove(&path)?;
                    let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
                    sessions.remove(&(name.clone(), id));
                }
            }
        }
        Ok(())
    }

    /// Gives up uploads as old as the registry lets them become.
    pub(in crate::embedded) fn expire_old_uploads(&self) -> Result<()> {
        self.expire_uploads(EXPIRY)
    }

    fn forget(&self, session: &Session) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(&(session.name.clone(), session.id.clone()));
    }

    fn upload_path(&self, name: &Name, id: &str) -> PathBuf {
        self.repository_path(name).join("_uploads").join(id)
    }
}

impl Session {
    fn create(name: &Name, id: String, path: PathBuf, algorithm: Algorithm, unnamed: bool) -> Result<Self> {
        File::create_new(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { name: name.clone(), id, path, offset: 0, hasher: Some(algorithm.hasher()), unnamed })
    }

    /// How many bytes there are.
    pub(in crate::embedded) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the upload was finished or given up while a request waited for it.
    pub(in crate::embedded) fn is_over(&self) -> bool {
        !self.path.exists()
    }

    /// Adds bytes at the end.
    pub(in crate::embedded) fn append(&mut self, chunks: &[Bytes]) -> Result<()> {
        let written = OpenOptions::new()
            .append(true)
            .open(&self.path)
            .and_then(|mut file| chunks.iter().try_for_each(|chunk| file.write_all(chunk)));
        if let Err(error) = written {
            // Part of it may be there. The file says how much, and the digest is to be read from it.
            self.offset = fs::metadata(&self.path).map(|metadata| metadata.len()).unwrap_or(self.offset);
            self.hasher = None;
            return Err(error).with_context(|| format!("cannot write {}", self.path.display()));
        }
        for chunk in chunks {
            self.offset += chunk.len() as u64;
            if let Some(hasher) = &mut self.hasher {
                hasher.update(chunk);
            }
        }
        Ok(())
    }

    /// Takes back what was added after `offset`.
    pub(in crate::embedded) fn rewind(&mut self, offset: u64) -> Result<()> {
        if offset != self.offset {
            let file = OpenOptions::new().write(true).open(&self.path);
            file.and_then(|file| file.set_len(offset))
                .with_context(|| format!("cannot shorten {}", self.path.display()))?;
            self.offset = offset;
            self.hasher = None;
        }
        Ok(())
    }

    fn digest(&self, algorithm: Algorithm) -> Result<Digest> {
        match &self.hasher {
            Some(hasher) if hasher.algorithm() == algorithm => Ok(hasher.clone().finish()),
            _ => File::open(&self.path)
                .and_then(|file| algorithm.digest_reader(file))
                .with_context(|| format!("cannot read {}", self.path.display())),
        }
    }
}

/// A random UUID (version 4). It has to be unlikely to come twice, not to be secret: nobody is kept out here.
fn new_uuid() -> String {
    let random = || u128::from(RandomState::new().hash_one(SystemTime::now()));
    let bits = (random() << 64) | random();
    let bits = bits & !(0xf << 76 | 0x3 << 62) | (0x4 << 76 | 0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Whether this can be an upload's id: it becomes the name of a file.
fn is_uuid(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids() {
        let id = new_uuid();
        assert!(is_uuid(&id), "{id}");
        assert_eq!(&id[14..15], "4", "{id}");
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
        assert_ne!(id, new_uuid());
        assert!(!is_uuid("../../../../../../../../etc/passwd__"));
    }
}
