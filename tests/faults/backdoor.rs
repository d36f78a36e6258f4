//! A registry without the wire: to fill it, and to look into it, past every fault.

use std::fmt;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use manifests::model::digest::Digest;
use manifests::model::manifest::{Manifest, parse};
use tower::ServiceExt as _;

/// The registry itself.
#[derive(Clone)]
pub(crate) struct Backdoor(Router);

impl Backdoor {
    pub(crate) fn new(router: Router) -> Self {
        Self(router)
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: Bytes,
    ) -> (StatusCode, HeaderMap, Bytes) {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", kind).header("content-length", body.len());
        let request = request.body(Body::from(body)).unwrap();
        let Ok(response) = self.0.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, to_bytes(body, 8 << 20).await.unwrap())
    }

    /// As [`Self::put`]; says whether the registry takes it.
    pub(crate) async fn try_put(&self, path: &str, media_type: &str, bytes: Bytes) -> bool {
        self.call("PUT", path, media_type, bytes).await.0 == StatusCode::CREATED
    }

    /// Deletes a manifest.
    pub(crate) async fn delete(&self, path: &str) {
        let (status, _, body) = self.call("DELETE", path, "", Bytes::new()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{path}: {body:?}");
    }

    /// Puts a manifest under `/v2/REPOSITORY/manifests/LOOKUP`.
    pub(crate) async fn put(&self, path: &str, media_type: &str, bytes: Bytes) {
        let (status, _, body) = self.call("PUT", path, media_type, bytes).await;
        assert_eq!(status, StatusCode::CREATED, "{path}: {body:?}");
    }

    pub(crate) async fn put_blob(&self, repository: &str, bytes: Bytes) {
        let path = format!("/v2/{repository}/blobs/uploads/?digest={}", Digest::of(&bytes));
        let (status, _, body) = self.call("POST", &path, "application/octet-stream", bytes).await;
        assert_eq!(status, StatusCode::CREATED, "{path}: {body:?}");
    }

    /// What `/v2/REPOSITORY/manifests/LOOKUP` serves: its type and bytes.
    pub(crate) async fn get(&self, path: &str) -> Option<(String, Bytes)> {
        let (status, headers, bytes) = self.call("GET", path, "", Bytes::new()).await;
        let media_type = headers.get("content-type")?.to_str().ok()?.to_owned();
        (status == StatusCode::OK).then_some((media_type, bytes))
    }

    /// Everything that the manifest at `/v2/REPOSITORY/manifests/LOOKUP` needs, all the way down, and that the
    /// repository does not hold.
    pub(crate) async fn missing(&self, path: &str) -> Vec<String> {
        let Some((repository, _)) = path.split_once("/manifests/") else { return vec![path.to_owned()] };
        let mut open = vec![path.to_owned()];
        let mut missing = Vec::new();
        while let Some(path) = open.pop() {
            let Some((media_type, bytes)) = self.get(&path).await else {
                missing.push(path);
                continue;
            };
            match parse(&bytes, &media_type).expect("manifests are put by tests") {
                Manifest::List(list) => {
                    open.extend(
                        list.entries.iter().map(|entry| format!("{repository}/manifests/{}", entry.digest)),
                    );
                }
                Manifest::Image(image) => {
                    for blob in image.blobs() {
                        let blob = format!("{repository}/blobs/{}", blob.digest);
                        let (status, ..) = self.call("HEAD", &blob, "", Bytes::new()).await;
                        if status != StatusCode::OK {
                            missing.push(blob);
                        }
                    }
                }
            }
        }
        missing
    }
}

impl fmt::Debug for Backdoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Backdoor")
    }
}
