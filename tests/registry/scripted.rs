//! A small registry that does as it is told: a hook may answer, delay or cut any request.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use axum::{Router, serve};
use futures_util::stream;
use manifests::model::digest::Digest;
use manifests::model::reference::Repository;
use manifests::registry::{Credentials, Options, Registry, RetryPolicy, Secret, Wait};
use tokio::net::TcpListener;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// How many requests with this method and target came before.
    pub(crate) before: usize,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.target.contains(part)
    }
}

/// What comes back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The connection closes without a word.
    Cut,
    /// It closes in the middle of the body.
    CutBody,
    /// Nothing comes for so long.
    Slow(Duration),
    /// The body goes on and on.
    Endless,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), fault: Fault::None }
    }

    pub(crate) fn cut() -> Self {
        Self::status(200).fault(Fault::Cut)
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    pub(crate) fn error(status: u16, code: &str) -> Self {
        Self::status(status)
            .header("content-type", "application/json")
            .body(format!(r#"{{"errors":[{{"code":"{code}","message":"says the script"}}]}}"#))
    }
}

type Hook = dyn Fn(&Seen, &Store) -> Option<Reply> + Send + Sync;

/// What the registry holds.
#[derive(Default)]
pub(crate) struct Store(Mutex<Held>);

#[derive(Default)]
struct Held {
    /// By `REPOSITORY/manifests/LOOKUP`: type and bytes.
    manifests: BTreeMap<String, (String, Bytes)>,
    /// By `REPOSITORY/blobs/DIGEST`.
    blobs: BTreeMap<String, Bytes>,
    /// What came of each upload.
    sessions: BTreeMap<String, Vec<u8>>,
    begun: usize,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) store: Arc<Store>,
    log: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Serves what it is given, without faults.
    pub(crate) async fn plain() -> Self {
        Self::start(|_, _| None).await
    }

    /// `hook` sees each request first; `None` lets the registry answer.
    pub(crate) async fn start(hook: impl Fn(&Seen, &Store) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (store, log) = (Arc::<Store>::default(), Arc::<Mutex<Vec<Seen>>>::default());
        let hook: Arc<Hook> = Arc::new(hook);
        let (stored, logged) = (store.clone(), log.clone());
        let router = Router::new().fallback(move |request: Request| {
            let (hook, store, log) = (hook.clone(), stored.clone(), logged.clone());
            async move { answer(&*hook, &store, &log, request).await }
        });
        tokio::spawn(async move { serve(listener, router).await });
        Self { address, store, log }
    }

    pub(crate) fn repository(&self, path: &str) -> Repository {
        Repository { host: self.address.to_string(), path: path.to_owned() }
    }

    /// As `METHOD TARGET`, in the order of arrival.
    pub(crate) fn log(&self) -> Vec<String> {
        self.seen().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, method: &str, part: &str) -> usize {
        self.seen().iter().filter(|seen| seen.is(method, part)).count()
    }
}

impl Store {
    pub(crate) fn put_manifest(
        &self,
        repository: &str,
        lookup: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Digest {
        let digest = Digest::of(bytes);
        let mut held = self.0.lock().unwrap();
        for lookup in [lookup, digest.as_str()] {
            let value = (media_type.to_owned(), Bytes::copy_from_slice(bytes));
            held.manifests.insert(format!("{repository}/manifests/{lookup}"), value);
        }
        digest
    }

    pub(crate) fn put_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let key = format!("{repository}/blobs/{digest}");
        self.0.lock().unwrap().blobs.insert(key, Bytes::copy_from_slice(bytes));
        digest
    }

    pub(crate) fn blob(&self, repository: &str, digest: &Digest) -> Option<Bytes> {
        self.0.lock().unwrap().blobs.get(&format!("{repository}/blobs/{digest}")).cloned()
    }

    pub(crate) fn manifest(&self, repository: &str, lookup: &str) -> Option<(String, Bytes)> {
        self.0.lock().unwrap().manifests.get(&format!("{repository}/manifests/{lookup}")).cloned()
    }

    pub(crate) fn sessions(&self) -> usize {
        self.0.lock().unwrap().sessions.len()
    }

    /// The answer without faults.
    pub(crate) fn reply(&self, seen: &Seen) -> Reply {
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        let parameter = |wanted: &str| {
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(name, _)| *name == wanted)
                .map(|(_, v)| v)
        };
        let Some(key) = path.strip_prefix("/v2/") else { return Reply::status(404) };
        let mut held = self.0.lock().unwrap();
        let body = seen.body.clone();
        match (seen.method.as_str(), key) {
            (_, "") => Reply::status(200),
            ("GET" | "HEAD", key) if key.contains("/manifests/") => match held.manifests.get(key) {
                Some((media_type, bytes)) => Reply::status(200)
                    .header("content-type", media_type)
                    .header("docker-content-digest", Digest::of(bytes).to_string())
                    .body(bytes.to_vec()),
                None => Reply::error(404, "MANIFEST_UNKNOWN"),
            },
            ("PUT", key) if key.contains("/manifests/") => {
                let media_type = seen.header("content-type").unwrap_or_default().to_owned();
                let (repository, lookup) = key.split_once("/manifests/").unwrap();
                drop(held);
                let digest = self.put_manifest(repository, lookup, &media_type, &body);
                Reply::status(201)
                    .header("location", format!("/v2/{key}"))
                    .header("docker-content-digest", digest.to_string())
            }
            ("DELETE", key) if key.contains("/manifests/") => match held.manifests.remove(key) {
                Some(_) => Reply::status(202),
                None => Reply::error(404, "MANIFEST_UNKNOWN"),
            },
            ("GET" | "HEAD", key) if key.contains("/blobs/sha") => match held.blobs.get(key) {
                Some(bytes) => serve_range(bytes, seen.header("range")),
                None => Reply::error(404, "BLOB_UNKNOWN"),
            },
            ("POST", key) if key.ends_with("/blobs/uploads/") => {
                let repository = key.trim_end_matches("/blobs/uploads/");
                if let (Some(mount), Some(from)) = (parameter("mount"), parameter("from"))
                    && let Some(bytes) = held.blobs.get(&format!("{from}/blobs/{mount}")).cloned()
                {
                    held.blobs.insert(format!("{repository}/blobs/{mount}"), bytes);
                    return Reply::status(201).header("location", format!("/v2/{repository}/blobs/{mount}"));
                }
                held.begun += 1;
                let session = format!("/v2/{repository}/blobs/uploads/{}", held.begun);
                held.sessions.insert(session.clone(), Vec::new());
                Reply::status(202).header("location", format!("{session}?state=x"))
            }
            ("PUT", key) if key.contains("/blobs/uploads/") => {
                let repository = key.split("/blobs/uploads/").next().unwrap();
                let digest = parameter("digest").unwrap_or_default().replace("%3A", ":");
                let Some(mut whole) = held.sessions.remove(path) else {
                    return Reply::error(404, "BLOB_UPLOAD_UNKNOWN");
                };
                whole.extend_from_slice(&body);
                let body = Bytes::from(whole);
                if digest != Digest::of(&body).as_str() || parameter("state").is_none() {
                    return Reply::error(400, "DIGEST_INVALID");
                }
                held.blobs.insert(format!("{repository}/blobs/{digest}"), body);
                Reply::status(201).header("location", format!("/v2/{repository}/blobs/{digest}"))
            }
            ("DELETE", key) if key.contains("/blobs/uploads/") => {
                Reply::status(if held.sessions.remove(path).is_some() { 204 } else { 404 })
            }
            ("PATCH" | "GET", key) if key.contains("/blobs/uploads/") => {
                let Some(came) = held.sessions.get_mut(path) else {
                    return Reply::error(404, "BLOB_UPLOAD_UNKNOWN");
                };
                let status = if seen.method == Method::GET { 204 } else { 202 };
                let begins = seen.header("content-range").and_then(|range| range.split_once('-'));
                if status == 202 && begins.map(|(first, _)| first.to_owned()) != Some(came.len().to_string())
                {
                    return Reply::error(416, "BLOB_UPLOAD_INVALID");
                }
                came.extend_from_slice(&body);
                Reply::status(status)
                    .header("location", format!("{path}?state=x"))
                    .header("range", format!("0-{}", came.len().saturating_sub(1)))
            }
            _ => Reply::error(404, "NOT_FOUND"),
        }
    }
}

