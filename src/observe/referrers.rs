//! What hangs on a manifest in a registry: its referrers (distribution-spec, "Listing Referrers") and what cosign finds
//! by tags made from the digest; and what hangs on those.

use std::collections::BTreeSet;

use anyhow::Result;
use futures_util::future::{join, try_join, try_join_all};
use tokio::sync::OnceCell;

use super::budget::{Budget, MOST_BYTES, MOST_REFERRERS, MOST_REFERRERS_TOGETHER};
use super::parts::parts;
use super::unreadable;
use crate::concurrency;
use crate::model::digest::Digest;
use crate::model::manifest::Descriptor;
use crate::model::media;
use crate::model::reference::{Repository, tag_problem};
use crate::plan::{CopyRole, ReferrerManifest, Referrers};
use crate::registry::{Registry, fallback_tag};
use crate::single_flight::SingleFlight;

/// What cosign appends to the digest: signatures, attestations, bills of material.
const SUFFIXES: [&str; 3] = ["sig", "att", "sbom"];

/// What to do about too many referrers.
const HINT: &str = "leave them behind with `attestations = \"drop\"`";

/// Looks for what hangs on manifests; cheap to make, one for all that is looked for together.
pub(super) struct Finder<'a> {
    registry: &'a Registry,
    tags: SingleFlight<Repository, OnceCell<FewTags>>,
    /// For all that is found.
    budget: Budget,
}

/// A manifest in `from` that is to be copied to each of `to`.
pub(super) struct Wanted<'a> {
    pub(super) from: &'a Repository,
    pub(super) digest: &'a Digest,
    pub(super) to: Vec<&'a Repository>,
}

/// A repository's tags; `None` when they are too many to list, or not listed.
type FewTags = Option<BTreeSet<String>>;

impl<'a> Finder<'a> {
    pub(super) fn new(registry: &'a Registry) -> Self {
        let budget = Budget::new(MOST_REFERRERS_TOGETHER, MOST_BYTES, HINT);
        Self { registry, tags: SingleFlight::default(), budget }
    }

    /// What hangs on the manifests, all looked for at once.
    pub(super) async fn referrers(&self, wanted: Vec<Wanted<'_>>) -> Result<Referrers> {
        let mut referrers = Referrers::default();
        for found in concurrency::try_over(&wanted, |wanted| self.referrers_of(wanted)).await? {
            referrers.extend(found);
        }
        Ok(referrers)
    }

    async fn referrers_of(&self, wanted: &Wanted<'_>) -> Result<Referrers> {
        let Wanted { from, digest, to } = wanted;
        let walk = self.over_all(from, digest);
        let all = self.budget.in_time(|| on(from, digest), walk).await?;
        let tags = all.iter().filter_map(|one| match &one.role {
            CopyRole::Tagged(tag) => Some(tag),
            _ => None,
        });
        let places = tags.flat_map(|tag| to.iter().map(move |to| to.tag(tag)));
        let served = try_join_all(places.map(|place| async move {
            match self.registry.head_manifest(&place.repository, place.lookup()).await {
                Ok(head) => anyhow::Ok(head.map(|head| (place, head.digest))),
                // Not readable is not there: bringing it is what shows whether it can be written.
                Err(error) => unreadable(error).map(|_| None),
            }
        }));
        let served = served.await?.into_iter().flatten().collect();
        Ok(Referrers { on: [((*digest).clone(), all)].into(), served })
    }

    /// What hangs on `digest`, and what hangs on that.
    async fn over_all(&self, from: &Repository, digest: &Digest) -> Result<Vec<ReferrerManifest>> {
        let own = Budget::new(MOST_REFERRERS, MOST_BYTES, HINT);
        let what = || on(from, digest);
        let mut found: Vec<ReferrerManifest> = Vec::new();
        let mut next = vec![digest.clone()];
        let mut seen = BTreeSet::from([digest.clone()]);
        while !next.is_empty() {
            let level = concurrency::try_over(&next, |digest| async {
                let found = self.directly_on(from, digest).await?;
                let manifests = || found.iter().map(|one| &one.manifest);
                own.take(what, manifests())?;
                self.budget.take(what, manifests())?;
                anyhow::Ok(found)
            });
            let level: Vec<_> = level.await?.into_iter().flatten().collect();
            next = level
                .iter()
                .map(|one| one.manifest.digest.clone())
                .filter(|d| seen.insert(d.clone()))
                .collect();
            for list in level.iter().filter(|one| media::is_list(&one.manifest.media_type)) {
                let parts = parts(self.registry, &own, from, &list.manifest).await?;
                self.budget.take(what, &parts)?;
                let parts = parts.into_iter();
                found.extend(parts.map(|manifest| ReferrerManifest { manifest, role: CopyRole::Part }));
            }
            found.extend(level);
        }
        Ok(found)
    }

    async fn directly_on(&self, from: &Repository, digest: &Digest) -> Result<Vec<ReferrerManifest>> {
        let registry = self.registry;
        let (listed, tags) = join(registry.listed_referrers(from, digest), self.few_tags(from)).await;
        let listed = listed?;
        let may_be = |tag: &String| tags.as_ref().is_none_or(|tags| tags.contains(tag));

        let referrers = async {
            match listed {
                Some(listed) => anyhow::Ok(listed),
                None if may_be(&fallback_tag(digest)) => {
                    Ok(registry.fallback_referrers(from, digest).await?)
                }
                None => Ok(Vec::new()),
            }
        };
        let signed = SUFFIXES.map(|suffix| format!("{}-{}.{suffix}", digest.algorithm(), digest.hex()));
        let signed = signed.into_iter().filter(|tag| tag_problem(tag).is_none() && may_be(tag));
        let signed = try_join_all(signed.map(|tag| async move {
            let head = registry.head_manifest(from, &tag).await?;
            anyhow::Ok(head.map(|head| ReferrerManifest {
                manifest: Descriptor::new(&head.media_type, head.digest, head.size),
                role: CopyRole::Tagged(tag),
            }))
        }));
        let (referrers, signed) = try_join(referrers, signed).await?;
        let referrers = referrers.into_iter().map(|referrer| ReferrerManifest {
            role: CopyRole::Referrer(digest.clone()),
            manifest: referrer,
        });
        Ok(referrers.chain(signed.into_iter().flatten()).collect())
    }

    async fn few_tags(&self, repository: &Repository) -> FewTags {
        let cell = self.tags.of(repository.clone());
        let tags = cell.get_or_init(|| async {
            let tags = self.registry.few_tags(repository).await?;
            Some(tags.into_iter().collect())
        });
        tags.await.clone()
    }
}

/// The beginning of what is wrong with all that hangs on a manifest.
fn on(from: &Repository, digest: &Digest) -> String {
    format!("the referrers of {} are", from.digest(digest))
}
