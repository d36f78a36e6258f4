//! Whether this machine can release: each check says what it found, and, where it can be helped, how.

mod emulators;
mod settings;

use anyhow::{Context as _, Result};

pub use settings::{loopback_is_declared, require};

use super::find::{Candidate, DAEMON, DOCKER, Request, candidates};
use super::{DaemonInfo, Engine, indent};
use crate::children::{Lines, Program};
use crate::config::Declaration;
use crate::error::Failure;

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should be.
    Fine,
    /// A release may go through all the same.
    Doubtful,
    /// A release would fail.
    Wrong,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// What it came to.
    pub state: State,
    /// What was found.
    pub found: String,
    /// How to help it.
    pub fix: Option<Fix>,
}

/// How to help a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fix {
    /// Commands that can be run as they stand, one after the other.
    Run(Vec<Vec<String>>),
    /// Something that a person does.
    Say(String),
}

impl Check {
    /// A check that went well.
    pub fn fine(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Fine, found: found.into(), fix: None }
    }

    /// A check that did not.
    pub fn bad(name: impl Into<String>, state: State, found: impl Into<String>, fix: Fix) -> Self {
        Self { name: name.into(), state, found: found.into(), fix: Some(fix) }
    }
}

impl Fix {
    /// What a person types or reads.
    pub fn shown(&self) -> String {
        match self {
            Self::Run(commands) => {
                let shown =
                    commands.iter().filter_map(|command| program(command)).map(|program| program.shown());
                shown.collect::<Vec<_>>().join(" && ")
            }
            Self::Say(text) => text.clone(),
        }
    }

    /// Commands for root: through `sudo` when this process is not.
    fn as_root(commands: Vec<Vec<String>>) -> Self {
        if is_root() {
            return Self::Run(commands);
        }
        let sudo = |command| std::iter::once("sudo".to_owned()).chain(command).collect();
        Self::Run(commands.into_iter().map(sudo).collect())
    }
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    true
}

fn program(command: &[String]) -> Option<Program> {
    let (name, arguments) = command.split_first()?;
    Some(Program::new(name).args(arguments))
}

/// The words of a command that has no quotes in it.
fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Runs what can be run of `fix`; `false` when it is for a person to do.
///
/// # Errors
///
/// A command cannot be started or ends with a status other than 0.
pub async fn run(fix: &Fix, lines: Lines) -> Result<bool> {
    let Fix::Run(commands) = fix else { return Ok(false) };
    for command in commands {
        let mut command = command.clone();
        // It has no terminal to ask for a password on.
        if command.first().is_some_and(|name| name == "sudo") {
            command.insert(1, "--non-interactive".to_owned());
        }
        let program = program(&command).context("a fix is an empty command")?;
        let shown = program.shown();
        let ended =
            program.env("DEBIAN_FRONTEND", "noninteractive").lines(lines.clone()).abridged().merged().await?;
        if !ended.success {
            return Err(Failure::new(format!(
                "`{shown}` ended with {}:\n{}",
                ended.status,
                indent(&ended.stdout)
            ))
            .hint("run it by hand")
            .into());
        }
    }
    Ok(true)
}

/// Every check of the engine and its machine; those of registries are made elsewhere.
pub async fn checks(request: &Request<'_>, declaration: &Declaration) -> Vec<Check> {
    let candidates = match candidates(request).await {
        Ok(candidates) => candidates,
        Err(error) => {
            return vec![Check::bad(
                "engine",
                State::Wrong,
                format!("{error:#}"),
                Fix::Say(DOCKER.to_owned()),
            )];
        }
    };
    let engine = candidates.iter().find_map(|candidate| candidate.verdict.as_ref().ok());
    let mut checks: Vec<Check> = candidates.iter().map(|candidate| cli(candidate, engine)).collect();
    let Some(engine) = engine else { return checks };
    match engine.info().await {
        Ok(info) => checks.extend(machine(engine, &info, declaration).await),
        Err(error) => {
            let fix = Fix::Say(DAEMON.to_owned());
            checks.push(Check::bad("daemon", State::Wrong, format!("{error:#}"), fix));
        }
    }
    checks
}

async fn machine(engine: &Engine, info: &DaemonInfo, declaration: &Declaration) -> Vec<Check> {
    let store = if info.containerd_store { ", images in containerd's store" } else { "" };
    let mut checks =
        vec![Check::fine("daemon", format!("{} at {}{store}", info.operating_system, info.endpoint))];
    // Where it does not matter nobody is made to come by.
    let reaches = loopback_is_declared(declaration).then(|| engine.reaches_loopback());
    let reaches = match reaches {
        Some(reaches) => reaches.await.unwrap_or(false),
        None => true,
    };
    checks.extend(settings::checks(info, reaches, declaration));
    let os_release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let runnable = engine.runnable(info).await;
    let ways = emulators::Ways {
        engine: &engine.program,
        local: info.is_local(),
        machine: &info.machine,
        os_release: &os_release,
    };
    checks.extend(emulators::checks(&runnable, declaration, &ways));
    checks
}

fn cli(candidate: &Candidate, chosen: Option<&Engine>) -> Check {
    let name = format!("CLI {}", candidate.program.display());
    match &candidate.verdict {
        Ok(engine) if Some(engine) == chosen => Check::fine(name, engine.describe()),
        Ok(engine) => Check::fine(name, format!("{}, not needed", engine.describe())),
        // Another one builds: that this one cannot is worth knowing and no more.
        Err(lack) => {
            let state = if chosen.is_some() { State::Doubtful } else { State::Wrong };
            Check::bad(name, state, lack.found.clone(), Fix::Say(lack.hint.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn what_can_be_run_is_run_and_what_fails_is_shown() {
        let lines: Lines = Arc::new(|_: &str| {});
        let command = |script: &str| vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()];
        let fix = Fix::Run(vec![words("true"), command("echo why; exit 4")]);
        assert_eq!(fix.shown(), "true && sh -c 'echo why; exit 4'");
        let error = run(&fix, Arc::clone(&lines)).await.unwrap_err();
        assert_eq!(error.to_string(), "`sh -c 'echo why; exit 4'` ended with exit status: 4:\n    why");
        assert!(run(&Fix::Run(vec![words("true")]), Arc::clone(&lines)).await.unwrap());
        assert!(!run(&Fix::Say("do it".to_owned()), lines).await.unwrap());
    }
}
