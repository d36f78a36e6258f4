//! What a person sees while work goes on: a line per image on a terminal, plain lines elsewhere. Always on stderr,
//! but for events, which are data.
//!
//! One lock in `indicatif` serves all writers, so that lines of ten builds do not tear.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::elapsed;
use super::output::Output;
use super::style::{Ink, Style};

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volume {
    /// Errors only.
    Quiet,
    /// Stages and results.
    Normal,
    /// The output of every child, as it comes.
    Verbose,
}

/// The account of a run on stderr. Cheap to clone; all clones write to one terminal.
#[derive(Clone, Debug)]
pub struct Progress {
    bars: Option<MultiProgress>,
    volume: Volume,
    style: Style,
    stderr: Output,
    /// Where what happens goes too, one JSON value a line.
    events: Option<Output>,
    /// The longest name of a task so far, so that what stands behind the names is aligned.
    width: Arc<AtomicUsize>,
}

/// What a piece of work is about, as events name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The target.
    pub target: String,
    /// The platform.
    pub platform: String,
}

impl Progress {
    /// Draws lines that change when stderr is a terminal and the output is not `Verbose`; else prints lines.
    pub fn new(volume: Volume, style: Style, stderr: Output) -> Self {
        let terminal =
            std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let draw = terminal && volume == Volume::Normal;
        let bars = draw.then(|| MultiProgress::with_draw_target(stderr.draw_target(12)));
        Self { bars, volume, style, stderr, events: None, width: Arc::default() }
    }

    /// The same, and what happens goes to `stdout`, one JSON value a line.
    #[must_use]
    pub fn with_events(self, stdout: Output) -> Self {
        Self { events: Some(stdout), ..self }
    }

    /// Whether what happens goes to stdout.
    pub fn has_events(&self) -> bool {
        self.events.is_some()
    }

    /// Something happened that programs may want to know; `fields` says more about it.
    pub fn event(&self, event: &str, mut fields: Value) {
        let Some(stdout) = &self.events else { return };
        fields["version"] = 1.into();
        fields["event"] = event.into();
        stdout.write(&format!("{fields}\n"));
    }

    /// How text is coloured on stderr.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Whether the output of children is shown as it comes.
    pub fn is_verbose(&self) -> bool {
        self.volume == Volume::Verbose
    }

    /// A line that stays.
    pub fn line(&self, text: &str) {
        if self.volume > Volume::Quiet {
            self.write(text);
        }
    }

    /// A headline: what the run does next.
    pub fn stage(&self, verb: &str, rest: &str) {
        // The spaces before the word are no part of what is painted, so that a long line continues below its text.
        let before = " ".repeat(12_usize.saturating_sub(verb.chars().count()));
        self.line(&format!("{before}{} {rest}", self.style.paint(Ink::Strong, verb)));
    }

    /// Something that went on nevertheless; shown even when quiet.
    pub fn warn(&self, text: &str) {
        self.write(&format!("{} {text}", self.style.paint(Ink::Change, "warning:")));
    }

    /// A command to copy, as it is.
    pub fn command(&self, text: &str) {
        if self.volume > Volume::Quiet {
            self.raw(&format!("  {text}"));
        }
    }

    fn write(&self, text: &str) {
        self.raw(&self.style.fold(text));
    }

    /// Text that is meant for whatever runs this, as it is.
    pub fn raw(&self, text: &str) {
        let text = format!("{}\n", text.trim_end());
        match &self.bars {
            Some(bars) => bars.suspend(|| self.stderr.write(&text)),
            None => self.stderr.write(&text),
        }
    }

    /// Starts one piece of work, e.g. a platform's image. Its line comes with its first stage: what only waits for its
    /// turn takes no room.
    pub fn task(&self, name: &str, subject: Subject) -> Task {
        self.width.fetch_max(name.chars().count(), Ordering::Relaxed);
        let (progress, name) = (self.clone(), name.to_owned());
        let state = Mutex::new(State { bar: None, stage: None });
        Task(Arc::new(Inner { progress, name, subject, started: Instant::now(), state }))
    }

