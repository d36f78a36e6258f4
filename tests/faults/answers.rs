//! Answers, spoiled.

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{CONTENT_LENGTH, RETRY_AFTER, TRANSFER_ENCODING};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use manifests::model::digest::Digest;

use crate::door::{CUT, Cut};

pub(crate) const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Longer than any body in these tests.
const LARGEST: usize = 8 << 20;

/// An answer that the door will not let through.
pub(crate) fn cut(how: Cut) -> Response {
    // The mark stands in the middle of the head.
    let headers =
        [("docker-distribution-api-version", "registry/2.0"), (CUT, how.as_str()), ("x-more", "more")];
    (StatusCode::OK, headers).into_response()
}

pub(crate) fn error(status: StatusCode, code: &str) -> Response {
    let body = serde_json::json!({ "errors": [{ "code": code, "message": "as the test wants it" }] });
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}

pub(crate) fn retry_after(seconds: &'static str) -> Response {
    let mut response = error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(seconds));
    response
}

/// The whole length is promised, and half of it comes.
pub(crate) async fn half(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = whole(body).await;
    parts.headers.insert(CONTENT_LENGTH, bytes.len().into());
    let first = Ok(bytes.slice(..bytes.len() / 2));
    let broken = Err(std::io::Error::other("cut"));
    Response::from_parts(parts, Body::from_stream(stream::iter([first, broken])))
}

/// A list of tags without its last half, as if it were whole.
pub(crate) async fn half_of_list(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let mut list: serde_json::Value = serde_json::from_slice(&whole(body).await).unwrap();
    // A request that is told to bring a token is answered with something else.
    if let Some(tags) = list["tags"].as_array_mut() {
        tags.truncate(tags.len() / 2);
    }
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(list.to_string()))
}

/// One byte is another, or, where no bytes come, the digest named is.
pub(crate) async fn wrong_digest(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let mut bytes = whole(body).await.to_vec();
    match bytes.last_mut() {
        Some(last) => *last ^= 1,
        None => {
            let other = Digest::of(b"something else").to_string();
            parts.headers.insert(DIGEST, HeaderValue::from_str(&other).unwrap());
        }
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// Half of the bytes, as if they were all; where none come, another length.
pub(crate) async fn wrong_length(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = whole(body).await;
    if bytes.is_empty() {
        parts.headers.insert(CONTENT_LENGTH, 7.into());
    } else {
        parts.headers.remove(CONTENT_LENGTH);
    }
    Response::from_parts(parts, Body::from(bytes.slice(..bytes.len() / 2)))
}

pub(crate) fn without(mut response: Response, header: &HeaderName) -> Response {
    response.headers_mut().remove(header);
    response
}

pub(crate) fn with_body(response: Response, body: Body) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.remove(TRANSFER_ENCODING);
    Response::from_parts(parts, body)
}

/// All of a body, which is short.
pub(crate) async fn whole(body: Body) -> Bytes {
    to_bytes(body, LARGEST).await.expect("what goes to and fro here is short")
}
