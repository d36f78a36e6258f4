//! Blobs of any size into a registry: from another repository, from another registry, from a file. In constant memory,
//! checked by digest before the last bytes leave.
//!
//! The client crate's blob transfer was to serve here. It cannot be given a client certificate, an answer of 202 to a
//! mount is an error to it and the upload that the answer began is lost, it cannot take up an upload where the last
//! one broke off, renews no token in the middle of a transfer, and hides the status and the `Retry-After` of a
//! failure, by which it is decided whether to go on. It would also open connections of its own beside ours, outside
//! the limit for the host.

use std::path::Path;
use std::sync::Arc;

use reqwest::{Body, Method, StatusCode, Url};
use tokio::sync::{Mutex, OwnedSemaphorePermit};

use super::Registry;
use super::auth::{Access, Needs, Scopes};
use super::blobs::{Mount, Session};
use super::error::{Kind, RegistryError, Task};
use super::source::{Checked, Download, Source, checked_stream};
use super::transport::{Call, Host};
use crate::digest::Digest;
use crate::reference::Repository;

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

/// Where the bytes are.
#[derive(Clone, Copy)]
enum Origin<'a> {
    File(&'a Path),
    Repository(&'a Repository),
}

/// One upload through all its attempts.
struct Upload<'a> {
    registry: &'a Registry,
    to: &'a Repository,
    digest: &'a Digest,
    size: u64,
    origin: Origin<'a>,
    session: Option<Session>,
    /// What the bytes sent so far add up to.
    checked: Arc<std::sync::Mutex<Checked>>,
    failed: bool,
}

impl Registry {
    /// Brings a blob of `size` bytes from one repository into another: it is there already, or mounted, or sent.
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
        let mut session = None;
        // Within a registry a mount says in one request what a look and an upload say in three.
        if from.host == to.host {
            match self.mount_blob(to, from, digest).await {
                Ok(Mount::Mounted) => return Ok(Copied::Mounted),
                Ok(Mount::NotMounted(begun)) => session = Some(begun),
                // A registry that knows no mount may refuse the parameters.
                Err(error) if matches!(error.kind(), Kind::Rejected | Kind::Unsupported | Kind::NotFound) => {
                }
                Err(error) => return Err(error),
            }
        }
        if self.has_blob(to, digest).await? {
            if let Some(session) = &session {
                self.cancel_upload(to, session).await;
            }
            return Ok(Copied::Present);
        }
        self.upload(to, digest, size, Origin::Repository(from), session).await?;
        Ok(Copied::Sent)
    }

    /// Brings the file at `path`, of `size` bytes with `digest`, into a repository.
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
        if self.has_blob(to, digest).await? {
            return Ok(Copied::Present);
        }
        self.upload(to, digest, size, Origin::File(path), None).await?;
        Ok(Copied::Sent)
    }

    /// Gives up an upload. Registries end those that nobody goes on with, so a failure does not matter.
    pub async fn cancel_upload(&self, to: &Repository, session: &Session) {
        let task = Task::new("cancel an upload to", to, &to.host);
        let Ok(host) = self.host(&task) else { return };
        let scopes = Scopes::one(&to.path, Access::Push);
        let call = Call::new(task, Method::DELETE, session.location.clone(), scopes);
        let _ = host.call(&call).await;
    }

    async fn upload(
        &self,
        to: &Repository,
        digest: &Digest,
        size: u64,
        origin: Origin<'_>,
        session: Option<Session>,
    ) -> Result<(), RegistryError> {
        let checked = Arc::new(std::sync::Mutex::new(Checked::new(digest)));
        let upload = Upload { registry: self, to, digest, size, origin, session, checked, failed: false };
        let upload = Mutex::new(upload);
        let result = self
            .retrying(RegistryError::is_temporary, || async { upload.lock().await.attempt().await })
            .await;
        if result.is_err()
            && let Some(session) = upload.into_inner().session
        {
            self.cancel_upload(to, &session).await;
        }
        result
    }
}

