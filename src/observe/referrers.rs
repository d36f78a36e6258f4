//! What hangs on a manifest in a registry: its referrers (distribution-spec, "Listing Referrers") and what cosign finds
//! by tags made from the digest; and what hangs on those.

use std::collections::BTreeSet;

use anyhow::Result;
use futures_util::future::{BoxFuture, join, try_join, try_join_all};
use tokio::sync::OnceCell;

use super::unreadable;
use crate::error::Failure;
use crate::model::content::{Content, is_manifest};
use crate::model::digest::Digest;
use crate::model::manifest::Descriptor;
use crate::model::media;
use crate::model::reference::{Repository, tag_problem};
use crate::plan::{CopyRole, ReferrerManifest, Referrers};
use crate::registry::{Registry, fallback_tag};
use crate::single_flight::SingleFlight;

/// What cosign appends to the digest: signatures, attestations, bills of material.
const SUFFIXES: [&str; 3] = ["sig", "att", "sbom"];

/// Nothing has so much hanging on it but by mistake or malice.
const MOST: usize = 1000;

/// Looks for what hangs on manifests; cheap to make, one for all that is looked for together.
pub(super) struct Finder<'a> {
    registry: &'a Registry,
    tags: SingleFlight<Repository, OnceCell<FewTags>>,
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
        Self { registry, tags: SingleFlight::default() }
    }

    /// What hangs on the manifests, all looked for at once.
    pub(super) async fn referrers(&self, wanted: Vec<Wanted<'_>>) -> Result<Referrers> {
        let mut referrers = Referrers::default();
        for found in try_join_all(wanted.into_iter().map(|wanted| self.referrers_of(wanted))).await? {
            referrers.extend(found);
        }
        Ok(referrers)
    }

    async fn referrers_of(&self, wanted: Wanted<'_>) -> Result<Referrers> {
        let Wanted { from, digest, to } = wanted;
        let all = self.over_all(from, digest).await?;
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
        Ok(Referrers { on: [(digest.clone(), all)].into(), served })
    }

    /// What hangs on `digest`, and what hangs on that.
    async fn over_all(&self, from: &Repository, digest: &Digest) -> Result<Vec<ReferrerManifest>> {
        let mut found: Vec<ReferrerManifest> = Vec::new();
        let mut next = vec![digest.clone()];
        let mut seen = BTreeSet::from([digest.clone()]);
        while !next.is_empty() {
            let level = try_join_all(next.iter().map(|digest| self.directly_on(from, digest))).await?;
            let level: Vec<_> = level.into_iter().flatten().collect();
            next = level
                .iter()
                .map(|one| one.manifest.digest.clone())
                .filter(|d| seen.insert(d.clone()))
                .collect();
            let lists = level.iter().filter(|one| media::is_list(&one.manifest.media_type));
            let parts = try_join_all(lists.map(|one| self.parts(from, &one.manifest))).await?;
            found.extend(
                parts
                    .into_iter()
                    .flatten()
                    .map(|manifest| ReferrerManifest { manifest, role: CopyRole::Part }),
            );
            found.extend(level);
            if found.len() > MOST {
                return Err(Failure::new(format!(
                    "more than {MOST} referrers hang on {}",
                    from.digest(digest)
                ))
                .hint("leave them behind with `attestations = \"drop\"`")
                .into());
            }
        }
        Ok(found)
    }

    /// The manifests that an index lists, those of an inner index before it.
    pub(super) fn parts<'f>(
        &'f self,
        from: &'f Repository,
        index: &'f Descriptor,
    ) -> BoxFuture<'f, Result<Vec<Descriptor>>> {
        Box::pin(async move {
            let Some(fetched) = self.registry.named_manifest(from, index).await? else {
                return Err(Failure::new(format!("{} is not there", from.digest(&index.digest))).into());
            };
            let content = Content::of(&fetched.bytes, &fetched.media_type)
                .map_err(|error| error.at(from.digest(&index.digest)))?;
            let children = content.children.into_iter().filter(|child| is_manifest(&child.media_type));
            let all = try_join_all(children.map(|child| async move {
                let mut all = match media::is_list(&child.media_type) {
                    true => self.parts(from, &child).await?,
                    false => Vec::new(),
                };
                all.push(Descriptor::new(&child.media_type, child.digest, child.size));
                anyhow::Ok(all)
            }));
            Ok(all.await?.into_iter().flatten().collect())
        })
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
