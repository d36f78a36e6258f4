//! Writes that depend on what a tag serves: `If-Match` and `If-None-Match` (RFC 9110, 13.1), with digests for entity tags.
//!
//! The specification of registries does not know them. One that takes them makes a write and its condition one step; CNCF
//! distribution ignores them, and others refuse whatever carries such a header: those are asked again without.

use reqwest::header::{HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};

use super::Registry;
use super::error::{Kind, RegistryError};
use crate::model::digest::Digest;
use crate::model::reference::Repository;

/// What a tag must serve for a write to be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected<'a> {
    /// The tag does not exist.
    Absent,
    /// It serves this.
    Serves(&'a Digest),
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conditional {
    /// It was carried out.
    Written,
    /// It was not: this is served, or nothing.
    Differs(Option<Digest>),
}

pub(super) type Condition = (HeaderName, HeaderValue);

impl<'a> Expected<'a> {
    /// What a lookup of the tag gave.
    pub fn from_lookup(served: Option<&'a Digest>) -> Self {
        served.map_or(Self::Absent, Self::Serves)
    }

    fn digest(self) -> Option<&'a Digest> {
        match self {
            Self::Absent => None,
            Self::Serves(digest) => Some(digest),
        }
    }

    fn condition(self) -> Option<Condition> {
        match self {
            Self::Absent => Some((IF_NONE_MATCH, HeaderValue::from_static("*"))),
            Self::Serves(digest) => Some((IF_MATCH, HeaderValue::from_str(&format!("\"{digest}\"")).ok()?)),
        }
    }
}

impl Registry {
    /// As [`Registry::put_manifest`] under a tag, but that a registry which takes conditions writes only while the tag
    /// is as `expected`.
    ///
    /// # Errors
    ///
    /// As [`Registry::put_manifest`], and of the lookup after a refused condition.
    pub async fn put_tag(
        &self,
        repository: &Repository,
        tag: &str,
        media_type: &str,
        bytes: &[u8],
        expected: Expected<'_>,
    ) -> Result<Conditional, RegistryError> {
        let host = self.host(&self.task("write", repository, tag))?;
        let condition = expected.condition().filter(|_| host.may_take_conditions());
        let is_conditional = condition.is_some();
        let error = match self.put(repository, tag, media_type, bytes, condition).await {
            Ok(_) => return Ok(Conditional::Written),
            Err(error) => error,
        };
        if !is_conditional || !error.status().is_some_and(may_be_of_the_condition) {
            return Err(error);
        }
        let served = match self.head_manifest(repository, tag).await {
            Ok(head) => head.map(|head| head.digest),
            Err(lookup) if error.status() == Some(412) => return Err(lookup),
            // Some registries hide what is not there.
            Err(lookup) if lookup.is_unreadable() && expected == Expected::Absent => None,
            Err(_) => return Err(error),
        };
        match served {
            // By an attempt whose answer was lost, or by another writer of the same.
            Some(served) if served.matches(bytes) => return Ok(Conditional::Written),
            served if served.as_ref() != expected.digest() => return Ok(Conditional::Differs(served)),
            // The condition holds: it is the header that is refused, or the write for another reason.
            _ => {}
        }
        self.put(repository, tag, media_type, bytes, None).await?;
        host.refuses_conditions();
        Ok(Conditional::Written)
    }

    /// Whether the registry of `repository` takes conditions. Found out once a run, by a write that changes nothing: of
    /// the manifest with these `bytes`, which is there, under its own digest, on the condition that it is not.
    pub async fn takes_conditions(&self, repository: &Repository, media_type: &str, bytes: &[u8]) -> bool {
        let digest = Digest::of(bytes);
        let Ok(host) = self.host(&self.task("write", repository, digest.as_str())) else { return false };
        let ask = || async {
            let condition = Expected::Absent.condition();
            let put = self.put(repository, digest.as_str(), media_type, bytes, condition).await;
            put.is_err_and(|error| error.kind() == Kind::Rejected && error.status() == Some(412))
        };
        host.takes_conditions(ask).await
    }
}

/// Whether a write may be refused with this status for having a condition.
fn may_be_of_the_condition(status: u16) -> bool {
    matches!(status, 400 | 405 | 409 | 412 | 417 | 428 | 501)
}
