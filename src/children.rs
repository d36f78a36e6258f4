//! Child processes, through `duct`. Each runs in a process group of its own and has a thread that sees it to its end:
//! when its future is dropped, when its time is up or when the whole run is ended, the group is told to end, then
//! killed, and what the child would leave behind is cleaned up.
//!
//! `duct` alone ends the child, not what the child started, and then waits for whoever still holds the pipe.

mod collect;
mod group;
mod supervise;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use self::collect::Keep;
use crate::error::Failure;

pub(crate) use self::collect::is_left_out;

/// Takes each line that a child writes, as it comes.
pub type Lines = Arc<dyn Fn(&str) + Send + Sync>;

/// What a group that does not heed TERM is given before KILL, when nobody says otherwise.
const GRACE: Duration = Duration::from_secs(5);
/// What one run of a clean-up is given.
const CLEANUP: Duration = Duration::from_secs(20);
/// How often a clean-up is run, and how long after the last time.
const CLEANUPS: (u32, Duration) = (10, Duration::from_millis(300));

/// What is read of a program that answers something, unless it is said otherwise.
const LONGEST_ANSWER: usize = 64 << 20;
/// What is kept of the head and of the tail of what is shown to people.
const ENDS: usize = 512 << 10;

/// A program to run, with everything around it. Nothing is inherited but the environment; stdin is empty unless given.
#[derive(Clone)]
pub struct Program {
    name: OsString,
    arguments: Vec<OsString>,
    folder: Option<PathBuf>,
    environment: Vec<(String, OsString)>,
    stdin: Option<String>,
    timeout: Option<Duration>,
    lines: Option<Lines>,
    cleanup: Option<Box<Cleanup>>,
    keep: Keep,
    sought: Option<String>,
}

/// What is run after a program that was ended, until it says that it worked.
#[derive(Clone)]
struct Cleanup {
    program: Program,
    worked: fn(&Ended) -> bool,
}

/// A program that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whether its exit status was 0.
    pub success: bool,
    /// Its exit status for people.
    pub status: String,
    /// What it wrote to stdout; of [`Program::merged`], what it wrote to either.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// Whether it was ended because its time was up.
    pub timed_out: bool,
    /// Whether what was [sought](Program::seek) is in stdout, also where that is left out here.
    pub found: bool,
}

/// The same, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    timed_out: bool,
    found: bool,
}

impl From<Raw> for Ended {
    fn from(raw: Raw) -> Self {
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
        };
        Self {
            success: raw.status.success(),
            status: raw.status.to_string(),
            stdout: text(raw.stdout),
            stderr: text(raw.stderr),
            timed_out: raw.timed_out,
            found: raw.found,
        }
    }
}

