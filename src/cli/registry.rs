//! `registry serve`: the embedded registry by itself.

use anyhow::Result;

use super::args::{RegistryCommand, Serve};
use super::context::Context;
use crate::embedded::{Options, Server};
use crate::error::Exit;

pub(super) async fn run(context: &Context, command: RegistryCommand) -> Result<Exit> {
    match command {
        RegistryCommand::Serve(arguments) => serve(context, arguments).await,
    }
}

async fn serve(context: &Context, arguments: Serve) -> Result<Exit> {
    let options = Options {
        listen: arguments.listen,
        root: arguments.root.clone(),
        allow_sparse: arguments.allow_sparse,
        request_log: None,
    };
    let server = Server::start(options).await?;
    // Data: a script that asked for port 0 reads where to connect.
    context.print_raw(&format!("{}\n", server.addr()))?;
    context
        .progress
        .stage("Serving", &format!("{} on {} until Ctrl-C", arguments.root.display(), server.addr()));
    context.serve_until_ended().await;
    server.stop().await?;
    Ok(Exit::Done)
}
