//! What can go wrong with a registry, classified once: by status and error code, never by a message's text.

mod classify;
mod handshake;

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;

use super::proxies;
use super::wire::authority;
use crate::error::Failure;
use crate::model::foreign::{Foreign, visible};
use classify::{classify, innermost, kind_of, said};
pub(crate) use classify::{is_refused, is_unresolved, tls_error};

/// Why a request to a registry did not do what was asked.
///
/// It is not a [`std::error::Error`] itself: `?` turns it into a [`Failure`], so that its hint reaches the person who
/// ran the command.
pub struct RegistryError(Box<Details>);

struct Details {
    kind: Kind,
    task: Task,
    method: String,
    status: Option<StatusCode>,
    said: Vec<Said>,
    credential: Option<String>,
    detail: Option<String>,
    /// In place of the kind's usual one.
    hint: Option<String>,
    /// Whether the write was carried out is not known.
    open: bool,
    /// It is not to be tried again.
    lasting: bool,
}

/// What kind of failure it is: what a caller may act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 404, for something that must exist for the operation.
    NotFound,
    /// 401 or 403 to a read, although a token for pull and push was asked for. Some registries answer so for what does
    /// not exist, so whether it exists stays open.
    Unreadable,
    /// There are no credentials, or they were refused.
    Unauthorized,
    /// The account may not do this.
    Denied,
    /// 429, after the retries that the settings allow.
    RateLimited {
        /// What the registry asked to wait.
        retry_after: Option<Duration>,
    },
    /// 408 or 5xx, after retries.
    Unavailable {
        /// What the registry asked to wait.
        retry_after: Option<Duration>,
    },
    /// No connection: the name does not resolve, or nobody listens. The request was never sent.
    Connect,
    /// The connection ended before the answer did. The request may have been carried out.
    Interrupted,
    /// The certificate is not trusted, or TLS is not spoken.
    Tls,
    /// No answer in time. The request may have been carried out.
    Timeout,
    /// Digest or length are not what they must be.
    Corrupt,
    /// More bytes than such content may have.
    TooLarge,
    /// The registry does not offer this operation.
    Unsupported,
    /// The registry refuses the content or the name: any other 4xx.
    Rejected,
    /// The answer is none that the specification knows.
    Protocol,
    /// Credentials could not be read: a broken file; or a missing or failing helper, and the registry refuses what it is
    /// asked without.
    Credentials,
    /// Something on this machine: a file that cannot be read.
    Local,
}

/// One of the errors in a registry's answer (distribution-spec, "Error Codes").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// E.g. `MANIFEST_UNKNOWN`; may be empty.
    pub code: String,
    /// For people; may be empty.
    pub message: String,
}

/// What was being done: the part of an error that the caller knows.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// Completes "could not …", e.g. `read`.
    pub(crate) verb: &'static str,
    /// The reference.
    pub(crate) subject: String,
    /// The registry as declared.
    pub(crate) host: String,
}

impl Task {
    pub(crate) fn new(verb: &'static str, subject: impl fmt::Display, host: &str) -> Self {
        Self { verb, subject: subject.to_string(), host: host.to_owned() }
    }

    /// An error that is not an answer of the registry.
    pub(crate) fn error(&self, kind: Kind, detail: impl Into<String>) -> RegistryError {
        RegistryError(Box::new(Details {
            kind,
            task: self.clone(),
            method: String::new(),
            status: None,
            said: Vec::new(),
            credential: None,
            detail: Some(detail.into()),
            hint: None,
            open: false,
            lasting: false,
        }))
    }

    /// A request that brought no answer.
    pub(crate) fn broken(&self, method: &reqwest::Method, error: &reqwest::Error) -> RegistryError {
        let proxied = || {
            let url = error.url().filter(|_| error.is_connect())?;
            Some(proxies::used(url)?.failed(url, &innermost(error)))
        };
        let (what, hint) = match tls_error(error) {
            Some(tls) => handshake::explain(tls, &error.url().map_or_else(|| self.host.clone(), authority)),
            None => proxied().unwrap_or_else(|| (innermost(error), None)),
        };
        let mut made = self.error(kind_of(error), what);
        made.0.method = method.to_string();
        made.0.hint = hint;
        made
    }

