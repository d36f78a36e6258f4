//! Reads from the registries what the planner compares with the declaration. Writes nothing, decides nothing.
//!
//! Everything independent is asked for at once. Only a confirmed not-found is "absent": an answer that leaves it open
//! is kept as such, and any other failure ends the run.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use futures_util::future::{try_join, try_join_all};
use semver::Version;

use crate::config::{Image, Tag, TagPolicy, Target};
use crate::digest::Digest;
use crate::manifest::{self, Descriptor, ImageConfig, ImageManifest, List, Manifest, Role};
use crate::media;
use crate::plan::{
    FoundImage, ObservedImage, ObservedPlace, ObservedTag, ObservedTarget, PublishedList, disagreement,
};
use crate::reference::{Reference, Repository};
use crate::registry::{Fetched, Registry, RegistryError};

/// Where a declared image is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: it will be built.
    Built,
    /// Under this reference: as declared, or by the digest that its push reported.
    At(Reference),
    /// Nowhere: it was found before.
    Found(FoundImage),
}

/// Reads all that [`crate::plan::plan`] needs for `target`. `sources` has one item for each declared image.
///
/// # Errors
///
/// A registry that cannot be reached, refuses the credentials, or serves what is no manifest.
pub async fn observe(registry: &Registry, target: &Target, sources: &[Source]) -> Result<ObservedTarget> {
    let images = try_join_all(
        target.images.iter().zip(sources).map(|(image, source)| observe_source(registry, image, source)),
    );
    let places = try_join_all(target.repositories.iter().map(|repository| async move {
        let tags = try_join_all(target.tags.iter().map(|tag| observe_tag(registry, target, repository, tag)));
        let released = released(registry, target, repository);
        try_join(tags, released).await
    }));
    let (images, places) = try_join(images, places).await?;
    let places =
        try_join_all(target.repositories.iter().zip(places).map(|(repository, (tags, released))| {
            let images = &images;
            async move {
                let present = present(registry, repository, images).await?;
                anyhow::Ok(ObservedPlace { repository: repository.clone(), tags, present, released })
            }
        }))
        .await?;
    Ok(ObservedTarget { images, places })
}

async fn observe_source(registry: &Registry, image: &Image, source: &Source) -> Result<ObservedImage> {
    match source {
        Source::Built => Ok(ObservedImage::Pending),
        Source::Found(found) => Ok(ObservedImage::Found(found.clone())),
        Source::At(reference) => observe_image(registry, image, reference).await,
    }
}

/// Looks up one image, and within it, when it is itself an index, the entry of the declared platform.
async fn observe_image(registry: &Registry, image: &Image, reference: &Reference) -> Result<ObservedImage> {
    let repository = &reference.repository;
    let fetched = match registry.get_manifest(repository, reference.lookup()).await {
        Ok(Some(fetched)) => fetched,
        Ok(None) => return Ok(ObservedImage::Absent),
        Err(error) => {
            return unreadable(error)
                .map(|answer| ObservedImage::Unusable(format!("{reference} cannot be read: {answer}")));
        }
    };
    let unusable = |why: String| Ok(ObservedImage::Unusable(format!("{reference} {why}")));
    let (descriptor, manifest, attestations) = match manifest::parse(&fetched.bytes, &fetched.media_type) {
        Err(error) => return unusable(format!("is {error}")),
        Ok(Manifest::Image(manifest)) => (descriptor_of(&fetched), manifest, Vec::new()),
        Ok(Manifest::List(list)) => match only_entry(&list, image) {
            Err(why) => return unusable(why),
            Ok(entry) => {
                let Some(inner) = registry.get_manifest(repository, entry.digest.as_str()).await? else {
                    return unusable(format!(
                        "lists {} for {}, which the registry does not hold",
                        entry.digest, image.platform
                    ));
                };
                match manifest::parse(&inner.bytes, &inner.media_type) {
                    Ok(Manifest::Image(manifest)) => {
                        (descriptor_of(&inner), manifest, list.attestations_of(&entry.digest))
                    }
                    Ok(Manifest::List(_)) => {
                        return unusable(format!(
                            "lists another list for {}; only one level is looked into",
                            image.platform
                        ));
                    }
                    Err(error) => return unusable(format!("lists, for {}, what is {error}", image.platform)),
                }
            }
        },
    };
    match image_config(registry, repository, &manifest).await? {
        Some(config) => Ok(ObservedImage::Found(FoundImage {
            descriptor,
            config,
            attestations,
            source: repository.clone(),
        })),
        None => unusable(format!(
            "has a configuration of type {}, which is no image's",
            manifest.config.media_type
        )),
    }
}

