//! An embedded registry with images in it, near for what prepares a case and at a distance for what is measured.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifests::embedded::{Options, Server};
use manifests::model::digest::Digest;
use manifests::model::manifest::{self, Manifest, PlatformFields};
use manifests::model::media;
use manifests::model::platform::Platform;
use manifests::model::reference::Repository;
use manifests::registry::{self, Registry};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::latency::Relay;
use crate::log::Log;

/// The registry, the relay before it, and a folder for everything.
pub(crate) struct Fixture {
    folder: TempDir,
    server: Server,
    relay: Relay,
    near: Registry,
    /// What the registry is asked.
    pub(crate) log: Log,
    /// The distance of the relay.
    pub(crate) round_trip: Duration,
}

/// How many targets are prepared at once.
const AT_ONCE: usize = 16;

impl Fixture {
    /// A registry in memory, `round_trip` away.
    pub(crate) async fn in_memory(round_trip: Duration) -> Result<Self> {
        Self::start(in_memory()?, round_trip).await
    }

    /// A registry on disk, for more than memory holds.
    pub(crate) async fn on_disk(round_trip: Duration) -> Result<Self> {
        Self::start(tempfile::tempdir()?, round_trip).await
    }

    async fn start(folder: TempDir, round_trip: Duration) -> Result<Self> {
        let log = Log::default();
        let options = Options::new(folder.path().join("registry"));
        let server = Server::start_with(options, |router| log.around(router)).await?;
        let relay = Relay::start(server.addr(), round_trip).await?;
        let near = Registry::new(registry::Options::default()).map_err(anyhow::Error::from)?;
        Ok(Self { folder, server, relay, near, log, round_trip })
    }

    /// The folder of one case, with a home for what is run in it.
    pub(crate) fn workspace(&self, name: &str) -> Result<PathBuf> {
        let workspace = self.folder.path().join(name);
        fs::create_dir_all(&workspace)?;
        Ok(workspace)
    }

    /// `HOST:PORT` as what is measured names the registry.
    pub(crate) fn host(&self) -> String {
        self.relay.addr().to_string()
    }

    /// The repository as what prepares it names it.
    fn near(&self, path: &str) -> Repository {
        Repository { host: self.server.addr().to_string(), path: path.to_owned() }
    }

    /// Puts one image for each platform into the registry: into the repository and under the tag that `place` gives
    /// for it. `content` makes these images unlike others.
    pub(crate) async fn images(
        &self,
        platforms: &[Platform],
        content: &str,
        place: impl Fn(&Platform) -> (String, String),
    ) -> Result<()> {
        try_join_all(platforms.iter().map(|platform| {
            let (path, tag) = place(platform);
            async move { self.image(&path, &tag, platform, content).await }
        }))
        .await?;
        Ok(())
    }