    /// An answer that is an error, classified by status and codes.
    pub(crate) fn answered(&self, method: &reqwest::Method, answer: &Answered<'_>) -> RegistryError {
        let said = said(answer.body);
        RegistryError(Box::new(Details {
            kind: classify(answer.status, &said, answer.retry_after),
            task: self.clone(),
            method: method.to_string(),
            status: Some(answer.status),
            said,
            credential: answer.credential.map(str::to_owned),
            detail: None,
            hint: None,
            open: false,
            lasting: false,
        }))
    }
}

/// An answer, as far as classifying it needs.
pub(crate) struct Answered<'a> {
    pub(crate) status: StatusCode,
    pub(crate) body: &'a [u8],
    pub(crate) retry_after: Option<Duration>,
    /// Which source the credentials came from, if any were sent.
    pub(crate) credential: Option<&'a str>,
}

impl RegistryError {
    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Whether existence stays open: see [`Kind::Unreadable`].
    pub fn is_unreadable(&self) -> bool {
        self.0.kind == Kind::Unreadable
    }

    /// Whether a manifest was refused because something that it names is not there: a blob, another manifest, or with some
    /// registries its subject (GitLab).
    pub fn lacks_content(&self) -> bool {
        matches!(self.0.kind, Kind::NotFound | Kind::Rejected)
            && self.0.said.iter().any(|said| said.code.eq_ignore_ascii_case("MANIFEST_BLOB_UNKNOWN"))
    }

    /// The registry, as declared.
    pub fn host(&self) -> &str {
        &self.0.task.host
    }

    /// What was asked for: a reference, or a host.
    pub fn subject(&self) -> &str {
        &self.0.task.subject
    }

    /// The HTTP method; empty when no request was made.
    pub fn method(&self) -> &str {
        &self.0.method
    }

    /// The HTTP status; `None` when there was no answer, or the answer was not the problem.
    pub fn status(&self) -> Option<u16> {
        self.0.status.map(|status| status.as_u16())
    }

    /// The errors in the answer.
    pub fn said(&self) -> &[Said] {
        &self.0.said
    }

    /// Where the credentials that were sent came from; never the credentials.
    pub fn credential_source(&self) -> Option<&str> {
        self.0.credential.as_deref()
    }

    /// What the registry answered, or what ended the request, in one line.
    pub fn answer(&self) -> String {
        let Details { status, said, detail, .. } = &*self.0;
        let mut text = match status {
            Some(status) => status.to_string(),
            None => String::new(),
        };
        let said: Vec<String> = said
            .iter()
            .map(|said| match (Foreign(&said.code), Foreign(&said.message)) {
                (code, Foreign("")) => code.to_string(),
                (Foreign(""), message) => message.to_string(),
                (code, message) => format!("{code}: {message}"),
            })
            .collect();
        if !said.is_empty() {
            text = format!("{text} ({})", said.join("; "));
        }
        match detail.as_deref().map(visible) {
            Some(detail) if text.is_empty() => detail.into_owned(),
            Some(detail) => format!("{text}; {detail}"),
            None => text,
        }
    }

