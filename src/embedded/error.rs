//! Errors as the specification writes them (distribution-spec, Error Codes).

use std::io;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::digest::DigestError;

/// The codes of the specification that this registry has a use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    Unsupported,
    TooManyRequests,
    Unauthorized,
    /// Not the specification's, which knows no conditional requests.
    PreconditionFailed,
    /// The specification has none for a registry's own failure; this is what Docker's API calls it.
    Unknown,
}

impl Code {
    fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// What a request said, for a message: it may be long.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 300;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A refusal: one status, and one error for each thing that is wrong.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: Code,
    messages: Vec<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self::several(status, code, vec![message.into()])
    }

    pub(super) fn several(status: StatusCode, code: Code, messages: Vec<String>) -> Self {
        Self { status, code, messages, headers: Vec::new() }
    }

    pub(super) fn bad_request(code: Code, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn not_found(code: Code, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// A digest in a request that writes: both kinds are refused alike (distribution-spec, Pushing blobs).
impl From<DigestError> for ApiError {
    fn from(error: DigestError) -> Self {
        Self::bad_request(Code::DigestInvalid, error.to_string())
    }
}

/// What went wrong here and not with the request. The whole chain goes out: whoever runs this registry is the one
/// who reads it.
impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> Self {
        let is_full = |cause: &(dyn std::error::Error + 'static)| {
            let cause = cause.downcast_ref::<io::Error>().map(io::Error::kind);
            matches!(cause, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
        };
        let status = match error.chain().any(is_full) {
            true => StatusCode::INSUFFICIENT_STORAGE,
            false => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, Code::Unknown, format!("{error:#}"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = self.code.as_str();
        let errors: Vec<_> =
            self.messages.iter().map(|message| json!({ "code": code, "message": message })).collect();
        let mut response = Response::new(Body::from(json!({ "errors": errors }).to_string()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().extend(self.headers);
        response
    }
}
