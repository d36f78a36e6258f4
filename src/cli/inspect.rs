//! `inspect` and `tags`: what a registry serves.

use anyhow::Result;
use serde_json::json;

use super::args::{Inspect, Tags};
use super::context::Context;
use crate::author::declared_file::DeclarationFile;
use crate::config::{Declaration, Strictness};
use crate::error::{Exit, Failure};
use crate::invocation::program;
use crate::model::foreign::Foreign;
use crate::observe;
use crate::report;
use crate::workspace::load::load;

pub(super) async fn inspect(context: &Context, arguments: &Inspect) -> Result<Exit> {
    let declaration = declaration_if_any(context)?;
    let registry = context.registry(declaration.as_ref())?;
    let reference = &arguments.reference;
    let inspected =
        observe::inspect(&registry, reference, context.global.verbose).await?.ok_or_else(|| {
            Failure::new(format!("{reference} is not in the registry")).hint(format!(
                "`{} tags {}` shows what is",
                program(),
                reference.repository
            ))
        })?;
    context.print(
        |style| style.fold(&report::inspect::text(&inspected, style)),
        || report::inspect::json(&inspected),
    );
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
    context.print(|_| tags.iter().map(|tag| format!("{}\n", Foreign(tag))).collect(), json);
    Ok(Exit::Done)
}

/// The nearest declaration, for its registry settings. These commands work without one too, so a file that is not valid
/// stops them only where `--config` names it.
fn declaration_if_any(context: &Context) -> Result<Option<Declaration>> {
    let named = context.global.config.as_deref();
    let file = DeclarationFile::find(named)?;
    match (named, file.exists()) {
        (None, false) => Ok(None),
        (Some(_), false) => load(named, Strictness::Check).map(Some),
        (Some(_), true) => file.read().map(Some),
        (None, true) => Ok(file
            .read()
            .inspect_err(|_| {
                let file = file.shown();
                let file = file.display();
                context.progress.warn(&format!(
                    "{file} is not valid, so its `[registry]` settings are not used; `{} check` shows why",
                    program()
                ));
            })
            .ok()),
    }
}
