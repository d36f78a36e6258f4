//! `release`: check → plan → build → smoke run → push → reconcile, and the same as a rehearsal.

use std::path::Path;

use anyhow::Result;

use super::args::Release;
use super::ci;
use super::context::Context;
use super::metadata_file::MetadataFile;
#[cfg(feature = "embedded-registry")]
use super::rehearse;
use crate::config::{Declaration, Strictness, working_folder_of};
use crate::error::Exit;
use crate::lock;
use crate::release::clean::refuse_dirty;
use crate::release::run::{Released, Run, Settings};
use crate::report;

pub(super) async fn run(context: &Context, arguments: &Release) -> Result<Exit> {
    let declaration = context.declaration(&arguments.targets, Strictness::Release)?;
    #[cfg(feature = "embedded-registry")]
    if arguments.rehearse {
        return rehearse::release(context, arguments, declaration).await;
    }
    let _turn = context.take_turn(&declaration.root).await?;
    if !arguments.allow_dirty {
        refuse_dirty(&declaration)?;
    }
    let lock = declaration.root.join(lock::FILE_NAME);
    publish(context, arguments, &declaration, &working_folder_of(&declaration.root), &lock).await
}

/// The release itself, against whatever registries `declaration` names; `folder` is where its journal and its notes
/// are, `lock_file` what was published.
pub(super) async fn publish(
    context: &Context,
    arguments: &Release,
    declaration: &Declaration,
    folder: &Path,
    lock_file: &Path,
) -> Result<Exit> {
    let metadata = arguments.metadata_file.as_deref().map(MetadataFile::open).transpose()?;
    let registry = context.registry(Some(declaration))?;
    let settings = Settings {
        options: arguments.first.options(),
        smoke: !arguments.skip_smoke,
        rebuild: arguments.rebuild,
        locked: arguments.locked,
        ..context.settings(&arguments.targets)
    };
    let events = &context.events;
    let run = Run { declaration, registry: &registry, events, folder, lock_file, settings: &settings };
    let (carried, planned) = match run.release().await? {
        Released::Carried(carried, planned) => (carried, planned),
        Released::NotAsLocked(why) => {
            context.progress.line(&format!("not as locked: {why}"));
            return Ok(Exit::Differs);
        }
    };
    let heading = if arguments.is_rehearsal() { "Rehearsed" } else { "Released" };
    ci::summarise_result(context, &carried, heading);
    let applied = carried.complete()?;
    if let Some(file) = metadata {
        let text = format!("{:#}\n", report::metadata::json(&applied, &planned));
        file.write(&text, "everything is published")?;
    }
    context.print(|style| report::summary::text(&applied, style), || report::summary::json(&applied));
    Ok(Exit::Done)
}
