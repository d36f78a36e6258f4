//! `reconcile`: only the list. Every image is found in the registry, or named by the files of `push`.

use anyhow::Result;

use super::args::Reconcile;
use super::ci;
use super::context::{Context, narrow};
use crate::config::{Strictness, working_folder_of};
use crate::error::Exit;
use crate::lock;
use crate::release::pushed::read_pushed;
use crate::release::run::{Run, Settings};
use crate::report;
use crate::workspace::load;

pub(super) async fn run(context: &Context, arguments: &Reconcile) -> Result<Exit> {
    let whole = load::load(context.global.config.as_deref(), Strictness::Release)?;
    let declaration = narrow(whole.clone(), &arguments.targets)?;
    let _turn = context.take_turn(&declaration.root).await?;
    let registry = context.registry(Some(&declaration))?;
    let pushed = read_pushed(&whole, &declaration, &arguments.images)?;
    let options = arguments.first.options();
    let run = Run {
        declaration: &declaration,
        registry: &registry,
        events: &context.events,
        folder: &working_folder_of(&declaration.root),
        lock_file: &declaration.root.join(lock::FILE_NAME),
        settings: &Settings { options, ..context.settings(&arguments.targets) },
    };
    let carried = run.reconcile(pushed).await?;
    ci::summarise_result(context, &carried, "Reconciled");
    let applied = carried.complete()?;
    context.print(|style| report::summary::text(&applied, style), || report::summary::json(&applied));
    Ok(Exit::Done)
}
