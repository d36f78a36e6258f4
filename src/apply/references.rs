//! Gives images that are there the references that are declared for them.

use anyhow::Result;
use futures_util::future::try_join_all;

use super::bring;
use crate::error::Failure;
use crate::events::{Event, Events};
use crate::plan::ReferencePlan;
use crate::registry::Registry;

/// Writes every reference, side by side: the image comes into its repository first.
///
/// # Errors
///
/// An image is no longer where it was, or a registry refuses it.
pub(super) async fn write_references(
    registry: &Registry,
    plans: &[ReferencePlan],
    events: &Events,
) -> Result<()> {
    try_join_all(plans.iter().map(|plan| write(registry, plan, events))).await?;
    Ok(())
}

async fn write(registry: &Registry, plan: &ReferencePlan, events: &Events) -> Result<()> {
    let repository = &plan.reference.repository;
    bring(registry, &plan.copies, repository, events).await?;
    let tag = plan.reference.lookup();
    match &plan.index {
        Some(bytes) => registry.put_manifest(repository, tag, plan.media_type(), bytes).await?,
        None => {
            let fetched = registry.named_manifest(&plan.from, &plan.image).await?.ok_or_else(|| {
                Failure::new(format!("{} is no longer there", plan.from.digest(&plan.image.digest)))
                    .hint("somebody deleted it since the plan was made; run again")
            })?;
            registry.put_manifest(repository, tag, plan.media_type(), &fetched.bytes).await?
        }
    };
    events.tell(Event::Copied(&plan.reference));
    Ok(())
}
