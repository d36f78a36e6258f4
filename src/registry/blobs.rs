//! Blobs that are small or only asked about: HEAD, GET, mount (distribution-spec, "Pulling blobs", "Mounting a blob
//! from another repository").

use std::sync::Arc;

use bytes::Bytes;
use reqwest::{Method, StatusCode, Url};

use super::Registry;
use super::address::location;
use super::auth::{Access, Scopes};
use super::error::{Kind, RegistryError, Task};
use super::manifests::confirm_absence;
use super::transport::{Call, Host, Reply, Wanted};
use crate::model::digest::Digest;
use crate::model::reference::Repository;

/// What became of a mount.
#[derive(Debug)]
pub enum Mount {
    /// The blob is in the repository.
    Mounted,
    /// The registry began an upload instead: to be continued, or cancelled.
    NotMounted(Session),
}

/// What a HEAD tells of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobHead {
    /// In bytes; none where the registry does not say.
    pub size: Option<u64>,
}

/// An upload under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Where it goes on.
    pub(super) location: Url,
    /// How long a piece of it must be at least, but for the last one.
    pub(super) least: u64,
}

/// Images' configurations are some kilobytes; this is what a few registries allow at most.
pub const LARGEST_SMALL_BLOB: u64 = 32 << 20;

impl Registry {
    /// Whether `repository` holds the blob.
    ///
    /// # Errors
    ///
    /// Anything but an answer that says one or the other.
    pub async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, RegistryError> {
        Ok(self.head_blob(repository, digest).await?.is_some())
    }

    /// What a HEAD tells of a blob; `None` is a confirmed not-found.
    ///
    /// # Errors
    ///
    /// As [`Registry::has_blob`].
    pub async fn head_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<BlobHead>, RegistryError> {
        let task = self.task("read", repository, digest.as_str());
        let host = self.host(&task)?;
        let call = Call::new(task, Method::HEAD, address(repository, digest), pull(repository));
        let reply = host.call(&call).await?;
        match reply.status {
            status if status.is_success() => {
                let length = reply.header("content-length").and_then(|length| length.trim().parse().ok());
                // Servers that know no length for the answer to a HEAD say 0.
                Ok(Some(BlobHead { size: length.filter(|length| *length > 0) }))
            }
            StatusCode::NOT_FOUND => confirm_absence(&host, &call, &reply).await.map(|()| None),
            _ => Err(reply.error(&call)),
        }
    }

    /// A small blob, such as an image's configuration, of which the manifest says `size`. What was fetched before is not
    /// asked for again.
    ///
    /// # Errors
    ///
    /// Also when the bytes are others than the digest says.
    pub async fn get_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
    ) -> Result<Bytes, RegistryError> {
        let task = self.task("read", repository, digest.as_str());
        if let Some(why) = digest.unverifiable() {
            return Err(task.error(Kind::Local, why));
        }
        if size > LARGEST_SMALL_BLOB {
            return Err(
                task.error(Kind::TooLarge, format!("it has {size} bytes, too many to keep in memory"))
            );
        }
        if let Some(bytes) = self.cached(digest).await.filter(|bytes| bytes.len() as u64 == size) {
            return Ok(bytes);
        }
        let host = self.host(&task)?;
        let mut call = Call::new(task, Method::GET, address(repository, digest), pull(repository));
        // One more than there should be, so that a longer one is told from the right one by its digest.
        call.answer = Wanted::Body(usize::try_from(size).unwrap_or(usize::MAX).saturating_add(1));
        let reply = host.call(&call).await?;
        if reply.status != StatusCode::OK {
            return Err(reply.error(&call));
        }
        if reply.body.len() as u64 != size || !digest.matches(&reply.body) {
            let detail = format!(
                "{} bytes with the digest {} were served, not {size} with {digest}",
                reply.body.len(),
                Digest::of(&reply.body)
            );
            return Err(call.task.error(Kind::Corrupt, detail));
        }
        self.keep(digest, &reply.body);
        Ok(reply.body)
    }

    /// Makes a blob of `from` one of `to`, within one registry.
    ///
    /// # Errors
    ///
    /// A registry that mounts nothing is none: it begins an upload.
    pub async fn mount_blob(
        &self,
        to: &Repository,
        from: &Repository,
        digest: &Digest,
    ) -> Result<Mount, RegistryError> {
        // The token must cover the source as well, or the registry only begins an upload.
        let mut scopes = Scopes::one(&to.path, Access::Push);
        scopes.add(&from.path, Access::Pull);
        let query = format!("?mount={digest}&from={}", from.path);
        let (host, call, reply) = self.begin(to, digest, scopes, &query).await?;
        match reply.status {
            StatusCode::CREATED => Ok(Mount::Mounted),
            StatusCode::ACCEPTED => Ok(Mount::NotMounted(session(&host, &call.task, &reply)?)),
            _ => Err(reply.error(&call)),
        }
    }

    /// Begins an upload.
    pub(super) async fn begin_upload(
        &self,
        to: &Repository,
        digest: &Digest,
    ) -> Result<Session, RegistryError> {
        let (host, call, reply) = self.begin(to, digest, Scopes::one(&to.path, Access::Push), "").await?;
        match reply.status {
            StatusCode::ACCEPTED => session(&host, &call.task, &reply),
            _ => Err(reply.error(&call)),
        }
    }

    async fn begin(
        &self,
        to: &Repository,
        digest: &Digest,
        scopes: Scopes,
        query: &str,
    ) -> Result<(Arc<Host>, Call, Reply), RegistryError> {
        let task = self.task("write", to, digest.as_str());
        let host = self.host(&task)?;
        let mut call = Call::new(task, Method::POST, format!("v2/{}/blobs/uploads/{query}", to.path), scopes);
        // Some servers refuse a POST that does not say how long it is.
        call.body = Some(Bytes::new());
        let reply = host.call(&call).await?;
        Ok((host, call, reply))
    }
}

pub(super) fn address(repository: &Repository, digest: &Digest) -> String {
    format!("v2/{}/blobs/{digest}", repository.path)
}

pub(super) fn pull(repository: &Repository) -> Scopes {
    Scopes::one(&repository.path, Access::Pull)
}

/// Where the upload goes on: `Location`, relative to what answered; and `OCI-Chunk-Min-Length` (distribution-spec,
/// "Pushing a blob in chunks").
pub(super) fn session(host: &Host, task: &Task, reply: &Reply) -> Result<Session, RegistryError> {
    let wrong = |why: String| task.error(Kind::Protocol, format!("the upload is to go on at {why}"));
    let Some(location) = location(&reply.headers).map_err(wrong)? else {
        return Err(task.error(Kind::Protocol, "the registry began an upload and does not say where"));
    };
    let location = host.wire.named(&reply.url, location).map_err(wrong)?;
    let least = reply.header("oci-chunk-min-length").and_then(|length| length.trim().parse().ok());
    Ok(Session { location, least: least.unwrap_or_default() })
}