impl Upload<'_> {
    async fn attempt(&mut self) -> Result<(), RegistryError> {
        let mut offset = 0;
        if std::mem::replace(&mut self.failed, true) {
            // The answer may be all that was lost.
            if self.registry.has_blob(self.to, self.digest).await? {
                self.session = None;
                return Ok(());
            }
            offset = self.resume().await?;
        }
        let session = match self.session.clone() {
            Some(session) => session,
            None => {
                offset = 0;
                self.registry.begin_upload(self.to, self.digest).await?
            }
        };
        self.session = Some(session.clone());
        self.send(&session, offset).await?;
        self.session = None;
        Ok(())
    }

    /// How much of the upload the registry has. One that cannot tell, or lost it, begins anew.
    async fn resume(&mut self) -> Result<u64, RegistryError> {
        let Some(session) = self.session.take() else { return Ok(0) };
        let task = self.task();
        let host = self.registry.host(&task)?;
        let scopes = Scopes::one(&self.to.path, Access::Push);
        let call = Call::new(task, Method::GET, session.location, scopes);
        let reply = host.call(&call).await?;
        let has =
            reply.header("range").and_then(|range| range.rsplit_once('-')?.1.trim().parse::<u64>().ok());
        match (reply.status.is_success(), has, super::blobs::session(&call.task, &reply)) {
            (true, Some(last), Ok(session)) if last > 0 && last + 1 < self.size => {
                self.session = Some(session);
                Ok(last + 1)
            }
            _ => Ok(0),
        }
    }

    async fn send(&self, session: &Session, offset: u64) -> Result<(), RegistryError> {
        let task = self.task();
        let host = self.registry.host(&task)?;
        let (permit, source) = self.open(&host, offset).await?;
        let _permit = permit;
        let url = upload_address(&host, &task, session, self.digest)?;
        let mut needs = Needs::new(Scopes::one(&self.to.path, Access::Push));
        let grant = host.auth.grant(&host.wire, &task, &needs).await?;
        let mut request = host
            .wire
            .client(&url, &task)?
            .put(url.clone())
            .header("content-type", "application/octet-stream")
            .header("content-length", self.size - offset);
        if offset > 0 {
            request = request.header("content-range", format!("{offset}-{}", self.size - 1));
        }
        if let Some(header) = grant.header.clone().filter(|_| host.wire.is_own(&url)) {
            request = request.header("authorization", header);
        }
        let (stream, watch) = checked_stream(source, offset, self.size, self.checked.clone());
        let request =
            request.body(if self.size == offset { Body::from("") } else { Body::wrap_stream(stream) });
        let response = match watch.until_answered(&host.wire, &task, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                // What stopped the body says more than that it stopped.
                return Err(watch.failure().unwrap_or_else(|| task.broken(&Method::PUT, &error)));
            }
            Err(silent) => return Err(silent),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_success() {
            return Ok(());
        }
        let retry = status == StatusCode::UNAUTHORIZED && host.auth.challenged(&headers, &grant, &mut needs);
        let body = host.wire.read(&task, &Method::PUT, response, 64 << 10).await;
        let body = grant.hide(body.unwrap_or_default());
        let answer = super::error::Answered {
            status,
            body: &body,
            retry_after: super::retry::retry_after(&headers, std::time::SystemTime::now()),
            credential: grant.source.as_deref(),
        };
        let error = task.answered(&Method::PUT, &answer);
        // An old token, or an upload that the registry has forgotten, or counts differently: again from what it has.
        let forgotten = matches!(status, StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE);
        Err(if retry || forgotten { error.with_kind(Kind::Interrupted) } else { error })
    }

    /// The bytes from `offset` on, and the permits to move them under. Both hosts' permits are taken before anything
    /// is sent, and in one order everywhere: two copies in opposite directions must not wait for each other.
    async fn open(
        &self,
        host: &Arc<Host>,
        offset: u64,
    ) -> Result<(Arc<OwnedSemaphorePermit>, Source), RegistryError> {
        let task = self.task();
        let from = match self.origin {
            Origin::File(path) => {
                let source = Source::file(&task, path, offset).await?;
                return Ok((host.permit(&task).await?, source));
            }
            Origin::Repository(from) => from,
        };
        let (to_permit, from_permit) = if from.host == self.to.host {
            let permit = host.permit(&task).await?;
            (permit.clone(), permit)
        } else {
            let other = self.registry.host(&Task::new("read", from, &from.host))?;
            if from.host < self.to.host {
                let from_permit = other.permit(&task).await?;
                (host.permit(&task).await?, from_permit)
            } else {
                let to_permit = host.permit(&task).await?;
                (to_permit, other.permit(&task).await?)
            }
        };
        let download = Download::new(self.registry, from, self.digest, self.size, offset, from_permit);
        Ok((to_permit, Source::Download(Box::new(download))))
    }

    fn task(&self) -> Task {
        self.registry.task("write", self.to, self.digest.as_str())
    }
}

/// Where an upload ends: the session's address with the digest.
fn upload_address(
    host: &Host,
    task: &Task,
    session: &Session,
    digest: &Digest,
) -> Result<Url, RegistryError> {
    let wrong = |why: String| task.error(Kind::Protocol, why);
    let mut url = Url::parse(&session.location).map_err(|error| wrong(error.to_string()))?;
    let base = host.wire.base();
    // A registry behind a proxy often does not know that it is reached over TLS.
    if base.scheme() == "https" && url.scheme() == "http" {
        if url.host_str() != base.host_str() {
            return Err(wrong(format!("wants the upload in plain HTTP at {}", super::wire::authority(&url))));
        }
        url = base.join(&super::wire::path_and_query(&url)).map_err(|error| wrong(error.to_string()))?;
    }
    url.query_pairs_mut().append_pair("digest", digest.as_str());
    Ok(url)
}