impl Program {
    /// The program called `name`: looked for on PATH when it has no slash in it, else a file, relative to the folder
    /// it runs in.
    pub fn new(name: impl Into<OsString>) -> Self {
        Self {
            name: name.into(),
            arguments: Vec::new(),
            folder: None,
            environment: Vec::new(),
            stdin: None,
            timeout: None,
            lines: None,
            cleanup: None,
            keep: Keep::AtMost(LONGEST_ANSWER),
            sought: None,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Runs it in `folder`.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Adds a variable to its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Gives it `text` to read.
    #[must_use]
    pub fn stdin(mut self, text: impl Into<String>) -> Self {
        self.stdin = Some(text.into());
        self
    }

    /// Ends it after `timeout`.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Gives each line that it writes to `lines`, as it comes.
    #[must_use]
    pub fn lines(mut self, lines: Lines) -> Self {
        self.lines = Some(lines);
        self
    }

    /// Ends it when it writes more than `bytes` to either stream, which is an error then.
    #[must_use]
    pub fn at_most(mut self, bytes: usize) -> Self {
        self.keep = Keep::AtMost(bytes);
        self
    }

    /// Lets it write as much as it wants, and keeps head and tail, with a line between them that says how much is left
    /// out: for what is shown to people.
    #[must_use]
    pub fn abridged(mut self) -> Self {
        self.keep = Keep::Ends(ENDS);
        self
    }

    /// Looks for `text` in all that it writes to stdout.
    #[must_use]
    pub fn seek(mut self, text: impl Into<String>) -> Self {
        self.sought = Some(text.into());
        self
    }

    /// Runs `cleanup` whenever the program is ended before it ended itself: for what does not live in its group, as a
    /// container does not. What the program asked for last may come into being only after it ended, so the clean-up is
    /// run again, for a while, until it `worked`.
    #[must_use]
    pub fn cleanup(mut self, program: Self, worked: fn(&Ended) -> bool) -> Self {
        self.cleanup = Some(Box::new(Cleanup { program, worked }));
        self
    }

    /// Runs it to its end, with stdout and stderr as one text in the order of writing. Dropping the future ends it.
    ///
    /// # Errors
    ///
    /// It cannot be started, it wrote [too much](Program::at_most), or [`end_all`] ended it. An exit status other than 0 is no error here.
    pub async fn merged(self) -> Result<Ended> {
        self.run(true).await
    }

    /// Runs it to its end, with stdout and stderr apart. Dropping the future ends it.
    ///
    /// # Errors
    ///
    /// As [`Program::merged`].
    pub async fn apart(self) -> Result<Ended> {
        self.run(false).await
    }

    /// As [`Program::apart`], on the thread that it is called on.
    ///
    /// # Errors
    ///
    /// As [`Program::merged`].
    pub fn apart_here(self) -> Result<Ended> {
        self.raw_here().map(Ended::from)
    }

    /// As [`Program::apart_here`], for output that may be no text.
    pub(crate) fn raw_here(self) -> Result<Raw> {
        let (outbox, inbox) = channel();
        let _registered = Registered::new(outbox.clone())?;
        supervise::supervise(&self, false, outbox, &inbox)
    }

    /// As one would type it.
    pub fn shown(&self) -> String {
        let words = std::iter::once(&self.name).chain(&self.arguments);
        words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }

    async fn run(self, merged: bool) -> Result<Ended> {
        let (outbox, inbox) = channel();
        let registered = Registered::new(outbox.clone())?;
        let _ends_when_dropped = EndsWhenDropped(outbox.clone());
        let task = tokio::task::spawn_blocking(move || {
            // Registered until the clean-up is done: `end_all` waits for it.
            let _registered = registered;
            supervise::supervise(&self, merged, outbox, &inbox)
        });
        task.await.context("the thread that follows a child process failed")?.map(Ended::from)
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Program").field(&self.shown()).finish()
    }
}

/// `word` as a shell would need it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%{}".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// What the thread that follows a child is told.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The child exited.
    Exited,
    /// It shall end; killed when it has not within the time.
    End(Duration),
    /// It wrote more than is of use.
    TooMuch,
}

/// Those who follow a child now, and whether new ones may.
struct Running {
    outboxes: BTreeMap<u64, Sender<Event>>,
    next: u64,
    ending: bool,
}

static RUNNING: Mutex<Running> = Mutex::new(Running { outboxes: BTreeMap::new(), next: 0, ending: false });
static ONE_LESS: Condvar = Condvar::new();

fn running() -> MutexGuard<'static, Running> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends every child that runs, with all that it started: TERM first, KILL for what is left after `grace`; then waits
/// for the clean-ups. No program can be started afterwards: this is for a process that is about to exit.
pub fn end_all(grace: Duration) {
    let mut now = running();
    now.ending = true;
    for outbox in now.outboxes.values() {
        // One that does not listen any more has seen its child's end.
        let _ = outbox.send(Event::End(grace));
    }
    let until = Instant::now() + grace + CLEANUP + CLEANUPS.0 * CLEANUPS.1;
    while !now.outboxes.is_empty() {
        let Some(left) = until.checked_duration_since(Instant::now()) else { return };
        now = ONE_LESS.wait_timeout(now, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// A place among those that [`end_all`] ends.
struct Registered(u64);

impl Registered {
    fn new(outbox: Sender<Event>) -> Result<Self> {
        let mut now = running();
        if now.ending {
            return Err(interrupted());
        }
        let id = now.next;
        now.next += 1;
        now.outboxes.insert(id, outbox);
        Ok(Self(id))
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        running().outboxes.remove(&self.0);
        ONE_LESS.notify_all();
    }
}

/// Ends the child when the future that waits for it is dropped.
struct EndsWhenDropped(Sender<Event>);

impl Drop for EndsWhenDropped {
    fn drop(&mut self) {
        // After the child's end nobody listens.
        let _ = self.0.send(Event::End(GRACE));
    }
}

fn interrupted() -> anyhow::Error {
    Failure::new("interrupted").into()
}

/// A missing program is a bare "not found" from the system: say which, or that it is the folder.
fn cannot_start(program: &Program, error: std::io::Error) -> anyhow::Error {
    let missing_folder = program.folder.as_deref().filter(|folder| !folder.is_dir());
    let name = Path::new(&program.name).display();
    let failure = match missing_folder {
        Some(folder) => {
            Failure::new(format!("could not start {name} in {}: there is no such folder", folder.display()))
        }
        None if error.kind() == std::io::ErrorKind::NotFound => {
            Failure::new(format!("could not start {name}")).hint(format!("is {name} installed, and on PATH?"))
        }
        None => Failure::new(format!("could not start {name}")),
    };
    failure.because(error).into()
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