    /// Starts the line below all others that says how much of the work is done.
    pub fn overall(&self, length: usize, what: &'static str) -> Overall {
        // One piece of work needs no sum.
        let bars = self.bars.as_ref().filter(|_| length > 1);
        Overall(bars.map(|bars| {
            let bar = bars.add(ProgressBar::new(length as u64));
            bar.set_style(style("  {pos} of {len} {msg} done, {elapsed}"));
            bar.set_message(what);
            bar.enable_steady_tick(Duration::from_secs(1));
            bar
        }))
    }

    /// The line of a piece of work at a stage, above the sum.
    fn bar(&self, name: &str) -> Option<ProgressBar> {
        let bars = self.bars.as_ref()?;
        let bar = bars.insert(0, ProgressBar::new_spinner());
        bar.set_style(style("{spinner} {prefix}  {elapsed:>4}  {wide_msg}"));
        bar.set_prefix(format!("{name:width$}", width = self.width.load(Ordering::Relaxed)));
        bar.enable_steady_tick(Duration::from_millis(120));
        Some(bar)
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// How much of the work is done.
#[derive(Debug)]
pub struct Overall(Option<ProgressBar>);

impl Overall {
    /// One more piece is.
    pub fn one_more(&self) {
        if let Some(bar) = &self.0 {
            bar.inc(1);
        }
    }
}

impl Drop for Overall {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// The line of one piece of work.
#[derive(Clone, Debug)]
pub struct Task(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    progress: Progress,
    name: String,
    subject: Subject,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bar: Option<ProgressBar>,
    /// The stage that it is at, and since when.
    stage: Option<(String, Instant)>,
}

impl Task {
    /// The work enters a stage: `building`, `smoke run`, `pushing`.
    pub fn stage(&self, text: &str) {
        self.end_stage("finished");
        self.0.progress.event("started", self.fields(text));
        let Ok(mut state) = self.0.state.lock() else { return };
        state.stage = Some((text.to_owned(), Instant::now()));
        if state.bar.is_none() {
            state.bar = self.0.progress.bar(&self.0.name);
        }
        match &state.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => self.0.progress.line(&format!("{}: {text}", self.0.name)),
        }
    }

    /// A line that a child wrote: the latest on a terminal, all of them when verbose.
    pub fn output(&self, stage: &str, line: &str) {
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        let Ok(state) = self.0.state.lock() else { return };
        match &state.bar {
            Some(bar) => bar.set_message(format!("{stage}: {line}")),
            None if self.0.progress.is_verbose() => {
                self.0.progress.line(&format!("{} | {line}", self.0.name))
            }
            None => {}
        }
    }

    /// The work is done; `text` says what came out.
    pub fn done(&self, text: &str) {
        self.end_stage("finished");
        self.end(Ink::Add, "ok", text);
    }

    /// The work failed; the error itself is reported elsewhere.
    pub fn failed(&self, text: &str) {
        self.end_stage("stopped");
        self.end(Ink::Remove, "failed", text);
    }

    fn end(&self, ink: Ink, word: &str, text: &str) {
        self.0.clear();
        let word = self.0.progress.style.paint(ink, word);
        let time = elapsed(self.0.started.elapsed());
        let text = if text.is_empty() { String::new() } else { format!(" {text}") };
        self.0.progress.line(&format!("{}: {word}{text} ({time})", self.0.name));
    }

    /// Tells how the stage ended that it is at.
    fn end_stage(&self, event: &str) {
        let ended = self.0.state.lock().ok().and_then(|mut state| state.stage.take());
        if let Some((stage, since)) = ended {
            let mut fields = self.fields(&stage);
            fields["seconds"] = (since.elapsed().as_millis() as f64 / 1000.0).into();
            self.0.progress.event(event, fields);
        }
    }

    fn fields(&self, stage: &str) -> Value {
        let Subject { target, platform } = &self.0.subject;
        json!({ "target": target, "platform": platform, "stage": stage })
    }
}

impl Inner {
    fn clear(&self) {
        if let Ok(mut state) = self.state.lock()
            && let Some(bar) = state.bar.take()
        {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.clear();
    }
}
