//! Manifests: HEAD, GET, PUT and DELETE (distribution-spec, "Pulling manifests", "Pushing Manifests", "Deleting
//! Manifests").

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};

use super::Registry;
use super::auth::{Access, Scopes};
use super::conditional::Condition;
use super::error::{Kind, RegistryError, Task};
use super::transport::{Call, Host, Repeat, Reply, Wanted};
use crate::model::digest::Digest;
use crate::model::manifest::Descriptor;
use crate::model::media;
use crate::model::reference::Repository;

/// What a HEAD tells of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of the manifest's bytes.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// As served.
    pub media_type: String,
}

/// A manifest as served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Exactly what came.
    pub bytes: Bytes,
    /// Of these bytes; checked against the lookup and the registry's header.
    pub digest: Digest,
    /// As served.
    pub media_type: String,
}

/// Larger manifests are refused by registries, too (distribution-spec, "Pushing Manifests").
pub const LARGEST_MANIFEST: usize = 4 << 20;
const DIGEST: &str = "Docker-Content-Digest";

impl Registry {
    /// What `lookup`, a tag or a digest, serves: asked for with HEAD, which registries do not count as a pull. `None`
    /// is a confirmed not-found.
    ///
    /// # Errors
    ///
    /// Anything but an answer that says one or the other.
    pub async fn head_manifest(
        &self,
        repository: &Repository,
        lookup: &str,
    ) -> Result<Option<Head>, RegistryError> {
        let task = self.task("read", repository, lookup);
        let host = self.host(&task)?;
        let call = call(task, Method::HEAD, repository, lookup, Access::Pull);
        let reply = host.call(&call).await?;
        let kind = (repository.path.clone(), lookup.parse::<Digest>().is_ok());
        if reply.status == StatusCode::NOT_FOUND && host.answers_head(&kind) {
            return confirm_absence(&host, &call, &reply).await.map(|()| None);
        }
        if reply.status.is_success()
            && let Some(head) = head(&reply)
            // What a tag serves is compared by digests that can be verified.
            && (head.digest.unverifiable().is_none() || head.digest.as_str() == lookup)
        {
            check_lookup(&call.task, lookup, &head.digest)?;
            host.answered_head(kind);
            return Ok(Some(head));
        }
        // HEAD is refused, or says too little; or it says 404, and whether it says anything else of what is there is not
        // known: Nexus does not.
        let fetched = self.get_manifest(repository, lookup).await?;
        Ok(fetched.map(|fetched| Head {
            size: fetched.bytes.len() as u64,
            digest: fetched.digest,
            media_type: fetched.media_type,
        }))
    }

