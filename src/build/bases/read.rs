//! Reads what registries have under a base's digest: lists, manifests and configurations. What is named by a digest is
//! asked for once on a machine. I/O.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join_all, try_join_all};
use serde::Deserialize;

use super::Base;
use super::entries::{candidates, give_the_same};
use crate::model::digest::Digest;
use crate::model::go_json;
use crate::model::manifest::{self, Descriptor, ImageManifest, List, Manifest};
use crate::model::platform::Platform;
use crate::model::reference::{Reference, Repository};
use crate::registry::Registry;

/// What an image's configuration says to those that build on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The digests of its layers' uncompressed contents, bottom first.
    pub layers: Vec<Digest>,
    /// Instructions that a build runs which begins with it (`ONBUILD`).
    pub triggers: Vec<String>,
}

/// What the configurations say of all images that an engine may take for `base`: one, as a rule.
///
/// # Errors
///
/// Why one of them cannot be read.
pub(crate) async fn facts(registry: &Registry, base: &Base) -> Result<Vec<Facts>, String> {
    let repository = &base.reference.repository;
    let list = match read(registry, repository, &base.digest).await? {
        Manifest::Image(image) => return Ok(vec![facts_of(registry, repository, &image).await?]),
        Manifest::List(list) => list,
    };
    let candidates = candidates(&list, base.platform.as_ref());
    if candidates.is_empty() {
        return Err("it has no image for the platform".to_owned());
    }
    try_join_all(candidates.into_iter().map(async |entry| {
        match read(registry, repository, &entry.digest).await? {
            Manifest::Image(image) => facts_of(registry, repository, &image).await,
            Manifest::List(_) => Err(format!("{} is another list within it", entry.digest)),
        }
    }))
    .await
}

/// A base whose list is another now: what it was, what it is, and the platform that it is used for.
pub(crate) type Moved = (Reference, Digest, Digest, Platform);

/// Those of `moved` that give the same image for their platform as before. What cannot be read does not.
pub(crate) async fn still_the_same(registry: &Registry, moved: Vec<Moved>) -> Vec<Moved> {
    let named = moved.iter().flat_map(|(base, before, now, _)| {
        [before, now].map(|digest| (base.repository.clone(), digest.clone()))
    });
    let named: BTreeSet<(Repository, Digest)> = named.collect();
    let reads = named.into_iter().map(async |(repository, digest)| {
        let read = read(registry, &repository, &digest).await;
        Some(((repository, digest), read.ok().and_then(list_of)?))
    });
    let lists: BTreeMap<_, List> = join_all(reads).await.into_iter().flatten().collect();
    let same = moved.iter().filter(|(base, before, now, platform)| {
        let [before, now] = [before, now].map(|digest| lists.get(&(base.repository.clone(), digest.clone())));
        before.zip(now).is_some_and(|(before, now)| give_the_same(before, now, platform))
    });
    same.cloned().collect()
}

fn list_of(manifest: Manifest) -> Option<List> {
    match manifest {
        Manifest::List(list) => Some(list),
        Manifest::Image(_) => None,
    }
}

async fn read(registry: &Registry, repository: &Repository, digest: &Digest) -> Result<Manifest, String> {
    // The type is in the bytes, or they are served with it.
    let named = Descriptor::new("", digest.clone(), 0);
    match registry.named_manifest(repository, &named).await {
        Ok(Some(fetched)) => manifest::parse(&fetched.bytes, &fetched.media_type)
            .map_err(|error| format!("{digest} is {error}")),
        Ok(None) => Err(format!("{digest} does not exist any more")),
        Err(error) => Err(error.answer()),
    }
}

async fn facts_of(
    registry: &Registry,
    repository: &Repository,
    image: &ImageManifest,
) -> Result<Facts, String> {
    let bytes = registry.get_blob(repository, &image.config.digest, image.config.size).await;
    let facts = parse(&bytes.map_err(|error| error.answer())?)?;
    if facts.layers.len() != image.layers.len() {
        return Err(format!(
            "its configuration names {} of {} layers",
            facts.layers.len(),
            image.layers.len()
        ));
    }
    Ok(facts)
}

fn parse(bytes: &[u8]) -> Result<Facts, String> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(default)]
        config: Inner,
        rootfs: RootFs,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Inner {
        on_build: Vec<String>,
    }
    #[derive(Deserialize)]
    struct RootFs {
        #[serde(default)]
        diff_ids: Vec<Digest>,
    }
    let config: Config =
        go_json::from_slice(bytes).map_err(|error| format!("its configuration is malformed: {error}"))?;
    Ok(Facts { layers: config.rootfs.diff_ids, triggers: config.config.on_build })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_says_its_layers_and_its_triggers() {
        let layer = Digest::of(b"layer");
        let facts = |layers: &[&Digest], triggers: &[&str]| {
            let layers = layers.iter().copied().cloned().collect();
            Ok(Facts { layers, triggers: triggers.iter().copied().map(str::to_owned).collect() })
        };
        for (text, expected) in [
            (r#"{"rootfs":{"diff_ids":["L"]}}"#, facts(&[&layer], &[])),
            (r#"{"config":{"OnBuild":null},"rootfs":{"diff_ids":null}}"#, facts(&[], &[])),
            (r#"{"config":{"OnBuild":["RUN x"]},"rootfs":{"diff_ids":["L"]}}"#, facts(&[&layer], &["RUN x"])),
            // Go, which wrote it, matches names without regard to case.
            (r#"{"Config":{"onbuild":["RUN x"]},"RootFS":{"diff_ids":["L"]}}"#, facts(&[&layer], &["RUN x"])),
        ] {
            let text = text.replace("\"L\"", &format!("\"{layer}\""));
            assert_eq!(parse(text.as_bytes()), expected, "{text}");
        }
        for malformed in ["{}", "[]", r#"{"config":{"OnBuild":"RUN x"},"rootfs":{}}"#] {
            assert!(parse(malformed.as_bytes()).unwrap_err().contains("malformed"), "{malformed}");
        }
    }
}
