//! Two registries in processes of their own, bad connections to both, and workspaces that release to them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use manifests::lock::Lock;
use manifests::model::digest::Digest;
use manifests::model::manifest::{self, Manifest};
use manifests::model::platform::Platform;
use manifests::model::reference::Repository;
use manifests::registry::{self, Registry};
use tempfile::TempDir;

use super::proxy::Proxy;
use crate::fixture::{in_memory, platforms, put_image};

/// Where lists are published.
const REPOSITORY: &str = "soak/app";
/// A tag in the same repository that no round is about.
const BYSTANDER: &str = "bystander";

/// What the rounds have in common.
pub(crate) struct World {
    pub(crate) binary: PathBuf,
    folder: TempDir,
    servers: Vec<Child>,
    /// Repositories as this program reaches them.
    near: Vec<Repository>,
    pub(crate) proxies: Vec<Proxy>,
    registry: Registry,
    platforms: Vec<Platform>,
    bystander: Digest,
    contents: usize,
}

/// A workspace that publishes images of one content.
pub(crate) struct Workspace {
    pub(crate) folder: PathBuf,
    /// The digest of the list that it publishes, once that is known.
    pub(crate) list: Option<Digest>,
}

impl World {
    /// Starts registries, each with a tag that nobody may touch.
    pub(crate) async fn start(binary: &Path) -> Result<Self> {
        let folder = in_memory()?;
        let (mut servers, mut near, mut proxies) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..2 {
            let root = folder.path().join(format!("registry-{number}"));
            let mut command = Command::new(binary);
            command.args(["--quiet", "registry", "serve", "--listen", "127.0.0.1:0", "--root"]).arg(root);
            let mut server = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
            let stdout = server.stdout.take().context("the registry has no stdout")?;
            let mut host = String::new();
            BufReader::new(stdout).read_line(&mut host)?;
            servers.push(server);
            near.push(Repository { host: host.trim().to_owned(), path: REPOSITORY.to_owned() });
            proxies.push(Proxy::start(host.trim().parse()?).await?);
        }
        let registry = Registry::new(registry::Options::default()).map_err(anyhow::Error::from)?;
        let digest = Digest::of(b"");
        let binary = binary.to_owned();
        let platforms = platforms(2);
        let mut world = Self {
            binary,
            folder,
            servers,
            near,
            proxies,
            registry,
            platforms,
            bystander: digest,
            contents: 0,
        };
        world.bystander = world.put_bystander().await?;
        Ok(world)
    }

    async fn put_bystander(&self) -> Result<Digest> {
        let mut digest = None;
        for near in &self.near {
            let layer = self.folder.path().join("layer");
            fs::write(&layer, "bystander")?;
            put_image(&self.registry, near, BYSTANDER, &self.platforms[0], "bystander", &layer).await?;
            digest = self.serves(near, BYSTANDER).await?;
        }
        digest.context("the bystander is not served")
    }

    /// Ends the registries; each must end well.
    ///
    /// # Errors
    ///
    /// One of them ended before, or does not end as it is told.
    pub(crate) async fn stop(mut self) -> Result<()> {
        for server in &mut self.servers {
            anyhow::ensure!(server.try_wait()?.is_none(), "a registry has ended by itself");
            let pid = server.id().to_string();
            Command::new("kill").args(["-TERM", &pid]).status()?;
            let status = server.wait()?;
            anyhow::ensure!(status.success(), "a registry that was told to end ended with {status}");
        }
        self.servers.clear();
        Ok(())
    }

