//! A manifest that is to be copied as it is, with all that it lists and what hangs on it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::budget::{Budget, MOST_BYTES, MOST_PARTS};
use super::parts::parts;
use super::referrers::{Finder, Wanted};
use super::{descriptor_of, held};
use crate::concurrency;
use crate::config::Attestations;
use crate::model::digest::Digest;
use crate::model::manifest::Descriptor;
use crate::model::media;
use crate::model::reference::Repository;
use crate::plan::{CopyRole, ObservedCopy, Referrers};
use crate::registry::Registry;

/// Whether what is copied is in use where it goes. What hangs on a manifest is written before it, and where a registry
/// refuses that (GitLab) right after it, but always before any tag. So only a tag that is written shows that everything is
/// there: a run that was stopped before may have left a manifest alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyState {
    /// Its tags are there.
    Finished,
    /// A tag is still to be written.
    Unfinished,
}

/// Reads what [`crate::plan::ObservedCopy::missing`] needs to copy the manifest `digest` of `from` to `to`; `None` when
/// `from` confirms that it has no such manifest.
///
/// What hangs on a manifest is looked for only where that manifest itself has to be copied; of a copy that is not
/// [finished](CopyState) everywhere.
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
    state: CopyState,
) -> Result<Option<ObservedCopy>> {
    let Some(fetched) = registry.manifest(from, digest.as_str()).await? else { return Ok(None) };
    let root = descriptor_of(&fetched);
    let mut manifests = match media::is_list(&root.media_type) {
        true => {
            let budget = Budget::new(MOST_PARTS, MOST_BYTES, "");
            let what = || format!("{} lists", from.digest(digest));
            budget.in_time(what, parts(registry, &budget, from, &root)).await?
        }
        false => Vec::new(),
    };
    manifests.push(root);
    observe_manifests(registry, from, manifests, to, attestations, state).await.map(Some)
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
    state: CopyState,
) -> Result<ObservedCopy> {
    let finder = Finder::new(registry);
    let digests = manifests.iter().map(|manifest| manifest.digest.clone());
    let mut present = held(registry, to, digests).await?;
    let looked_at = manifests
        .iter()
        .filter(|manifest| state == CopyState::Unfinished || !present.contains(&manifest.digest));
    let referrers = match attestations {
        Attestations::Keep => {
            let wanted = looked_at.map(|manifest| Wanted { from, digest: &manifest.digest, to: vec![to] });
            finder.referrers(wanted.collect()).await?
        }
        Attestations::Drop => Referrers::default(),
    };
    if state == CopyState::Unfinished {
        present = whole(registry, to, present, &referrers).await?;
    }
    Ok(ObservedCopy { from: from.clone(), to: to.clone(), manifests, present, referrers })
}

/// Those of `present` with which all is there that hangs on them.
async fn whole(
    registry: &Registry,
    to: &Repository,
    present: BTreeSet<Digest>,
    referrers: &Referrers,
) -> Result<BTreeSet<Digest>> {
    let present: Vec<Digest> = present.into_iter().collect();
    let whole = concurrency::try_over(&present, |digest| async move {
        let mut subjects: BTreeMap<&Digest, BTreeSet<&Digest>> = BTreeMap::new();
        for one in referrers.on.get(digest).into_iter().flatten() {
            match &one.role {
                CopyRole::Referrer(subject) => {
                    subjects.entry(subject).or_default().insert(&one.manifest.digest);
                }
                CopyRole::Tagged(tag) if !referrers.served.contains_key(&to.tag(tag)) => return Ok(None),
                CopyRole::Tagged(_) | CopyRole::Part | CopyRole::Content => {}
            }
        }
        for (subject, wanted) in subjects {
            let there = registry.referrers(to, subject).await?;
            let there: BTreeSet<&Digest> = there.iter().map(|one| &one.digest).collect();
            if !wanted.is_subset(&there) {
                return Ok(None);
            }
        }
        anyhow::Ok(Some(digest.clone()))
    });
    Ok(whole.await?.into_iter().flatten().collect())
}
