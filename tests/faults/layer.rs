//! What stands around a registry: it counts requests, lets one of them meet a fault, guards the registry with tokens,
//! and watches that nothing incomplete is ever served.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, HOST, IF_MATCH, IF_NONE_MATCH, LOCATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;

use crate::answers::{
    DIGEST, cut, error, half, half_of_list, retry_after, whole, with_body, without, wrong_digest,
    wrong_length,
};
use crate::backdoor::Backdoor;
use crate::door::{Cut, Door};
use crate::fault::{Fault, Times};
use crate::race::Race;
use crate::request::{Answered, Asked};

/// How long a registry that went down stays so, when it comes back.
const DOWN: Duration = Duration::from_millis(25);

/// What the registries of one case have in common.
#[derive(Default)]
pub(crate) struct Injector {
    state: Mutex<State>,
    /// Where each registry is reached.
    pub(crate) doors: OnceLock<Vec<Door>>,
    /// Another host of each, which knows no tokens and must be given none.
    pub(crate) mirrors: OnceLock<Vec<String>>,
    /// Those ask for credentials themselves.
    mirrors_ask: AtomicBool,
    with_tokens: bool,
    /// What somebody else puts under each tag.
    pub(crate) theirs: OnceLock<Vec<Theirs>>,
    /// Writes carry no condition by the time that they reach the registry.
    pub(crate) ignores_conditions: AtomicBool,
    /// Two writers of one tag, who meet.
    pub(crate) race: OnceLock<Race>,
}

/// A list of somebody else, for one tag.
#[derive(Clone, Debug)]
pub(crate) struct Theirs {
    /// `/v2/REPOSITORY/manifests/TAG`
    pub(crate) path: String,
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Bytes,
    pub(crate) backdoor: Backdoor,
}

#[derive(Default)]
struct State {
    counting: bool,
    plan: Option<(Asked, Fault, Times)>,
    seen: Vec<(Asked, Answered)>,
    hits: usize,
    wrongs: Vec<String>,
    /// The number of the last token, and of the first that is good.
    last_token: u64,
    good_from: u64,
}

impl Injector {
    pub(crate) fn new(with_tokens: bool) -> Arc<Self> {
        Arc::new(Self { with_tokens, ..Self::default() })
    }

    pub(crate) fn with_tokens(&self) -> bool {
        self.with_tokens
    }

    /// Starts to count requests, and lets those meet a fault that the plan is for.
    pub(crate) fn arm(&self, plan: Option<(Asked, Fault, Times)>) {
        let mut state = self.state();
        state.counting = true;
        state.plan = plan;
    }

    /// Ends it, and gives what was asked and how often the fault struck.
    pub(crate) fn disarm(&self) -> (Vec<(Asked, Answered)>, usize) {
        let mut state = self.state();
        state.counting = false;
        state.plan = None;
        (std::mem::take(&mut state.seen), std::mem::take(&mut state.hits))
    }

    /// What was seen that must not be.
    pub(crate) fn wrongs(&self) -> Vec<String> {
        self.state().wrongs.clone()
    }

    /// Puts this around the registry with the number `registry`.
    pub(crate) fn around(self: Arc<Self>, registry: usize, router: Router) -> Router {
        let backdoor = Backdoor::new(router.clone());
        router.layer(middleware::from_fn(move |request: Request, next: Next| {
            let (injector, backdoor) = (self.clone(), backdoor.clone());
            async move { injector.handle(registry, &backdoor, request, next).await }
        }))
    }

