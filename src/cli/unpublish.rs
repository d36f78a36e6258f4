//! `unpublish`: deletes a target's declared tags, and what only they held.

use anyhow::Result;

use super::args::{Targets, Unpublish};
use super::context::Context;
use crate::config::{Strictness, Target, working_folder_of};
use crate::error::{Exit, Failure};
use crate::invocation::program;
use crate::lock;
use crate::release::unpublish::{self, Journal};
use crate::report::unpublish as report;
use crate::workspace::lock_file;

pub(super) async fn run(context: &Context, arguments: &Unpublish) -> Result<Exit> {
    let targets = Targets { targets: vec![arguments.target.clone()] };
    let declaration = context.declaration(&targets, Strictness::Release)?;
    let _turn = context.take_turn(&declaration.root).await?;
    let registry = context.registry(Some(&declaration))?;
    // The name is that of a target, or the declaration would have been refused.
    let Some(target) = declaration.targets.first() else { return Ok(Exit::Done) };

    let lock = lock_file::read(&declaration.root.join(lock::FILE_NAME))?;
    let journal = Journal::open(&working_folder_of(&declaration.root))?;
    let plan = unpublish::survey(&registry, target, lock.targets.get(&target.name), &journal).await?;
    if !arguments.yes {
        context.print(|style| style.fold(&report::plan_text(&plan, style)), || report::plan_json(&plan));
        return Err(not_asked_for(target));
    }
    context.progress.block(&report::plan_text(&plan, context.progress.style()));
    let on_event = |event| context.progress.line(&report::event(&event));
    let unpublished = unpublish::carry_out(&registry, target, &plan, &journal, &on_event).await?;
    context.print(|style| style.fold(&report::text(&unpublished, style)), || report::json(&unpublished));
    Ok(Exit::Done)
}

fn not_asked_for(target: &Target) -> anyhow::Error {
    Failure::new("nothing was deleted: this is what `unpublish` would do")
        .hint(format!("`{} unpublish {} --yes` does it; it cannot be taken back", program(), target.name))
        .exit(Exit::Usage)
        .into()
}
