//! Blobs of any size into a registry: from another repository, from another registry, from a file. In constant memory,
//! checked by digest before the last bytes leave.
//!
//! The client crate's blob transfer was to serve here. It cannot be given a client certificate, an answer of 202 to a
//! mount is an error to it and the upload that the answer began is lost, it cannot take up an upload where the last
//! one broke off, renews no token in the middle of a transfer, and hides the status and the `Retry-After` of a
//! failure, by which it is decided whether to go on. It would also open connections of its own beside ours, outside
//! the limit for the host.

use std::path::Path;

use reqwest::Method;
use tokio::sync::OnceCell;

use super::Registry;
use super::auth::{Access, Scopes};
use super::blobs::{Mount, Session};
use super::error::{Kind, RegistryError, Task};
use super::transport::{Call, Repeat};
use super::upload::Origin;
use crate::model::digest::Digest;
use crate::model::reference::Repository;
use crate::single_flight::SingleFlight;

/// How a blob came to be where it was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// It was there.
    Present,
    /// The registry took it from another of its repositories.
    Mounted,
    /// Its bytes were sent.
    Sent,
}

/// The blobs that this run brings, by where to. Images share layers: who wants one that is on its way waits for it.
pub(super) type Brought = SingleFlight<(Repository, Digest), OnceCell<()>>;

impl Registry {
    /// Brings a blob of `size` bytes from one repository into another: it is there already, or mounted, or sent. Once
    /// in a run: one that was brought before, or is on its way, is there.
    ///
    /// # Errors
    ///
    /// Also when the bytes are others than the digest says; nothing of them is kept then.
    pub async fn copy_blob(
        &self,
        from: &Repository,
        to: &Repository,
        digest: &Digest,
        size: u64,
    ) -> Result<Copied, RegistryError> {
        if from == to {
            return Ok(Copied::Present);
        }
        self.once(to, digest, self.bring_blob(from, to, digest, size)).await
    }

    /// Brings the file at `path`, of `size` bytes with `digest`, into a repository. Once in a run, as
    /// [`Registry::copy_blob`].
    ///
    /// # Errors
    ///
    /// Also when the file is another one than the digest says.
    pub async fn upload_file(
        &self,
        to: &Repository,
        digest: &Digest,
        size: u64,
        path: &Path,
    ) -> Result<Copied, RegistryError> {
        let bring = async {
            if self.has_blob(to, digest).await? {
                return Ok(Copied::Present);
            }
            self.upload(to, digest, size, Origin::File(path), None).await?;
            Ok(Copied::Sent)
        };
        self.once(to, digest, bring).await
    }

    /// Gives up an upload. Registries end those that nobody goes on with, so a failure does not matter, and is not worth
    /// another request.
    pub async fn cancel_upload(&self, to: &Repository, session: &Session) {
        let task = Task::new("cancel an upload to", to, &to.host);
        let Ok(host) = self.host(&task) else { return };
        let scopes = Scopes::one(&to.path, Access::Push);
        let mut call = Call::new(task, Method::DELETE, session.location.clone(), scopes);
        call.repeat = Repeat::Never;
        let _ = host.call(&call).await;
    }

    async fn once(
        &self,
        to: &Repository,
        digest: &Digest,
        bring: impl Future<Output = Result<Copied, RegistryError>>,
    ) -> Result<Copied, RegistryError> {
        let mut copied = Copied::Present;
        let brought = async {
            copied = bring.await?;
            Ok(())
        };
        // Where the first one fails the next one tries, perhaps from another repository.
        self.0.brought.of((to.clone(), digest.clone())).get_or_try_init(|| brought).await?;
        Ok(copied)
    }

    async fn bring_blob(
        &self,
        from: &Repository,
        to: &Repository,
        digest: &Digest,
        size: u64,
    ) -> Result<Copied, RegistryError> {
        let mut session = None;
        // Within a registry a mount says in one request what a look and an upload say in three.
        if from.host == to.host {
            match self.mount_blob(to, from, digest).await {
                Ok(Mount::Mounted) => return Ok(Copied::Mounted),
                Ok(Mount::NotMounted(begun)) => session = Some(begun),
                // A registry that knows no mount, or not this one, may refuse the parameters, or the scope that goes
                // with them. What else stands in the way shows in what follows.
                Err(error)
                    if matches!(
                        error.kind(),
                        Kind::Rejected
                            | Kind::Unsupported
                            | Kind::NotFound
                            | Kind::Denied
                            | Kind::Unauthorized
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(head) = self.head_blob(to, digest).await? {
            if let Some(session) = &session {
                self.cancel_upload(to, session).await;
            }
            if let Some(there) = head.size.filter(|there| *there != size) {
                let detail = format!("it has {there} bytes, and what names it says {size}");
                return Err(self.task("write", to, digest.as_str()).error(Kind::Corrupt, detail));
            }
            return Ok(Copied::Present);
        }
        self.upload(to, digest, size, Origin::Repository(from), session).await?;
        Ok(Copied::Sent)
    }
}