    fn with_conditions(&self, mut request: Request) -> Request {
        if self.ignores_conditions.load(Ordering::Relaxed) {
            request.headers_mut().remove(IF_MATCH);
            request.headers_mut().remove(IF_NONE_MATCH);
        }
        request
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn handle(&self, registry: usize, backdoor: &Backdoor, request: Request, next: Next) -> Response {
        let host = header(request.headers(), &HOST).to_owned();
        if self.mirrors.get().is_some_and(|mirrors| mirrors.get(registry) == Some(&host)) {
            if request.headers().contains_key(AUTHORIZATION) || request.uri().path() == "/token" {
                self.state().wrongs.push(format!("{host}, another host, was given credentials"));
            }
            if self.mirrors_ask.load(Ordering::Relaxed) {
                return challenge(&host);
            }
            return self.carry_out(backdoor, request, next).await;
        }
        let request = self.with_conditions(request);
        if let Some(race) = self.race.get().filter(|race| race.path == request.uri().path()) {
            return race.run(request.method().clone(), next.run(request)).await;
        }
        let is_conditional = is_conditional(&request);
        let asked = Asked::new(registry, request.method(), request.uri());
        let (asked, fault) = self.count(asked);
        let uri = request.uri().clone();
        let request = match fault {
            None | Some((Fault::Refused | Fault::Closed, _)) => request,
            // Whoever answers without having read all that he is sent may cut off his own answer.
            Some(_) => read(request).await,
        };
        let answer = self.answer(backdoor, request, next);
        match fault {
            Some((Fault::NoConditions, _)) if is_conditional => {
                error(StatusCode::PRECONDITION_FAILED, "UNSUPPORTED_HEADER")
            }
            Some((fault, times)) => self.strike(registry, &uri, fault, times, answer).await,
            None => {
                let response = answer.await;
                self.record(asked, &response);
                response
            }
        }
    }

    /// The request with its number, and the fault that it is to meet.
    fn count(&self, mut asked: Asked) -> (Option<Asked>, Option<(Fault, Times)>) {
        let mut state = self.state();
        if !state.counting {
            return (None, None);
        }
        asked.before = state.seen.iter().filter(|(seen, _)| seen.is_like(&asked)).count();
        let fault = state.plan.as_ref().and_then(|(planned, fault, times)| {
            let due = match times {
                Times::Once => asked.before == planned.before,
                Times::Always => asked.before >= planned.before,
            };
            (asked.is_like(planned) && due).then_some((*fault, *times))
        });
        state.hits += usize::from(fault.is_some());
        state.seen.push((asked.clone(), Answered::default()));
        (Some(asked), fault)
    }

    fn record(&self, asked: Option<Asked>, response: &Response) {
        let Some(asked) = asked else { return };
        let headers = response.headers();
        let body = axum::body::HttpBody::size_hint(response.body()).exact().unwrap_or_default();
        let answered = Answered {
            success: response.status().is_success(),
            is_absent: response.status() == StatusCode::NOT_FOUND,
            is_refused_condition: response.status() == StatusCode::PRECONDITION_FAILED,
            body,
            has_digest: headers.contains_key(DIGEST),
            has_location: headers.contains_key(LOCATION),
        };
        for (seen, kept) in &mut self.state().seen {
            if *seen == asked {
                *kept = answered;
            }
        }
    }

    async fn strike(
        &self,
        registry: usize,
        uri: &Uri,
        fault: Fault,
        times: Times,
        answer: impl Future<Output = Response>,
    ) -> Response {
        match fault {
            Fault::Refused => {
                let door = &self.doors.get().expect("doors are set before requests come")[registry];
                door.close((times == Times::Once).then_some(DOWN));
                cut(Cut::Closed)
            }
            Fault::Closed => cut(Cut::Closed),
            Fault::Reset => {
                answer.await;
                cut(Cut::Reset)
            }
            Fault::HalfHead => {
                answer.await;
                cut(Cut::Head)
            }
            Fault::HalfBody => half(answer.await).await,
            Fault::Status500 => error(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"),
            Fault::Status502 => {
                let page = "<html><body><h1>502 Bad Gateway</h1></body></html>";
                (StatusCode::BAD_GATEWAY, [("content-type", "text/html")], page).into_response()
            }
            Fault::Status503 => error(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
            Fault::Status504 => {
                answer.await;
                error(StatusCode::GATEWAY_TIMEOUT, "UNKNOWN")
            }
            Fault::Status429 => error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
            Fault::RetrySoon => retry_after("0"),
            Fault::RetryLate => retry_after("3600"),
            Fault::Status401 => error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
            Fault::Status403 => error(StatusCode::FORBIDDEN, "DENIED"),
            Fault::Expired => {
                self.void_tokens();
                // The one that came with the request, too: the registry says so.
                answer.await
            }
            Fault::WrongDigest => wrong_digest(answer.await).await,
            Fault::WrongLength => wrong_length(answer.await).await,
            Fault::NoLocation => without(answer.await, &LOCATION),
            Fault::NoDigest => without(answer.await, &DIGEST),
            Fault::Silent => {
                answer.await;
                std::future::pending().await
            }
            Fault::Empty => with_body(answer.await, Body::empty()),
            Fault::CutList => half_of_list(answer.await).await,
            Fault::Redirect | Fault::ForeignChallenge => {
                self.mirrors_ask.fetch_or(fault == Fault::ForeignChallenge, Ordering::Relaxed);
                let mirror = &self.mirrors.get().expect("mirrors are set before requests come")[registry];
                let location = format!("http://{mirror}{uri}");
                (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)]).into_response()
            }
            Fault::Endless => {
                let chunk = Bytes::from(vec![b' '; 64 << 10]);
                let chunks = stream::repeat_with(move || Ok::<_, Infallible>(chunk.clone()));
                with_body(answer.await, Body::from_stream(chunks))
            }
            Fault::Dribble => {
                let drops = stream::unfold((), |()| async {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
                });
                with_body(answer.await, Body::from_stream(drops))
            }
            // A write without one is a write like any other.
            Fault::NoConditions => answer.await,
            Fault::Moved => {
                for theirs in self.theirs.get().into_iter().flatten() {
                    theirs.put().await;
                }
                answer.await
            }
        }
    }

    /// What the registry says, were it not for the fault.
    async fn answer(&self, backdoor: &Backdoor, request: Request, next: Next) -> Response {
        if self.with_tokens {
            let host = header(request.headers(), &HOST).to_owned();
            if request.uri().path() == "/token" {
                return self.token();
            }
            if !self.is_good(header(request.headers(), &AUTHORIZATION)) {
                return challenge(&host);
            }
        }
        self.carry_out(backdoor, request, next).await
    }

    fn token(&self) -> Response {
        let mut state = self.state();
        state.last_token += 1;
        let answer = serde_json::json!({ "token": format!("t{}", state.last_token), "expires_in": 300 });
        ([("content-type", "application/json")], answer.to_string()).into_response()
    }

    fn void_tokens(&self) {
        let mut state = self.state();
        state.good_from = state.last_token + 1;
    }

    fn is_good(&self, authorization: &str) -> bool {
        let number = authorization.strip_prefix("Bearer t").and_then(|number| number.parse::<u64>().ok());
        number.is_some_and(|number| number >= self.state().good_from)
    }

    /// Lets the registry do it, and looks at what it takes: a manifest of which a part is missing is never served.
    async fn carry_out(&self, backdoor: &Backdoor, request: Request, next: Next) -> Response {
        let path = request.uri().path().to_owned();
        let puts = request.method() == Method::PUT && path.contains("/manifests/");
        let response = next.run(request).await;
        if puts && response.status().is_success() {
            let missing = backdoor.missing(&path).await;
            self.state()
                .wrongs
                .extend(missing.into_iter().map(|what| format!("{path} was written without {what}")));
        }
        response
    }
}

/// Asks for a token of `host`.
fn challenge(host: &str) -> Response {
    let challenge = format!(r#"Bearer realm="http://{host}/token",service="registry""#);
    let mut response = error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_str(&challenge).unwrap());
    response
}

/// The request with all of its body here.
async fn read(request: Request) -> Request {
    let (parts, body) = request.into_parts();
    let body = whole(body).await;
    Request::from_parts(parts, Body::from(body))
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn is_conditional(request: &Request) -> bool {
    request.headers().contains_key(IF_MATCH) || request.headers().contains_key(IF_NONE_MATCH)
}

impl Theirs {
    /// Moves the tag.
    pub(crate) async fn put(&self) {
        self.backdoor.put(&self.path, self.media_type, self.bytes.clone()).await;
    }
}
