//! One upload through all its attempts (distribution-spec, "Pushing blobs"): at first as a whole in one PUT; after that
//! broke off, or was too much at once, from what the registry has, in pieces, each of which stays once it arrived.

use std::path::Path;
use std::sync::Arc;

use reqwest::header::HeaderMap;
use reqwest::{Body, Method, StatusCode, Url};
use tokio::sync::Mutex;

use super::Registry;
use super::address::location;
use super::auth::{Access, Needs, OwnAnswer, Scopes};
use super::blobs::Session;
use super::error::{Answered, Kind, RegistryError, Task};
use super::source::{Checked, Download, Feed, PROGRESS, Source, stream};
use super::transport::{Call, Lane, elsewhere};
use crate::model::digest::Digest;
use crate::model::reference::Repository;

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
            // Retries are counted anew as long as the upload gets further.
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
            // It was repeated as often as it may be.
            if self.registry.has_blob(self.to, self.digest).await.map_err(RegistryError::lasting)? {
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
            self.session =
                Some(self.registry.begin_upload(self.to, self.digest).await.map_err(RegistryError::lasting)?);
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
        // What another host's upload is worth without credentials is not known.
        if !host.wire.is_own(&session.location) {
            return Ok(0);
        }
        let call = Call::new(task, Method::GET, session.location.clone(), self.scopes());
        let reply = host.call(&call).await.map_err(RegistryError::lasting)?;
        let last = reply.header("range").and_then(last_of);
        let goes_on = super::blobs::session(&host, &call.task, &reply);
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

    /// Sends everything from `offset` on. What the outcome asks for is done when the places at the registries are free
    /// again.
    async fn send(&mut self, offset: u64) -> Attempt {
        let (lane, source) = match self.open(offset).await {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        let Some(session) = self.session.take() else {
            return Ok(Err(self.task().error(Kind::Local, "there is no upload to go on with")));
        };
        let transfer = Transfer {
            lane,
            task: self.task(),
            scopes: self.scopes(),
            digest: self.digest,
            size: self.size,
            manner: self.manner,
            session,
            feed: Arc::new(Mutex::new(Feed::new(source, offset, self.size, self.checked.clone()))),
            sent: offset,
        };
        let (outcome, session, sent) = transfer.run().await;
        if sent > offset {
            self.reached = self.reached.max(sent);
        }
        self.session = Some(session);
        match outcome {
            Outcome::Complete => Ok(Ok(())),
            Outcome::Unconfirmed(error) => match self.registry.has_blob(self.to, self.digest).await {
                Ok(true) => Ok(Ok(())),
                Ok(false) => Err(error),
                Err(error) => Ok(Err(error)),
            },
            Outcome::Again(error) => Err(error),
            Outcome::Failed(error) => Ok(Err(error)),
            Outcome::NoPieces(error) => {
                // Given up, so that the next attempt begins anew.
                if let Some(session) = self.session.take() {
                    self.registry.cancel_upload(self.to, &session).await;
                }
                self.manner = Manner::OnlyWhole;
                Err(error)
            }
        }
    }

    /// The bytes from `offset` on, and the place to send them in. Both hosts' places are taken before anything is sent,
    /// in the order of their names.
    async fn open(&self, offset: u64) -> Result<(Lane, Source), RegistryError> {
        let task = self.task();
        let host = self.registry.host(&task)?;
        let from = match self.origin {
            Origin::File(path) => {
                let source = Source::file(&task, path, offset).await?;
                return Ok((host.lane(&task).await?, source));
            }
            Origin::Repository(from) => from,
        };
        let reading = self.registry.task("read", from, self.digest.as_str());
        let (to_lane, from_lane) = if from.host == self.to.host {
            let lane = host.lane(&task).await?;
            (lane.clone(), lane)
        } else {
            let other = self.registry.host(&reading)?;
            if from.host < self.to.host {
                let from_lane = other.lane(&reading).await?;
                (host.lane(&task).await?, from_lane)
            } else {
                let to_lane = host.lane(&task).await?;
                (to_lane, other.lane(&reading).await?)
            }
        };
        let download = Download::new(from_lane, reading, from, self.digest, self.size, offset);
        Ok((to_lane, Source::Download(Box::new(download))))
    }

    fn task(&self) -> Task {
        self.registry.task("write", self.to, self.digest.as_str())
    }

    fn scopes(&self) -> Scopes {
        Scopes::one(&self.to.path, Access::Push)
    }
}

/// What became of the bytes on their way.
enum Outcome {
    Complete,
    /// All was sent, and the last answer does not say that the blob is there.
    Unconfirmed(RegistryError),
    /// It may go better from what the registry has.
    Again(RegistryError),
    /// The registry takes no pieces: again, as a whole.
    NoPieces(RegistryError),
    /// Trying again is of no use, or was tried already.
    Failed(RegistryError),
}

/// The bytes of one attempt on their way. It holds its place at the registry, and so has no [`Registry`]: no request
/// that waits for another place can be made from here.
struct Transfer<'a> {
    lane: Lane,
    task: Task,
    scopes: Scopes,
    digest: &'a Digest,
    size: u64,
    manner: Manner,
    session: Session,
    feed: Arc<Mutex<Feed>>,
    /// How much the registry has taken.
    sent: u64,
}

