//! Uploads of blobs (distribution-spec, Pushing blobs).

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::OwnedMutexGuard;

use super::digest::{Algorithm, Digest};
use super::error::{ApiError, Code, shown};
use super::incoming::Incoming;
use super::names::Name;
use super::routes::{CONTENT_DIGEST, Head, Registry, header_value};
use super::store::{Finish, Session, Store};

/// How much of an upload is in memory before it is written.
const BATCH: usize = 1024 * 1024;

/// How long a request waits for another one to the same upload. That is most often the one that was just cut off and
/// is not over yet on this side.
const TURN: Duration = Duration::from_secs(10);

/// Names the session; Docker's client reads it.
const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// A session that this request alone may change. It moves into the blocking work, so that it stays held until the
/// work is done even if the request is given up.
type Turn = OwnedMutexGuard<Session>;

/// `POST`: begins an upload, or does all of it at once (distribution-spec, Single POST), or takes the blob from
/// another repository (Mounting a blob from another repository).
pub(super) async fn start(
    registry: &Registry,
    name: Name,
    head: &Head,
    body: &mut Incoming,
) -> Result<Response, ApiError> {
    if let Some(mount) = head.parameters.get("mount") {
        let digest: Digest = mount.parse()?;
        if mounted(registry, &name, &digest, head.parameters.get("from")).await? {
            return stored(&name, &digest);
        }
        // The specification wants an ordinary upload when there is nothing to mount.
        let id = open(registry, &name, digest.algorithm).await?;
        return accepted(&name, &id, 0);
    }
    if let Some(digest) = head.parameters.get("digest") {
        let digest: Digest = digest.parse()?;
        let (of, algorithm) = (name.clone(), digest.algorithm);
        // Nobody else knows the session, so nobody can go on with it: it goes with this request, however that ends.
        let session = registry.blocking(move |store| Ok(store.unnamed_upload(&of, algorithm)?)).await?;
        let turn = session.lock_owned().await;
        let turn = receive(registry, turn, body, None).await?;
        return close(registry, turn, &name, digest).await;
    }
    let algorithm = match head.parameters.get("digest-algorithm") {
        Some(algorithm) => algorithm.parse()?,
        None => Algorithm::Sha256,
    };
    let id = open(registry, &name, algorithm).await?;
    accepted(&name, &id, 0)
}

