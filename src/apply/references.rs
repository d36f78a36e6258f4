//! Gives images that are there the references that are declared for them.

use anyhow::Result;
use futures_util::future::try_join_all;

use super::{Event, bring};
use crate::error::Failure;
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
    on_event: &(dyn Fn(Event) + Sync),
) -> Result<()> {
    try_join_all(plans.iter().map(|plan| write(registry, plan, on_event))).await?;
    Ok(())
}

async fn write(registry: &Registry, plan: &ReferencePlan, on_event: &(dyn Fn(Event) + Sync)) -> Result<()> {
    let repository = &plan.reference.repository;
    bring(registry, &plan.copies, repository, on_event).await?;
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
    on_event(Event::Copied(plan.reference.clone()));
    Ok(())
}