    /// A workspace in `folder` with new images, which publishes them as `version` and as `latest` to both registries.
    pub(crate) async fn workspace(&mut self, folder: PathBuf, version: &str) -> Result<Workspace> {
        self.contents += 1;
        let content = format!("content-{}", self.contents);
        let images = Repository { path: format!("images/{content}"), ..self.near[0].clone() };
        for platform in &self.platforms {
            let layer = self.folder.path().join("layer");
            fs::write(&layer, format!("{platform} {content}"))?;
            put_image(&self.registry, &images, &platform.dashed(), platform, &content, &layer).await?;
        }
        let hosts: Vec<String> = self.proxies.iter().map(|proxy| proxy.addr().to_string()).collect();
        let listed: Vec<String> = self.platforms.iter().map(|platform| format!("\"{platform}\"")).collect();
        fs::create_dir_all(&folder)?;
        fs::write(
            folder.join("manifests.toml"),
            format!(
                "[target.app]\nrepository = [\"{}/{REPOSITORY}\", \"{}/{REPOSITORY}\"]\n\
                 tags = [{{ name = \"{version}\", policy = \"immutable\" }}, \"latest\"]\n\
                 image = \"{}/{}:{{os}}-{{arch}}\"\nplatforms = [{}]\n",
                hosts[0],
                hosts[1],
                hosts[0],
                images.path,
                listed.join(", ")
            ),
        )?;
        Ok(Workspace { folder, list: None })
    }

    /// A new folder of the name `name`.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What `tag` serves in each repository.
    pub(crate) async fn served(&self, tag: &str) -> Result<Vec<Option<Digest>>> {
        let mut served = Vec::new();
        for near in &self.near {
            served.push(self.serves(near, tag).await?);
        }
        Ok(served)
    }

    async fn serves(&self, near: &Repository, tag: &str) -> Result<Option<Digest>> {
        let head = self.registry.head_manifest(near, tag).await.map_err(anyhow::Error::from)?;
        Ok(head.map(|head| head.digest))
    }

    /// What is wrong with what the tags serve: a list that is not whole, or a tag that nobody was to touch.
    pub(crate) async fn wrongs(&self, tags: &[&str]) -> Result<Vec<String>> {
        let mut wrongs = Vec::new();
        for near in &self.near {
            for tag in tags.iter().chain(&[BYSTANDER]) {
                let Some(fetched) =
                    self.registry.get_manifest(near, tag).await.map_err(anyhow::Error::from)?
                else {
                    continue;
                };
                let parsed = manifest::parse(&fetched.bytes, &fetched.media_type)?;
                let mut images = Vec::new();
                match parsed {
                    Manifest::List(list) => {
                        for entry in &list.entries {
                            let child = self.registry.get_manifest(near, entry.digest.as_str()).await;
                            match child.map_err(anyhow::Error::from)? {
                                Some(child) => images.push(manifest::parse(&child.bytes, &child.media_type)?),
                                None => {
                                    wrongs.push(format!("{tag} lists {}, which is not there", entry.digest))
                                }
                            }
                        }
                        if list.entries.len() != self.platforms.len() {
                            wrongs.push(format!("{tag} lists {} images", list.entries.len()));
                        }
                    }
                    image @ Manifest::Image(_) => images.push(image),
                }
                for image in images {
                    let Manifest::Image(image) = image else { continue };
                    for blob in image.blobs() {
                        let head =
                            self.registry.head_blob(near, &blob.digest).await.map_err(anyhow::Error::from)?;
                        if head.is_none() {
                            wrongs.push(format!("{tag} needs the blob {}, which is not there", blob.digest));
                        }
                    }
                }
            }
            if self.serves(near, BYSTANDER).await?.as_ref() != Some(&self.bystander) {
                wrongs.push(format!("{}:{BYSTANDER} was moved", near.path));
            }
        }
        Ok(wrongs)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Workspace {
    /// What is wrong with the files of the workspace: a lock that does not parse, or files that nobody expects there.
    pub(crate) fn wrongs(&self) -> Result<Vec<String>> {
        let mut wrongs = Vec::new();
        let lock = self.folder.join("manifests.lock");
        if let Ok(text) = fs::read_to_string(&lock)
            && let Err(error) = Lock::parse(&text)
        {
            wrongs.push(format!("the lock is torn: {error}"));
        }
        let expected = BTreeSet::from(["manifests.toml", "manifests.lock", "target"]);
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !expected.contains(name.as_str()) {
                wrongs.push(format!("{name} was left behind"));
            }
        }
        Ok(wrongs)
    }
}