    /// What `lookup` serves after it was written. Some registries take a moment until they serve what they took:
    /// absence is asked about again, for a bounded time. Another digest is the answer, whatever was written.
    ///
    /// # Errors
    ///
    /// As [`Registry::head_manifest`].
    pub async fn head_written(
        &self,
        repository: &Repository,
        lookup: &str,
    ) -> Result<Option<Head>, RegistryError> {
        let head = || async {
            let absent = || {
                let task = self.task("read", repository, lookup);
                task.error(Kind::NotFound, "the registry took it and does not serve it yet")
            };
            self.head_manifest(repository, lookup).await?.ok_or_else(absent)
        };
        match self.retrying(|error| error.kind() == Kind::NotFound, head).await {
            Ok(head) => Ok(Some(head)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What `lookup`, a tag or a digest, serves now. What is likely to be the same as before is asked about with HEAD
    /// and its bytes come from the cache; the rest is fetched. `None` is a confirmed not-found.
    ///
    /// # Errors
    ///
    /// As [`Registry::get_manifest`].
    pub async fn manifest(
        &self,
        repository: &Repository,
        lookup: &str,
    ) -> Result<Option<Fetched>, RegistryError> {
        if let Some((expected, bytes)) = self.expected(repository, lookup).await {
            let Some(head) = self.head_manifest(repository, lookup).await? else { return Ok(None) };
            let bytes = if head.digest == expected { Some(bytes) } else { self.cached(&head.digest).await };
            if let Some(bytes) = bytes {
                return Ok(Some(Fetched { bytes, digest: head.digest, media_type: head.media_type }));
            }
        }
        self.get_manifest(repository, lookup).await
    }

    /// A manifest that something just read names by digest: from the cache without asking, else as
    /// [`Registry::get_manifest`]. It does not show that the registry still holds it.
    ///
    /// # Errors
    ///
    /// As [`Registry::get_manifest`]; and it has another size than `named` says, unless that says 0, which means that it
    /// is not known.
    pub async fn named_manifest(
        &self,
        repository: &Repository,
        named: &Descriptor,
    ) -> Result<Option<Fetched>, RegistryError> {
        let fetched = match self.cached(&named.digest).await {
            Some(bytes) => {
                let (digest, media_type) = (named.digest.clone(), named.media_type.clone());
                Some(Fetched { bytes, digest, media_type })
            }
            None => self.get_manifest(repository, named.digest.as_str()).await?,
        };
        let length = |fetched: &Fetched| fetched.bytes.len() as u64;
        match fetched.as_ref().map(length).filter(|length| named.size != 0 && *length != named.size) {
            Some(length) => {
                let detail = format!("it has {length} bytes, and what names it says {}", named.size);
                Err(self.task("read", repository, named.digest.as_str()).error(Kind::Corrupt, detail))
            }
            None => Ok(fetched),
        }
    }

    /// What `lookup` will probably serve, when that was fetched before.
    async fn expected(&self, repository: &Repository, lookup: &str) -> Option<(Digest, Bytes)> {
        let digest = match lookup.parse() {
            Ok(digest) => digest,
            Err(_) => self.0.cache.as_ref()?.served(repository, lookup).await?,
        };
        let bytes = self.cached(&digest).await?;
        Some((digest, bytes))
    }

    /// The manifest behind `lookup`, a tag or a digest, with its bytes checked. `None` is a confirmed not-found.
    ///
    /// # Errors
    ///
    /// Anything but an answer that says one or the other, a wrong digest, or more than 4 MiB.
    pub async fn get_manifest(
        &self,
        repository: &Repository,
        lookup: &str,
    ) -> Result<Option<Fetched>, RegistryError> {
        let task = self.task("read", repository, lookup);
        let host = self.host(&task)?;
        let mut call = call(task, Method::GET, repository, lookup, Access::Pull);
        call.answer = Wanted::Body(LARGEST_MANIFEST);
        let reply = host.call(&call).await?;
        match reply.status {
            StatusCode::OK => {
                let fetched = fetched(&call.task, lookup, &reply)?;
                self.keep(&fetched.digest, &fetched.bytes);
                self.keep_served(repository, lookup, &fetched.digest);
                Ok(Some(fetched))
            }
            StatusCode::NOT_FOUND => confirm_absence(&host, &call, &reply).await.map(|()| None),
            _ => Err(reply.error(&call)),
        }
    }

    /// Writes exactly `bytes` under `lookup`, a tag or their digest, and returns their digest.
    ///
    /// A write whose answer was lost is looked up before it is sent again. Where that fails, too, the error
    /// [is open](RegistryError::is_open).
    ///
    /// # Errors
    ///
    /// The registry refuses, or stores something else.
    pub async fn put_manifest(
        &self,
        repository: &Repository,
        lookup: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Digest, RegistryError> {
        self.put(repository, lookup, media_type, bytes, None).await
    }

    /// As [`Registry::put_manifest`], on a condition.
    pub(super) async fn put(
        &self,
        repository: &Repository,
        lookup: &str,
        media_type: &str,
        bytes: &[u8],
        condition: Option<Condition>,
    ) -> Result<Digest, RegistryError> {
        let task = self.task("write", repository, lookup);
        let digest = match lookup.parse::<Digest>() {
            Ok(digest) if digest.matches(bytes) => digest,
            Ok(digest) if digest.unverifiable().is_some() => {
                return Err(task.error(Kind::Local, digest.unverifiable().unwrap_or_default()));
            }
            Ok(_) => return Err(task.error(Kind::Corrupt, "the bytes to write have another digest")),
            Err(_) => Digest::of(bytes),
        };
        if bytes.len() > LARGEST_MANIFEST {
            let detail = format!("it has {} bytes, and registries take {LARGEST_MANIFEST}", bytes.len());
            return Err(task.error(Kind::TooLarge, detail));
        }
        let host = self.host(&task)?;
        let mut call = call(task, Method::PUT, repository, lookup, Access::Push);
        let media_type = HeaderValue::from_str(media_type)
            .map_err(|_| call.task.error(Kind::Local, format!("{media_type:?} is no media type")))?;
        call.headers = HeaderMap::from_iter([(CONTENT_TYPE, media_type)].into_iter().chain(condition));
        let body = Bytes::copy_from_slice(bytes);
        call.body = Some(body.clone());
        call.repeat = Repeat::WithoutEffect;
        let open = AtomicBool::new(false);
        let put = || async {
            let reply = match host.call(&call).await {
                Ok(reply) => reply,
                // Perhaps it was carried out and only the answer is missing.
                Err(lost) if lost.is_temporary() && !lost.is_without_effect() => {
                    let looked = self.head_manifest(repository, lookup).await;
                    open.store(looked.is_err(), Ordering::Relaxed);
                    return match looked {
                        Ok(Some(head)) if head.digest == digest => Ok(()),
                        // The look was repeated as often as it may be.
                        Err(error) if error.is_temporary() => Err(lost.lasting()),
                        _ => Err(lost),
                    };
                }
                Err(error) => return Err(error),
            };
            if !reply.status.is_success() {
                return Err(reply.error(&call));
            }
            // ECR and others leave the header out.
            match reply.header(DIGEST).map(str::parse::<Digest>) {
                Some(Ok(stored)) if stored.algorithm() == digest.algorithm() && stored != digest => {
                    // What it serves counts, not what it says of it.
                    match self.head_manifest(repository, lookup).await {
                        Ok(Some(head)) if head.digest == digest => Ok(()),
                        _ => {
                            let detail =
                                format!("{digest} was sent, and the registry says it stored {stored}");
                            Err(call.task.error(Kind::Corrupt, detail))
                        }
                    }
                }
                _ => Ok(()),
            }
        };
        // What could be repeated without a look was repeated below this.
        let may_repeat = |error: &RegistryError| error.is_temporary() && !error.is_without_effect();
        let written = self.retrying(may_repeat, put).await;
        written.map_err(|error| error.left_open(open.load(Ordering::Relaxed)))?;
        // The next run finds what this one wrote.
        self.keep(&digest, &body);
        self.keep_served(repository, lookup, &digest);
        Ok(digest)
    }

    /// Deletes what `lookup` names: a tag, where the registry can, or a digest with all its tags. False when it was
    /// not there.
    ///
    /// When no answer came, it is looked up whether the request was carried out. Where that fails, too, the error
    /// [is open](RegistryError::is_open).
    ///
    /// # Errors
    ///
    /// [`Kind::Unsupported`] when the registry deletes nothing, or no tags.
    pub async fn delete_manifest(
        &self,
        repository: &Repository,
        lookup: &str,
    ) -> Result<bool, RegistryError> {
        let task = self.task("delete", repository, lookup);
        let host = self.host(&task)?;
        let mut call = call(task, Method::DELETE, repository, lookup, Access::Delete);
        call.headers.clear();
        let reply = match host.call(&call).await {
            Ok(reply) => reply,
            Err(lost) if lost.is_temporary() && !lost.is_without_effect() => {
                return match self.head_manifest(repository, lookup).await {
                    Ok(None) => Ok(true),
                    Ok(Some(_)) => Err(lost),
                    Err(_) => Err(lost.left_open(true)),
                };
            }
            Err(error) => return Err(error),
        };
        match reply.status {
            status if status.is_success() => Ok(true),
            StatusCode::NOT_FOUND => confirm_absence(&host, &call, &reply).await.map(|()| false),
            // CNCF distribution 2 answers 400 with DIGEST_INVALID for a tag.
            StatusCode::BAD_REQUEST if lookup.parse::<Digest>().is_err() => {
                Err(reply.error(&call).with_kind(Kind::Unsupported))
            }
            _ => Err(reply.error(&call)),
        }
    }
}

impl Registry {
    /// Looks whether `lookup`, whose deletion the registry took, serves `digest` no more: 202 says only that it was
    /// accepted. Some take a moment, so that it is asked again for a bounded time.
    ///
    /// # Errors
    ///
    /// It still does, or that cannot be found out. Both [are open](RegistryError::is_open).
    pub async fn confirm_deleted(
        &self,
        repository: &Repository,
        lookup: &str,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        let look = || async {
            match self.head_manifest(repository, lookup).await? {
                Some(head) if head.digest == *digest => {
                    let task = self.task("delete", repository, lookup);
                    let detail = "the registry took the deletion and still serves it";
                    Err(task
                        .error(Kind::Protocol, detail)
                        .with_hint("some registries take a while: look again with `inspect`, then run again"))
                }
                _ => Ok(()),
            }
        };
        let confirmed = self.retrying(|error| error.kind() == Kind::Protocol, look).await;
        confirmed.map_err(|error| error.left_open(true))
    }
}

fn call(task: Task, method: Method, repository: &Repository, lookup: &str, access: Access) -> Call {
    let address = format!("v2/{}/manifests/{lookup}", repository.path);
    let mut call = Call::new(task, method, address, Scopes::one(&repository.path, access));
    call.headers.insert(ACCEPT, accept());
    call
}

/// Every type at once: a registry converts, or answers 404, when it is not asked for the one it has.
fn accept() -> HeaderValue {
    let types = [media::OCI_INDEX, media::DOCKER_LIST, media::OCI_IMAGE, media::DOCKER_IMAGE];
    let text = types.into_iter().chain(media::DOCKER_SCHEMA1).collect::<Vec<_>>().join(", ");
    HeaderValue::from_str(&format!("{text}, */*;q=0.1")).unwrap_or(HeaderValue::from_static("*/*"))
}

fn head(reply: &Reply) -> Option<Head> {
    Some(Head {
        digest: reply.header(DIGEST)?.parse().ok()?,
        // The length that the body would have; the client knows of none.
        size: reply.header("content-length")?.parse().ok()?,
        media_type: reply.media_type()?.to_owned(),
    })
}

fn fetched(task: &Task, lookup: &str, reply: &Reply) -> Result<Fetched, RegistryError> {
    let bytes = reply.body.clone();
    let wrong = |expected: &Digest, by: &str| {
        task.error(
            Kind::Corrupt,
            format!(
                "the {} bytes served have the digest {}, not {expected}, {by}",
                bytes.len(),
                Digest::of(&bytes)
            ),
        )
    };
    let asked = lookup.parse::<Digest>().ok();
    if let Some(why) = asked.as_ref().and_then(Digest::unverifiable) {
        return Err(task.error(Kind::Local, why));
    }
    if let Some(asked) = asked.as_ref().filter(|asked| !asked.matches(&bytes)) {
        return Err(wrong(asked, "which was asked for"));
    }
    let said = reply.header(DIGEST).and_then(|text| Digest::verifiable(text).ok());
    if let Some(said) = said.as_ref().filter(|said| !said.matches(&bytes)) {
        return Err(wrong(said, "which the registry names"));
    }
    let digest = asked.or(said).unwrap_or_else(|| Digest::of(&bytes));
    let media_type = reply.media_type().unwrap_or_default().to_owned();
    Ok(Fetched { digest, media_type, bytes })
}

fn check_lookup(task: &Task, lookup: &str, found: &Digest) -> Result<(), RegistryError> {
    match lookup.parse::<Digest>() {
        Ok(asked) if asked.algorithm() == found.algorithm() && asked != *found => {
            Err(task.error(Kind::Corrupt, format!("the registry names {found} instead")))
        }
        _ => Ok(()),
    }
}

/// A 404 is taken for "not there" only from something that is a registry: a web server that was named by mistake
/// answers 404 to everything.
///
/// Nor is it from one that may hide things, where a helper did not say whether there are credentials for it.
pub(super) async fn confirm_absence(host: &Host, call: &Call, reply: &Reply) -> Result<(), RegistryError> {
    if let Some(doubt) = host.doubts_absence(call, reply).await {
        return Err(reply.error(call).without_credentials(&doubt));
    }
    if reply.media_type() != Some("text/html")
        || reply.headers.contains_key("docker-distribution-api-version")
    {
        return Ok(());
    }
    let ping = Call::new(call.task.clone(), Method::GET, "v2/", call.scopes.clone());
    match host.call(&ping).await {
        Ok(answer) if answer.status == StatusCode::NOT_FOUND => {
            Err(call.task.error(Kind::Protocol, "404 from a server that is no registry: it has no /v2/"))
        }
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), Kind::Unauthorized | Kind::Denied | Kind::Unreadable) => Ok(()),
        Err(error) => Err(error),
    }
}
