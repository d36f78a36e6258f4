//! `unpublish`: deletes a target's declared tags, and what only they held.

use anyhow::Result;
use futures_util::future::try_join_all;

use super::args::{Targets, Unpublish};
use super::context::Context;
use crate::apply;
use crate::config::{Strictness, Target};
use crate::error::{Exit, Failure};
use crate::observe::contents;
use crate::plan;
use crate::report::unpublish as report;

pub(super) async fn run(context: &Context, arguments: &Unpublish) -> Result<Exit> {
    let targets = Targets { targets: vec![arguments.target.clone()] };
    let declaration = context.declaration(&targets, Strictness::Release)?;
    let _turn = context.take_turn(&declaration.root).await?;
    let registry = context.registry(Some(&declaration))?;
    // The name is that of a target, or the declaration would have been refused.
    let Some(target) = declaration.targets.first() else { return Ok(Exit::Done) };

    let read = target.repositories.iter().map(|repository| contents(&registry, repository, target));
    let plan = plan::unpublish(target, &try_join_all(read).await?);
    if !arguments.yes {
        context.print(|style| style.fold(&report::plan_text(&plan, style)), || report::plan_json(&plan))?;
        return Err(not_asked_for(target));
    }
    context.progress.line(report::plan_text(&plan, context.progress.style()).trim_end());
    let on_deleted = |reference: &_| context.progress.line(&format!("deleted {reference}"));
    let unpublished = apply::unpublish(&registry, &plan, &on_deleted).await?;
    context.print(|style| style.fold(&report::text(&unpublished, style)), || report::json(&unpublished))?;
    Ok(Exit::Done)
}

fn not_asked_for(target: &Target) -> anyhow::Error {
    Failure::new("nothing was deleted: this is what `unpublish` would do")
        .hint(format!("`unpublish {} --yes` does it; it cannot be taken back", target.name))
        .exit(Exit::Usage)
        .into()
}