/// The one entry of an index that is for the image's platform, or why there is no such one.
fn only_entry<'a>(list: &'a List, image: &Image) -> Result<&'a Descriptor, String> {
    let mut platforms = Vec::new();
    let mut fitting = Vec::new();
    for entry in &list.entries {
        if let Role::Image(platform) = entry.role() {
            let same_base = platform.base() == image.platform.base();
            if same_base && disagreement(&image.platform, &platform).is_none() {
                fitting.push(entry);
            }
            platforms.push(platform.to_string());
        }
    }
    match fitting[..] {
        [entry] => Ok(entry),
        [] => Err(format!("is an index without {}; it lists {}", image.platform, platforms.join(", "))),
        _ => {
            let digests: Vec<String> = fitting.iter().map(|entry| entry.digest.to_string()).collect();
            Err(format!("is an index with several entries for {}: {}", image.platform, digests.join(", ")))
        }
    }
}

/// The image's configuration; `None` when it is of a type that no image has.
async fn image_config(
    registry: &Registry,
    repository: &Repository,
    manifest: &ImageManifest,
) -> Result<Option<ImageConfig>> {
    const TYPES: [&str; 2] =
        ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
    if !TYPES.contains(&manifest.config.media_type.as_str()) {
        return Ok(None);
    }
    let bytes = registry.get_blob(repository, &manifest.config.digest, manifest.config.size).await?;
    Ok(Some(ImageConfig::parse(&bytes)?))
}

async fn observe_tag(
    registry: &Registry,
    target: &Target,
    repository: &Repository,
    tag: &Tag,
) -> Result<ObservedTag> {
    let fetched = match registry.get_manifest(repository, &tag.name).await {
        Ok(Some(fetched)) => fetched,
        Ok(None) => return Ok(ObservedTag::Absent),
        Err(error) => return unreadable(error).map(ObservedTag::Unreadable),
    };
    let descriptor = descriptor_of(&fetched);
    let list = match manifest::parse(&fetched.bytes, &fetched.media_type) {
        Ok(Manifest::List(list)) => list,
        // Whatever else it holds, an image of any schema or an artifact, is not a list and would be replaced by one.
        Ok(Manifest::Image(_)) | Err(_) => return Ok(ObservedTag::Image(descriptor)),
    };
    let builds = target.images.iter().any(|image| image.build.is_some());
    let configs = match tag.policy {
        TagPolicy::Immutable if builds => configs(registry, repository, &list).await?,
        _ => BTreeMap::new(),
    };
    Ok(ObservedTag::List(Box::new(PublishedList {
        descriptor,
        bytes: fetched.bytes.to_vec(),
        list,
        configs,
    })))
}

/// The configurations of a list's images; those that the registry no longer holds are left out.
async fn configs(
    registry: &Registry,
    repository: &Repository,
    list: &List,
) -> Result<BTreeMap<Digest, ImageConfig>> {
    let images = list.entries.iter().filter(|entry| matches!(entry.role(), Role::Image(_)));
    let configs = try_join_all(images.map(|entry| async move {
        let Some(fetched) = registry.get_manifest(repository, entry.digest.as_str()).await? else {
            return anyhow::Ok(None);
        };
        let Ok(Manifest::Image(manifest)) = manifest::parse(&fetched.bytes, &fetched.media_type) else {
            return Ok(None);
        };
        let config = image_config(registry, repository, &manifest).await?;
        Ok(config.map(|config| (entry.digest.clone(), config)))
    }))
    .await?;
    Ok(configs.into_iter().flatten().collect())
}

