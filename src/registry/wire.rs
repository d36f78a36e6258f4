//! One HTTP exchange: the right client for an address, where credentials may travel, and how long silence lasts.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Response, Url};

use super::Warnings;
use super::address;
use super::auth::{Credentials, FailedHelper};
use super::contact::Contact;
use super::error::{Kind, RegistryError, Task, is_refused, is_unresolved, tls_error};
use super::hosts::Place;
use super::retry::{RetryPolicy, Wait, Waits};
use super::tls::{Clients, Profile};
use crate::config::RegistrySettings;
use crate::model::reference::host_is_loopback;
use crate::single_flight::SingleFlight;

/// What is common to all registries of a run.
pub(crate) struct Setup {
    pub(crate) registries: BTreeMap<String, RegistrySettings>,
    pub(crate) insecure: bool,
    pub(crate) certificate_folders: Vec<PathBuf>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) retry_policy: RetryPolicy,
    pub(crate) waits: Waits,
    pub(crate) warnings: Warnings,
    /// The helpers that failed and were warned of.
    pub(crate) warned: Mutex<BTreeSet<String>>,
    pub(crate) clients: Clients,
    /// By origin: registries, their token servers, their storages.
    pub(crate) contacts: SingleFlight<String, Contact>,
}

impl Setup {
    /// Warns of a helper, once.
    pub(crate) fn warn_of(&self, failed: &FailedHelper) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.insert(failed.program.clone()) {
            (self.warnings)(&format!("{}; going on without credentials", failed.why));
        }
    }

    /// How the registry `name` is reached.
    pub(crate) fn place(&self, name: &str) -> Result<Place, String> {
        let usual = RegistrySettings::default();
        let settings = self.registries.get(name).unwrap_or(&usual);
        Place::new(name, settings, self.insecure, &self.certificate_folders)
    }
}

/// One registry's end of the wire.
pub(crate) struct Wire {
    pub(crate) setup: Arc<Setup>,
    pub(crate) place: Place,
    fell_back: AtomicBool,
}

/// A request without what authenticates it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
}

impl Wire {
    pub(crate) fn new(setup: Arc<Setup>, place: Place) -> Self {
        Self { setup, place, fell_back: AtomicBool::new(false) }
    }

    /// Where the registry is.
    pub(crate) fn base(&self) -> Url {
        match &self.place.fallback {
            Some(fallback) if self.fell_back.load(Ordering::Relaxed) => fallback.clone(),
            _ => self.place.base.clone(),
        }
    }

