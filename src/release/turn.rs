//! Turns of a workspace: one release at a time, and one rehearsal. A turn is a locked file, which ends with its process
//! however that ends; what the file says is for those who wait.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::error::Failure;
use crate::events::Events;
use crate::invocation::program;
use crate::workspace::working_folder;

/// What takes turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Whatever publishes: two of them would build and push the same references.
    Release,
    /// What uses the workspace's embedded registry.
    #[cfg(feature = "embedded-registry")]
    Rehearsal,
}

/// How long it takes at most until one who waits sees that a turn ended.
const PAUSE: Duration = Duration::from_millis(100);

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(File);

/// Who has a turn, as far as the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holder {
    pid: Option<u32>,
    /// Where it serves a rehearsal until somebody ends it.
    pub(crate) serving: Option<String>,
}

/// Waits for a turn.
///
/// # Errors
///
/// The file cannot be opened or locked; a rehearsal is served, which ends only when somebody ends it.
pub(crate) async fn take(events: &Events, root: &Path, kind: Kind) -> Result<Turn> {
    let mut before: Option<Holder> = None;
    loop {
        let holder = match try_take(root, kind)? {
            Ok(turn) => return Ok(turn),
            Err(holder) => holder,
        };
        match &before {
            None => events.stage("Waiting", &format!("for {} to end", holder.shown(kind))),
            // Said twice, it is not what an earlier holder has left in the file.
            Some(before) if *before == holder && holder.serving.is_some() => {
                return Err(Failure::new(holder.shown(kind))
                    .hint(format!(
                        "end it with Ctrl-C in its terminal; `{} plan --rehearse` reads what it serves meanwhile",
                        program()
                    ))
                    .into());
            }
            Some(_) => {}
        }
        before = Some(holder);
        tokio::time::sleep(PAUSE).await;
    }
}

/// The turn if nobody has it, else who does.
///
/// # Errors
///
/// As [`take`], but that it does not wait.
pub(crate) fn try_take(root: &Path, kind: Kind) -> Result<Result<Turn, Holder>> {
    let name = match kind {
        Kind::Release => "release.turn",
        #[cfg(feature = "embedded-registry")]
        Kind::Rehearsal => "rehearsal.turn",
    };
    let path = working_folder::create(root)?.join(name);
    let open = || File::options().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = open().with_context(|| format!("could not open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {
            let mut turn = Turn(file);
            turn.note(None);
            Ok(Ok(turn))
        }
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // What cannot be read is only not told.
            let _ = file.read_to_string(&mut text);
            Ok(Err(Holder::parse(&text)))
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("could not lock {}", path.display()))
        }
    }
}

impl Turn {
    /// Tells those who wait that a rehearsal is served at `host` until somebody ends it.
    #[cfg(feature = "embedded-registry")]
    pub(crate) fn serves(&mut self, host: &str) {
        self.note(Some(host));
    }

    /// Best effort: without it others know less of whom they wait for.
    fn note(&mut self, serving: Option<&str>) {
        let text = format!("{}\n{}\n", std::process::id(), serving.unwrap_or_default());
        let _ =
            self.0.set_len(0).and_then(|()| self.0.rewind()).and_then(|()| self.0.write_all(text.as_bytes()));
    }
}

impl Holder {
    fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let pid = lines.next().and_then(|line| line.parse().ok());
        Self { pid, serving: lines.next().filter(|host| !host.is_empty()).map(str::to_owned) }
    }

    /// `process 123, which releases in this workspace`.
    fn shown(&self, kind: Kind) -> String {
        let who = self.pid.map_or("another process".to_owned(), |pid| format!("process {pid}"));
        match (&self.serving, kind) {
            (Some(host), _) => format!("{who} serves a rehearsal of this workspace at {host}"),
            (None, Kind::Release) => format!("the release of this workspace by {who}"),
            #[cfg(feature = "embedded-registry")]
            (None, Kind::Rehearsal) => format!("the rehearsal of this workspace by {who}"),
        }
    }
}
