//! What a person sees while work goes on: a line per image on a terminal, plain lines elsewhere. Always on stderr.
//!
//! One lock in `indicatif` serves all writers, so that lines of ten builds do not tear.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::elapsed;
use super::output::Output;
use super::style::{Ink, Style};
use crate::error::hanging;
use crate::events::{Ending, Event, Subject};
use crate::model::digest::Digest;
use crate::model::foreign::child_line;
use crate::model::reference::Reference;
use crate::plan::TargetPlan;

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Volume {
    /// Errors only.
    Quiet,
    /// Stages and results.
    Normal,
    /// The output of every child, as it comes.
    Verbose,
}

/// The account of a run on stderr. Cheap to clone; all clones write to one terminal.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bars: Option<MultiProgress>,
    volume: Volume,
    style: Style,
    stderr: Output,
    tasks: Arc<Mutex<Tasks>>,
}

/// The tasks under way, and those of the same work.
#[derive(Debug, Default)]
struct Tasks {
    /// The longest name so far, so that what stands behind the names is aligned.
    width: usize,
    /// When each that has started did so, and its line on a terminal.
    started: HashMap<u64, (Instant, Option<ProgressBar>)>,
    /// How many there are, and how many of them have ended.
    all: usize,
    ended: usize,
    /// The line below all others that says so.
    overall: Option<ProgressBar>,
}

impl Progress {
    /// Draws lines that change when stderr is a terminal and the output is not `Verbose`; else prints lines.
    pub(crate) fn new(volume: Volume, style: Style, stderr: Output) -> Self {
        let terminal =
            std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let draw = terminal && volume == Volume::Normal;
        let bars = draw.then(|| MultiProgress::with_draw_target(stderr.draw_target(12)));
        Self { bars, volume, style, stderr, tasks: Arc::default() }
    }

    /// Shows what happened.
    pub(crate) fn hear(&self, event: Event<'_>) {
        match event {
            Event::Stage(verb, rest) => self.stage(verb, rest),
            Event::Warned(text) => self.warn(text),
            Event::Planned(plans) => self.block(&self.plans(plans)),
            Event::Waiting(subject) => {
                let mut tasks = self.tasks();
                tasks.width = tasks.width.max(subject.name.chars().count());
                tasks.all += 1;
            }
            Event::Started(subject, stage) => self.started(subject, stage),
            Event::Output(subject, stage, line) => self.output(subject, stage, line),
            Event::Finished(subject, ending) => self.finished(subject, ending),
            Event::Retried(wait) => self.line(&wait.to_string()),
            Event::Copied(reference) => self.line(&format!("brought {}", reference.short())),
            Event::Staged(reference) => self.line(&format!("staged {}", reference.short())),
            Event::Tagged(reference, digest) => self.line(&tagged(reference, digest)),
            Event::Skipped(reference, why) => self.line(&format!("skipped {reference}: {why}")),
            // What was confirmed is what the summary shows.
            Event::Produced(_) | Event::Tagging(_) | Event::Confirmed(_) => {}
        }
    }

    /// How text is coloured on stderr.
    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// A line that stays; what comes behind a line end in it is indented.
    pub(crate) fn line(&self, text: &str) {
        if self.volume > Volume::Quiet {
            self.write(&hanging(text));
        }
    }

    /// Lines that stay, as they are laid out.
    pub(crate) fn block(&self, text: &str) {
        if self.volume > Volume::Quiet {
            self.write(text.trim_end());
        }
    }

    /// A headline: what the run does next.
    pub(crate) fn stage(&self, verb: &str, rest: &str) {
        // The spaces before the word are no part of what is painted, so that a long line continues below its text.
        let before = " ".repeat(12_usize.saturating_sub(verb.chars().count()));
        self.line(&format!("{before}{} {rest}", self.style.paint(Ink::Strong, verb)));
    }

    /// Something that went on nevertheless; shown even when quiet.
    pub(crate) fn warn(&self, text: &str) {
        self.write(&format!("{} {}", self.style.paint(Ink::Change, "warning:"), hanging(text)));
    }

    /// A command to copy, as it is.
    #[cfg(feature = "embedded-registry")]
    pub(crate) fn command(&self, text: &str) {
        if self.volume > Volume::Quiet {
            self.put(&format!("  {text}"), Output::write);
        }
    }

