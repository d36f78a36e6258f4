//! The thread that follows one child from its start to its end.

use std::io::{BufRead as _, BufReader, PipeReader};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use duct::{Expression, Handle};

use super::group::{self, Message};
use super::{CLEANUP, CLEANUPS, Cleanup, Ended, Event, GRACE, Lines, Program, cannot_start, interrupted};

/// How long what was started by a child that has ended may go on writing.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why a child did not end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    TimeIsUp,
    Told,
}

/// Starts `program` and sees it to its end. `outbox` and `inbox` are the two ends of one channel.
pub(super) fn supervise(
    program: &Program,
    merged: bool,
    outbox: Sender<Event>,
    inbox: &Receiver<Event>,
) -> Result<Ended> {
    if let Ok(Event::End(_)) = inbox.try_recv() {
        return Err(interrupted());
    }
    let (child, stdout, stderr) = start(program, merged).map_err(|error| cannot_start(program, error))?;
    let deadline = program.timeout.map(|timeout| Instant::now() + timeout);
    let cause = std::thread::scope(|scope| {
        let child = &child;
        scope.spawn(move || {
            // Its result is asked for again below.
            let _ = child.wait();
            let _ = outbox.send(Event::Exited);
        });
        let cause = until_exit(child, inbox, deadline);
        if cause.is_some()
            && let Some(cleanup) = &program.cleanup
        {
            clean_up(cleanup);
        }
        cause
    });

    let (stdout, stderr) = (stdout.text(&child), stderr.map(|stderr| stderr.text(&child)));
    let output = child.wait().map_err(|error| cannot_start(program, error))?;
    if cause == Some(Cause::Told) {
        return Err(interrupted());
    }
    Ok(Ended {
        success: output.status.success(),
        status: output.status.to_string(),
        stdout,
        stderr: stderr.unwrap_or_default(),
        timed_out: cause == Some(Cause::TimeIsUp),
    })
}

/// The child, and who reads what it writes.
fn start(program: &Program, merged: bool) -> std::io::Result<(Handle, Reader, Option<Reader>)> {
    let expression = expression(program);
    let (stdout, stdout_of_child) = std::io::pipe()?;
    let (expression, stderr) = if merged {
        (expression.stderr_to_stdout().stdout_file(stdout_of_child), None)
    } else {
        let (stderr, stderr_of_child) = std::io::pipe()?;
        (expression.stdout_file(stdout_of_child).stderr_file(stderr_of_child), Some(stderr))
    };
    let child = expression.start()?;
    // The expression holds the child's ends of the pipes: while one is open here, reading never ends.
    drop(expression);
    let lines = || program.lines.clone();
    Ok((child, Reader::of(stdout, lines()), stderr.map(|stderr| Reader::of(stderr, lines()))))
}

fn expression(program: &Program) -> Expression {
    let mut name = program.name.clone();
    if let Some(folder) = &program.folder
        && Path::new(&name).components().count() > 1
    {
        // `duct` takes such a name relative to our own folder, a person to the one that the program runs in.
        name = folder.join(&name).into();
    }
    let expression = duct::cmd(name, &program.arguments).unchecked();
    let mut expression = match &program.stdin {
        Some(text) => expression.stdin_bytes(text.as_bytes()),
        None => expression.stdin_null(),
    };
    for (name, value) in &program.environment {
        expression = expression.env(name, value);
    }
    if let Some(folder) = &program.folder {
        expression = expression.dir(folder);
    }
    group::of_its_own(&expression)
}

/// Waits until the child has exited, ending it when it is told to or its time is up.
fn until_exit(child: &Handle, inbox: &Receiver<Event>, deadline: Option<Instant>) -> Option<Cause> {
    let (cause, grace) = match next(inbox, deadline) {
        Some(Event::Exited) => return None,
        Some(Event::End(grace)) => (Cause::Told, grace),
        None => (Cause::TimeIsUp, GRACE),
    };
    group::tell(child, Message::Term);
    let deadline = Instant::now() + grace;
    while !matches!(next(inbox, Some(deadline)), Some(Event::Exited)) {
        if Instant::now() >= deadline {
            break;
        }
    }
    // What the child started may live on without it.
    group::tell(child, Message::Kill);
    Some(cause)
}

/// The next event, or `None` at the deadline.
fn next(inbox: &Receiver<Event>, deadline: Option<Instant>) -> Option<Event> {
    let Some(deadline) = deadline else { return inbox.recv().ok() };
    inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
}

/// Best effort: the run has failed for another reason already.
fn clean_up(cleanup: &Cleanup) {
    let program = cleanup.program.clone().timeout(CLEANUP);
    let (times, pause) = CLEANUPS;
    for _ in 0..times {
        let (outbox, inbox) = channel();
        if supervise(&program, false, outbox, &inbox).is_ok_and(|ended| (cleanup.worked)(&ended)) {
            return;
        }
        std::thread::sleep(pause);
    }
}

/// Reads one pipe on a thread of its own.
struct Reader {
    text: Arc<Mutex<String>>,
    done: Receiver<()>,
}

impl Reader {
    fn of(pipe: PipeReader, lines: Option<Lines>) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let (tell, done) = channel::<()>();
        let sink = Arc::clone(&text);
        std::thread::spawn(move || {
            // Dropped at the end, which is the message.
            let _tell = tell;
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line);
                sink.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
                if let Some(lines) = &lines {
                    lines(last_state(&text));
                }
                line.clear();
            }
        });
        Self { text, done }
    }

    /// All that was written until the pipe was closed. What the child left behind and holds it open is ended.
    fn text(self, child: &Handle) -> String {
        for message in [Message::Term, Message::Kill] {
            if self.done.recv_timeout(LAST_WORDS) == Err(RecvTimeoutError::Disconnected) {
                break;
            }
            group::tell(child, message);
        }
        // A process that left the group cannot be ended; its words are not the child's.
        let _ = self.done.recv_timeout(LAST_WORDS);
        std::mem::take(&mut *self.text.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A line without its end; of one that was overwritten in place, as progress bars do, what it was in the end.
fn last_state(line: &str) -> &str {
    let line = line.trim_end_matches(['\n', '\r']);
    line.rsplit('\r').next().unwrap_or(line)
}
