//! The command line: one file per verb. Each reads as the stages it goes through; the work is done elsewhere.

mod args;
mod check;
mod ci;
mod complete;
mod context;
mod doctor;
mod examples;
mod import;
mod init;
mod inspect;
mod keeper;
mod manifest;
mod metadata_file;
mod plan;
mod promote;
mod reconcile;
#[cfg(all(test, feature = "embedded-registry"))]
mod reference;
#[cfg(feature = "embedded-registry")]
mod registry;
mod release;
mod schema;
mod signals;
mod stages;
mod unpublish;
mod verify;

use std::process::ExitCode;

use clap::FromArgMatches as _;

use crate::config::Problems;
use crate::error::{Exit, Failure, exit_of, render};
use crate::report::style::{Ink, Style};
use args::{Arguments, Command, Format};
use context::Context;

/// Runs the command line of this process: parses, does, reports, and gives the exit code of [`Exit`].
///
/// This is all that an adopter's `xtask` calls.
pub fn main() -> ExitCode {
    let arguments = match parse() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            // `--help` and `--version` are no errors; clap prints each where it belongs.
            let exit = match error.use_stderr() {
                true => manifest::args::usage_exit(&error).unwrap_or(Exit::Usage),
                false => Exit::Done,
            };
            let _ = error.print();
            return ExitCode::from(exit.code());
        }
    };
    let style = arguments.global.stderr_style();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::from(error).context("could not start the runtime"), style),
    };
    let result = runtime.block_on(async {
        let streams = matches!(arguments.command, Command::Release(_));
        let context = Context::new(arguments.global, streams)?;
        let ledger = context.ledger();
        let result = signals::until_ended(run(&context, arguments.command), &ledger).await;
        if let Err(error) = &result {
            context.report_failure(error)?;
        }
        result
    });
    // A blocking read of a child's output must not keep an ended run alive.
    runtime.shutdown_background();
    match result {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => fail(&error, style),
    }
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

#[expect(clippy::print_stderr, reason = "the one place where a failed run is reported")]
fn fail(error: &anyhow::Error, style: Style) -> ExitCode {
    if let Some(problems) = error.chain().find_map(|cause| cause.downcast_ref::<Problems>()) {
        // The carets first: what a person acts on. The last line says how many there are.
        let columns = style.screen().map(|screen| screen.columns);
        eprintln!("{}", style.fold(&problems.render(style.is_coloured(), columns)));
        eprintln!("{} {error}", style.paint(Ink::Remove, "error:"));
        return ExitCode::from(exit_of(error).code());
    }
    let text = style.fold(&render(error));
    let text = match text.strip_prefix("error:") {
        Some(rest) => format!("{}{rest}", style.paint(Ink::Remove, "error:")),
        None => text,
    };
    eprint!("{text}");
    ExitCode::from(exit_of(error).code())
}
