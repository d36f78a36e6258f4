//! Requests to one registry: authenticated, limited in number, redirected, retried.
//!
//! Manifests, mounts, tags and tokens are ours and not the client crate's, which asks for a token with every request,
//! goes on anonymously when a login fails, loses `Retry-After` and the status of an error, drops the Content-Type of a
//! GET, knows no identity tokens and no delete, and panics when a registry omits `Location`. Blobs go the same way,
//! for reasons given in `transfer`. The grammar of references and the errors of registries are the crate's.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use super::address::location;
use super::auth::{Authenticator, Grant, Needs, OwnAnswer, Scopes};
use super::error::{Answered, Kind, RegistryError, Task};
use super::retry::{retry_after, retrying};
use super::wire::{Request, Setup, Wire, authority};

/// One registry.
pub(crate) struct Host {
    pub(crate) wire: Wire,
    pub(crate) auth: Authenticator,
    permits: Arc<Semaphore>,
    /// Where a HEAD was answered with what is there.
    heads: Mutex<HashSet<Lookups>>,
    /// The repositories of which something was shown to a request without credentials.
    anyone: Mutex<HashSet<String>>,
    /// Whether writes on a condition are what they say; unknown until it was tried.
    conditions: OnceCell<bool>,
}

/// A repository's path, and whether manifests in it are looked up by digest or by tag.
type Lookups = (String, bool);

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) task: Task,
    pub(crate) method: Method,
    /// Relative to the registry, or a whole address that the registry gave.
    pub(crate) address: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    pub(crate) scopes: Scopes,
    pub(crate) answer: Wanted,
    pub(crate) repeat: Repeat,
}

/// A place among the connections that a registry is given at once, held for a whole transfer.
///
/// A transfer has this in place of the [`Host`]: whoever holds a place must not wait for another one at the same
/// registry, which may have only one, and through this there is no way to.
#[derive(Clone)]
pub(crate) struct Lane {
    host: Arc<Host>,
    permit: Arc<OwnedSemaphorePermit>,
}

/// What is wanted of a good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The whole body, of at most so many bytes.
    Body(usize),
    /// The body as it comes.
    Stream,
}

/// When a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Whenever that may help.
    Freely,
    /// Only when it certainly was not carried out.
    WithoutEffect,
    /// Never: nothing depends on it.
    Never,
}

/// An answer that is neither a refusal nor a passing trouble.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Where the answer came from, after redirects.
    pub(crate) url: Url,
    /// Empty when it is streamed.
    pub(crate) body: Bytes,
    pub(crate) stream: Option<Response>,
    pub(crate) permit: Option<Arc<OwnedSemaphorePermit>>,
    pub(crate) credential: Option<String>,
}

/// Errors are short; this much of one is enough.
const LONGEST_ERROR: usize = 64 << 10;
const MOST_REDIRECTS: usize = 10;

impl Call {
    pub(crate) fn new(task: Task, method: Method, address: impl Into<String>, scopes: Scopes) -> Self {
        Self {
            task,
            method,
            address: address.into(),
            headers: HeaderMap::new(),
            body: None,
            scopes,
            answer: Wanted::Body(LONGEST_ERROR),
            repeat: Repeat::Freely,
        }
    }
}

