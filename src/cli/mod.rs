//! The command line: one file per verb. Each reads as the stages it goes through; the work is done elsewhere.

mod args;
mod check;
mod ci;
mod complete;
mod context;
mod doctor;
mod examples;
#[cfg(all(test, feature = "embedded-registry"))]
mod hints;
mod import;
mod init;
mod inspect;
mod manifest;
mod metadata_file;
mod plan;
mod promote;
mod reconcile;
#[cfg(all(test, feature = "embedded-registry"))]
mod reference;
#[cfg(feature = "embedded-registry")]
mod registry;
#[cfg(feature = "embedded-registry")]
mod rehearse;
mod release;
mod schema;
mod signals;
mod stages;
mod unpublish;
mod verify;

use std::io::IsTerminal as _;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use clap::FromArgMatches as _;
use futures_util::FutureExt as _;

use crate::config::Problems;
use crate::error::{Exit, Failure, exit_of, hanging, render};
use crate::report::output::Output;
use crate::report::style::{Ink, Style};
use args::{Arguments, Command, Format};
use context::{Context, Ledger};

/// Runs the command line of this process: parses, does, reports, and gives the exit code of [`Exit`].
///
/// This is all that an adopter's `xtask` calls.
pub fn main() -> ExitCode {
    let arguments = match parse() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            if error.use_stderr() {
                // It quotes arguments, and a script's arguments may come from anywhere.
                let is_coloured = std::io::stderr().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
                let text = error.render();
                let text = if is_coloured { text.ansi().to_string() } else { text.to_string() };
                let is_broken = std::env::args_os().any(|argument| argument.to_string_lossy().contains('\n'));
                let text = if is_broken { hanging(&text) } else { text.as_str().into() };
                Output::stderr(Style::new(is_coloured)).write(&text);
                let exit = manifest::args::usage_exit(&error).unwrap_or(Exit::Usage);
                return ExitCode::from(exit.code());
            }
            // `--help` and `--version` are no errors.
            let exit = match error.print() {
                Err(lost) if lost.kind() != std::io::ErrorKind::BrokenPipe => Exit::Failed,
                _ => Exit::Done,
            };
            return ExitCode::from(exit.code());
        }
    };
    let style = arguments.global.stderr_style();
    let stderr = Output::stderr(style);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = anyhow::Error::from(error).context("could not start the runtime");
            return fail(&error, style, &stderr);
        }
    };
    let result = runtime.block_on(async {
        let (streams, for_data) = (arguments.command.is_stream(), arguments.command.is_for_data());
        let context = Context::new(arguments.global, streams, stderr.clone());
        let ledger = context.ledger();
        // A bug ends the run as a failure does: with an account and a documented exit code.
        let work = AssertUnwindSafe(run(&context, arguments.command)).catch_unwind();
        let work = async { work.await.unwrap_or_else(|_| Err(bug(&ledger))) };
        let result = signals::until_ended(work, &ledger).await;
        if let Err(error) = &result {
            context.report_failure(error);
        }
        context.end(result, for_data)
    });
    // A blocking read of a child's output must not keep an ended run alive.
    runtime.shutdown_background();
    match result {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => fail(&error, style, &stderr),
    }
}

/// What a panic comes to; its message is on stderr.
fn bug(ledger: &Ledger) -> anyhow::Error {
    let published = ledger.lock().is_ok_and(|account| !account.is_empty());
    Failure::new("a bug in `manifests` stopped this run, see above")
        .exit(if published { Exit::Partial } else { Exit::Failed })
        .into()
}

/// The arguments of this process; none, when a shell asked for candidates and has got them.
fn parse() -> clap::error::Result<Option<Arguments>> {
    if complete::answered(args::command)? {
        return Ok(None);
    }
    let arguments = manifest::args::with_plain_booleans(std::env::args_os());
    Arguments::from_arg_matches(&args::command().try_get_matches_from(arguments)?).map(Some)
}

async fn run(context: &Context, command: Command) -> anyhow::Result<Exit> {
    if context.global.format == Format::Markdown && !matches!(command, Command::Plan(_)) {
        return Err(Failure::new("`--format markdown` is for `plan` only").exit(Exit::Usage).into());
    }
    match command {
        Command::Release(arguments) => release::run(context, &arguments).await,
        Command::Build(arguments) => stages::build(context, &arguments).await,
        Command::Smoke(arguments) => stages::smoke(context, &arguments).await,
        Command::Push(arguments) => stages::push(context, &arguments).await,
        Command::Reconcile(arguments) => reconcile::run(context, &arguments).await,
        Command::Plan(arguments) => plan::run(context, &arguments).await,
        Command::Verify(arguments) => verify::run(context, &arguments).await,
        Command::Promote(arguments) => promote::run(context, &arguments).await,
        Command::Unpublish(arguments) => unpublish::run(context, &arguments).await,
        Command::Inspect(arguments) => inspect::inspect(context, &arguments).await,
        Command::Import(arguments) => import::run(context, &arguments).await,
        Command::Manifest { command } => manifest::run(context, command).await,
        Command::Tags(arguments) => inspect::tags(context, &arguments).await,
        Command::Init(arguments) => init::run(context, &arguments).await,
        Command::Check(arguments) => check::run(context, &arguments),
        Command::Completions(arguments) => complete::run(context, &arguments),
        Command::Schema(arguments) => schema::run(context, &arguments),
        Command::Doctor(arguments) => doctor::run(context, &arguments).await,
        #[cfg(feature = "embedded-registry")]
        Command::Registry { command } => registry::run(context, command).await,
    }
}

fn fail(error: &anyhow::Error, style: Style, stderr: &Output) -> ExitCode {
    if let Some(problems) = error.chain().find_map(|cause| cause.downcast_ref::<Problems>()) {
        // The carets first: what a person acts on. The last line says how many there are.
        let columns = style.screen().map(|screen| screen.columns);
        let drawn = style.fold(&problems.render(style.is_coloured(), columns));
        stderr.write(&format!("{drawn}\n{} {error}\n", style.paint(Ink::Remove, "error:")));
        return ExitCode::from(exit_of(error).code());
    }
    let text = style.fold(&render(error));
    let text = match text.strip_prefix("error:") {
        Some(rest) => format!("{}{rest}", style.paint(Ink::Remove, "error:")),
        None => text,
    };
    stderr.write(&text);
    ExitCode::from(exit_of(error).code())
}
