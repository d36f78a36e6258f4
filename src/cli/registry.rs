//! `registry serve`: the embedded registry by itself.

use anyhow::Result;

use super::args::{RegistryCommand, Serve};
use super::context::Context;
use crate::embedded::{Options, Server, Tls, Users};
use crate::error::{Exit, Failure};
use crate::workspace::own_folder::Refused;

pub(super) async fn run(context: &Context, command: RegistryCommand) -> Result<Exit> {
    match command {
        RegistryCommand::Serve(arguments) => serve(context, arguments).await,
    }
}

async fn serve(context: &Context, arguments: Serve) -> Result<Exit> {
    let users = arguments.htpasswd.as_deref().map(Users::read).transpose().map_err(usage)?;
    let tls = arguments.tls_cert.as_deref().zip(arguments.tls_key.as_deref());
    let tls = tls.map(|(certificate, key)| Tls::read(certificate, key)).transpose().map_err(usage)?;
    warn(context, &arguments);
    let options = Options {
        listen: arguments.listen,
        allow_sparse: arguments.allow_sparse,
        read_only: arguments.read_only,
        users,
        tls,
        ..Options::new(arguments.root.clone())
    };
    let server = Server::start(options).await.map_err(|error| match error.is::<Refused>() {
        true => Failure::new(format!("could not serve {}", arguments.root.display()))
            .because(error)
            .hint("choose a folder that is new or empty: a registry removes what nothing refers to")
            .exit(Exit::Usage)
            .into(),
        false => error,
    })?;
    // Data: a script that asked for port 0 reads where to connect.
    context.print_text(&format!("{}\n", server.addr()));
    context
        .progress
        .stage("Serving", &format!("{} on {} until Ctrl-C", arguments.root.display(), server.addr()));
    context.serve_until_ended().await;
    server.stop().await?;
    Ok(Exit::Done)
}

/// A file that was named on the command line is wrong.
fn usage(error: anyhow::Error) -> Failure {
    Failure::new(format!("{error:#}")).exit(Exit::Usage)
}

/// Says who may do what, where that is more than this machine.
fn warn(context: &Context, arguments: &Serve) {
    if arguments.listen.ip().is_loopback() {
        return;
    }
    let address = arguments.listen;
    if arguments.htpasswd.is_none() && !arguments.read_only {
        context.progress.warn(&format!(
            "whoever reaches {address} may push and delete; `--htpasswd FILE` asks for a password, `--read-only` \
             refuses writes"
        ));
    }
    if arguments.htpasswd.is_some() && arguments.tls_cert.is_none() {
        context.progress.warn(&format!(
            "passwords go to {address} unencrypted; `--tls-cert FILE --tls-key FILE` serves TLS"
        ));
    }
}
