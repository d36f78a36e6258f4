//! The thread that follows one child from its start to its end.

use std::io::{ErrorKind, PipeReader, Read as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use duct::{Expression, Handle};

use super::collect::{Collector, Keep, LineSplitter};
use super::group::{self, Message};
use super::{CLEANUP, CLEANUPS, Cleanup, Event, GRACE, Lines, Program, Raw, cannot_start, interrupted};
use crate::error::Failure;

/// How long what was started by a child that has ended may go on writing.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What is read from a pipe at once.
const CHUNK: usize = 64 << 10;

/// Why a child did not end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    TimeIsUp,
    TooMuch,
    Told,
}

/// Starts `program` and sees it to its end. `outbox` and `inbox` are the two ends of one channel.
pub(super) fn supervise(
    program: &Program,
    merged: bool,
    outbox: Sender<Event>,
    inbox: &Receiver<Event>,
) -> Result<Raw> {
    if let Ok(Event::End(_)) = inbox.try_recv() {
        return Err(interrupted());
    }
    let (child, stdout, stderr) =
        start(program, merged, &outbox).map_err(|error| cannot_start(program, error))?;
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

    let stdout = stdout.drained(&child);
    let found = stdout.found();
    let stdout = bytes(program, stdout, "stdout");
    let stderr = stderr.map(|stderr| bytes(program, stderr.drained(&child), "stderr"));
    let output = child.wait().map_err(|error| cannot_start(program, error))?;
    if cause == Some(Cause::Told) {
        return Err(interrupted());
    }
    Ok(Raw {
        status: output.status,
        stdout: stdout?,
        stderr: stderr.transpose()?.unwrap_or_default(),
        timed_out: cause == Some(Cause::TimeIsUp),
        found,
    })
}

/// What a stream left. One that was too long for its reader is of no use, however the child ended.
fn bytes(program: &Program, mut stream: MutexGuard<'_, Collector>, name: &str) -> Result<Vec<u8>> {
    let Keep::AtMost(limit) = program.keep else { return Ok(stream.finish()) };
    if !stream.overflowed() {
        return Ok(stream.finish());
    }
    let (child, limit) = (Path::new(&program.name).display(), limit >> 20);
    let what = format!("{child} was ended: it wrote more than {limit} MiB to {name}");
    Err(Failure::new(what).into())
}

/// The child, and who reads what it writes.
fn start(
    program: &Program,
    merged: bool,
    outbox: &Sender<Event>,
) -> std::io::Result<(Handle, Reader, Option<Reader>)> {
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
    let read = |pipe, sought| {
        let collector = Collector::new(program.keep, sought);
        Reader::of(pipe, collector, program.lines.clone(), outbox.clone())
    };
    Ok((child, read(stdout, program.sought.as_deref()), stderr.map(|stderr| read(stderr, None))))
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
        Some(Event::TooMuch) => (Cause::TooMuch, GRACE),
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
        if supervise(&program, false, outbox, &inbox).is_ok_and(|ended| (cleanup.worked)(&ended.into())) {
            return;
        }
        std::thread::sleep(pause);
    }
}

/// Reads one pipe on a thread of its own, to its end: a child that nobody reads from would wait forever.
struct Reader {
    collector: Arc<Mutex<Collector>>,
    done: Receiver<()>,
}

impl Reader {
    fn of(mut pipe: PipeReader, collector: Collector, lines: Option<Lines>, outbox: Sender<Event>) -> Self {
        let collector = Arc::new(Mutex::new(collector));
        let (tell, done) = channel::<()>();
        let sink = Arc::clone(&collector);
        std::thread::spawn(move || {
            // Dropped at the end, which is the message.
            let _tell = tell;
            let (mut chunk, mut splitter) = (vec![0; CHUNK], LineSplitter::default());
            let mut told = false;
            loop {
                let read = match pipe.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(read) => &chunk[..read],
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(_) => break,
                };
                let overflowed = {
                    let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
                    sink.take(read);
                    sink.overflowed()
                };
                if overflowed && !std::mem::replace(&mut told, true) {
                    // After the child's end nobody listens; what it wrote is judged then all the same.
                    let _ = outbox.send(Event::TooMuch);
                }
                if let Some(lines) = &lines {
                    splitter.take(read, &**lines);
                }
            }
            if let Some(lines) = &lines {
                splitter.finish(&**lines);
            }
        });
        Self { collector, done }
    }

    /// All that was written until the pipe was closed. What the child left behind and holds it open is ended.
    fn drained(&self, child: &Handle) -> MutexGuard<'_, Collector> {
        for message in [Message::Term, Message::Kill] {
            if self.done.recv_timeout(LAST_WORDS) == Err(RecvTimeoutError::Disconnected) {
                break;
            }
            group::tell(child, message);
        }
        // A process that left the group cannot be ended; its words are not the child's.
        let _ = self.done.recv_timeout(LAST_WORDS);
        self.collector.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