/// `GET`: how far an upload has come (distribution-spec, Pushing a blob in chunks).
pub(super) async fn status(registry: &Registry, name: Name, id: &str) -> Result<Response, ApiError> {
    let length = {
        let (name, id) = (name.clone(), id.to_owned());
        registry.blocking(move |store| Ok(store.upload_length(&name, &id)?)).await?
    };
    let mut response = accepted(&name, id, length.ok_or_else(unknown)?)?;
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// `PATCH`: adds a chunk, or without `Content-Range` whatever comes.
pub(super) async fn append(
    registry: &Registry,
    name: Name,
    id: &str,
    head: &Head,
    body: &mut Incoming,
) -> Result<Response, ApiError> {
    let turn = take_turn(registry, &name, id).await?;
    let turn = add(registry, turn, &name, id, head, body).await?;
    accepted(&name, id, turn.offset())
}

/// `PUT`: adds what comes, if anything, and closes the session.
pub(super) async fn finish(
    registry: &Registry,
    name: Name,
    id: &str,
    head: &Head,
    body: &mut Incoming,
) -> Result<Response, ApiError> {
    let digest = head.parameters.get("digest").ok_or_else(|| {
        ApiError::bad_request(Code::DigestInvalid, "closing an upload needs the parameter `digest`")
    })?;
    let digest: Digest = digest.parse()?;
    let turn = take_turn(registry, &name, id).await?;
    let turn = add(registry, turn, &name, id, head, body).await?;
    close(registry, turn, &name, digest).await
}

/// `DELETE`: gives an upload up (distribution-spec, Cancel a blob upload).
pub(super) async fn cancel(registry: &Registry, name: Name, id: &str) -> Result<Response, ApiError> {
    let turn = take_turn(registry, &name, id).await?;
    registry.blocking(move |store| Ok(store.cancel_upload(&turn)?)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn mounted(
    registry: &Registry,
    name: &Name,
    digest: &Digest,
    from: Option<&str>,
) -> Result<bool, ApiError> {
    let from = match from.map(Name::parse) {
        // A name that cannot be one has nothing to mount.
        Some(Err(_)) => return Ok(false),
        Some(Ok(from)) => Some(from),
        None => None,
    };
    let (name, digest) = (name.clone(), digest.clone());
    registry.blocking(move |store| Ok(store.mount_blob(&name, &digest, from.as_ref())?)).await
}

async fn open(registry: &Registry, name: &Name, algorithm: Algorithm) -> Result<String, ApiError> {
    let name = name.clone();
    registry.blocking(move |store| Ok(store.start_upload(&name, algorithm)?)).await
}

async fn take_turn(registry: &Registry, name: &Name, id: &str) -> Result<Turn, ApiError> {
    let session = {
        let (name, id) = (name.clone(), id.to_owned());
        registry.blocking(move |store| Ok(store.upload(&name, &id)?)).await?
    };
    let session: Arc<_> = session.ok_or_else(unknown)?;
    let Ok(turn) = tokio::time::timeout(TURN, session.lock_owned()).await else {
        let message = "another request is still writing to this upload";
        let busy = ApiError::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, message);
        return Err(busy.with_header(header::RETRY_AFTER, HeaderValue::from_static("1")));
    };
    if turn.is_over() { Err(unknown()) } else { Ok(turn) }
}

/// Adds a request's body to an upload, where its `Content-Range` says.
async fn add(
    registry: &Registry,
    turn: Turn,
    name: &Name,
    id: &str,
    head: &Head,
    body: &mut Incoming,
) -> Result<Turn, ApiError> {
    let expected = match head.headers.get(header::CONTENT_RANGE) {
        None => None,
        Some(value) => {
            let value = value.to_str().unwrap_or_default();
            let (first, count) = content_range(value).ok_or_else(|| {
                let message = format!("the Content-Range `{}` is not of the form first-last", shown(value));
                ApiError::bad_request(Code::BlobUploadInvalid, message)
            })?;
            if first != turn.offset() {
                return Err(out_of_order(name, id, first, turn.offset())?);
            }
            if head.content_length().is_some_and(|length| length != count) {
                return Err(wrong_size(count));
            }
            Some(count)
        }
    };
    receive(registry, turn, body, expected).await
}

/// Streams a body to the end of an upload; `expected` is how long its `Content-Range` said it is.
///
/// What came of a body that ends early stays in the upload, so that the client can go on from there; unless it was not
/// what its head had said. What cannot be written ends the upload: the client begins anew, and a full disk has its
/// space again.
async fn receive(
    registry: &Registry,
    turn: Turn,
    body: &mut Incoming,
    expected: Option<u64>,
) -> Result<Turn, ApiError> {
    let start = turn.offset();
    let mut received: u64 = 0;
    let mut writer = Writer { registry, state: Some(Writing::Free(turn)) };
    let mut batch: Vec<Bytes> = Vec::new();
    let mut batched = 0;
    let broken = loop {
        match body.next().await {
            Ok(Some(data)) => {
                received += data.len() as u64;
                if expected.is_some_and(|expected| received > expected) {
                    break None;
                }
                batched += data.len();
                batch.push(data);
                if batched >= BATCH {
                    batched = 0;
                    writer.write(std::mem::take(&mut batch)).await?;
                }
            }
            Ok(None) => break None,
            Err(broken) => break Some(broken),
        }
    };
    if !batch.is_empty() {
        writer.write(batch).await?;
    }
    let turn = writer.finish().await?;
    if let Some(broken) = broken {
        return Err(broken.answer(Code::BlobUploadInvalid));
    }
    match expected {
        Some(expected) if expected != received => {
            rewind(registry, turn, start).await?;
            Err(wrong_size(expected))
        }
        _ => Ok(turn),
    }
}

/// Writes batches one after the other, while the next one comes in.
struct Writer<'a> {
    registry: &'a Registry,
    state: Option<Writing>,
}

enum Writing {
    Free(Turn),
    Busy(Pin<Box<dyn Future<Output = Result<Turn, ApiError>> + Send>>),
}

impl Writer<'_> {
    /// Waits for the batch before, and begins with this one.
    async fn write(&mut self, chunks: Vec<Bytes>) -> Result<(), ApiError> {
        let turn = self.turn().await?;
        let written = self.registry.begin(move |store| write(store, turn, &chunks));
        self.state = Some(Writing::Busy(Box::pin(written)));
        Ok(())
    }

    async fn finish(mut self) -> Result<Turn, ApiError> {
        self.turn().await
    }

    async fn turn(&mut self) -> Result<Turn, ApiError> {
        match self.state.take() {
            Some(Writing::Free(turn)) => Ok(turn),
            Some(Writing::Busy(done)) => done.await,
            None => Err(unknown()),
        }
    }
}

