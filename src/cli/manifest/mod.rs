//! `manifest create|annotate|inspect|push|rm`: the grammar, output and exit codes of `docker manifest`. What Docker keeps
//! in local files stands in `manifests.toml`.

mod annotate;
pub(super) mod args;
mod create;
mod inspect;
mod push;
mod rm;

use anyhow::Result;

use super::context::Context;
use crate::error::Exit;
use args::ManifestCommand;

pub(super) async fn run(context: &Context, command: ManifestCommand) -> Result<Exit> {
    match command {
        ManifestCommand::Create(arguments) => create::run(context, &arguments).await,
        ManifestCommand::Annotate(arguments) => annotate::run(context, &arguments),
        ManifestCommand::Inspect(arguments) => inspect::run(context, &arguments).await,
        ManifestCommand::Push(arguments) => push::run(context, &arguments).await,
        ManifestCommand::Rm(arguments) => rm::run(context, &arguments),
    }
}