    /// Whether `url` is the registry itself: what is meant for it goes nowhere else.
    pub(crate) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base().origin()
    }

    /// The address that an answer from `from` names: see [`address::named`].
    pub(crate) fn named(&self, from: &Url, text: &str) -> Result<Url, String> {
        address::named(&self.base(), from, text)
    }

    /// Credentials travel over TLS, on this machine, and where plain HTTP was declared; never over the fall-back of an
    /// insecure registry, which nobody decided on.
    pub(crate) fn may_send_credentials(&self, url: &Url) -> bool {
        let declared =
            || self.setup.registries.get(&authority(url)).is_some_and(|s| s.plain_http == Some(true));
        url.scheme() == "https"
            || (url.scheme() == "http" && (host_is_loopback(&authority(url)) || declared()))
    }

    /// Sends a request and waits for the head of the answer. `authorization` goes with it only to the registry itself.
    ///
    /// # Errors
    ///
    /// That of a host which cannot be reached, and was not in this run, lasts: see [`Contact`].
    pub(crate) async fn send(
        &self,
        task: &Task,
        request: &Request,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, RegistryError> {
        /// How often a connection to a host that was never reached is tried again.
        const BRIEFLY: usize = 2;
        let contact = self.setup.contacts.of(request.url.origin().ascii_serialization());
        let (mut tried, mut turn) = (0, None);
        loop {
            if let Some((why, hint)) = contact.lost() {
                let lost = task.error(Kind::Connect, why).lasting();
                return Err(hint.iter().fold(lost, |lost, hint| lost.with_hint(hint)));
            }
            let error = match self.try_to_send(task, request, authorization).await? {
                Ok(response) => {
                    contact.reach();
                    return Ok(response);
                }
                Err(error) => error,
            };
            let broken = task.broken(&request.method, &error);
            if !error.is_connect() || broken.kind() == Kind::Tls {
                contact.reach();
            }
            if contact.is_reached() {
                return Err(broken);
            }
            if turn.is_none() {
                // One finds out for all; what it found while this waited is looked at before.
                turn = Some(contact.turn.lock().await);
                if contact.is_reached() || contact.lost().is_some() {
                    continue;
                }
            }
            let is_final = is_unresolved(&error)
                || (is_refused(&error) && host_is_loopback(&authority(&request.url)))
                || tried == BRIEFLY.min(self.setup.retry_policy.retries);
            if is_final {
                contact.lose(broken.answer(), broken.hint());
                return Err(broken.lasting());
            }
            let delay = self.setup.retry_policy.delay.saturating_mul(1 << tried);
            tried += 1;
            (self.setup.waits)(&Wait { host: authority(&request.url), reason: broken.to_string(), delay });
            tokio::time::sleep(delay).await;
        }
    }

    /// Once, or twice where an insecure registry turns out not to speak TLS.
    async fn try_to_send(
        &self,
        task: &Task,
        request: &Request,
        authorization: Option<&HeaderValue>,
    ) -> Result<Result<Response, reqwest::Error>, RegistryError> {
        let mut url = request.url.clone();
        loop {
            let mut builder = self
                .client(&url, task)?
                .request(request.method.clone(), url.clone())
                .headers(request.headers.clone());
            if let Some(body) = &request.body {
                builder = builder.body(body.clone());
            }
            if let Some(value) = authorization.filter(|_| self.is_own(&url)) {
                builder = builder.header(AUTHORIZATION, value);
            }
            match self.in_time(task, builder.send()).await? {
                Ok(response) => {
                    // Known only now: nobody at TLS's port may be nobody at all.
                    let fell_back = self.place.fallback.as_ref().is_some_and(|f| f.origin() == url.origin());
                    self.fell_back.fetch_or(fell_back, Ordering::Relaxed);
                    return Ok(Ok(response));
                }
                Err(error) => match self.fallback(&url, &error) {
                    Some(plain) => url = plain,
                    None => return Ok(Err(error)),
                },
            }
        }
    }

    /// The whole body, unless it is longer than `limit`.
    pub(crate) async fn read(
        &self,
        task: &Task,
        method: &Method,
        mut response: Response,
        limit: usize,
    ) -> Result<Bytes, RegistryError> {
        let mut body = BytesMut::new();
        let whole = async {
            while let Some(chunk) =
                self.in_time(task, response.chunk()).await?.map_err(|error| task.broken(method, &error))?
            {
                if body.len() + chunk.len() > limit {
                    return Err(
                        task.error(Kind::TooLarge, format!("the answer is longer than {limit} bytes"))
                    );
                }
                body.extend_from_slice(&chunk);
            }
            Ok(())
        };
        // Small bodies do not dribble: each byte in time is not enough.
        let limited = self.within(task, self.setup.retry_policy.silence * 2, whole);
        limited.await.map_err(RegistryError::lasting)??;
        Ok(body.freeze())
    }

    /// Waits as long as a registry may be silent.
    pub(crate) async fn in_time<T>(
        &self,
        task: &Task,
        future: impl Future<Output = T>,
    ) -> Result<T, RegistryError> {
        self.within(task, self.setup.retry_policy.silence, future).await
    }

    pub(crate) async fn within<T>(
        &self,
        task: &Task,
        limit: Duration,
        future: impl Future<Output = T>,
    ) -> Result<T, RegistryError> {
        tokio::time::timeout(limit, future)
            .await
            .map_err(|_| task.error(Kind::Timeout, format!("no answer within {:.0} s", limit.as_secs_f32())))
    }

    /// The client for `url`: by its own settings if it has any, else by the registry's, which its token server and
    /// storage usually share.
    pub(crate) fn client(&self, url: &Url, task: &Task) -> Result<Client, RegistryError> {
        let name = authority(url);
        let profile = if self.is_own(url) {
            Ok(self.place.profile.clone())
        } else if self.setup.registries.contains_key(&name) {
            self.setup.place(&name).map(|place| place.profile)
        } else {
            let own = &self.place.profile;
            let own = if own.plain { &Profile::default() } else { own };
            let plain = url.scheme() == "http";
            Ok(Profile { direct: host_is_loopback(&name), plain, ..own.clone() })
        };
        profile
            .and_then(|profile| self.setup.clients.get(&profile))
            .map_err(|why| task.error(Kind::Local, why))
    }

    /// The same address in plain HTTP, when an insecure registry turns out not to speak TLS (as Docker does).
    fn fallback(&self, url: &Url, error: &reqwest::Error) -> Option<Url> {
        let fallback = self.place.fallback.as_ref()?;
        if !self.is_own(url) || url.scheme() != "https" || !error.is_connect() || error.is_timeout() {
            return None;
        }
        match tls_error(error) {
            // Nobody at TLS's port, somebody who hangs up when greeted in it, or who answers in something else.
            None | Some(rustls::Error::InvalidMessage(_)) => fallback.join(&path_and_query(url)).ok(),
            Some(_) => None,
        }
    }
}

/// Host and port as references write them: the port only when it is not the scheme's own.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

pub(crate) fn path_and_query(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}
