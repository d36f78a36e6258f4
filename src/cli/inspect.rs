//! `inspect` and `tags`: what a registry serves.

use anyhow::Result;
use serde_json::json;

use super::args::{Inspect, Tags};
use super::context::Context;
use crate::config::{Declaration, Strictness};
use crate::error::{Exit, Failure};
use crate::load::{find_declaration, load};
use crate::observe;
use crate::report;

pub(super) async fn inspect(context: &Context, arguments: &Inspect) -> Result<Exit> {
    let declaration = declaration_if_any(context)?;
    let registry = context.registry(declaration.as_ref())?;
    let reference = &arguments.reference;
    let inspected =
        observe::inspect(&registry, reference, context.global.verbose).await?.ok_or_else(|| {
            Failure::new(format!("{reference} is not in the registry"))
                .hint(format!("`tags {}` shows what is", reference.repository))
        })?;
    context.print(
        |style| style.fold(&report::inspect::text(&inspected, style)),
        || report::inspect::json(&inspected),
    )?;
    Ok(Exit::Done)
}

pub(super) async fn tags(context: &Context, arguments: &Tags) -> Result<Exit> {
    let declaration = declaration_if_any(context)?;
    let registry = context.registry(declaration.as_ref())?;
    let repository = &arguments.repository;
    let tags = registry
        .tags(repository)
        .await?
        .ok_or_else(|| Failure::new(format!("{repository} is not in the registry")))?;
    let json = || json!({ "version": 1, "repository": repository.to_string(), "tags": tags });
    context.print(|_| tags.iter().map(|tag| format!("{tag}\n")).collect(), json)?;
    Ok(Exit::Done)
}

/// The declaration at hand, for its registry settings; these commands work without one too.
fn declaration_if_any(context: &Context) -> Result<Option<Declaration>> {
    if context.global.config.is_none() && find_declaration(&std::env::current_dir()?).is_err() {
        return Ok(None);
    }
    load(context.global.config.as_deref(), Strictness::Check).map(Some)
}