    /// The images of the first of many targets in the repositories of `targets` more.
    pub(crate) async fn copy_images(
        &self,
        targets: std::ops::Range<usize>,
        platforms: &[Platform],
    ) -> Result<()> {
        let from = self.near(&target_repository(0));
        let images = try_join_all(platforms.iter().map(|platform| async {
            let tag = platform.dashed();
            let fetched = self.near.get_manifest(&from, &tag).await?.context("nothing under the tag")?;
            let Manifest::Image(image) = manifest::parse(&fetched.bytes, &fetched.media_type)? else {
                anyhow::bail!("{tag} is no image");
            };
            Ok((tag, image, fetched))
        }))
        .await?;
        let (from, images) = (&from, &images);
        stream::iter(targets)
            .map(|target| async move {
                let to = &self.near(&target_repository(target));
                for (tag, image, fetched) in images {
                    for blob in image.blobs() {
                        self.near.copy_blob(from, to, &blob.digest, blob.size).await?;
                    }
                    self.near.put_manifest(to, tag, &fetched.media_type, &fetched.bytes).await?;
                }
                Ok(())
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await
    }

    /// One image of two small blobs.
    async fn image(&self, path: &str, tag: &str, platform: &Platform, content: &str) -> Result<()> {
        let layer = tempfile::NamedTempFile::new_in(self.folder.path())?;
        fs::write(layer.path(), format!("{platform} {content}"))?;
        self.image_of(path, tag, platform, content, layer.path()).await
    }

    /// One image with the file `layer` as its layer.
    pub(crate) async fn image_of(
        &self,
        path: &str,
        tag: &str,
        platform: &Platform,
        content: &str,
        layer: &Path,
    ) -> Result<()> {
        put_image(&self.near, &self.near(path), tag, platform, content, layer).await
    }

    /// Takes a tag away.
    pub(crate) async fn delete_tag(&self, path: &str, tag: &str) -> Result<()> {
        self.near.delete_manifest(&self.near(path), tag).await?;
        Ok(())
    }

    /// What a tag serves, to be put back later.
    pub(crate) async fn served(&self, path: &str, tag: &str) -> Result<(String, Vec<u8>)> {
        let fetched =
            self.near.get_manifest(&self.near(path), tag).await?.context("nothing under the tag")?;
        Ok((fetched.media_type, fetched.bytes.to_vec()))
    }

    /// Lets a tag serve something again.
    pub(crate) async fn serve(
        &self,
        path: &str,
        tag: &str,
        (media_type, bytes): &(String, Vec<u8>),
    ) -> Result<()> {
        self.near.put_manifest(&self.near(path), tag, media_type, bytes).await?;
        Ok(())
    }
}

/// Puts one image with the file `layer` as its layer under `tag`; `content` makes it unlike others.
pub(crate) async fn put_image(
    near: &Registry,
    repository: &Repository,
    tag: &str,
    platform: &Platform,
    content: &str,
    layer: &Path,
) -> Result<()> {
    let mut config = serde_json::to_value(PlatformFields::from(platform))?;
    config["config"] = json!({ "Labels": { "content": content } });
    let file = tempfile::NamedTempFile::new_in(layer.parent().context("a layer is in a folder")?)?;
    fs::write(file.path(), config.to_string())?;
    let config = put_blob(near, repository, file.path()).await?;
    let layer = put_blob(near, repository, layer).await?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::DOCKER_IMAGE,
        "config": { "mediaType": "application/vnd.docker.container.image.v1+json", "digest": config.0, "size": config.1 },
        "layers": [{ "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "digest": layer.0, "size": layer.1 }],
    });
    near.put_manifest(repository, tag, media::DOCKER_IMAGE, manifest.to_string().as_bytes()).await?;
    Ok(())
}

async fn put_blob(near: &Registry, repository: &Repository, path: &Path) -> Result<(Digest, u64)> {
    let size = fs::metadata(path)?.len();
    let (mut file, mut hash, mut piece) = (fs::File::open(path)?, Sha256::new(), vec![0; 1 << 20]);
    while let count @ 1.. = file.read(&mut piece)? {
        hash.update(&piece[..count]);
    }
    let digest: Digest = format!("sha256:{}", manifests::model::digest::hex(&hash.finalize())).parse()?;
    near.upload_file(repository, &digest, size, path).await?;
    Ok((digest, size))
}

/// A folder in memory, where there is such: what is measured is not how long a disk takes to be sure.
pub(crate) fn in_memory() -> Result<TempDir> {
    let memory = Path::new("/dev/shm");
    Ok(if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? })
}

/// The repository of one of many targets.
pub(crate) fn target_repository(target: usize) -> String {
    format!("targets/app-{target}")
}

/// So many platforms that a list can hold side by side.
pub(crate) fn platforms(count: usize) -> Vec<Platform> {
    let linux = ["amd64", "arm64", "arm/v7", "arm/v6", "386", "ppc64le", "s390x", "riscv64"];
    let linux = linux.iter().map(|arch| format!("linux/{arch}"));
    let windows = (0..).map(|build| format!("windows(10.0.{})/amd64", 14393 + build));
    linux.chain(windows).take(count).filter_map(|text| text.parse().ok()).collect()
}

/// Removes a folder and what is in it; that it is not there is as good.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
