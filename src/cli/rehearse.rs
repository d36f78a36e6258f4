//! The embedded registry of a workspace, as `release --rehearse` and `plan --rehearse` use it.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::args::Release;
use super::context::Context;
use super::release::publish;
use crate::config::Declaration;
use crate::error::Exit;
use crate::lock;
use crate::release::rehearsal::Rehearsal;
use crate::release::turn::{self, Kind, Turn};

/// The whole of a release against the embedded registry.
pub(super) async fn release(
    context: &Context,
    arguments: &Release,
    declaration: Declaration,
) -> Result<Exit> {
    let mut rehearses = turn::take(&context.events, &declaration.root, Kind::Rehearsal).await?;
    // What it builds, and what runs before, is that of a real release.
    let releases = turn::take(&context.events, &declaration.root, Kind::Release).await?;
    let rehearsal = Rehearsal::start(&declaration.root).await?;
    context.progress.stage("Rehearsing", &format!("on the embedded registry at {}", rehearsal.host()));
    let mapped = rehearsal.map(declaration);
    let lock = rehearsal.folder().join(lock::FILE_NAME);
    let result = publish(context, arguments, &mapped, rehearsal.folder(), &lock).await;
    drop(releases);
    let (requests, writes) = rehearsal.requests();
    let log = rehearsal.folder().join("requests.log");
    let here = std::env::current_dir().unwrap_or_default();
    let log = log.strip_prefix(here).unwrap_or(&log);
    context
        .progress
        .stage("Rehearsed", &format!("{requests} requests, {writes} of them writes ({})", log.display()));
    if result.is_ok() {
        show_how_to_run(context, &mapped);
        if arguments.keep_serving {
            rehearses.serves(rehearsal.host());
            context.progress.stage("Serving", &format!("{} until Ctrl-C", rehearsal.host()));
            context.serve_until_ended().await;
        }
    }
    rehearsal.stop().await?;
    result
}

/// The embedded registry for reading: one of its own, for which the turn is held; or the one that another process serves.
pub(super) async fn start_or_join(context: &Context, root: &Path) -> Result<(Rehearsal, Option<Turn>)> {
    let mut waits = false;
    loop {
        match turn::try_take(root, Kind::Rehearsal)? {
            Ok(turn) => return Ok((Rehearsal::start(root).await?, Some(turn))),
            Err(holder) => match holder.serving {
                Some(host) if Rehearsal::answers(&host) => return Ok((Rehearsal::join(root, host), None)),
                _ if !waits => {
                    waits = true;
                    context.progress.stage("Waiting", "for another rehearsal of this workspace to end");
                }
                _ => {}
            },
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Targets whose commands are shown after a rehearsal; more would push its result off the screen.
const SHOWN_TO_RUN: usize = 3;

/// The lines that show the result, per platform of the first lists.
fn show_how_to_run(context: &Context, mapped: &Declaration) {
    context.progress.line("To run it: the same command with `--keep-serving`, and then in another terminal");
    for target in mapped.targets.iter().take(SHOWN_TO_RUN) {
        let (repository, tag) = (&target.repositories[0], &target.tags[0].name);
        for image in &target.images {
            let platform = image.platform.for_engine();
            context
                .progress
                .command(&format!("docker run --rm --pull always --platform {platform} {repository}:{tag}"));
        }
    }
}
