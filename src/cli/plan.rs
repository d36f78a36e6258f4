//! `plan`: what a release would change. Writes nothing.

use std::path::Path;

use anyhow::Result;

use super::args::{Format, Plan};
use super::ci;
use super::context::Context;
#[cfg(feature = "embedded-registry")]
use super::rehearse;
use crate::config::{Declaration, Strictness, working_folder_of};
use crate::error::{Exit, Failure};
use crate::lock;
use crate::release::run::{Run, Settings};
use crate::report;

pub(super) async fn run(context: &Context, arguments: &Plan) -> Result<Exit> {
    let declaration = context.declaration(&arguments.targets, Strictness::Release)?;
    #[cfg(feature = "embedded-registry")]
    if arguments.rehearse {
        let (rehearsal, _turn) = rehearse::start_or_join(context, &declaration.root).await?;
        let folder = rehearsal.folder().to_owned();
        let lock = folder.join(lock::FILE_NAME);
        let exit = show(context, arguments, rehearsal.map(declaration), &folder, &lock).await;
        rehearsal.stop().await?;
        return exit;
    }
    let folder = working_folder_of(&declaration.root);
    let lock = declaration.root.join(lock::FILE_NAME);
    show(context, arguments, declaration, &folder, &lock).await
}

async fn show(
    context: &Context,
    arguments: &Plan,
    declaration: Declaration,
    folder: &Path,
    lock: &Path,
) -> Result<Exit> {
    let registry = context.registry(Some(&declaration))?;
    let options = arguments.first.options();
    let run = Run {
        declaration: &declaration,
        registry: &registry,
        events: &context.events,
        folder,
        lock_file: lock,
        settings: &Settings { options, ..context.settings(&arguments.targets) },
    };
    let planned = run.plan().await?;
    ci::summarise(context, &report::plan::markdown(&planned));
    match context.global.format {
        Format::Markdown => context.print_text(&report::plan::markdown(&planned)),
        _ => context
            .print(|style| style.fold(&report::plan::text(&planned, style)), || report::plan::json(&planned)),
    }
    if planned.iter().any(|planned| !planned.plan.problems.is_empty()) {
        return Err(Failure::new("a release would stop at the problems above").into());
    }
    let differs = arguments.exit_code && planned.iter().any(|planned| planned.plan.is_change());
    Ok(if differs { Exit::Differs } else { Exit::Done })
}
