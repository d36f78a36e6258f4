//! `plan`: what a release would change. Writes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::args::{Format, Plan};
use super::ci;
use super::context::Context;
#[cfg(feature = "embedded-registry")]
use super::rehearse;
use crate::build::freshness::{Survey, Trust};
use crate::config::{Declaration, Strictness, working_folder_of};
use crate::error::{Exit, Failure};
use crate::lock;
use crate::registry::Access;
use crate::release::journal::{Inputs, Journal};
use crate::release::prepare::{announce, prepare_release};
use crate::report;
use crate::workspace::lock_file;

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
    announce(&registry, &declaration, Access::Pull)?;
    let options = arguments.first.options();
    let lock = lock_file::read(lock)?;
    let journal = Journal::open(folder)?;
    // What differs from the commit is read to its last byte: only for a run that could be finished.
    let inputs = match journal.is_empty() {
        true => BTreeMap::new(),
        false => Inputs::of_run(&declaration, true)?,
    };
    let unfinished = journal.sort(&declaration.targets, |target| inputs.get(&target.name).cloned());
    let mut survey = Survey::of(&declaration, &lock, folder, Trust::LockAlone).await?;
    let planned =
        prepare_release(&registry, &declaration, &unfinished.usable, &mut survey, &lock, options, true)
            .await?;
    ci::summarise(context, &report::plan::markdown(&planned));
    match context.global.format {
        Format::Markdown => context.print_raw(&report::plan::markdown(&planned)),
        _ => context
            .print(|style| style.fold(&report::plan::text(&planned, style)), || report::plan::json(&planned)),
    }
    if planned.iter().any(|planned| !planned.plan.problems.is_empty()) {
        return Err(Failure::new("a release would stop at the problems above").into());
    }
    let differs = arguments.exit_code && planned.iter().any(|planned| planned.plan.is_change());
    Ok(if differs { Exit::Differs } else { Exit::Done })
}
