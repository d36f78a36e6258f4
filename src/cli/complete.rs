//! `completions`, and what a shell asks for while somebody types: commands, options, and the targets and platforms of
//! the file at hand. Asks no other program, so that no key press waits for one.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use anyhow::Result;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{Bash, CompleteEnv, EnvCompleter, Fish, Zsh};

use super::args::{Completions, Shell};
use super::context::Context;
use crate::config::{self, Document};
use crate::error::Exit;
use crate::workspace::load::find_declaration;

/// The variable by which a shell's script asks this program for candidates.
const VARIABLE: &str = "MANIFESTS_COMPLETE";

const NAME: &str = "manifests";

/// Answers a shell and gives true, when this process was started by one for that.
pub(super) fn answered(command: fn() -> clap::Command) -> clap::error::Result<bool> {
    let here = std::env::current_dir().ok();
    CompleteEnv::with_factory(command).var(VARIABLE).try_complete(std::env::args_os(), here.as_deref())
}

/// Prints the script that a shell reads once.
pub(super) fn run(context: &Context, arguments: &Completions) -> Result<Exit> {
    let shell: &dyn EnvCompleter = match arguments.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, NAME, NAME, NAME, &mut script)?;
    context.print_exactly(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}

/// Completes the names of targets.
pub(super) fn targets() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| candidates(current, Document::target_names))
}

/// Completes platforms.
pub(super) fn platforms() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| candidates(current, Document::platform_names))
}

/// What begins as typed so far; nothing, where there is no file or it cannot be read.
fn candidates(current: &OsStr, names: fn(&Document) -> Vec<&str>) -> Vec<CompletionCandidate> {
    let Some(document) = document() else { return Vec::new() };
    let current = current.to_string_lossy();
    let wanted = names(&document).into_iter().filter(|name| name.starts_with(&*current));
    wanted.map(CompletionCandidate::new).collect()
}

/// The file that the line so far names, else the one found from here upwards.
fn document() -> Option<Document> {
    let path = match named_file(std::env::args_os()) {
        Some(path) => path,
        None => find_declaration(&std::env::current_dir().ok()?).ok()?,
    };
    config::read(&path, &std::fs::read_to_string(&path).ok()?).ok()
}

fn named_file(mut arguments: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    let given = arguments.find_map(|argument| {
        let argument = argument.into_string().ok()?;
        let value = argument.strip_prefix("--config")?;
        (value.is_empty() || value.starts_with('=')).then(|| value.trim_start_matches('=').to_owned())
    })?;
    match given.is_empty() {
        // Bash makes a word of its own of the sign between them.
        true => arguments.find(|word| word != "=").map(PathBuf::from),
        false => Some(PathBuf::from(given)),
    }
}
