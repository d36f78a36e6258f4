//! The registries: the only place that talks to them.
//!
//! One [`Registry`] serves a whole run. It shares connections, tokens and limits among everything that the run asks
//! of a host, so that callers may ask for all that is independent at once.

mod address;
mod auth;
mod blobs;
mod cache;
mod conditional;
mod contact;
mod error;
mod hosts;
mod manifests;
mod ping;
mod proxies;
mod referrers;
mod retry;
mod source;
mod tags;
mod tls;
mod transfer;
mod transport;
mod trust;
mod upload;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use self::auth::Scopes;
use self::cache::Cache;
use self::error::Task;
use self::transport::Host;
use self::wire::{Setup, Wire};
use crate::config::RegistrySettings;
use crate::model::digest::Digest;
use crate::model::reference::Repository;
use crate::single_flight::SingleFlight;

pub use self::auth::{Access, Credentials};
pub use self::blobs::{BlobHead, LARGEST_SMALL_BLOB, Mount, Session};
pub use self::conditional::{Conditional, Expected};
pub use self::error::{Kind, RegistryError, Said};
pub use self::manifests::{Fetched, Head, LARGEST_MANIFEST};
pub use self::ping::Ping;
pub use self::referrers::fallback_tag;
pub use self::retry::{RetryPolicy, Wait, Waits};
pub use self::tags::{LARGEST_LIST, LARGEST_PAGE, LONGEST_LIST, MOST_LISTED, MOST_PAGES};
pub use self::transfer::Copied;
pub use crate::model::secret::Secret;

/// All registries of a run. Cheap to clone.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    setup: Arc<Setup>,
    cache: Option<Cache>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    brought: transfer::Brought,
    turns: referrers::Turns,
}

/// How registries are reached.
#[derive(Clone)]
pub struct Options {
    /// By host, as declared.
    pub registries: BTreeMap<String, RegistrySettings>,
    /// `--insecure`: for every host.
    pub insecure: bool,
    /// Where credentials are looked for.
    pub credentials: Credentials,
    /// Docker's `certs.d` folders; `None` for the usual ones.
    pub certificate_folders: Option<Vec<PathBuf>>,
    /// The folder in which content is kept from run to run; `None` keeps nothing.
    pub cache: Option<PathBuf>,
    /// How long registries are waited for.
    pub retry_policy: RetryPolicy,
    /// Hears of every wait before a request is sent again.
    pub waits: Waits,
    /// Hears of each credential helper that fails, once.
    pub warnings: Warnings,
}

/// Hears of something that went on nevertheless.
pub type Warnings = Arc<dyn Fn(&str) + Send + Sync>;

impl Default for Options {
    /// Nothing declared, no credentials, no cache, nobody listening.
    fn default() -> Self {
        Self {
            registries: BTreeMap::new(),
            insecure: false,
            credentials: Credentials::default(),
            certificate_folders: None,
            cache: None,
            retry_policy: RetryPolicy::default(),
            waits: Arc::new(|_| {}),
            warnings: Arc::new(|_| {}),
        }
    }
}

impl Registry {
    /// Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// The declared TLS files cannot be used.
    pub fn new(options: Options) -> Result<Self, RegistryError> {
        let Credentials { home, config_home, .. } = &options.credentials;
        let usual = || hosts::docker_certificate_folders(home.as_deref(), config_home.as_deref());
        let certificate_folders = options.certificate_folders.clone().unwrap_or_else(usual);
        let setup = Setup {
            registries: options.registries,
            insecure: options.insecure,
            certificate_folders,
            credentials: Arc::new(options.credentials),
            retry_policy: options.retry_policy,
            waits: options.waits,
            warnings: options.warnings,
            warned: Mutex::default(),
            clients: tls::Clients::default(),
            contacts: SingleFlight::default(),
        };
        for name in setup.registries.keys() {
            let place = setup.place(name);
            let checked = place.and_then(|place| setup.clients.get(&place.profile));
            checked.map_err(|why| Task::new("set up", name, name).error(Kind::Local, why))?;
        }
        let cache = options.cache.map(Cache::new);
        Ok(Self(Arc::new(Inner {
            setup: Arc::new(setup),
            cache,
            hosts: Mutex::default(),
            brought: transfer::Brought::default(),
            turns: referrers::Turns::default(),
        })))
    }

    /// Says beforehand what a run will do, so that its first token covers all of it.
    ///
    /// # Errors
    ///
    /// The host's TLS files cannot be used.
    pub fn announce(&self, repository: &Repository, access: Access) -> Result<(), RegistryError> {
        let host = self.host(&Task::new("set up", repository, &repository.host))?;
        host.auth.announce(&Scopes::one(&repository.path, access));
        Ok(())
    }

    fn task(&self, verb: &'static str, repository: &Repository, lookup: &str) -> Task {
        let separator = if lookup.contains(':') { '@' } else { ':' };
        Task::new(verb, format!("{repository}{separator}{lookup}"), &repository.host)
    }

    fn host(&self, task: &Task) -> Result<Arc<Host>, RegistryError> {
        let mut hosts = self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(&task.host) {
            return Ok(host.clone());
        }
        let place = self.0.setup.place(&task.host).map_err(|why| task.error(Kind::Local, why))?;
        let host = Arc::new(Host::new(Wire::new(self.0.setup.clone(), place)));
        hosts.insert(task.host.clone(), host.clone());
        Ok(host)
    }

    /// Content that was fetched before, by its digest.
    async fn cached(&self, digest: &Digest) -> Option<Bytes> {
        self.0.cache.as_ref()?.content(digest).await
    }

    /// Keeps content whose digest was checked.
    fn keep(&self, digest: &Digest, bytes: &Bytes) {
        if let Some(cache) = &self.0.cache {
            drop(cache.keep(digest, bytes));
        }
    }

    /// Keeps what `lookup` served; of a digest that is known anyway.
    fn keep_served(&self, repository: &Repository, lookup: &str, digest: &Digest) {
        if let Some(cache) = self.0.cache.as_ref().filter(|_| lookup.parse::<Digest>().is_err()) {
            drop(cache.keep_served(repository, lookup, digest));
        }
    }

    async fn retrying<T, F: Future<Output = Result<T, RegistryError>>>(
        &self,
        may_repeat: fn(&RegistryError) -> bool,
        attempt: impl FnMut() -> F,
    ) -> Result<T, RegistryError> {
        retry::retrying(&self.0.setup.retry_policy, &self.0.setup.waits, may_repeat, attempt).await
    }
}
