//! What happens in a run, told as it happens. Whatever works tells [`Events`]; terminal, JSON stream and the account of an
//! interrupted run listen. Nothing here knows who does.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::model::digest::Digest;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::plan::TargetPlan;
use crate::registry::Wait;

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The run comes to another stage: `Planning` `app, web`.
    Stage(&'a str, &'a str),
    /// Something that a person should know, and that stops nothing.
    Warned(&'a str),
    /// What is to be done, as far as is known.
    Planned(&'a [&'a TargetPlan]),
    /// A task waits for its turn. The tasks of one kind of work are all told before the first of them starts.
    Waiting(&'a Subject),
    /// A task comes to a stage: `building`, `smoke run`, `pushing`.
    Started(&'a Subject, &'a str),
    /// A child of a task's stage wrote a line.
    Output(&'a Subject, &'a str, &'a str),
    /// A task came to its end.
    Finished(&'a Subject, Ending<'a>),
    /// An image is built, and, with a digest, in its registry.
    Produced(ImageEvent<'a>),
    /// A request is sent again, after a time.
    Retried(&'a Wait),
    /// A manifest and all its blobs came into a repository.
    Copied(&'a Reference),
    /// A list is in a repository, under its digest only.
    Staged(&'a Reference),
    /// The request that writes a tag begins: until [`Self::Tagged`] the tag may serve the list or not.
    Tagging(&'a Reference),
    /// A tag serves the list.
    Tagged(&'a Reference, &'a Digest),
    /// A tag stays as it is after all; the text says why.
    Skipped(&'a Reference, &'a str),
    /// Everything of a target was looked up once more, and is as planned.
    Confirmed(&'a str),
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending<'a> {
    /// It is done; the text says what came out.
    Done(&'a str),
    /// It failed; the error itself is reported at the end of the run.
    Failed,
    /// It was dropped, as the run ends.
    Dropped,
}

/// An image that came out of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageEvent<'a> {
    /// Its target.
    pub target: &'a str,
    /// Its platform.
    pub platform: &'a Platform,
    /// Its reference.
    pub reference: &'a Reference,
    /// Its digest in the registry.
    pub digest: Option<&'a Digest>,
    /// Whether bytes went to the registry.
    pub pushed: bool,
}

/// What a task is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// A number of its own in this process.
    pub id: u64,
    /// A name for people: the platform, behind the target where several are worked on.
    pub name: String,
    /// The target.
    pub target: String,
    /// The platform.
    pub platform: String,
}

/// Where what happens is told. Cheap to clone; all clones tell the same listener.
#[derive(Clone)]
pub struct Events(Arc<dyn Fn(Event<'_>) + Send + Sync>);

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

impl Events {
    /// `listener` hears of everything, perhaps from several threads at once.
    pub fn new(listener: impl Fn(Event<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    /// Nobody listens.
    pub fn ignored() -> Self {
        Self::new(|_| {})
    }

    /// Tells of `event`.
    pub fn tell(&self, event: Event<'_>) {
        (self.0)(event);
    }

    /// The run comes to another stage.
    pub fn stage(&self, verb: &str, rest: &str) {
        self.tell(Event::Stage(verb, rest));
    }

    /// Something that stops nothing.
    pub fn warn(&self, text: &str) {
        self.tell(Event::Warned(text));
    }

    /// A task, e.g. a platform's image of `target`, which waits for its turn from now on.
    pub fn task(&self, name: String, target: &str, platform: String) -> Task {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let subject = Subject { id, name, target: target.to_owned(), platform };
        self.tell(Event::Waiting(&subject));
        Task(Arc::new(Told { events: self.clone(), subject, ended: AtomicBool::new(false) }))
    }
}

/// A piece of work that tells how it goes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Task(Arc<Told>);

#[derive(Debug)]
struct Told {
    events: Events,
    subject: Subject,
    ended: AtomicBool,
}

impl Task {
    /// The work comes to a stage: `building`, `smoke run`, `pushing`.
    pub fn stage(&self, stage: &str) {
        self.0.events.tell(Event::Started(&self.0.subject, stage));
    }

    /// A child of `stage` wrote a line.
    pub fn output(&self, stage: &str, line: &str) {
        let line = line.trim_end();
        if !line.is_empty() {
            self.0.events.tell(Event::Output(&self.0.subject, stage, line));
        }
    }

    /// The work is done; `text` says what came out.
    pub fn done(&self, text: &str) {
        self.0.end(Ending::Done(text));
    }

    /// The work failed.
    pub fn failed(&self) {
        self.0.end(Ending::Failed);
    }
}

impl Told {
    fn end(&self, ending: Ending<'_>) {
        if !self.ended.swap(true, Ordering::Relaxed) {
            self.events.tell(Event::Finished(&self.subject, ending));
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.end(Ending::Dropped);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_task_ends_once() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ears = heard.clone();
        let events = Events::new(move |event| {
            let said = match event {
                Event::Waiting(subject) => format!("{} waits", subject.name),
                Event::Started(subject, stage) => format!("{}: {stage}", subject.name),
                Event::Output(_, stage, line) => format!("{stage} | {line}"),
                Event::Finished(_, ending) => format!("{ending:?}"),
                other => format!("{other:?}"),
            };
            ears.lock().unwrap().push(said);
        });
        drop(events.task("idle".to_owned(), "app", "linux/amd64".to_owned()));
        let task = events.task("busy".to_owned(), "app", "linux/arm64".to_owned());
        task.stage("building");
        task.output("building", "a line\r\n");
        task.output("building", "\n");
        task.done("pushed");
        task.failed();
        drop(task);
        let expected = [
            "idle waits",
            "Dropped",
            "busy waits",
            "busy: building",
            "building | a line",
            "Done(\"pushed\")",
        ];
        assert_eq!(*heard.lock().unwrap(), expected);
    }
}
