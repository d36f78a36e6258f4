//! Child processes. Each runs in a process group of its own, so that it can be ended with all that it started: `duct`
//! alone ends the child and would wait for ever for a grandchild that holds the pipe.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use duct::Expression;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::Lines;
use crate::error::Failure;

/// The groups that run now.
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// A child that ended, with stdout and stderr as one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Whether its exit status was 0.
    pub success: bool,
    /// Its exit status for people.
    pub status: String,
    /// All that it wrote.
    pub output: String,
}

/// A child that ended, with stdout and stderr apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Whether its exit status was 0.
    pub success: bool,
    /// Its exit status for people.
    pub status: String,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// Runs `program` to its end; every line goes to `lines` as it comes. Dropping the future ends the child's group.
///
/// # Errors
///
/// The program cannot be started. An exit status other than 0 is no error here.
pub async fn stream(
    program: &Path,
    arguments: Vec<OsString>,
    environment: &[(&str, &str)],
    lines: Lines,
) -> Result<Finished> {
    stream_in(Path::new("."), program, arguments, environment, lines).await
}

/// As [`stream`], in `folder`.
///
/// # Errors
///
/// As [`stream`].
pub async fn stream_in(
    folder: &Path,
    program: &Path,
    arguments: Vec<OsString>,
    environment: &[(&str, &str)],
    lines: Lines,
) -> Result<Finished> {
    let mut expression = in_own_group(program, arguments).stderr_to_stdout().dir(folder);
    for (name, value) in environment {
        expression = expression.env(name, value);
    }
    let reader = expression.reader().map_err(|error| cannot_start(program, error))?;
    let group = Group::of(&reader.pids());
    let finished = tokio::task::spawn_blocking(move || {
        let mut output = String::new();
        let mut buffered = BufReader::new(&reader);
        let mut line = Vec::new();
        while buffered.read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(&line);
            lines(text.trim_end_matches(['\n', '\r']));
            output.push_str(&text);
            line.clear();
        }
        let status = reader.try_wait()?.map(|ended| ended.status).context("its end was not seen")?;
        anyhow::Ok(Finished { success: status.success(), status: status.to_string(), output })
    })
    .await?
    .with_context(|| format!("could not follow {}", program.display()));
    group.ended();
    finished
}

