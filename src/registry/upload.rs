//! One upload through all its attempts (distribution-spec, "Pushing blobs"): at first as a whole in one PUT; after that
//! broke off, or was too much at once, from what the registry has, in pieces, each of which stays once it arrived.

use std::path::Path;
use std::sync::Arc;

use reqwest::{Body, Method, StatusCode, Url};
use tokio::sync::{Mutex, OwnedSemaphorePermit};

use super::Registry;
use super::auth::{Access, Needs, Scopes};
use super::blobs::Session;
use super::error::{Answered, Kind, RegistryError, Task};
use super::source::{Checked, Download, Feed, PROGRESS, Source, stream};
use super::transport::{Call, Host};
use crate::digest::Digest;
use crate::reference::Repository;

/// How long a piece is, unless the registry wants longer ones: little enough for the proxies that limit a request, and
/// so much that the round trip each one takes does not count.
const PIECE: u64 = 16 << 20;

/// Where the bytes are.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    File(&'a Path),
    Repository(&'a Repository),
}

/// How the bytes are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Whole,
    InPieces,
    /// As a whole, because the registry takes no pieces.
    OnlyWhole,
}

struct Upload<'a> {
    registry: &'a Registry,
    to: &'a Repository,
    digest: &'a Digest,
    size: u64,
    origin: Origin<'a>,
    session: Option<Session>,
    /// What the bytes sent so far add up to.
    checked: Arc<std::sync::Mutex<Checked>>,
    manner: Manner,
    /// How much the registry is known to have taken, at most so far.
    reached: u64,
    failed: bool,
}

/// What ends an upload, because trying again is of no use or was tried already: the outer error is the one that may
/// pass.
type Attempt = Result<Result<(), RegistryError>, RegistryError>;

impl Registry {
    /// Uploads a blob; `session` has begun already, or one is begun.
    pub(super) async fn upload(
        &self,
        to: &Repository,
        digest: &Digest,
        size: u64,
        origin: Origin<'_>,
        session: Option<Session>,
    ) -> Result<(), RegistryError> {
        if let Some(why) = digest.unverifiable() {
            return Err(self.task("upload", to, digest.as_str()).error(Kind::Local, why));
        }
        let upload = Mutex::new(Upload {
            registry: self,
            to,
            digest,
            size,
            origin,
            session,
            checked: Arc::new(std::sync::Mutex::new(Checked::new(digest))),
            manner: Manner::Whole,
            reached: 0,
            failed: false,
        });
        let result = loop {
            let before = upload.lock().await.reached;
            let result = self
                .retrying(RegistryError::is_temporary, || async { upload.lock().await.attempt().await })
                .await;
            // Patience begins anew as long as the upload comes further.
            let goes_on = upload.lock().await.reached >= before + PROGRESS;
            match result {
                Err(error) if goes_on && error.is_temporary() => continue,
                Err(error) | Ok(Err(error)) => break Err(error),
                Ok(Ok(())) => break Ok(()),
            }
        };
        if result.is_err()
            && let Some(session) = upload.into_inner().session
        {
            self.cancel_upload(to, &session).await;
        }
        result
    }
}

