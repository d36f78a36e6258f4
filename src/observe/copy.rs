//! A manifest that is to be copied as it is, with all that it lists and what hangs on it.

use anyhow::Result;

use super::referrers::{Finder, Wanted};
use super::{descriptor_of, held};
use crate::config::Attestations;
use crate::model::digest::Digest;
use crate::model::manifest::Descriptor;
use crate::model::media;
use crate::model::reference::Repository;
use crate::plan::{ObservedCopy, Referrers};
use crate::registry::Registry;

/// Reads what [`crate::plan::ObservedCopy::missing`] needs to copy the manifest `digest` of `from` to `to`; `None` when
/// `from` confirms that it has no such manifest.
///
/// What hangs on a manifest is looked for only where that manifest itself has to be copied.
///
/// # Errors
///
/// As [`super::observe`].
pub async fn observe_copy(
    registry: &Registry,
    from: &Repository,
    digest: &Digest,
    to: &Repository,
    attestations: Attestations,
) -> Result<Option<ObservedCopy>> {
    let Some(fetched) = registry.manifest(from, digest.as_str()).await? else { return Ok(None) };
    let root = descriptor_of(&fetched);
    let mut manifests = match media::is_list(&root.media_type) {
        true => Finder::new(registry).parts(from, &root).await?,
        false => Vec::new(),
    };
    manifests.push(root);
    observe_manifests(registry, from, manifests, to, attestations).await.map(Some)
}

/// The same of `manifests` of `from` that are known.
///
/// # Errors
///
/// As [`super::observe`].
pub(super) async fn observe_manifests(
    registry: &Registry,
    from: &Repository,
    manifests: Vec<Descriptor>,
    to: &Repository,
    attestations: Attestations,
) -> Result<ObservedCopy> {
    let finder = Finder::new(registry);
    let digests = manifests.iter().map(|manifest| manifest.digest.clone());
    let present = held(registry, to, digests).await?;
    let absent = manifests.iter().filter(|manifest| !present.contains(&manifest.digest));
    let referrers = match attestations {
        Attestations::Keep => {
            let wanted = absent.map(|manifest| Wanted { from, digest: &manifest.digest, to: vec![to] });
            finder.referrers(wanted.collect()).await?
        }
        Attestations::Drop => Referrers::default(),
    };
    Ok(ObservedCopy { from: from.clone(), to: to.clone(), manifests, present, referrers })
}
