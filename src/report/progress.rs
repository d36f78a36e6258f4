//! What a person sees while work goes on: a line per image on a terminal, plain lines elsewhere. Always on stderr.
//!
//! One lock in `indicatif` serves all writers, so that lines of ten builds do not tear.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::elapsed;
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
}

impl Progress {
    /// Draws lines that change when stderr is a terminal and the output is not `Verbose`; else prints lines.
    pub fn new(volume: Volume, style: Style) -> Self {
        let terminal =
            std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let draw = terminal && volume == Volume::Normal;
        let bars = draw.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(12)));
        Self { bars, volume, style }
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
        self.line(&format!("{} {rest}", self.style.paint(Ink::Strong, &format!("{verb:>12}"))));
    }

    /// Something that went on nevertheless; shown even when quiet.
    pub fn warn(&self, text: &str) {
        self.write(&format!("{} {text}", self.style.paint(Ink::Change, "warning:")));
    }

    #[expect(clippy::print_stderr, reason = "the one place where lines reach stderr")]
    fn write(&self, text: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// Starts the line of one piece of work, e.g. a platform's image.
    pub fn task(&self, name: &str) -> Task {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            let template = "{spinner} {prefix}  {elapsed:>4}  {wide_msg}";
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Task(Arc::new(Inner { progress: self.clone(), name: name.to_owned(), bar, started: Instant::now() }))
    }
}

/// The line of one piece of work.
#[derive(Clone, Debug)]
pub struct Task(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    progress: Progress,
    name: String,
    bar: Option<ProgressBar>,
    started: Instant,
}

impl Task {
    /// The work enters a stage: `building`, `smoke run`, `pushing`.
    pub fn stage(&self, text: &str) {
        match &self.0.bar {
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
        match &self.0.bar {
            Some(bar) => bar.set_message(format!("{stage}: {line}")),
            None if self.0.progress.is_verbose() => {
                self.0.progress.line(&format!("{} | {line}", self.0.name))
            }
            None => {}
        }
    }

    /// The work is done; `text` says what came out.
    pub fn done(&self, text: &str) {
        self.end(Ink::Add, "ok", text);
    }

    /// The work failed; the error itself is reported elsewhere.
    pub fn failed(&self, text: &str) {
        self.end(Ink::Remove, "failed", text);
    }

    fn end(&self, ink: Ink, word: &str, text: &str) {
        if let Some(bar) = &self.0.bar {
            bar.finish_and_clear();
        }
        let word = self.0.progress.style.paint(ink, word);
        let time = elapsed(self.0.started.elapsed());
        self.0.progress.line(&format!("{}: {word} {text} ({time})", self.0.name));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
