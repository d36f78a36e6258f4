//! What an answer means, by its status and codes; what a failure below HTTP means, by the types in its chain. Pure.

use std::time::Duration;

use reqwest::StatusCode;

use super::{Kind, Said};
use crate::model::go_json::Json;
use crate::registry::contact::Unresolved;

/// The one place where statuses and codes get their meaning.
pub(super) fn classify(status: StatusCode, said: &[Said], retry_after: Option<Duration>) -> Kind {
    let has = |code: &str| said.iter().any(|said| said.code.eq_ignore_ascii_case(code));
    match status.as_u16() {
        401 => Kind::Unauthorized,
        // Docker Hub and others say it with 403 or 400, too.
        _ if has("TOOMANYREQUESTS") => Kind::RateLimited { retry_after },
        403 => Kind::Denied,
        404 => Kind::NotFound,
        405 | 501 => Kind::Unsupported,
        _ if has("UNSUPPORTED") => Kind::Unsupported,
        408 => Kind::Unavailable { retry_after },
        413 => Kind::TooLarge,
        429 => Kind::RateLimited { retry_after },
        400..=499 if has("DENIED") => Kind::Denied,
        400..=499 => Kind::Rejected,
        500..=599 => Kind::Unavailable { retry_after },
        _ => Kind::Protocol,
    }
}

/// The errors in an answer. Registries have codes of their own (Harbor's `PROJECTPOLICYVIOLATION`), numbers for codes, or
/// none (Artifactory): each is taken for what it says.
pub(super) fn said(body: &[u8]) -> Vec<Said> {
    let Ok(answer) = Json::parse(body) else { return Vec::new() };
    let Some(Json::Array(errors)) = answer.member("errors") else { return Vec::new() };
    let said = errors.iter().map(|error| {
        let text = |member: &str| match error.member(member) {
            Some(Json::Text(text)) => text.clone(),
            Some(Json::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        Said { code: text("code"), message: text("message") }
    });
    said.filter(|said| !said.code.is_empty() || !said.message.is_empty()).collect()
}

/// What kind a failure below HTTP is, by the types in its chain.
pub(super) fn kind_of(error: &reqwest::Error) -> Kind {
    if tls_error(error).is_some() {
        Kind::Tls
    } else if error.is_timeout() {
        Kind::Timeout
    } else if error.is_connect() {
        Kind::Connect
    } else if error.is_builder() || error.is_redirect() {
        Kind::Protocol
    } else {
        Kind::Interrupted
    }
}

/// The TLS failure that ended a connection, if one did.
pub(crate) fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    cause(error, |cause| cause.downcast_ref::<rustls::Error>())
}

/// Whether nobody listens at the port.
pub(crate) fn is_refused(error: &reqwest::Error) -> bool {
    let refused = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::ConnectionRefused;
    cause(error, |cause| cause.downcast_ref::<std::io::Error>().filter(|cause| refused(cause))).is_some()
}

/// Whether the name of the host is not known.
pub(crate) fn is_unresolved(error: &reqwest::Error) -> bool {
    cause(error, |cause| cause.downcast_ref::<Unresolved>()).is_some()
}

/// The first cause of `error` that `find` takes. Some travel inside [`std::io::Error`]s, each of which hides what it
/// wraps from the chain of sources.
fn cause<T>(
    error: &reqwest::Error,
    find: impl for<'a> Fn(&'a (dyn std::error::Error + 'static)) -> Option<&'a T>,
) -> Option<&T> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(error) = next {
        if let Some(found) = find(error) {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// The deepest message of a chain: the outer ones repeat the address.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
