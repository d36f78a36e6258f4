//! A published reference, looked at for people: `inspect`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::image::image_config;
use super::{Source, descriptor_of, observe};
use crate::concurrency;
use crate::config::Target;
use crate::model::digest::Digest;
use crate::model::manifest::{self, Descriptor, ImageConfig, ImageManifest, List, Manifest, Role};
use crate::model::media;
use crate::model::platform::Platform;
use crate::model::reference::{Reference, Repository};
use crate::plan::ObservedImage;
use crate::registry::{Fetched, Registry};

/// What a reference serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// What was asked for.
    pub reference: Reference,
    /// Media type, digest and size of what it serves.
    pub descriptor: Descriptor,
    /// The bytes served.
    pub bytes: Vec<u8>,
    /// The list, or `None` for a plain image.
    pub list: Option<List>,
    /// Images by digest; all of a list's when details were asked for, else only a plain image itself.
    pub images: BTreeMap<Digest, InspectedImage>,
    /// Images that the list names and the registry does not hold, when details were asked for.
    pub absent: BTreeSet<Digest>,
}

impl Inspected {
    /// The platform of the only image that the reference serves, by its configuration: a plain image's, or that of an
    /// index which lists one image and perhaps attestations.
    ///
    /// # Errors
    ///
    /// Why there is no such platform, in words.
    pub fn only_platform(&self) -> Result<Platform, String> {
        let reference = &self.reference;
        let digest = match &self.list {
            None => &self.descriptor.digest,
            Some(list) => {
                let images = list.entries.iter().filter_map(|entry| match entry.role() {
                    Role::Image(platform) => Some((platform, &entry.digest)),
                    Role::Attestation(_) | Role::Other => None,
                });
                match &images.collect::<Vec<_>>()[..] {
                    [(_, digest)] => *digest,
                    [] => return Err(format!("{reference} is an index that lists no image")),
                    several => {
                        let listed = several
                            .iter()
                            .map(|(platform, digest)| {
                                format!("{platform} {}", reference.repository.digest(digest))
                            })
                            .collect::<Vec<_>>();
                        return Err(format!(
                            "{reference} is a list of several images; name each by its digest: {}",
                            listed.join(", ")
                        ));
                    }
                }
            }
        };
        let image = self
            .images
            .get(digest)
            .ok_or_else(|| format!("{reference} lists {digest}, which is no image"))?;
        let Some(config) = &image.config else {
            let found = &image.manifest.config.media_type;
            return Err(format!("{reference} has a configuration of type {found:?}, which is no image's"));
        };
        let platform = &config.platform;
        if platform.os.is_empty() || platform.arch.is_empty() {
            return Err(format!("{reference} does not say its platform: its configuration names none"));
        }
        match platform.problem() {
            Some(problem) => Err(format!("{reference} is for {platform}: {problem}")),
            None => Ok(platform.clone()),
        }
    }
}

/// One image's details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectedImage {
    /// Its manifest.
    pub manifest: ImageManifest,
    /// The manifest's bytes.
    pub bytes: Vec<u8>,
    /// Its configuration, when it is an image's.
    pub config: Option<ImageConfig>,
}

/// Looks up the images of `target`, under the references that are declared; nothing else of it.
///
/// # Errors
///
/// As [`super::observe`].
pub async fn images(registry: &Registry, target: &Target) -> Result<Vec<ObservedImage>> {
    let only_images = Target { repositories: Vec::new(), ..target.clone() };
    let sources: Vec<Source> =
        target.images.iter().map(|image| Source::At(image.reference.clone())).collect();
    Ok(observe(registry, &only_images, &sources).await?.images)
}

/// Looks at what `reference` serves; `details` reads every image of a list too. `None`: the registry has no such thing.
///
/// # Errors
///
/// As [`super::observe`], and a manifest that is neither a list nor an image.
pub async fn inspect(registry: &Registry, reference: &Reference, details: bool) -> Result<Option<Inspected>> {
    let repository = &reference.repository;
    let Some(fetched) = registry.manifest(repository, reference.lookup()).await? else { return Ok(None) };
    let descriptor = descriptor_of(&fetched);
    let bytes = fetched.bytes.to_vec();
    let mut inspected = Inspected {
        reference: reference.clone(),
        descriptor,
        bytes,
        list: None,
        images: BTreeMap::new(),
        absent: BTreeSet::new(),
    };
    let parsed = manifest::parse(&fetched.bytes, &fetched.media_type).map_err(|error| error.at(reference))?;
    match parsed {
        Manifest::Image(manifest) => {
            let image = inspect_image(registry, repository, &fetched, manifest).await?;
            inspected.images.insert(fetched.digest.clone(), image);
        }
        Manifest::List(list) => {
            if details {
                let is_image = |entry: &&Descriptor| media::is_image(&entry.media_type);
                let entries: Vec<&Descriptor> = list.entries.iter().filter(is_image).collect();
                let images = concurrency::try_over(&entries, |entry| async move {
                    let Some(fetched) = registry.manifest(repository, entry.digest.as_str()).await? else {
                        return Ok(Some((entry.digest.clone(), None)));
                    };
                    let read = manifest::parse(&fetched.bytes, &fetched.media_type)
                        .map_err(|error| error.at(repository.digest(&entry.digest)))?;
                    let Manifest::Image(manifest) = read else { return Ok(None) };
                    let image = inspect_image(registry, repository, &fetched, manifest).await?;
                    Ok(Some((entry.digest.clone(), Some(image))))
                });
                for (digest, image) in images.await?.into_iter().flatten() {
                    match image {
                        Some(image) => drop(inspected.images.insert(digest, image)),
                        None => drop(inspected.absent.insert(digest)),
                    }
                }
            }
            inspected.list = Some(list);
        }
    }
    Ok(Some(inspected))
}

async fn inspect_image(
    registry: &Registry,
    repository: &Repository,
    fetched: &Fetched,
    manifest: ImageManifest,
) -> Result<InspectedImage> {
    let config = image_config(registry, repository, &manifest).await?;
    Ok(InspectedImage { manifest, bytes: fetched.bytes.to_vec(), config })
}
