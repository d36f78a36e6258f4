//! Brings images into the list's repository: by a mount where it can be, else byte by byte.

use anyhow::Result;
use futures_util::future::try_join_all;

use crate::error::Failure;
use crate::manifest::{self, Descriptor, Manifest};
use crate::plan::CopyPlan;
use crate::reference::Repository;
use crate::registry::Registry;

/// Brings one manifest with its blobs into `to`.
pub(super) async fn copy_manifest(registry: &Registry, copy: &CopyPlan, to: &Repository) -> Result<()> {
    let Descriptor { digest, .. } = &copy.manifest;
    let fetched = registry.named_manifest(&copy.from, &copy.manifest).await?.ok_or_else(|| {
        Failure::new(format!("{} is no longer there", copy.from.digest(digest)))
            .hint("somebody deleted it since the plan was made; run again")
    })?;
    if let Manifest::Image(image) = manifest::parse(&fetched.bytes, &fetched.media_type)? {
        try_join_all(
            image.blobs().into_iter().map(|blob| registry.copy_blob(&copy.from, to, &blob.digest, blob.size)),
        )
        .await?;
    }
    registry.put_manifest(to, digest.as_str(), &copy.manifest.media_type, &fetched.bytes).await?;
    Ok(())
}
