//! The registries of one case, what is declared for them, and what they serve.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use manifests::apply::Applied;
use manifests::config::{self, Declaration, Facts, Package, Strictness};
use manifests::embedded::{Options, Server};
use manifests::events::Events;
use manifests::lock::Lock;
use manifests::model::digest::Digest;
use manifests::plan;
use manifests::registry::{self, Credentials, Registry, RetryPolicy, Secret};
use manifests::release::prepare::{From, apply_all, prepare, stop_on_problems};
use tempfile::TempDir;

use crate::backdoor::Backdoor;
use crate::door::Door;
use crate::fault::Fault;
use crate::layer::{Injector, Theirs};
use crate::scenarios::{Scenario, theirs};

/// A declared tag: registry, repository, name.
pub(crate) type Tag = (usize, String, String);

/// What every declared tag serves.
pub(crate) type Served = BTreeMap<Tag, Option<Digest>>;

pub(crate) struct World {
    pub(crate) injector: Arc<Injector>,
    pub(crate) declaration: Declaration,
    pub(crate) backdoors: Vec<Backdoor>,
    doors: Vec<Door>,
    hosts: Vec<String>,
    folder: TempDir,
    _mirrors: Vec<Door>,
    _servers: Vec<Server>,
}

/// What a scenario's registries hold before a run, on disk.
pub(crate) struct Template(TempDir);

impl Template {
    pub(crate) async fn fill(scenario: &Scenario) -> Self {
        let folder = scratch();
        let (mut servers, mut backdoors) = (Vec::new(), Vec::new());
        for number in 0..scenario.registries {
            let (server, backdoor) = serve(&folder.path().join(number.to_string()), |router| router).await;
            servers.push(server);
            backdoors.push(backdoor);
        }
        for content in &scenario.contents {
            content.put(&backdoors).await;
        }
        drop(backdoors);
        for server in servers {
            server.stop().await.unwrap();
        }
        Self(folder)
    }
}

/// A registry on `root` with something around it, and the way in past that.
async fn serve(root: &Path, around: impl FnOnce(Router) -> Router + Send) -> (Server, Backdoor) {
    let mut options = Options::new(root);
    // Whether a list is written before what it lists is for these tests to see.
    options.allow_sparse = true;
    let mut backdoor = None;
    let kept = &mut backdoor;
    let server = Server::start_with(options, move |router| {
        *kept = Some(Backdoor::new(router.clone()));
        around(router)
    });
    let server = server.await.unwrap();
    (server, backdoor.unwrap())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &place)?;
        } else {
            std::fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}

/// What a run of the product came to.
pub(crate) struct Ran {
    pub(crate) result: Result<Vec<Applied>>,
    /// How often it waited before it asked again.
    pub(crate) waits: usize,
}

impl World {
    /// The scenario's registries, filled, and ready for the fault.
    pub(crate) async fn start(scenario: &Scenario, template: &Template, fault: Option<Fault>) -> Self {
        let folder = scratch();
        copy(template.0.path(), folder.path()).unwrap();
        let injector = Injector::new(scenario.with_tokens);
        let (mut servers, mut backdoors, mut hosts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut doors, mut mirrors) = (Vec::new(), Vec::new());
        for number in 0..scenario.registries {
            let root = folder.path().join(number.to_string());
            let around = injector.clone();
            let (server, backdoor) = serve(&root, move |router| around.around(number, router)).await;
            if fault.is_none_or(Fault::is_below_http) {
                doors.push(Door::open(server.addr()).await);
            }
            if fault.is_some_and(Fault::leads_away) {
                mirrors.push(Door::open(server.addr()).await);
            }
            hosts.push(doors.get(number).map_or_else(|| server.addr().to_string(), Door::host));
            backdoors.push(backdoor);
            servers.push(server);
        }
        assert!(injector.doors.set(doors.clone()).is_ok());
        assert!(injector.mirrors.set(mirrors.iter().map(Door::host).collect()).is_ok());
        let declaration = declaration(&scenario.declaration, &hosts);
        let world = Self {
            injector,
            declaration,
            backdoors,
            doors,
            hosts,
            folder,
            _mirrors: mirrors,
            _servers: servers,
        };
        if fault == Some(Fault::Moved) {
            world.prepare_theirs().await;
        }
        world
    }

    /// Somebody else's list, whole, in every declared repository under its digest.
    async fn prepare_theirs(&self) {
        let theirs = theirs();
        let mut all = Vec::new();
        for (registry, repository, tag) in self.tags() {
            let content = theirs.clone().within(registry, &repository);
            content.put(&self.backdoors).await;
            all.push(Theirs {
                path: format!("/v2/{repository}/manifests/{tag}"),
                media_type: theirs.media_type,
                bytes: theirs.manifest.clone(),
                backdoor: self.backdoors[registry].clone(),
            });
        }
        assert!(self.injector.theirs.set(all).is_ok());
    }

