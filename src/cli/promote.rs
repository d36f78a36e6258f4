//! `promote`: what is locked goes to another registry, or a tag to what another one serves. Nothing is built.

use anyhow::Result;

use super::args::Promote;
use super::context::Context;
use super::verify::limited;
use crate::config::Strictness;
use crate::error::{Exit, Failure};
use crate::lock;
use crate::release::prepare::{apply_all, stop_on_problems};
use crate::release::promote::{moved_tag, to_registry};
use crate::report;
use crate::workspace::lock_file;

pub(super) async fn run(context: &Context, arguments: &Promote) -> Result<Exit> {
    let declaration = context.declaration(&arguments.targets, Strictness::Check)?;
    let _turn = context.take_turn(&declaration.root).await?;
    let path = declaration.root.join(lock::FILE_NAME);
    let lock = limited(lock_file::read(&path)?, &declaration, &arguments.targets.targets);
    if lock.targets.is_empty() {
        return Err(Failure::new(format!("{} has nothing to promote", path.display()))
            .hint("`release` writes it")
            .exit(Exit::Usage)
            .into());
    }
    let registry = context.registry(Some(&declaration))?;
    let plans = match (&arguments.to, &arguments.from, &arguments.tag) {
        (Some(host), _, _) => to_registry(&registry, &declaration, &lock, host).await?,
        (None, Some(from), Some(tag)) => moved_tag(&registry, &declaration, &lock, from, tag).await?,
        _ => Vec::new(),
    };
    context.progress.block(&report::plan::text(&plans, context.progress.style()));
    stop_on_problems(&plans)?;
    let carried = apply_all(&registry, &plans, &context.events).await;
    let applied = carried.complete()?;
    context.print(|style| report::summary::text(&applied, style), || report::summary::json(&applied));
    Ok(Exit::Done)
}
