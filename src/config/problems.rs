//! What is wrong with a declaration: every problem with its place, shown as rustc shows its own.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::renderer::{AnsiColor, Effects};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::error::{Exit, Failure};
use crate::model::foreign::visible;
use crate::model::suggest::near_miss;

/// Everything that is wrong with a declaration, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    path: PathBuf,
    text: String,
    list: Vec<Problem>,
}

/// Bytes of the text.
pub type Span = Range<usize>;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What the caret points at.
    pub span: Span,
    /// What was found and what was expected, without a final full stop.
    pub message: String,
    /// A few words beside the caret.
    pub label: Option<String>,
    /// Another place that has to do with it, and what it is.
    pub also: Option<(Span, String)>,
    /// The way out.
    pub help: Option<String>,
}

/// A problem as machines take it: JSON output, annotations of a CI run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<'a> {
    /// The file as it is shown.
    pub path: &'a Path,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What was found and what was expected.
    pub message: &'a str,
    /// The way out.
    pub help: Option<&'a str>,
}

impl Problem {
    pub(super) fn new(span: &Span, message: impl Into<String>) -> Self {
        Self { span: span.clone(), message: one_line(message), label: None, also: None, help: None }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(one_line(label));
        self
    }

    /// Points at another place as well, if it is another.
    pub(super) fn also(mut self, span: &Span, label: impl Into<String>) -> Self {
        self.also = (*span != self.span).then(|| (span.clone(), one_line(label)));
        self
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        self.maybe_help(Some(help.into()))
    }

    /// The way out, where one is known.
    pub(super) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.map(one_line);
        self
    }

    /// Helps with the candidate that was probably meant, else with all of them.
    pub(super) fn meant(self, found: &str, candidates: &[&str]) -> Self {
        let help = match near_miss(found, candidates.iter().copied()) {
            Some(candidate) => format!("did you mean `{candidate}`?"),
            None => format!("expected one of `{}`", candidates.join("`, `")),
        };
        self.help(help)
    }
}

/// Words about a file quote it, and what they quote stays on their line.
fn one_line(text: impl Into<String>) -> String {
    visible(&text.into()).into_owned()
}

impl Problems {
    /// The problems of `text`, sorted, each once; `None` when there are none.
    pub(super) fn of(path: &Path, text: &str, mut list: Vec<Problem>) -> Option<Self> {
        list.sort_by(|a, b| {
            (a.span.start, a.span.end, &a.message).cmp(&(b.span.start, b.span.end, &b.message))
        });
        // What `[defaults]` says is read once for every target.
        list.dedup_by(|a, b| a.span == b.span && a.message == b.message);
        (!list.is_empty()).then(|| Self { path: path.to_owned(), text: text.to_owned(), list })
    }

    /// Shows the file as `path`, e.g. relative to the folder that the command runs in.
    #[must_use]
    pub fn shown_as(mut self, path: &Path) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The problems themselves.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// The problems with line and column.
    pub fn located(&self) -> impl Iterator<Item = Located<'_>> {
        let lines = Lines::of(&self.text);
        self.list.iter().map(move |problem| {
            let (line, column) = lines.position(problem.span.start);
            Located {
                path: &self.path,
                line,
                column,
                message: &problem.message,
                help: problem.help.as_deref(),
            }
        })
    }

    /// One line about all of them: `manifests.toml has 2 problems`.
    pub fn summary(&self) -> String {
        let plural = if self.list.len() == 1 { "problem" } else { "problems" };
        format!("{} has {} {plural}", visible(&self.path.to_string_lossy()), self.list.len())
    }

    /// Every problem with its line of the file, a caret and the way out; of long lines what has to do with it, as far as
    /// `columns` reach.
    pub fn render(&self, color: bool, columns: Option<usize>) -> String {
        let renderer = if color { coloured() } else { Renderer::plain() };
        let renderer = match columns {
            Some(columns) => renderer.term_width(columns),
            None => renderer,
        };
        let path = visible(&self.path.to_string_lossy()).into_owned();
        let lines = Lines::of(&self.text);
        let shown: Vec<String> =
            self.list.iter().map(|problem| renderer.render(&[group(problem, &path, &lines)])).collect();
        let mut text = shown.join("\n\n");
        text.push('\n');
        text
    }
}

/// So many lines apart, two places are shown each by itself.
const FAR: usize = 100;

fn group<'a>(problem: &'a Problem, path: &'a str, lines: &Lines<'a>) -> Group<'a> {
    let place = |start: usize, end: usize| {
        // The renderer goes through all that it is given for each problem, so it is given what the problem is about.
        let (first, text, offset) = lines.around(start..end);
        let within = move |span: &Span| span.start - offset..span.end - offset;
        (Snippet::source(text).line_start(first).path(path), within)
    };
    let Span { start, end } = problem.span;
    let title = Level::ERROR.primary_title(&problem.message);
    let near = |span: &Span| lines.line(span.start).abs_diff(lines.line(start)) < FAR;
    let group = match &problem.also {
        Some((span, label)) if near(span) => {
            let (snippet, within) = place(start.min(span.start), end.max(span.end));
            let primary = AnnotationKind::Primary.span(within(&problem.span)).label(problem.label.as_deref());
            let also = AnnotationKind::Context.span(within(span)).label(label.as_str());
            title.element(snippet.annotation(primary).annotation(also))
        }
        also => {
            let (snippet, within) = place(start, end);
            let primary = AnnotationKind::Primary.span(within(&problem.span)).label(problem.label.as_deref());
            let group = title.element(snippet.annotation(primary));
            match also {
                Some((span, label)) => {
                    let (snippet, within) = place(span.start, span.end);
                    let also = AnnotationKind::Context.span(within(span)).label(label.as_str());
                    group.element(snippet.annotation(also))
                }
                None => group,
            }
        }
    };
    match &problem.help {
        Some(help) => group.element(Level::HELP.message(help)),
        None => group,
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false, None).trim_end())
    }
}

impl std::error::Error for Problems {}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::new(problems.summary()).exit(Exit::Usage).because(problems)
    }
}

/// The terminal's own colours, but not its bright ones: bright cyan cannot be read on white.
fn coloured() -> Renderer {
    let bold = |colour: AnsiColor| colour.on_default().effects(Effects::BOLD);
    let line = bold(AnsiColor::Blue);
    let renderer = Renderer::styled().error(bold(AnsiColor::Red)).help(bold(AnsiColor::Cyan));
    renderer.line_num(line).context(line)
}

/// A text and where its lines begin.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let starts = text.match_indices('\n').map(|(newline, _)| newline + 1);
        Self { text, starts: std::iter::once(0).chain(starts).collect() }
    }

    /// The line that `offset` is in, from 0.
    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    /// Line and column, from 1, the column in characters.
    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line(offset);
        let before = self.text.get(self.starts[line]..offset).unwrap_or_default();
        (line + 1, before.chars().count() + 1)
    }

    /// The lines that `span` touches and one on either side: the number of the first, from 1, the text, and where it
    /// begins.
    fn around(&self, span: Span) -> (usize, &'a str, usize) {
        let first = self.line(span.start).saturating_sub(1);
        let end = self.starts.get(self.line(span.end) + 2).copied().unwrap_or(self.text.len());
        let start = self.starts[first];
        (first + 1, &self.text[start..end], start)
    }
}
