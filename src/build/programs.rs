//! Looks at the programs in a built image: asks the engine for its layers, and registries for its base. I/O around
//! [`crate::build::binary`], which judges.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rayon::prelude::*;
use serde::Deserialize;

use crate::build::binary::{Finding, Layer, check};
use crate::build::fingerprint;
use crate::config::{Image, working_folder_of};
use crate::engine::Engine;
use crate::model::digest::Digest;
use crate::model::go_json;
use crate::model::manifest::{self, ImageManifest, Manifest, Role};
use crate::model::platform::Platform;
use crate::model::reference::{Reference, Repository};
use crate::registry::Registry;
use crate::workspace::own_folder::create_new;
use crate::workspace::working_folder;

/// The folder of the notes, in the workspace's.
const LOOKED_AT: &str = "looked-at";

/// What it takes to look.
#[derive(Clone, Copy)]
pub(crate) struct Programs<'a> {
    /// The engine that holds the image.
    pub engine: &'a Engine,
    /// Where bases are read.
    pub registry: &'a Registry,
    /// The declaration's folder; what was looked at and found well is noted below its `target`.
    pub root: &'a Path,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// The programs that cannot run.
    pub findings: Vec<Finding>,
    /// The layers that could not be read, and why: what is in them is not checked.
    pub unread: Vec<String>,
}

impl Programs<'_> {
    /// The programs of `image`, built as `image_id`, that cannot run on its platform. An image that was found well before
    /// is not looked at again.
    ///
    /// # Errors
    ///
    /// The engine does not give the image.
    pub(crate) async fn findings(&self, image: &Image, image_id: &str) -> Result<Looked> {
        let noted = self.note(image_id, &image.platform);
        if noted.exists() {
            return Ok(Looked::default());
        }
        let base = image.build.as_ref().and_then(|build| fingerprint::base(build, &image.platform));
        let folder = tempfile::tempdir().context("could not make a temporary folder")?;
        let saved = async { self.engine.layers(image_id, folder.path()).await };
        let given = async {
            match &base {
                Some(base) => self.layers_of_base(base, &image.platform).await,
                None => Vec::new(),
            }
        };
        let (saved, given) = tokio::join!(saved, given);
        let saved = saved?;
        let given = saved.iter().zip(&given).take_while(|(layer, given)| layer.diff_id == **given).count();
        let platform = image.platform.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let layers: Vec<_> = saved.par_iter().map(|layer| Layer::read(layer.open()?)).collect();
            let of_layer = saved.iter().zip(&layers);
            let unread = of_layer.filter_map(|(layer, read)| {
                let why = read.as_ref().err()?;
                Some(format!("layer {} is not checked: {why}", layer.diff_id))
            });
            let unread = unread.collect();
            let layers: Vec<Option<Layer>> = layers.into_iter().map(Result::ok).collect();
            Looked { findings: check(&layers, given, &platform), unread }
        });
        let looked = looked.await.with_context(|| format!("could not look into {}", image.reference))?;
        if looked.findings.is_empty() && looked.unread.is_empty() {
            // Without the note it is looked at again, nothing else.
            let _ = working_folder::create_in(self.root, LOOKED_AT).and_then(|_| create_new(&noted, ""));
        }
        Ok(looked)
    }

    /// The file that is there when the image was found well.
    fn note(&self, image_id: &str, platform: &Platform) -> PathBuf {
        let name = format!("{}-{}", image_id.replace(':', "-"), platform.dashed());
        working_folder_of(self.root).join(LOOKED_AT).join(name)
    }

    /// The layers that come with the base image; none where neither its registry nor the engine says: then everything
    /// is judged.
    async fn layers_of_base(&self, base: &Reference, platform: &Platform) -> Vec<Digest> {
        if let Ok(Some(layers)) = self.layers_in_registry(base, platform).await {
            return layers;
        }
        let held = self.engine.inspect(&base.to_string()).await.ok().flatten();
        held.map(|image| image.layers).unwrap_or_default()
    }

    async fn layers_in_registry(&self, base: &Reference, platform: &Platform) -> Result<Option<Vec<Digest>>> {
        let repository = &base.repository;
        let Some(manifest) = self.manifest(repository, base.lookup()).await? else { return Ok(None) };
        let image = match manifest {
            Manifest::Image(image) => Some(image),
            Manifest::List(list) => {
                let fits = |entry: &&manifest::Descriptor| matches!(entry.role(), Role::Image(found) if found.base() == platform.base());
                match list.entries.iter().find(fits) {
                    Some(entry) => match self.manifest(repository, entry.digest.as_str()).await? {
                        Some(Manifest::Image(image)) => Some(image),
                        _ => None,
                    },
                    None => None,
                }
            }
        };
        match image {
            Some(image) => self.diff_ids(repository, &image).await.map(Some),
            None => Ok(None),
        }
    }

    async fn manifest(&self, repository: &Repository, lookup: &str) -> Result<Option<Manifest>> {
        let fetched = self.registry.manifest(repository, lookup).await?;
        let read = fetched.map(|fetched| manifest::parse(&fetched.bytes, &fetched.media_type)).transpose();
        read.map_err(|error| error.at(format_args!("{repository} at {lookup}")).into())
    }

    async fn diff_ids(&self, repository: &Repository, image: &ImageManifest) -> Result<Vec<Digest>> {
        #[derive(Deserialize)]
        struct Config {
            rootfs: RootFs,
        }
        #[derive(Deserialize)]
        struct RootFs {
            diff_ids: Vec<Digest>,
        }
        let bytes = self.registry.get_blob(repository, &image.config.digest, image.config.size).await?;
        let config: Config = go_json::from_slice(&bytes)?;
        Ok(config.rootfs.diff_ids)
    }
}