    /// The way out.
    pub fn hint(&self) -> Option<String> {
        if let Some(hint) = &self.0.hint {
            return Some(hint.clone());
        }
        let host = &self.0.task.host;
        let source = self.0.credential.as_deref();
        let hint = match self.0.kind {
            Kind::Unreadable => match source {
                Some(source) => format!(
                    "it may not exist yet, and has to be created in the registry then; or the account of {source} may \
                     not read it"
                ),
                None => format!("log in first (`docker login {host}`); no credentials were found for {host}"),
            },
            Kind::Unauthorized => match source {
                Some(source) => {
                    format!("{host} refuses the credentials of {source}: `docker login {host}` again")
                }
                None => format!("no credentials were found for {host}: `docker login {host}`"),
            },
            Kind::Denied => match source {
                Some(source) => format!("the account of {source} may not do this on {host}"),
                None => format!("no credentials were found for {host}: `docker login {host}`"),
            },
            Kind::RateLimited { retry_after: Some(wait) } | Kind::Unavailable { retry_after: Some(wait) } => {
                format!("{host} asks to wait {} s; run again after that", wait.as_secs())
            }
            Kind::RateLimited { retry_after: None } => {
                format!("{host} limits how often it may be asked; wait, or log in for a higher limit")
            }
            Kind::Unavailable { .. } | Kind::Interrupted | Kind::Timeout => {
                format!("{host} does not work at the moment; run again later")
            }
            Kind::Connect => format!("is {host} the right name, and is the registry running?"),
            Kind::Tls => format!(
                "for a private authority set `ca-file` in [registry.\"{host}\"]; for a registry without TLS `plain-http = true`"
            ),
            Kind::Corrupt => {
                "something between here and the registry alters content; nothing of it was used".to_owned()
            }
            Kind::Credentials => format!(
                "there may be credentials for {host}: mend what is named, or take it out of that file"
            ),
            Kind::NotFound
            | Kind::TooLarge
            | Kind::Unsupported
            | Kind::Rejected
            | Kind::Protocol
            | Kind::Local => return None,
        };
        Some(hint)
    }

    /// Whether a write may have been carried out all the same: its answer was lost, and so was the look after it.
    pub fn is_open(&self) -> bool {
        self.0.open
    }

    /// Whether the same request may succeed a moment later.
    pub(crate) fn is_temporary(&self) -> bool {
        !self.0.lasting
            && matches!(
                self.0.kind,
                Kind::RateLimited { .. }
                    | Kind::Unavailable { .. }
                    | Kind::Connect
                    | Kind::Interrupted
                    | Kind::Timeout
            )
    }

    /// Whether the request certainly had no effect, and may succeed a moment later, so that sending it again cannot do it
    /// twice.
    pub(crate) fn is_without_effect(&self) -> bool {
        !self.0.lasting && matches!(self.0.kind, Kind::RateLimited { .. } | Kind::Connect)
    }

    /// It will not pass, or was waited for already: to be reported at once.
    pub(crate) fn lasting(mut self) -> Self {
        self.0.lasting = true;
        self
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self.0.kind {
            Kind::RateLimited { retry_after } | Kind::Unavailable { retry_after } => retry_after,
            _ => None,
        }
    }

    pub(crate) fn left_open(mut self, open: bool) -> Self {
        self.0.open = open;
        self
    }

    pub(crate) fn with_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Whether the registry refused it to who asked.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.0.kind, Kind::Unauthorized | Kind::Denied | Kind::Unreadable)
            && self.0.credential.is_none()
    }

    /// The answer to a request that went without credentials because of `doubt`: there may be some.
    pub(crate) fn without_credentials(mut self, doubt: &str) -> Self {
        let before = self.0.detail.take().map_or_else(String::new, |detail| format!("{detail}; "));
        self.0.detail = Some(format!("{before}it was asked without credentials, because {doubt}"));
        self.0.hint = None;
        self.with_kind(Kind::Credentials)
    }

    pub(crate) fn with_credential(mut self, source: Option<&str>) -> Self {
        self.0.credential = source.map(str::to_owned);
        self
    }
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Task { verb, subject, .. } = &self.0.task;
        write!(f, "could not {verb} {subject}: {}", self.answer())
    }
}

impl fmt::Debug for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        let failure = Failure::new(error.to_string());
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<RegistryError> for anyhow::Error {
    fn from(error: RegistryError) -> Self {
        Failure::from(error).into()
    }
}

#[cfg(test)]
mod tests;