/// The released versions among a repository's tags, when a tag's policy asks for them.
async fn released(registry: &Registry, target: &Target, repository: &Repository) -> Result<Vec<Version>> {
    if target.tags.iter().all(|tag| tag.policy != TagPolicy::Newest) {
        return Ok(Vec::new());
    }
    let tags = match registry.tags(repository).await {
        Ok(tags) => tags.unwrap_or_default(),
        // Where even the tag cannot be read, the tag itself is the problem to report.
        Err(error) => unreadable(error).map(|_| Vec::new())?,
    };
    let version = |tag: &String| Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok();
    Ok(tags.iter().filter_map(version).collect())
}

/// Which of the found images, and of their attestations, `repository` holds already.
async fn present(
    registry: &Registry,
    repository: &Repository,
    images: &[ObservedImage],
) -> Result<BTreeSet<Digest>> {
    let mut here = BTreeSet::new();
    let mut elsewhere = BTreeSet::new();
    for image in images {
        let ObservedImage::Found(found) = image else { continue };
        let digests = std::iter::once(&found.descriptor).chain(&found.attestations).map(|d| d.digest.clone());
        if found.source == *repository { here.extend(digests) } else { elsewhere.extend(digests) }
    }
    let found = try_join_all(elsewhere.into_iter().map(|digest| async move {
        let head = match registry.head_manifest(repository, digest.as_str()).await {
            Ok(head) => head.is_some(),
            // Not readable is not there: bringing it is what shows whether it can be written.
            Err(error) => unreadable(error).map(|_| false)?,
        };
        anyhow::Ok(head.then_some(digest))
    }))
    .await?;
    here.extend(found.into_iter().flatten());
    Ok(here)
}

/// The registry's answer when it leaves open whether something exists; any other error is passed on.
fn unreadable(error: RegistryError) -> Result<String> {
    if error.is_unreadable() { Ok(error.answer()) } else { Err(error.into()) }
}

fn descriptor_of(fetched: &Fetched) -> Descriptor {
    // A registry that serves a generic type is outdone by the bytes, which say their own.
    let media_type = match manifest::parse(&fetched.bytes, &fetched.media_type) {
        Ok(Manifest::Image(image)) => image.media_type,
        Ok(Manifest::List(list)) => list.kind.media_type().to_owned(),
        Err(_) => fetched.media_type.clone(),
    };
    Descriptor::new(&media_type, fetched.digest.clone(), fetched.bytes.len() as u64)
}

/// A published reference, looked at for people: `inspect`.
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

/// Looks at what `reference` serves; `details` reads every image of a list too. `None`: the registry has no such thing.
///
/// # Errors
///
/// As [`observe`], and a manifest that is neither a list nor an image.
pub async fn inspect(registry: &Registry, reference: &Reference, details: bool) -> Result<Option<Inspected>> {
    let repository = &reference.repository;
    let Some(fetched) = registry.get_manifest(repository, reference.lookup()).await? else { return Ok(None) };
    let descriptor = descriptor_of(&fetched);
    let bytes = fetched.bytes.to_vec();
    let mut inspected =
        Inspected { reference: reference.clone(), descriptor, bytes, list: None, images: BTreeMap::new() };
    match manifest::parse(&fetched.bytes, &fetched.media_type)? {
        Manifest::Image(manifest) => {
            let image = inspect_image(registry, repository, &fetched, manifest).await?;
            inspected.images.insert(fetched.digest.clone(), image);
        }
        Manifest::List(list) => {
            if details {
                let entries = list.entries.iter().filter(|entry| media::is_image(&entry.media_type));
                let images = try_join_all(entries.map(|entry| async move {
                    let Some(fetched) = registry.get_manifest(repository, entry.digest.as_str()).await?
                    else {
                        return anyhow::Ok(None);
                    };
                    let Manifest::Image(manifest) = manifest::parse(&fetched.bytes, &fetched.media_type)?
                    else {
                        return Ok(None);
                    };
                    let image = inspect_image(registry, repository, &fetched, manifest).await?;
                    Ok(Some((entry.digest.clone(), image)))
                }));
                inspected.images = images.await?.into_iter().flatten().collect();
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
