//! Manifests: pulling, pushing, deleting.

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::condition::Condition;
use super::digest::{Algorithm, DigestError};
use super::document::{self, Descriptor, Manifest};
use super::error::{ApiError, Code};
use super::incoming::Incoming;
use super::names::{Name, Reference, ReferenceError, is_tag};
use super::routes::{CONTENT_DIGEST, Head, Registry, header_value};
use super::store::{ManifestEntry, Repository, Store};

/// The largest manifest: what the specification wants everybody to be able to take.
pub(super) const MAX_MANIFEST: usize = 4 * 1024 * 1024;

/// The most tags that one push can set.
const MAX_TAGS: usize = 128;

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// distribution-spec, Pulling manifests, and Checking if content exists in the registry.
pub(super) async fn pull(
    registry: &Registry,
    name: Name,
    reference: &str,
    head: &Head,
) -> Result<Response, ApiError> {
    let repository = registry.store.repository(&name).ok_or_else(|| unknown_name(&name))?;
    let reference = known(reference)?;
    let index = repository.index();
    let (digest, entry) = index.find(&reference).ok_or_else(unknown)?;
    let headers = [
        (header::CONTENT_TYPE, header_value(&entry.media_type)?),
        (CONTENT_DIGEST, header_value(digest.to_string())?),
        (header::ETAG, header_value(format!("\"{digest}\""))?),
        (header::CONTENT_LENGTH, entry.size.into()),
    ];
    let is_known = Condition::read(&head.headers)?.is_known(digest);
    // For HEAD too: who hears that it is there does not push it, and then nobody heals what went bad.
    let digest = digest.clone();
    let bytes = registry.blocking(move |store| Ok(store.read_manifest(&digest)?)).await?;
    let bytes = bytes.ok_or_else(unknown)?;
    if is_known {
        let [_, digest, etag, _] = headers;
        return Ok((StatusCode::NOT_MODIFIED, [digest, etag]).into_response());
    }
    if head.method == Method::HEAD {
        return Ok((headers, Body::empty()).into_response());
    }
    Ok((headers, Bytes::from(bytes)).into_response())
}

/// distribution-spec, Pushing Manifests.
pub(super) async fn push(
    registry: &Registry,
    name: Name,
    reference: &str,
    head: &Head,
    body: &mut Incoming,
) -> Result<Response, ApiError> {
    let condition = Condition::read(&head.headers)?;
    let reference = Reference::parse(reference).map_err(|error| match error {
        ReferenceError::Tag(_) => ApiError::bad_request(Code::ManifestInvalid, error.to_string()),
        ReferenceError::Digest(error) => error.into(),
    })?;
    let tags = tags(&reference, head)?;
    let bytes = receive(head, body).await?;
    let manifest = document::read(head.header(header::CONTENT_TYPE), &bytes)
        .map_err(|reason| ApiError::bad_request(Code::ManifestInvalid, reason))?;

    let algorithm = match &reference {
        Reference::Digest(digest) => digest.algorithm,
        Reference::Tag(_) => Algorithm::Sha256,
    };
    let digest = algorithm.digest(&bytes);
    if let Reference::Digest(expected) = &reference
        && digest != *expected
    {
        let message = format!("the manifest's content is {digest}, not {expected}");
        return Err(ApiError::bad_request(Code::DigestInvalid, message));
    }

    let mut response = StatusCode::CREATED.into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, header_value(format!("/v2/{name}/manifests/{digest}"))?);
    headers.insert(CONTENT_DIGEST, header_value(digest.to_string())?);
    headers.insert(header::ETAG, header_value(format!("\"{digest}\""))?);
    if let Some(subject) = &manifest.subject {
        headers.insert(OCI_SUBJECT, header_value(subject.to_string())?);
    }
    if matches!(reference, Reference::Digest(_)) {
        for tag in &tags {
            headers.append(OCI_TAG, header_value(tag)?);
        }
    }

    let allow_sparse = registry.allow_sparse;
    let store_it = move |store: &Store| {
        let entry = ManifestEntry {
            media_type: manifest.media_type.clone(),
            size: bytes.len() as u64,
            subject: manifest.subject.clone(),
        };
        store.put_manifest(&name, &digest, &bytes, entry, &tags, |repository| {
            // In the turn of the change itself: no other writer comes between the two.
            condition.check(repository.index().find(&reference).map(|(current, _)| current))?;
            check(store, repository, &manifest, allow_sparse)
        })
    };
    registry.blocking(store_it).await?;
    Ok(response)
}