impl Call {
    /// The repository that it is about.
    fn subject(&self) -> String {
        self.scopes.subject().to_owned()
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn media_type(&self) -> Option<&str> {
        let value = self.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        Some(value.split(';').next().unwrap_or(value).trim()).filter(|text| !text.is_empty())
    }

    /// Whether the registry may mean by 400 or 403 that the token has run out: ECR Public answers 400, `DENIED` and "Your
    /// authorization token has expired", without a challenge (aws/containers-roadmap#2835). Nothing but one new token
    /// hangs on these words, or on a 400 to HEAD, which has none.
    fn says_expired(&self, method: &Method) -> bool {
        let expired = b"expired";
        let says = || self.body.windows(expired.len()).any(|word| word.eq_ignore_ascii_case(expired));
        match self.status {
            StatusCode::BAD_REQUEST => *method == Method::HEAD || says(),
            StatusCode::FORBIDDEN => says(),
            _ => false,
        }
    }

    /// The answer as an error.
    pub(crate) fn error(&self, call: &Call) -> RegistryError {
        call.task.answered(
            &call.method,
            &Answered {
                status: self.status,
                body: &self.body,
                retry_after: retry_after(&self.headers, SystemTime::now()),
                credential: self.credential.as_deref(),
            },
        )
    }
}

impl Host {
    pub(crate) fn new(wire: Wire) -> Self {
        let permits = Arc::new(Semaphore::new(wire.place.max_connections.min(Semaphore::MAX_PERMITS)));
        Self {
            wire,
            auth: Authenticator::new(),
            permits,
            heads: Mutex::default(),
            anyone: Mutex::default(),
            conditions: OnceCell::new(),
        }
    }

    /// Whether a HEAD of manifests was answered there in this run with what is there, so that its 404 can be believed.
    pub(crate) fn answers_head(&self, lookups: &Lookups) -> bool {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).contains(lookups)
    }