fn serve_range(bytes: &Bytes, range: Option<&str>) -> Reply {
    let begin =
        range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match begin {
        Some(begin) => Reply::status(206)
            .header("content-range", format!("bytes {begin}-{}/{}", bytes.len() - 1, bytes.len()))
            .body(&bytes[begin..]),
        None => Reply::status(200).body(bytes.to_vec()),
    }
}

async fn answer(hook: &Hook, store: &Store, log: &Mutex<Vec<Seen>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    // A body that breaks off never was a request.
    let Ok(body) = to_bytes(body, usize::MAX).await else { return Response::new(Body::empty()) };
    let mut seen = Seen { method: parts.method, target, headers: parts.headers, body, before: 0 };
    {
        let mut log = log.lock().unwrap();
        seen.before = log.iter().filter(|s| s.method == seen.method && s.target == seen.target).count();
        log.push(seen.clone());
    }
    let reply = hook(&seen, store).unwrap_or_else(|| store.reply(&seen));
    let head = seen.method == Method::HEAD;
    let mut response = Response::builder().status(StatusCode::from_u16(reply.status).unwrap());
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    let body = match reply.fault {
        // Ends the connection's task, and with it the connection, without the noise of a panic.
        Fault::Cut => std::panic::resume_unwind(Box::new("cut")),
        Fault::CutBody => {
            response = response.header("content-length", reply.body.len());
            let half = Bytes::copy_from_slice(&reply.body[..reply.body.len() / 2]);
            let broken = std::io::Error::other("cut");
            Body::from_stream(stream::iter([Ok(half), Err(broken)]))
        }
        Fault::Endless => {
            let chunk = Bytes::from(vec![b' '; 64 << 10]);
            Body::from_stream(stream::repeat_with(move || Ok::<_, Infallible>(chunk.clone())))
        }
        Fault::Slow(delay) => {
            tokio::time::sleep(delay).await;
            Body::from(reply.body)
        }
        Fault::None if head => {
            response = response.header("content-length", reply.body.len());
            Body::empty()
        }
        Fault::None => Body::from(reply.body),
    };
    response.body(body).unwrap()
}

/// Options for tests: no waiting to speak of, nothing of this machine's.
pub(crate) fn options() -> Options {
    Options {
        certificate_folders: Some(Vec::new()),
        retry_policy: RetryPolicy {
            delay: Duration::from_millis(1),
            retries: 3,
            longest: Duration::from_secs(2),
            silence: Duration::from_secs(20),
        },
        ..Options::default()
    }
}

pub(crate) fn registry() -> Registry {
    Registry::new(options()).unwrap()
}

/// A registry client that logs its waits.
pub(crate) fn listening() -> (Registry, Arc<Mutex<Vec<Wait>>>) {
    let waits = Arc::<Mutex<Vec<Wait>>>::default();
    let heard = waits.clone();
    let options =
        Options { waits: Arc::new(move |wait| heard.lock().unwrap().push(wait.clone())), ..options() };
    (Registry::new(options).unwrap(), waits)
}

/// Credentials for `host` as one entry of a `config.json`.
pub(crate) fn entry(host: &str, entry: &str) -> Credentials {
    Credentials {
        docker_auth_config: Some(Secret::new(format!(r#"{{"auths":{{"{host}":{entry}}}}}"#))),
        ..Credentials::default()
    }
}

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const LIST: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
