//! What happens in a run as data: one JSON value a line on stdout (docs/reference/json.md).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use super::output::Output;
use crate::events::{Ending, Event, Subject};

/// The stream of a run. Cheap to clone; all clones write to one stream.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    stdout: Output,
    /// The stage that each task is at, and since when.
    stages: Arc<Mutex<HashMap<u64, (String, Instant)>>>,
}

impl Stream {
    /// What happens goes to `stdout`.
    pub(crate) fn new(stdout: Output) -> Self {
        Self { stdout, stages: Arc::default() }
    }

    /// Writes one event; `fields` says more about it.
    pub(crate) fn write(&self, event: &str, mut fields: Value) {
        fields["version"] = 1.into();
        fields["event"] = event.into();
        self.stdout.write_json(&format!("{fields}\n"));
    }

    /// Writes what happened, as far as programs may want to know it.
    pub(crate) fn hear(&self, event: Event<'_>) {
        match event {
            Event::Planned(plans) => self.write("planned", super::plan::json(plans)),
            Event::Started(subject, stage) => self.started(subject, stage),
            Event::Finished(subject, Ending::Done(_)) => self.end_stage(subject, "finished"),
            Event::Finished(subject, Ending::Failed) => self.end_stage(subject, "stopped"),
            Event::Produced(image) => self.write("image", super::image(image)),
            Event::Retried(wait) => self.write(
                "retried",
                json!({ "host": wait.host, "reason": wait.reason, "seconds": wait.delay.as_secs_f64() }),
            ),
            Event::Copied(reference) => self.write("copied", json!({ "reference": reference.to_string() })),
            Event::Staged(reference) => self.write("staged", json!({ "reference": reference.to_string() })),
            Event::Tagged(reference, digest) => {
                self.write("published", json!({ "reference": reference.to_string(), "digest": digest }));
            }
            Event::Skipped(reference, why) => {
                self.write("skipped", json!({ "reference": reference.to_string(), "reason": why }));
            }
            Event::Confirmed(target) => self.write("confirmed", json!({ "target": target })),
            Event::Stage(..)
            | Event::Warned(_)
            | Event::Waiting(_)
            | Event::Output(..)
            | Event::Finished(_, Ending::Dropped)
            | Event::Tagging(_) => {}
        }
    }

    fn started(&self, subject: &Subject, stage: &str) {
        self.end_stage(subject, "finished");
        self.write("started", fields(subject, stage));
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        stages.insert(subject.id, (stage.to_owned(), Instant::now()));
    }

    /// Tells how the stage ended that the task is at.
    fn end_stage(&self, subject: &Subject, event: &str) {
        let ended = self.stages.lock().unwrap_or_else(PoisonError::into_inner).remove(&subject.id);
        if let Some((stage, since)) = ended {
            let mut fields = fields(subject, &stage);
            fields["seconds"] = (since.elapsed().as_millis() as f64 / 1000.0).into();
            self.write(event, fields);
        }
    }
}

fn fields(Subject { target, platform, .. }: &Subject, stage: &str) -> Value {
    json!({ "target": target, "platform": platform, "stage": stage })
}