    fn write(&self, text: &str) {
        self.put(&self.style.fold(text), Output::write);
    }

    /// Commands for the runner of a CI job, which hold what they are given as their format has it.
    pub(crate) fn commands(&self, text: &str) {
        self.put(text, Output::write_exactly);
    }

    fn put(&self, text: &str, write: impl Fn(&Output, &str)) {
        let text = format!("{}\n", text.trim_end());
        match &self.bars {
            Some(bars) => bars.suspend(|| write(&self.stderr, &text)),
            None => write(&self.stderr, &text),
        }
    }

    /// Of many targets only those that change, unless all was asked for.
    fn plans(&self, plans: &[&TargetPlan]) -> String {
        match self.volume {
            Volume::Verbose => super::plan::text(plans, self.style),
            Volume::Quiet | Volume::Normal => super::plan::brief(plans, self.style),
        }
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A task's line comes with its first stage: what only waits for its turn takes no room.
    fn started(&self, subject: &Subject, stage: &str) {
        let mut tasks = self.tasks();
        let Tasks { width, started, all, ended, overall } = &mut *tasks;
        if overall.is_none() && *all > 1 {
            *overall = self.bars.as_ref().map(|bars| {
                let bar = bars.add(ProgressBar::new(*all as u64));
                bar.set_style(style("  {pos} of {len} images done, {elapsed}"));
                bar.set_position(*ended as u64);
                bar.enable_steady_tick(Duration::from_secs(1));
                bar
            });
        }
        let (_, bar) =
            started.entry(subject.id).or_insert_with(|| (Instant::now(), self.bar(&subject.name, *width)));
        match bar {
            Some(bar) => bar.set_message(stage.to_owned()),
            None => self.line(&format!("{}: {stage}", subject.name)),
        }
    }

    /// A line that a child wrote: the latest on a terminal, all of them when verbose.
    fn output(&self, subject: &Subject, stage: &str, line: &str) {
        let tasks = self.tasks();
        let line = child_line(line);
        match tasks.started.get(&subject.id) {
            Some((_, Some(bar))) => bar.set_message(format!("{stage}: {line}")),
            _ if self.volume == Volume::Verbose => self.line(&format!("{} | {line}", subject.name)),
            _ => {}
        }
    }

    fn finished(&self, subject: &Subject, ending: Ending<'_>) {
        let mut tasks = self.tasks();
        let since = tasks.started.remove(&subject.id).map_or_else(Instant::now, |(since, bar)| {
            bar.inspect(ProgressBar::finish_and_clear);
            since
        });
        let (ink, word, text) = match ending {
            Ending::Done("") => (Ink::Add, "ok", String::new()),
            Ending::Done(text) => (Ink::Add, "ok", format!(" {text}")),
            Ending::Failed => (Ink::Remove, "failed", String::new()),
            Ending::Dropped => return tasks.one_ended(),
        };
        let word = self.style.paint(ink, word);
        self.line(&format!("{}: {word}{text} ({})", subject.name, elapsed(since.elapsed())));
        tasks.one_ended();
    }

    /// The line of a task at a stage, above the sum.
    fn bar(&self, name: &str, width: usize) -> Option<ProgressBar> {
        let bars = self.bars.as_ref()?;
        let bar = bars.insert(0, ProgressBar::new_spinner());
        bar.set_style(style("{spinner} {prefix}  {elapsed:>4}  {wide_msg}"));
        bar.set_prefix(format!("{name:width$}"));
        bar.enable_steady_tick(Duration::from_millis(120));
        Some(bar)
    }
}

impl Tasks {
    /// With the last of them the next work begins anew.
    fn one_ended(&mut self) {
        self.ended += 1;
        if let Some(overall) = &self.overall {
            overall.inc(1);
        }
        if self.ended == self.all {
            self.overall.take().inspect(ProgressBar::finish_and_clear);
            (self.all, self.ended) = (0, 0);
        }
    }
}

/// `tagged ghcr.io/acme/app:1.0 → sha256:…`, also for the account of an interrupted run.
pub(crate) fn tagged(reference: &Reference, digest: &Digest) -> String {
    format!("tagged {reference} → {}", digest.short())
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
