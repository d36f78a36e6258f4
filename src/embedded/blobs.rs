//! Blobs: pulling, checking, deleting.

use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::digest::{Digest, DigestError};
use super::error::{ApiError, Code};
use super::names::Name;
use super::range::{self, Wanted};
use super::routes::{CONTENT_DIGEST, Head, Registry, header_value};

/// How much of a blob is in memory while it is sent.
const CHUNK: usize = 256 * 1024;

/// distribution-spec, Pulling blobs, and Checking if content exists in the registry.
pub(super) async fn pull(
    registry: &Registry,
    name: Name,
    digest: &str,
    head: &Head,
) -> Result<Response, ApiError> {
    let digest = parse_digest(digest)?;
    let (file, length) = {
        let digest = digest.clone();
        let found =
            registry.blocking(move |store| store.open_blob(&name, &digest).map_err(Into::into)).await?;
        found.ok_or_else(unknown)?
    };
    let etag = header_value(format!("\"{digest}\""))?;
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_DIGEST, header_value(digest.to_string())?);
    headers.insert(header::ETAG, etag.clone());

    if head.method == Method::HEAD {
        headers.insert(header::CONTENT_LENGTH, length.into());
        return Ok(response);
    }
    // A range of something else than this blob is not wanted at all (RFC 9110, If-Range).
    let same = head.headers.get(header::IF_RANGE).is_none_or(|known| *known == etag);
    let wanted = match head.header(header::RANGE) {
        Some(value) if same => range::parse(value, length),
        _ => Wanted::Whole,
    };
    let (first, count) = match wanted {
        Wanted::Whole => (0, length),
        Wanted::Bytes { first, last } => {
            headers.insert(header::CONTENT_RANGE, header_value(format!("bytes {first}-{last}/{length}"))?);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            (first, last - first + 1)
        }
        Wanted::Unsatisfiable => {
            let message = format!("the blob has {length} bytes, none of them in the range asked for");
            return Err(ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::SizeInvalid, message)
                .with_header(header::CONTENT_RANGE, header_value(format!("bytes */{length}"))?));
        }
    };
    response.headers_mut().insert(header::CONTENT_LENGTH, count.into());
    let mut file = tokio::fs::File::from_std(file);
    file.seek(std::io::SeekFrom::Start(first))
        .await
        .map_err(|error| anyhow::Error::new(error).context(format!("cannot read blob {digest}")))?;
    *response.body_mut() = Body::from_stream(ReaderStream::with_capacity(file.take(count), CHUNK));
    Ok(response)
}

/// distribution-spec, Deleting Blobs.
pub(super) async fn delete(registry: &Registry, name: Name, digest: &str) -> Result<Response, ApiError> {
    let digest = parse_digest(digest)?;
    let found = registry.blocking(move |store| store.delete_blob(&name, &digest).map_err(Into::into)).await?;
    if found { Ok(StatusCode::ACCEPTED.into_response()) } else { Err(unknown()) }
}

/// The digest of a blob to look for. What is well-formed but cannot be stored here is not found.
fn parse_digest(text: &str) -> Result<Digest, ApiError> {
    text.parse().map_err(|error| match error {
        DigestError::Unsupported(_) => unknown(),
        DigestError::Malformed(_) => error.into(),
    })
}

fn unknown() -> ApiError {
    ApiError::not_found(Code::BlobUnknown, "the repository holds no such blob")
}