impl Upload<'_> {
    async fn attempt(&mut self) -> Attempt {
        let mut offset = 0;
        if std::mem::replace(&mut self.failed, true) {
            // The answer may be all that was lost.
            if self.registry.has_blob(self.to, self.digest).await? {
                self.session = None;
                return Ok(Ok(()));
            }
            offset = self.resume().await?;
            self.reached = self.reached.max(offset);
            if self.manner == Manner::Whole {
                self.manner = Manner::InPieces;
            }
        }
        if self.session.is_none() {
            offset = 0;
            self.session = Some(self.registry.begin_upload(self.to, self.digest).await?);
        }
        let sent = self.send(offset).await?;
        if sent.is_ok() {
            self.session = None;
        }
        Ok(sent)
    }

    /// How much of the upload the registry has. One that cannot tell, or lost it, begins anew.
    async fn resume(&mut self) -> Result<u64, RegistryError> {
        let Some(session) = self.session.take() else { return Ok(0) };
        let task = self.task();
        let host = self.registry.host(&task)?;
        let call = Call::new(task, Method::GET, session.location.clone(), self.scopes());
        let reply = host.call(&call).await?;
        let last = reply.header("range").and_then(last_of);
        let goes_on = super::blobs::session(&call.task, &reply);
        match (reply.status.is_success(), last, goes_on) {
            // The header cannot say "nothing yet": that looks like one byte.
            (true, Some(last), Ok(next)) if 0 < last && last < self.size => {
                self.session = Some(Session { least: session.least, ..next });
                Ok(last + 1)
            }
            (status, ..) => {
                if status {
                    self.registry.cancel_upload(self.to, &session).await;
                }
                Ok(0)
            }
        }
    }

    /// Sends everything from `offset` on.
    async fn send(&mut self, mut offset: u64) -> Attempt {
        let task = self.task();
        let host = self.registry.host(&task)?;
        let (_permit, source) = match self.open(&host, offset).await {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        let feed = Arc::new(Mutex::new(Feed::new(source, offset, self.size, self.checked.clone())));
        loop {
            let Some(session) = self.session.clone() else {
                return Ok(Err(task.error(Kind::Local, "there is no upload to go on with")));
            };
            let end = match self.manner {
                Manner::InPieces => self.size.min(offset + PIECE.max(session.least)),
                Manner::Whole | Manner::OnlyWhole => self.size,
            };
            if let Err(error) = self.send_piece(&host, &session, &feed, offset, end).await? {
                return Ok(Err(error));
            }
            if end == self.size {
                return Ok(Ok(()));
            }
            self.reached = self.reached.max(end);
            offset = end;
        }
    }

    /// Sends the bytes from `offset` to `end`: with PATCH, and the last ones with the PUT that closes the upload.
    async fn send_piece(
        &mut self,
        host: &Host,
        session: &Session,
        feed: &Arc<Mutex<Feed>>,
        offset: u64,
        end: u64,
    ) -> Attempt {
        let task = self.task();
        let is_last = end == self.size;
        let method = if is_last { Method::PUT } else { Method::PATCH };
        let url = upload_address(host, &task, session, is_last.then_some(self.digest))?;
        let mut needs = Needs::new(self.scopes());
        let grant = host.auth.grant(&host.wire, &task, &needs).await?;
        let mut request = host
            .wire
            .client(&url, &task)?
            .request(method.clone(), url.clone())
            .header("content-type", "application/octet-stream")
            .header("content-length", end - offset);
        if end > offset && (offset > 0 || !is_last) {
            request = request.header("content-range", format!("{offset}-{}", end - 1));
        }
        if let Some(header) = grant.header.clone().filter(|_| host.wire.is_own(&url)) {
            request = request.header("authorization", header);
        }
        let (body, watch) = stream(feed, end).await;
        let request = request.body(if end == offset { Body::from("") } else { Body::wrap_stream(body) });
        let response = match watch.until_answered(&host.wire, &task, request.send()).await? {
            Ok(response) => response,
            Err(error) => {
                // What stopped the body says more than that it stopped. The source had all the patience there is.
                return match watch.failure() {
                    Some(error) => Ok(Err(error)),
                    None => Err(task.broken(&method, &error)),
                };
            }
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let location = headers.get("location").and_then(|value| value.to_str().ok());
        if status.is_success() {
            if is_last {
                return Ok(Ok(()));
            }
            if let Some(next) = location.and_then(|location| response.url().join(location).ok()) {
                self.session = Some(Session { location: next.into(), least: session.least });
            }
            let has = headers.get("range").and_then(|value| last_of(value.to_str().ok()?));
            return match has {
                Some(last) if last + 1 != end => {
                    let detail = format!("the registry has {} of the {end} bytes sent", last + 1);
                    Err(task.error(Kind::Interrupted, detail))
                }
                _ => Ok(Ok(())),
            };
        }
        let fresh = status == StatusCode::UNAUTHORIZED && host.auth.challenged(&headers, &grant, &mut needs);
        let body = host.wire.read(&task, &method, response, 64 << 10).await;
        let body = grant.hide(body.unwrap_or_default());
        let answer = Answered {
            status,
            body: &body,
            retry_after: super::retry::retry_after(&headers, std::time::SystemTime::now()),
            credential: grant.source.as_deref(),
        };
        let error = task.answered(&method, &answer);
        // An old token, or an upload that the registry has forgotten, or counts differently: again from what it has.
        let forgotten = matches!(status, StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE);
        let again = match (error.kind(), self.manner) {
            _ if fresh || forgotten => true,
            (Kind::TooLarge, Manner::Whole) if end - offset > PIECE => true,
            (Kind::Rejected | Kind::Unsupported, Manner::InPieces) if !is_last => {
                // Given up, so that the next attempt begins anew.
                if let Some(session) = self.session.take() {
                    self.registry.cancel_upload(self.to, &session).await;
                }
                self.manner = Manner::OnlyWhole;
                true
            }
            _ => false,
        };
        if again {
            Err(error.with_kind(Kind::Interrupted))
        } else if error.is_temporary() {
            Err(error)
        } else {
            Ok(Err(error))
        }
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

    fn scopes(&self) -> Scopes {
        Scopes::one(&self.to.path, Access::Push)
    }
}

/// The last byte's position in `0-LAST`; some registries write `bytes=0-LAST`.
fn last_of(range: &str) -> Option<u64> {
    range.rsplit_once('-')?.1.trim().parse().ok()
}

/// Where an upload goes on, or with the digest ends: the session's address.
fn upload_address(
    host: &Host,
    task: &Task,
    session: &Session,
    digest: Option<&Digest>,
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
    if let Some(digest) = digest {
        url.query_pairs_mut().append_pair("digest", digest.as_str());
    }
    Ok(url)
}
