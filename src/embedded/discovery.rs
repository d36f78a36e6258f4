//! Content discovery: the tags of a repository, and what refers to a manifest.

use std::ops::Bound;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::digest::{Digest, DigestError};
use super::document::{self, OCI_INDEX};
use super::error::{ApiError, Code};
use super::manifests::unknown_name;
use super::names::Name;
use super::routes::{Head, Registry, header_value};
use super::store::{Index, Store};

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// A list of referrers is read like a manifest, so it is no longer than one may be.
const PAGE: usize = 4 * 1024 * 1024;

/// distribution-spec, Listing Tags.
pub(super) fn tags(registry: &Registry, name: &Name, head: &Head) -> Result<Response, ApiError> {
    let repository = registry.store.repository(name).ok_or_else(|| unknown_name(name))?;
    let limit = match head.parameters.get("n") {
        None => None,
        Some(n) => Some(n.parse::<usize>().map_err(|_| {
            ApiError::bad_request(
                Code::Unsupported,
                format!("the parameter `n` is `{n}`, not a number of tags"),
            )
        })?),
    };
    let index = repository.index();
    let after = head.parameters.get("last").map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = index.tags.range::<str, _>((after, Bound::Unbounded)).map(|(tag, _)| tag);
    let tags: Vec<&String> = rest.by_ref().take(limit.unwrap_or(usize::MAX)).collect();
    let body = json!({ "name": name.to_string(), "tags": tags }).to_string();
    let mut response = json_response(body, "application/json");
    if let (Some(limit), Some(last), Some(_)) = (limit, tags.last(), rest.next()) {
        // Tags need no escaping in a query.
        let next = format!("/v2/{name}/tags/list?n={limit}&last={last}");
        response.headers_mut().insert(header::LINK, next_page(&next)?);
    }
    Ok(response)
}

/// distribution-spec, Listing Referrers.
pub(super) async fn referrers(
    registry: &Registry,
    name: Name,
    subject: &str,
    head: &Head,
) -> Result<Response, ApiError> {
    let subject: Option<Digest> = match subject.parse() {
        Ok(subject) => Some(subject),
        // Nothing can refer to it here; the specification allows no 404.
        Err(DigestError::Unsupported(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let artifact_type = head.parameters.get("artifactType").map(ToOwned::to_owned);
    let last = head.parameters.get("last").map(str::parse::<Digest>).transpose()?;

    let index = registry.store.repository(&name).map(|repository| repository.index());
    let (referrers, next) = match (&subject, index) {
        (Some(subject), Some(index)) => {
            let (subject, artifact_type) = (subject.clone(), artifact_type.clone());
            registry
                .blocking(move |store| page(store, &index, &subject, artifact_type.as_deref(), last.as_ref()))
                .await?
        }
        _ => (Vec::new(), None),
    };
    let body = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": referrers }).to_string();
    let mut response = json_response(body, OCI_INDEX);
    let headers = response.headers_mut();
    if let (Some(subject), Some(next)) = (subject, next) {
        let filter = artifact_type
            .as_deref()
            .map_or_else(String::new, |artifact_type| format!("&artifactType={}", escape(artifact_type)));
        let next = format!("/v2/{name}/referrers/{subject}?last={next}{filter}");
        headers.insert(header::LINK, next_page(&next)?);
    }
    if artifact_type.is_some() {
        headers.insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    Ok(response)
}

/// The descriptors of the manifests after `last` that refer to `subject`, and where to go on if there are more.
fn page(
    store: &Store,
    index: &Index,
    subject: &Digest,
    artifact_type: Option<&str>,
    last: Option<&Digest>,
) -> Result<(Vec<Value>, Option<Digest>), ApiError> {
    let after = last.map_or(Bound::Unbounded, Bound::Excluded);
    let mut descriptors = Vec::new();
    let mut size = 0;
    let mut previous: Option<&Digest> = None;
    for (digest, entry) in index.manifests.range((after, Bound::Unbounded)) {
        if entry.subject.as_ref() != Some(subject) {
            continue;
        }
        // Deleted just now: then it refers to nothing any more.
        let Some(bytes) = store.read_manifest(digest)? else { continue };
        let referrer = document::referrer(&entry.media_type, &bytes);
        if artifact_type.is_some_and(|wanted| referrer.artifact_type.as_deref() != Some(wanted)) {
            continue;
        }
        let mut descriptor = json!({ "mediaType": entry.media_type, "digest": digest, "size": entry.size });
        if let Some(artifact_type) = referrer.artifact_type {
            descriptor["artifactType"] = artifact_type.into();
        }
        if let Some(annotations) = referrer.annotations {
            descriptor["annotations"] = json!(annotations);
        }
        size += descriptor.to_string().len() + 1;
        // The envelope needs a little too. One descriptor comes always, or there would be no end.
        if let Some(previous) = previous
            && size > PAGE - 1024
        {
            return Ok((descriptors, Some(previous.clone())));
        }
        descriptors.push(descriptor);
        previous = Some(digest);
    }
    Ok((descriptors, None))
}

fn json_response(body: String, content_type: &'static str) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response()
}

/// RFC 5988, as the specification wants it.
fn next_page(path: &str) -> Result<HeaderValue, ApiError> {
    header_value(format!("<{path}>; rel=\"next\""))
}

/// Escapes what is not plain in a query's value.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