/// distribution-spec, Deleting tags, and Deleting Manifests.
pub(super) async fn delete(registry: &Registry, name: Name, reference: &str) -> Result<Response, ApiError> {
    if registry.store.repository(&name).is_none() {
        return Err(unknown_name(&name));
    }
    let reference = known(reference)?;
    let found = registry.blocking(move |store| Ok(store.delete_manifest(&name, &reference)?)).await?;
    if found { Ok(StatusCode::ACCEPTED.into_response()) } else { Err(unknown()) }
}

/// The tags that a push sets: the one it names, or those of the parameter `tag` when it names a digest.
fn tags(reference: &Reference, head: &Head) -> Result<Vec<String>, ApiError> {
    if let Reference::Tag(tag) = reference {
        return Ok(vec![tag.clone()]);
    }
    let tags: Vec<String> = head.parameters.all("tag").map(ToOwned::to_owned).collect();
    if tags.len() > MAX_TAGS {
        let message = format!("{} tags at once are too many, {MAX_TAGS} are the most", tags.len());
        return Err(ApiError::new(StatusCode::URI_TOO_LONG, Code::Unsupported, message));
    }
    match tags.iter().find(|tag| !is_tag(tag)) {
        None => Ok(tags),
        Some(tag) => {
            let message = ReferenceError::Tag(tag.clone()).to_string();
            Err(ApiError::bad_request(Code::ManifestInvalid, message))
        }
    }
}

async fn receive(head: &Head, body: &mut Incoming) -> Result<Vec<u8>, ApiError> {
    let too_large = || {
        let message = format!("manifests have at most {MAX_MANIFEST} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid, message)
    };
    if head.content_length().is_some_and(|length| length > MAX_MANIFEST as u64) {
        return Err(too_large());
    }
    let mut received = Vec::new();
    while let Some(data) = body.next().await.map_err(|broken| broken.answer(Code::ManifestInvalid))? {
        if received.len() + data.len() > MAX_MANIFEST {
            return Err(too_large());
        }
        received.extend_from_slice(&data);
    }
    Ok(received)
}

/// Whether what a manifest needs is in its repository, and as long as the manifest says.
fn check(
    store: &Store,
    repository: &Repository,
    manifest: &Manifest,
    allow_sparse: bool,
) -> Result<(), ApiError> {
    let index = repository.index();
    let mut absent = Vec::new();
    let mut wrong = Vec::new();
    let mut compare = |descriptor: &Descriptor, size: u64| {
        if descriptor.size != size {
            let Descriptor { digest, size: said, .. } = descriptor;
            wrong.push(format!("{digest} has {size} bytes, the manifest says {said}"));
        }
    };
    for blob in &manifest.blobs {
        let size = if repository.holds_blob(&blob.digest) { store.length(&blob.digest)? } else { None };
        match size {
            Some(size) => compare(blob, size),
            None if allow_sparse => {}
            None => absent.push(format!("the repository holds no blob {}", blob.digest)),
        }
    }
    for child in &manifest.children {
        let size = match index.manifests.get(&child.digest) {
            Some(entry) => Some(entry.size),
            None if child.is_manifest() || !repository.holds_blob(&child.digest) => None,
            None => store.length(&child.digest)?,
        };
        match size {
            Some(size) => compare(child, size),
            None if allow_sparse => {}
            None => absent.push(format!("the repository holds no manifest {}", child.digest)),
        }
    }
    if !absent.is_empty() {
        return Err(ApiError::several(StatusCode::NOT_FOUND, Code::ManifestBlobUnknown, absent));
    }
    if !wrong.is_empty() {
        return Err(ApiError::several(StatusCode::BAD_REQUEST, Code::ManifestInvalid, wrong));
    }
    Ok(())
}

/// A reference to look up. What cannot be stored here is not found; what is malformed is a wrong request.
fn known(reference: &str) -> Result<Reference, ApiError> {
    Reference::parse(reference).map_err(|error| match error {
        ReferenceError::Tag(_) | ReferenceError::Digest(DigestError::Unsupported(_)) => unknown(),
        ReferenceError::Digest(error) => error.into(),
    })
}

fn unknown() -> ApiError {
    ApiError::not_found(Code::ManifestUnknown, "the repository holds no such manifest")
}

pub(super) fn unknown_name(name: &Name) -> ApiError {
    ApiError::not_found(Code::NameUnknown, format!("nothing was ever pushed to {name}"))
}