/// Runs `program` to its end. Dropping the future ends the child's group.
///
/// # Errors
///
/// The program cannot be started. An exit status other than 0 is no error here.
pub async fn capture(program: &Path, arguments: Vec<OsString>) -> Result<Captured> {
    let expression = in_own_group(program, arguments).stdout_capture().stderr_capture();
    let handle = expression.start().map_err(|error| cannot_start(program, error))?;
    let group = Group::of(&handle.pids());
    let captured = tokio::task::spawn_blocking(move || {
        let output = handle.wait()?;
        anyhow::Ok(Captured {
            success: output.status.success(),
            status: output.status.to_string(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    })
    .await?
    .with_context(|| format!("could not follow {}", program.display()));
    group.ended();
    captured
}

/// Runs `program`, and hands its stdout to `read` on a thread for blocking work. Dropping the future ends the group.
///
/// # Errors
///
/// The program cannot be started, `read` fails, or the exit status is not 0.
pub async fn pipe<T: Send + 'static>(
    program: &Path,
    arguments: Vec<OsString>,
    read: impl FnOnce(&mut dyn std::io::Read) -> Result<T> + Send + 'static,
) -> Result<T> {
    let reader =
        in_own_group(program, arguments).stderr_capture().reader().map_err(|error| cannot_start(program, error))?;
    let group = Group::of(&reader.pids());
    let result = tokio::task::spawn_blocking(move || {
        let mut stdout = &reader;
        let value = read(&mut stdout)?;
        // What is left unread would keep the child from ending.
        std::io::copy(&mut stdout, &mut std::io::sink())?;
        match reader.try_wait()? {
            Some(ended) if ended.status.success() => Ok(value),
            Some(ended) => Err(anyhow::anyhow!(
                "it ended with {}: {}",
                ended.status,
                String::from_utf8_lossy(&ended.stderr).trim()
            )),
            None => Err(anyhow::anyhow!("its end was not seen")),
        }
    })
    .await?;
    group.ended();
    result
}

/// Ends every child that runs, with all that it started: TERM first, KILL for what is left after `grace`.
pub fn end_all(grace: Duration) {
    let groups = || GROUPS.lock().map(|groups| groups.clone()).unwrap_or_default();
    signal_all(&groups(), Signal::TERM);
    let until = Instant::now() + grace;
    let alive = |group: &i32| Pid::from_raw(*group).is_some_and(|pid| test_kill_process_group(pid).is_ok());
    while groups().iter().any(alive) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    signal_all(&groups(), Signal::KILL);
}

fn signal_all(groups: &BTreeSet<i32>, signal: Signal) {
    for group in groups {
        if let Some(pid) = Pid::from_raw(*group) {
            // One that has ended by now is what was wanted.
            let _ = kill_process_group(pid, signal);
        }
    }
}

fn in_own_group(program: &Path, arguments: Vec<OsString>) -> Expression {
    duct::cmd(program, arguments).stdin_null().unchecked().before_spawn(|command| {
        use std::os::unix::process::CommandExt as _;
        command.process_group(0);
        Ok(())
    })
}

/// A missing program is a bare "not found" from the system: say which.
fn cannot_start(program: &Path, error: std::io::Error) -> anyhow::Error {
    Failure::new(format!("could not start {}", program.display()))
        .hint("is it installed, and on PATH?")
        .because(error)
        .into()
}

/// The group of a running child. Dropped before the child ended, it ends it.
#[derive(Debug)]
struct Group {
    id: i32,
    ended: bool,
}

impl Group {
    fn of(pids: &[u32]) -> Self {
        let id = pids.first().and_then(|pid| i32::try_from(*pid).ok()).unwrap_or(0);
        if let Ok(mut groups) = GROUPS.lock() {
            groups.insert(id);
        }
        Self { id, ended: false }
    }

    fn ended(mut self) {
        self.ended = true;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.ended {
            if let Ok(mut groups) = GROUPS.lock() {
                groups.remove(&self.id);
            }
        } else {
            // It stays among the groups: what does not heed this is killed when the run is ended.
            signal_all(&BTreeSet::from([self.id]), Signal::TERM);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn sh(script: &str) -> Vec<OsString> {
        vec!["-c".into(), script.into()]
    }

    #[tokio::test]
    async fn lines_come_in_order_from_both_streams() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let lines: Lines = Arc::new(move |line: &str| sink.lock().unwrap().push(line.to_owned()));
        let script = sh("echo one; echo two >&2; printf three; exit 3");
        let finished = stream(Path::new("/bin/sh"), script, &[], lines).await.unwrap();
        assert_eq!(*seen.lock().unwrap(), ["one", "two", "three"]);
        assert_eq!((finished.success, finished.output.as_str()), (false, "one\ntwo\nthree"));
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let error = capture(Path::new("/no/such/engine"), Vec::new()).await.unwrap_err();
        assert!(crate::error::render(&error).contains("could not start /no/such/engine"), "{error:?}");
    }

    #[tokio::test]
    async fn dropping_ends_the_whole_group() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        // The grandchild holds the pipe open, as a builder's helper would.
        let script = format!("sleep 600 & echo $! > {0}.tmp; mv {0}.tmp {0}; wait", pids.display());
        let lines: Lines = Arc::new(|_: &str| {});
        let work = stream(Path::new("/bin/sh"), sh(&script), &[], lines);
        let grandchild = tokio::select! {
            _ = work => panic!("it should still run"),
            pid = async { loop {
                match std::fs::read_to_string(&pids) {
                    Ok(text) => break text.trim().parse::<i32>().unwrap(),
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            } } => pid,
        };
        let pid = Pid::from_raw(grandchild).unwrap();
        while rustix::process::test_kill_process(pid).is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
