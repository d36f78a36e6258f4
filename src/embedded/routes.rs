//! From a path to what answers it (distribution-spec, Endpoints).
//!
//! Names contain slashes, so axum matches `/v2/` and the rest is split here, from the right, where the fixed words
//! are: a repository may well be called `tags/list`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use super::error::{ApiError, Code, shown};
use super::incoming::Incoming;
use super::names::Name;
use super::store::Store;
use super::users::Users;
use super::{blobs, discovery, manifests, uploads};

/// Version 2 of Docker's API, which the specification grew from. Docker's daemon looks for it.
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// How much of a refused request's body is read, and for how long, so that its client, still sending, gets to see the
/// answer. Of a longer body the connection's end reads some more, after the answer.
const DRAINED: u64 = 16 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Registry {
    pub(super) store: Arc<Store>,
    pub(super) allow_sparse: bool,
    pub(super) read_only: bool,
    /// Who may do anything; everybody when it is not given.
    pub(super) users: Option<Users>,
    /// How long a request's body may stall.
    pub(super) stall: Duration,
}

impl Registry {
    /// Runs what blocks on a thread for it. It also ends when the request is given up half-way.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.begin(work).await
    }

    /// As [`Self::blocking`], but the work begins before anybody waits for it.
    pub(super) fn begin<T: Send + 'static, W>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<T, ApiError>> + Send + use<T, W>
    where
        W: FnOnce(&Store) -> Result<T, ApiError> + Send + 'static,
    {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store));
        async {
            done.await.unwrap_or_else(|error| {
                Err(anyhow::Error::new(error)
                    .context("the registry's work on this request was interrupted")
                    .into())
            })
        }
    }
}

/// A request's query, in order: some parameters may come several times.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(super) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

pub(super) fn router(registry: Registry) -> Router {
    let guard = middleware::from_fn_with_state(registry.clone(), guard);
    Router::new()
        .route("/v2", any(base))
        .route("/v2/", any(base))
        .route("/v2/{*path}", any(answer))
        .fallback(unknown)
        .layer(guard)
        .with_state(registry)
}

/// Lets through whoever may do what is asked for.
async fn guard(State(registry): State<Registry>, request: Request, next: Next) -> Response {
    match admit(&registry, request.method(), request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(error) => {
            let (parts, body) = request.into_parts();
            drain(&parts.headers, Incoming::new(body, registry.stall)).await;
            with_version(error.into_response())
        }
    }
}

async fn admit(registry: &Registry, method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    if let Some(users) = &registry.users {
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if !users.admit(authorization).await {
            let message = "this registry needs the name and the password of one of its users";
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message).with_header(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"manifests registry\", charset=\"UTF-8\""),
            ));
        }
    }
    if registry.read_only && !matches!(*method, Method::GET | Method::HEAD) {
        let message = "this registry is read-only";
        return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message)
            .with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD")));
    }
    Ok(())
}

/// distribution-spec, Determining Support.
async fn base(method: Method) -> Response {
    let response = match method {
        Method::GET | Method::HEAD => {
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], "{}").into_response()
        }
        _ => not_allowed("GET, HEAD").into_response(),
    };
    with_version(response)
}

async fn unknown() -> Response {
    with_version(no_such_endpoint().into_response())
}

async fn answer(
    State(registry): State<Registry>,
    path: Result<Path<String>, PathRejection>,
    parameters: Result<Query<Vec<(String, String)>>, QueryRejection>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut body = Incoming::new(body, registry.stall);
    let unreadable = |error: String| ApiError::bad_request(Code::Unsupported, shown(&error));
    let answer = async {
        let Path(path) = path.map_err(|error| unreadable(error.body_text()))?;
        let Query(parameters) = parameters.map_err(|error| unreadable(error.body_text()))?;
        let head =
            Head { method: parts.method, headers: parts.headers.clone(), parameters: Parameters(parameters) };
        dispatch(&registry, &path, &head, &mut body).await
    };
    let response = match answer.await {
        Ok(response) => response,
        Err(error) => {
            drain(&parts.headers, body).await;
            error.into_response()
        }
    };
    with_version(response)
}

/// A request without its path and body.
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) parameters: Parameters,
}

impl Head {
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn content_length(&self) -> Option<u64> {
        self.header(header::CONTENT_LENGTH)?.parse().ok()
    }
}