    /// It was.
    pub(crate) fn answered_head(&self, lookups: Lookups) {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).insert(lookups);
    }

    /// Whether a write may carry a condition: it was not refused for that in this run.
    pub(crate) fn may_take_conditions(&self) -> bool {
        self.conditions.get() != Some(&false)
    }

    /// A write was refused for its condition alone.
    pub(crate) fn refuses_conditions(&self) {
        // That it takes them was seen of another write, perhaps behind another proxy: it stays so for this run.
        let _ = self.conditions.set(false);
    }

    /// Whether writes on a condition are what they say, as far as was found out, else as `ask` finds out now.
    pub(crate) async fn takes_conditions<F: Future<Output = bool>>(&self, ask: impl FnOnce() -> F) -> bool {
        *self.conditions.get_or_init(ask).await
    }

    /// A place for a transfer. Who holds one at another registry takes both in the order of their names, as everybody
    /// does: two copies in opposite directions must not wait for each other.
    pub(crate) async fn lane(self: &Arc<Self>, task: &Task) -> Result<Lane, RegistryError> {
        Ok(Lane { host: self.clone(), permit: self.permit(task).await? })
    }

    async fn permit(&self, task: &Task) -> Result<Arc<OwnedSemaphorePermit>, RegistryError> {
        let permit = self.permits.clone().acquire_owned().await;
        permit.map(Arc::new).map_err(|_| task.error(Kind::Local, "the run is ending"))
    }

    /// Sends a request, again where that is allowed and may help. An answer that comes back is good or says 4xx: what
    /// that means is for the caller; 401, 403, 408, 429 and 5xx are errors already.
    pub(crate) async fn call(&self, call: &Call) -> Result<Reply, RegistryError> {
        self.call_in(None, call).await
    }

    async fn call_in(
        &self,
        permit: Option<&Arc<OwnedSemaphorePermit>>,
        call: &Call,
    ) -> Result<Reply, RegistryError> {
        let may_repeat = match call.repeat {
            Repeat::Freely => RegistryError::is_temporary,
            Repeat::WithoutEffect => RegistryError::is_without_effect,
            Repeat::Never => |_: &RegistryError| false,
        };
        let Setup { retry_policy, waits, .. } = &*self.wire.setup;
        let sent = retrying(retry_policy, waits, may_repeat, || self.attempt(permit, call)).await;
        match sent {
            Ok(reply) => {
                if reply.status.is_success() && reply.credential.is_none() {
                    self.anyone.lock().unwrap_or_else(PoisonError::into_inner).insert(call.subject());
                }
                Ok(reply)
            }
            Err(error) if error.is_refusal() => match self.auth.doubt(&self.wire, &call.scopes).await {
                Some(doubt) => Err(error.without_credentials(&doubt)),
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Why a 404 does not show that something is absent: a helper did not say whether there are credentials, and some
    /// registries hide what one may not see. Where anything else of the same repository was shown, nothing is hidden.
    pub(crate) async fn doubts_absence(&self, call: &Call, reply: &Reply) -> Option<String> {
        let doubt = self.auth.doubt(&self.wire, &call.scopes).await.filter(|_| reply.credential.is_none())?;
        let shown = self.anyone.lock().unwrap_or_else(PoisonError::into_inner).contains(&call.subject());
        (!shown).then_some(doubt)
    }

    async fn attempt(
        &self,
        permit: Option<&Arc<OwnedSemaphorePermit>>,
        call: &Call,
    ) -> Result<Reply, RegistryError> {
        // Said before this waits, so that the first token covers it; granted after, with all that others learnt by then.
        self.auth.announce(&call.scopes);
        let permit = match permit {
            Some(permit) => permit.clone(),
            None => self.permit(&call.task).await?,
        };
        let mut needs = Needs::new(call.scopes.clone());
        let (mut shortened, mut renewed) = (false, false);
        // Each round but the last learns something: the scheme, a fresh token, wider scopes.
        for _ in 0..8 {
            let grant = self.auth.grant(&self.wire, &call.task, &needs).await?;
            let reply = self.exchange(call, &grant, &permit).await?;
            let too_long = matches!(
                reply.status,
                StatusCode::URI_TOO_LONG | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            );
            if too_long && grant.is_token() && !shortened {
                self.auth.too_long(&grant);
                shortened = true;
                continue;
            }
            let own = OwnAnswer::new(&self.wire, &reply.url, &reply.headers);
            if own.is_some() && grant.is_token() && !renewed && reply.says_expired(&call.method) {
                self.auth.expired(&grant);
                renewed = true;
                continue;
            }
            if reply.status != StatusCode::UNAUTHORIZED {
                self.auth.accepted(&grant, &needs, reply.status);
            } else if own.is_some_and(|own| self.auth.challenged(&own, &grant, &mut needs)) {
                continue;
            }
            let Some(error) = self.refusal(call, &reply, &grant) else { return Ok(reply) };
            let denied = matches!(error.kind(), Kind::Unauthorized | Kind::Denied);
            if !denied || !grant.is_token() {
                return Err(error);
            }
            // Registries that answer so for what does not exist say the truth to those who may create it.
            let wider = needs.for_push();
            if needs.scopes.only_reads() && call.reads() && grant.source.is_some() && !grant.covers(&wider) {
                needs = wider;
                continue;
            }
            return Err(match (call.reads(), grant.source.is_some()) {
                (true, true) => error.with_kind(Kind::Unreadable),
                (false, true) => error.with_kind(Kind::Denied),
                (_, false) => error.with_kind(Kind::Unauthorized),
            });
        }
        Err(call.task.error(Kind::Unauthorized, "the registry asks for other credentials each time"))
    }

    /// What is an error whatever was asked.
    fn refusal(&self, call: &Call, reply: &Reply, grant: &Grant) -> Option<RegistryError> {
        let error = reply.error(call);
        let Some(own) = OwnAnswer::new(&self.wire, &reply.url, &reply.headers) else {
            return reply.status.is_client_error().then(|| elsewhere(error, &reply.url));
        };
        let is_refusal = match error.kind() {
            Kind::Unauthorized | Kind::Denied => matches!(reply.status.as_u16(), 401 | 403),
            Kind::RateLimited { .. } | Kind::Unavailable { .. } => true,
            _ => false,
        };
        let source = grant.source.as_deref();
        match error.kind() {
            Kind::Unauthorized if grant.is_withheld() => {
                let name = &self.wire.place.name;
                let detail = format!(
                    "the credentials were not sent: {name} does not speak TLS, and plain HTTP is not declared for it"
                );
                let hint = format!("if that is right, declare `plain-http = true` in [registry.\"{name}\"]");
                Some(error.with_credential(source).with_detail(detail).with_hint(hint))
            }
            Kind::Unauthorized => Some(own.explain(error)),
            // With a password, 403 is how some say that there is nothing.
            Kind::Denied if is_refusal && call.reads() && source.is_some() && !grant.is_token() => {
                Some(error.with_kind(Kind::Unreadable))
            }
            _ => is_refusal.then_some(error),
        }
    }

    /// One request, and those that redirects make of it.
    async fn exchange(
        &self,
        call: &Call,
        grant: &Grant,
        permit: &Arc<OwnedSemaphorePermit>,
    ) -> Result<Reply, RegistryError> {
        let task = &call.task;
        let mut url = self.resolve(call)?;
        for _ in 0..=MOST_REDIRECTS {
            let request = Request {
                method: call.method.clone(),
                url: url.clone(),
                headers: call.headers.clone(),
                body: call.body.clone(),
            };
            let response = self.wire.send(task, &request, grant.header.as_ref()).await?;
            if let Some(next) = self.redirect(call, &response)? {
                url = next;
                continue;
            }
            return self.reply(call, response, permit.clone(), grant).await;
        }
        Err(task.error(
            Kind::Protocol,
            format!("more than {MOST_REDIRECTS} redirects, the last to {}", authority(&url)),
        ))
    }

    async fn reply(
        &self,
        call: &Call,
        response: Response,
        permit: Arc<OwnedSemaphorePermit>,
        grant: &Grant,
    ) -> Result<Reply, RegistryError> {
        let (status, headers, url) = (response.status(), response.headers().clone(), response.url().clone());
        let mut reply = Reply {
            status,
            headers,
            url,
            body: Bytes::new(),
            stream: None,
            permit: None,
            credential: grant.source.clone(),
        };
        if !status.is_success() || !call.reads() {
            // The status is the news, of an error and of a write; a text that does not arrive is no reason to lose it.
            let body = self.wire.read(&call.task, &call.method, response, LONGEST_ERROR).await;
            reply.body = grant.hide(body.unwrap_or_default());
        } else if let Wanted::Body(limit) = call.answer {
            reply.body = self.wire.read(&call.task, &call.method, response, limit).await?;
        } else {
            reply.stream = Some(response);
            reply.permit = Some(permit);
        }
        Ok(reply)
    }

    /// Where an answer sends the request on to, if it does.
    fn redirect(&self, call: &Call, response: &Response) -> Result<Option<Url>, RegistryError> {
        let follows = match response.status().as_u16() {
            301..=303 => call.reads(),
            307 | 308 => true,
            _ => return Ok(None),
        };
        let task = &call.task;
        let wrong = |why: String| task.error(Kind::Protocol, format!("redirects to {why}"));
        match location(response.headers()).map_err(wrong)? {
            Some(place) if follows => self.wire.named(response.url(), place).map(Some).map_err(wrong),
            _ => {
                let detail = format!("answered {} to {}", response.status(), call.method);
                Err(task.error(Kind::Protocol, detail))
            }
        }
    }

    fn resolve(&self, call: &Call) -> Result<Url, RegistryError> {
        let url = self.wire.base().join(&call.address);
        url.map_err(|error| {
            call.task.error(Kind::Protocol, format!("`{}` is no address: {error}", call.address))
        })
    }
}

impl Call {
    fn reads(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}

impl Lane {
    pub(crate) fn wire(&self) -> &Wire {
        &self.host.wire
    }

    pub(crate) fn auth(&self) -> &Authenticator {
        &self.host.auth
    }

    /// As [`Host::call`], in this place.
    pub(crate) async fn call(&self, call: &Call) -> Result<Reply, RegistryError> {
        self.host.call_in(Some(&self.permit), call).await
    }
}

/// A refusal by another host than the registry, to which the registry sent the request: a signed address that has run
/// out. The registry gives another one.
pub(crate) fn elsewhere(error: RegistryError, url: &Url) -> RegistryError {
    let from = authority(url);
    let expired = error.with_kind(Kind::Unavailable { retry_after: None });
    expired.with_detail(format!("from {from}, where the registry sends its clients"))
}