fn write(store: &Store, mut turn: Turn, chunks: &[Bytes]) -> Result<Turn, ApiError> {
    match turn.append(chunks) {
        Ok(()) => Ok(turn),
        Err(error) => {
            // Freeing space is all that is left to do; if that fails too, the first error says more.
            let _ = store.cancel_upload(&turn);
            Err(error.into())
        }
    }
}

async fn rewind(registry: &Registry, mut turn: Turn, offset: u64) -> Result<(), ApiError> {
    registry.blocking(move |_| Ok(turn.rewind(offset)?)).await
}

async fn close(
    registry: &Registry,
    mut turn: Turn,
    name: &Name,
    digest: Digest,
) -> Result<Response, ApiError> {
    let (finish, digest) = registry
        .blocking(move |store| {
            let finish = store.finish_upload(&mut turn, &digest)?;
            Ok((finish, digest))
        })
        .await?;
    match finish {
        Finish::Stored => stored(name, &digest),
        Finish::Mismatch(actual) => {
            let message = format!("the upload's content is {actual}, not {digest}");
            Err(ApiError::bad_request(Code::DigestInvalid, message))
        }
    }
}

fn stored(name: &Name, digest: &Digest) -> Result<Response, ApiError> {
    let headers = [
        (header::LOCATION, header_value(format!("/v2/{name}/blobs/{digest}"))?),
        (CONTENT_DIGEST, header_value(digest.to_string())?),
    ];
    Ok((StatusCode::CREATED, headers).into_response())
}

fn accepted(name: &Name, id: &str, offset: u64) -> Result<Response, ApiError> {
    let mut response = StatusCode::ACCEPTED.into_response();
    response.headers_mut().extend(progress(name, id, offset)?);
    response.headers_mut().insert(UPLOAD_UUID, header_value(id)?);
    Ok(response)
}

/// Where to go on. The header cannot say "nothing yet": as everywhere, that looks like one byte.
fn progress(name: &Name, id: &str, offset: u64) -> Result<[(HeaderName, HeaderValue); 2], ApiError> {
    Ok([
        (header::LOCATION, header_value(format!("/v2/{name}/blobs/uploads/{id}"))?),
        (header::RANGE, header_value(format!("0-{}", offset.saturating_sub(1)))?),
    ])
}

/// `^[0-9]+-[0-9]+$`, both ends included, as first byte and count; `None` when it is something else.
fn content_range(value: &str) -> Option<(u64, u64)> {
    if !value.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return None;
    }
    let (first, last) = value.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    Some((first, last.checked_sub(first)?.checked_add(1)?))
}

fn out_of_order(name: &Name, id: &str, first: u64, offset: u64) -> Result<ApiError, ApiError> {
    let message = format!("the chunk begins at byte {first}, the upload goes on at byte {offset}");
    let mut error = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::BlobUploadInvalid, message);
    for (name, value) in progress(name, id, offset)? {
        error = error.with_header(name, value);
    }
    Ok(error)
}

fn wrong_size(expected: u64) -> ApiError {
    let message = format!("the Content-Range says {expected} bytes, the body has another length");
    ApiError::bad_request(Code::SizeInvalid, message)
}

fn unknown() -> ApiError {
    ApiError::not_found(Code::BlobUploadUnknown, "the repository has no such upload")
}