async fn dispatch(
    registry: &Registry,
    path: &str,
    head: &Head,
    body: &mut Incoming,
) -> Result<Response, ApiError> {
    let (name, endpoint) = split(path).ok_or_else(no_such_endpoint)?;
    let name = Name::parse(name)?;
    match (endpoint, &head.method) {
        (Endpoint::Blob(digest), &Method::GET | &Method::HEAD) => {
            blobs::pull(registry, name, digest, head).await
        }
        (Endpoint::Blob(digest), &Method::DELETE) => blobs::delete(registry, name, digest).await,
        (Endpoint::Blob(_), _) => Err(not_allowed("GET, HEAD, DELETE")),

        (Endpoint::Uploads, &Method::POST) => uploads::start(registry, name, head, body).await,
        (Endpoint::Uploads, _) => Err(not_allowed("POST")),

        (Endpoint::Upload(id), &Method::GET) => uploads::status(registry, name, id).await,
        (Endpoint::Upload(id), &Method::PATCH) => uploads::append(registry, name, id, head, body).await,
        (Endpoint::Upload(id), &Method::PUT) => uploads::finish(registry, name, id, head, body).await,
        (Endpoint::Upload(id), &Method::DELETE) => uploads::cancel(registry, name, id).await,
        (Endpoint::Upload(_), _) => Err(not_allowed("GET, PATCH, PUT, DELETE")),

        (Endpoint::Manifest(reference), &Method::GET | &Method::HEAD) => {
            manifests::pull(registry, name, reference, head).await
        }
        (Endpoint::Manifest(reference), &Method::PUT) => {
            manifests::push(registry, name, reference, head, body).await
        }
        (Endpoint::Manifest(reference), &Method::DELETE) => {
            manifests::delete(registry, name, reference).await
        }
        (Endpoint::Manifest(_), _) => Err(not_allowed("GET, HEAD, PUT, DELETE")),

        (Endpoint::Tags, &Method::GET | &Method::HEAD) => discovery::tags(registry, &name, head),
        (Endpoint::Referrers(digest), &Method::GET | &Method::HEAD) => {
            discovery::referrers(registry, name, digest, head).await
        }
        (Endpoint::Tags | Endpoint::Referrers(_), _) => Err(not_allowed("GET, HEAD")),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Endpoint<'a> {
    Blob(&'a str),
    Uploads,
    Upload(&'a str),
    Manifest(&'a str),
    Tags,
    Referrers(&'a str),
}

/// Splits what follows `/v2/` into a name, which may still be a wrong one, and an endpoint.
fn split(path: &str) -> Option<(&str, Endpoint<'_>)> {
    // Without the final slash too: clients disagree about it.
    if let Some(name) = path.strip_suffix('/').unwrap_or(path).strip_suffix("/blobs/uploads") {
        return Some((name, Endpoint::Uploads));
    }
    let (rest, last) = path.rsplit_once('/')?;
    if let Some(name) = rest.strip_suffix("/blobs/uploads") {
        return Some((name, Endpoint::Upload(last)));
    }
    let (name, word) = rest.rsplit_once('/')?;
    let endpoint = match (word, last) {
        ("blobs", digest) => Endpoint::Blob(digest),
        ("manifests", reference) => Endpoint::Manifest(reference),
        ("tags", "list") => Endpoint::Tags,
        ("referrers", digest) => Endpoint::Referrers(digest),
        _ => return None,
    };
    Some((name, endpoint))
}

fn no_such_endpoint() -> ApiError {
    ApiError::not_found(Code::Unsupported, "the distribution specification has no such endpoint")
}

fn not_allowed(allowed: &'static str) -> ApiError {
    let message = format!("this endpoint takes {allowed} only");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message)
        .with_header(header::ALLOW, HeaderValue::from_static(allowed))
}

fn with_version(mut response: Response) -> Response {
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response
}

/// Reads what is left of a refused request, if it is not much.
async fn drain(headers: &HeaderMap, body: Incoming) {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let waits_for_permission = headers.contains_key(header::EXPECT);
    if !waits_for_permission && length.is_none_or(|length: u64| length <= DRAINED) {
        body.drain(DRAINED, DRAIN_TIME).await;
    }
}

/// A header value of something that was checked to be plain ASCII, or at least came in as one.
pub(super) fn header_value(text: impl AsRef<str>) -> Result<HeaderValue, ApiError> {
    let text = text.as_ref();
    HeaderValue::from_str(text).map_err(|error| {
        anyhow::Error::new(error).context(format!("cannot send `{}` in a header", text.escape_debug())).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_from_the_right() {
        for (path, expected) in [
            ("a/b/blobs/sha256:0", Some(("a/b", Endpoint::Blob("sha256:0")))),
            ("a/blobs/uploads/", Some(("a", Endpoint::Uploads))),
            ("a/blobs/uploads", Some(("a", Endpoint::Uploads))),
            ("a/blobs/uploads/1-2", Some(("a", Endpoint::Upload("1-2")))),
            ("a/manifests/latest", Some(("a", Endpoint::Manifest("latest")))),
            ("a/tags/list", Some(("a", Endpoint::Tags))),
            ("tags/list/tags/list", Some(("tags/list", Endpoint::Tags))),
            ("a/blobs/uploads/manifests/b", Some(("a/blobs/uploads", Endpoint::Manifest("b")))),
            ("a/referrers/sha256:0", Some(("a", Endpoint::Referrers("sha256:0")))),
            ("a/tags/other", None),
            ("tags/list", None),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(split(path), expected, "{path}");
        }
    }
}