    fn tags(&self) -> Vec<Tag> {
        let mut tags = Vec::new();
        for target in &self.declaration.targets {
            for repository in &target.repositories {
                let registry = self.hosts.iter().position(|host| *host == repository.host).unwrap();
                for tag in &target.tags {
                    tags.push((registry, repository.path.clone(), tag.name.clone()));
                }
            }
        }
        tags
    }

    pub(crate) async fn served(&self) -> Served {
        let mut served = Served::new();
        for (registry, repository, tag) in self.tags() {
            let found = self.backdoors[registry].get(&format!("/v2/{repository}/manifests/{tag}")).await;
            served.insert((registry, repository, tag), found.map(|(_, bytes)| Digest::of(&bytes)));
        }
        served
    }

    /// What is wrong with what is served, or was at any time.
    pub(crate) async fn wrongs(&self) -> Vec<String> {
        let mut wrongs = self.injector.wrongs();
        for ((registry, repository, tag), digest) in self.served().await {
            if digest.is_some() {
                let path = format!("/v2/{repository}/manifests/{tag}");
                wrongs.extend(self.backdoors[registry].missing(&path).await);
            }
        }
        wrongs
    }

    /// All registries answer again.
    pub(crate) async fn reopen(&self) {
        for door in &self.doors {
            door.reopen().await;
        }
    }

    pub(crate) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// One run, as `reconcile` does it.
    pub(crate) async fn run(&self, retry_policy: RetryPolicy) -> Ran {
        let waits = Arc::new(AtomicUsize::new(0));
        let counter = waits.clone();
        let on_wait = move || {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        let result = reconcile(&self.registry(retry_policy, on_wait), &self.declaration).await;
        Ran { result, waits: waits.load(Ordering::Relaxed) }
    }

    /// Whether another run would change something.
    pub(crate) async fn would_change(&self) -> Result<bool> {
        let registry = self.registry(RETRY_POLICY, || {});
        let planned =
            prepare(&registry, &self.declaration, From::Registry, &Lock::default(), plan::Options::default())
                .await?;
        stop_on_problems(&planned)?;
        Ok(planned.iter().any(|planned| planned.plan.is_change()))
    }

    fn registry(&self, retry_policy: RetryPolicy, on_wait: impl Fn() + Send + Sync + 'static) -> Registry {
        let host = &self.hosts[0];
        let login = format!(r#"{{"auths":{{"{host}":{{"username":"me","password":"secret"}}}}}}"#);
        let credentials = Credentials {
            docker_auth_config: Some(Secret::new(login)).filter(|_| self.injector.with_tokens()),
            ..Credentials::default()
        };
        let options = options(self.folder.path().join("cache"), retry_policy, on_wait);
        Registry::new(registry::Options { credentials, ..options }).unwrap()
    }
}

/// What `reconcile` does with a declaration.
pub(crate) async fn reconcile(registry: &Registry, declaration: &Declaration) -> Result<Vec<Applied>> {
    let planned =
        prepare(registry, declaration, From::Registry, &Lock::default(), plan::Options::default()).await?;
    stop_on_problems(&planned)?;
    let plans: Vec<_> = planned.into_iter().map(|planned| planned.plan).collect();
    apply_all(registry, &plans, &Events::ignored()).await.complete()
}

/// The registries for a run without credentials.
pub(crate) fn registry(
    cache: PathBuf,
    retry_policy: RetryPolicy,
    on_wait: impl Fn() + Send + Sync + 'static,
) -> Registry {
    Registry::new(options(cache, retry_policy, on_wait)).unwrap()
}

fn options(
    cache: PathBuf,
    retry_policy: RetryPolicy,
    on_wait: impl Fn() + Send + Sync + 'static,
) -> registry::Options {
    registry::Options {
        certificate_folders: Some(Vec::new()),
        cache: Some(cache),
        retry_policy,
        waits: Arc::new(move |_| on_wait()),
        ..registry::Options::default()
    }
}

/// No waiting to speak of, and no limit that a busy machine meets.
pub(crate) const RETRY_POLICY: RetryPolicy = RetryPolicy {
    delay: Duration::from_millis(1),
    retries: 3,
    longest: Duration::from_secs(2),
    silence: Duration::from_secs(60),
};

/// In memory where that is possible: these tests are not about disks, and start hundreds of registries.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// `text`, with hosts for `{0}` and `{1}`.
pub(crate) fn declaration(text: &str, hosts: &[String]) -> Declaration {
    let mut text = text.to_owned();
    for (number, host) in hosts.iter().enumerate() {
        text = text.replace(&format!("{{{number}}}"), host);
    }
    let package = Package { name: "app".to_owned(), version: "1.0.0".parse().unwrap() };
    let facts = Facts { packages: Ok(vec![package]), ..Facts::default() };
    let document = config::read(Path::new("/manifests.toml"), &text).unwrap();
    document.resolve_with(&facts, Strictness::Release, &|_, _| true).unwrap()
}
