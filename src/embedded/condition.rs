//! Requests that depend on what is there: `If-Match` and `If-None-Match` (RFC 9110, 13.1). Pure.

use axum::http::{HeaderMap, HeaderName, StatusCode, header};

use super::digest::Digest;
use super::error::{ApiError, Code};

/// What a request asks of the manifest that its path names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Condition {
    matches: Option<Tags>,
    differs: Option<Tags>,
}

/// A list of entity tags.
#[derive(Debug, PartialEq, Eq)]
enum Tags {
    /// `*`: whatever is there.
    Any,
    /// What is between the quotes, and whether the tag is a weak one.
    These(Vec<(String, bool)>),
}

impl Condition {
    /// Reads a request's headers.
    ///
    /// # Errors
    ///
    /// One of the two is there and cannot be understood: to ignore it would be to write what was not to be written.
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, ApiError> {
        Ok(Self {
            matches: tags(headers, &header::IF_MATCH)?,
            differs: tags(headers, &header::IF_NONE_MATCH)?,
        })
    }

    /// Whether a write may go on; `current` is what the path names now.
    ///
    /// # Errors
    ///
    /// 412, with what is there.
    pub(super) fn check(&self, current: Option<&Digest>) -> Result<(), ApiError> {
        // A weak tag never matches here, as bytes are what is written (RFC 9110, 8.8.3.2).
        let matches = self.matches.as_ref().is_none_or(|tags| tags.hold(current, true));
        let differs = self.differs.as_ref().is_none_or(|tags| !tags.hold(current, false));
        if matches && differs {
            return Ok(());
        }
        let message = match current {
            Some(current) => format!("the request's condition does not hold: {current} is there"),
            None => "the request's condition does not hold: nothing is there".to_owned(),
        };
        Err(ApiError::new(StatusCode::PRECONDITION_FAILED, Code::PreconditionFailed, message))
    }

    /// Whether a reader has `current` already.
    pub(super) fn is_known(&self, current: &Digest) -> bool {
        self.differs.as_ref().is_some_and(|tags| tags.hold(Some(current), false))
    }
}

impl Tags {
    fn hold(&self, current: Option<&Digest>, strongly: bool) -> bool {
        let Some(current) = current else { return false };
        let current = current.to_string();
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|(tag, weak)| *tag == current && !(strongly && *weak)),
        }
    }
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, ApiError> {
    let mut values = headers.get_all(name).into_iter().peekable();
    if values.peek().is_none() {
        return Ok(None);
    }
    let mut all = Vec::new();
    for value in values {
        let malformed = || {
            let message = format!("the header {name} is neither `*` nor a list of quoted digests");
            ApiError::bad_request(Code::Unsupported, message)
        };
        let mut rest = value.to_str().map_err(|_| malformed())?.trim();
        if rest == "*" {
            return Ok(Some(Tags::Any));
        }
        while !rest.is_empty() {
            let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
            let quoted = quoted.strip_prefix('"').ok_or_else(malformed)?;
            let (tag, after) = quoted.split_once('"').ok_or_else(malformed)?;
            all.push((tag.to_owned(), weak));
            let after = after.trim_start();
            rest = match after.strip_prefix(',') {
                Some(next) => next.trim_start(),
                None if after.is_empty() => after,
                None => return Err(malformed()),
            };
        }
    }
    Ok(Some(Tags::These(all)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::super::digest::Algorithm;
    use super::*;

    #[test]
    fn conditions() {
        let here = Algorithm::Sha256.digest(b"here");
        let other = Algorithm::Sha256.digest(b"other");
        let listed = format!("\"{other}\" , \"{here}\"");
        let (this, that, weak) = (format!("\"{here}\""), format!("\"{other}\""), format!("W/\"{here}\""));
        // The header, and whether it lets a write go on when there is something and when there is nothing.
        for (name, value, there, absent) in [
            ("x-none", "", true, true),
            ("if-none-match", "*", false, true),
            ("if-none-match", this.as_str(), false, true),
            ("if-none-match", that.as_str(), true, true),
            ("if-none-match", weak.as_str(), false, true),
            ("if-match", "*", true, false),
            ("if-match", this.as_str(), true, false),
            ("if-match", listed.as_str(), true, false),
            ("if-match", that.as_str(), false, false),
            ("if-match", weak.as_str(), false, false),
            ("if-match", "", false, false),
        ] {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )]);
            let condition = Condition::read(&headers).unwrap();
            assert_eq!(condition.check(Some(&here)).is_ok(), there, "{name}: {value}");
            assert_eq!(condition.check(None).is_ok(), absent, "{name}: {value}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for value in ["sha256:0", "\"open", "\"a\" \"b\"", "*, \"a\"", "w/\"a\"", "\u{ff}"] {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([(header::IF_MATCH, value)]);
            assert!(Condition::read(&headers).is_err(), "{headers:?}");
        }
    }
}