impl Transfer<'_> {
    /// What became of it, where it can go on, and how much the registry has taken. The place is free again after this.
    async fn run(mut self) -> (Outcome, Session, u64) {
        loop {
            let end = match self.manner {
                Manner::InPieces => self.size.min(self.sent.saturating_add(PIECE.max(self.session.least))),
                Manner::Whole | Manner::OnlyWhole => self.size,
            };
            let outcome = match self.send_piece(end).await {
                Err(outcome) => outcome,
                Ok(()) => {
                    self.sent = end;
                    if end < self.size {
                        continue;
                    }
                    Outcome::Complete
                }
            };
            return (outcome, self.session, self.sent);
        }
    }

    /// Sends the bytes up to `end`: with PATCH, and the last ones with the PUT that closes the upload.
    async fn send_piece(&mut self, end: u64) -> Result<(), Outcome> {
        let (wire, auth) = (self.lane.wire(), self.lane.auth());
        let is_last = end == self.size;
        let method = if is_last { Method::PUT } else { Method::PATCH };
        let mut url = self.session.location.clone();
        if is_last {
            url.query_pairs_mut().append_pair("digest", self.digest.as_str());
        }
        let mut needs = Needs::new(self.scopes.clone());
        let grant = auth.grant(wire, &self.task, &needs).await.map_err(Outcome::of)?;
        let mut request = wire
            .client(&url, &self.task)
            .map_err(Outcome::of)?
            .request(method.clone(), url.clone())
            .header("content-type", "application/octet-stream")
            .header("content-length", end - self.sent);
        if end > self.sent && (self.sent > 0 || !is_last) {
            request = request.header("content-range", format!("{}-{}", self.sent, end - 1));
        }
        if let Some(header) = grant.header.clone().filter(|_| wire.is_own(&url)) {
            request = request.header("authorization", header);
        }
        let (body, watch) = stream(&self.feed, end).await;
        let request = request.body(if end == self.sent { Body::from("") } else { Body::wrap_stream(body) });
        let answer = watch.until_answered(wire, &self.task, request.send()).await.map_err(Outcome::of)?;
        let response = answer.map_err(|error| match watch.failure() {
            // What stopped the body says more than that it stopped. The source used up its retries.
            Some(error) => Outcome::Failed(error),
            None => Outcome::of(self.task.broken(&method, &error)),
        })?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_success() && !is_last {
            return self.went_on(response.url(), &headers, end);
        }
        if status == StatusCode::CREATED {
            return Ok(());
        }
        let own = OwnAnswer::new(wire, &url, &headers);
        let is_own = own.is_some();
        let fresh = status == StatusCode::UNAUTHORIZED
            && own.as_ref().is_some_and(|own| auth.challenged(own, &grant, &mut needs));
        let body = wire.read(&self.task, &method, response, 64 << 10).await;
        let body = grant.hide(body.unwrap_or_default());
        let answer = Answered {
            status,
            body: &body,
            retry_after: super::retry::retry_after(&headers, std::time::SystemTime::now()),
            credential: grant.source.as_deref(),
        };
        let error = self.task.answered(&method, &answer);
        // Only 201 says that the blob is stored; Harbor answered 202 and had stored nothing (goharbor/harbor#18541).
        if status.is_success() {
            let detail = "that is not the end of an upload, and the registry does not have the blob";
            return Err(Outcome::Unconfirmed(error.with_kind(Kind::Interrupted).with_detail(detail)));
        }
        // An old token, or an upload that the registry has forgotten, or counts differently: again from what it has.
        let forgotten = matches!(status, StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE);
        Err(match (error.kind(), self.manner) {
            _ if fresh || forgotten => Outcome::Again(error.with_kind(Kind::Interrupted)),
            (Kind::Unauthorized | Kind::Denied, _) if !is_own => Outcome::Again(elsewhere(error, &url)),
            (Kind::Unauthorized, _) => Outcome::Failed(match own {
                Some(own) => own.explain(error),
                None => error,
            }),
            (Kind::TooLarge, Manner::Whole) if end - self.sent > PIECE => {
                Outcome::Again(error.with_kind(Kind::Interrupted))
            }
            (Kind::Rejected | Kind::Unsupported, Manner::InPieces) if !is_last => {
                Outcome::NoPieces(error.with_kind(Kind::Interrupted))
            }
            _ => Outcome::of(error),
        })
    }

    /// Takes in that the registry took the bytes up to `end`, and where it wants the next ones.
    fn went_on(&mut self, from: &Url, headers: &HeaderMap, end: u64) -> Result<(), Outcome> {
        let wrong = |why: String| {
            let detail = format!("the upload is to go on at {why}");
            Outcome::Failed(self.task.error(Kind::Protocol, detail))
        };
        if let Some(next) = location(headers).map_err(wrong)? {
            self.session.location = self.lane.wire().named(from, next).map_err(wrong)?;
        }
        let has = headers.get("range").and_then(|value| last_of(value.to_str().ok()?));
        match has {
            Some(last) if last.checked_add(1) != Some(end) => {
                let detail = format!("the registry has the bytes up to {last} of the {end} sent");
                Err(Outcome::Again(self.task.error(Kind::Interrupted, detail)))
            }
            _ => Ok(()),
        }
    }
}

impl Outcome {
    fn of(error: RegistryError) -> Self {
        if error.is_temporary() { Self::Again(error) } else { Self::Failed(error) }
    }
}

/// The last byte's position in `0-LAST`; some registries write `bytes=0-LAST`.
fn last_of(range: &str) -> Option<u64> {
    range.rsplit_once('-')?.1.trim().parse().ok()
}
