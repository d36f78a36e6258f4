//! What a failed run tells a person and the shell: one message, the causes below it, a `hint:` and an exit code.

use std::borrow::Cow;
use std::fmt;

/// The exit codes of every command. docs/reference/exit-codes.md is written from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: everything asked for is done.
    Done,
    /// 1: failed, and nothing was published.
    Failed,
    /// 2: the command line or the declaration is wrong.
    Usage,
    /// 3: the registry, or the lock, differs from what is declared (`plan --exit-code` and its kin).
    Differs,
    /// 4: published in part; the same command run again finishes.
    Partial,
    /// 125: an option that `manifest` does not have, where Docker ends so.
    UnknownOption,
    /// 128 + n: ended by signal n.
    Signal(u8),
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Differs => 3,
            Self::Partial => 4,
            Self::UnknownOption => 125,
            Self::Signal(signal) => 128u8.saturating_add(signal),
        }
    }
}

/// An error that says what to do next. It travels inside [`anyhow::Error`]; [`render`] and [`exit_of`] find it there.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    exit: Exit,
    cause: Option<anyhow::Error>,
}

impl Failure {
    /// A failure with exit code 1. `message` says what was tried, on which reference, what was found and what was
    /// expected, without a final full stop.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, exit: Exit::Failed, cause: None }
    }

    /// A failure that shows each of `failures`, with its causes and hints, below `message`.
    pub fn of_several(message: &str, failures: &[anyhow::Error]) -> Self {
        let shown = |error| format!("\n  - {}", render(error).trim_end().replace('\n', "\n    "));
        Self::new(format!("{message}:{}", failures.iter().map(shown).collect::<String>()))
    }

    /// Adds the way out, shown as `hint: …`; an empty one is none.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into()).filter(|hint| !hint.trim().is_empty());
        self
    }

    /// Replaces the exit code.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Adds the error that led to this one.
    #[must_use]
    pub fn because(mut self, cause: impl Into<anyhow::Error>) -> Self {
        self.cause = Some(cause.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause.as_ref() as _)
    }
}

/// The exit code that `error` asks for: that of the outermost [`Failure`] in its chain, else 1.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    error.chain().find_map(|cause| cause.downcast_ref::<Failure>()).map_or(Exit::Failed, |f| f.exit)
}

/// The hints of the whole chain, each once, the outermost first.
pub fn hints(error: &anyhow::Error) -> Vec<&str> {
    let mut hints = Vec::new();
    for cause in error.chain() {
        if let Some(hint) = cause.downcast_ref::<Failure>().and_then(|failure| failure.hint.as_deref())
            && !hints.contains(&hint)
        {
            hints.push(hint);
        }
    }
    hints
}

/// `error` as shown on stderr, without colour: `error: …`, each cause indented, then every hint of the chain.
pub fn render(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let label = if depth == 0 { "error: " } else { "  caused by: " };
        text.push_str(label);
        let mut lines = cause.to_string();
        while lines.ends_with('\n') {
            lines.pop();
        }
        text.push_str(&hanging(&lines));
        text.push('\n');
    }
    for hint in hints(error) {
        text.push_str("hint: ");
        text.push_str(&hanging(hint));
        text.push('\n');
    }
    text
}

/// `text` with every line behind the first indented: a line end in a file's name, or in anything else that a message
/// quotes, does not begin a line that looks like one of ours.
pub(crate) fn hanging(text: &str) -> Cow<'_, str> {
    let is_hanging = |line: &str| line.is_empty() || line.starts_with("  ");
    if text.split('\n').skip(1).all(is_hanging) {
        return Cow::Borrowed(text);
    }
    let mut lines = text.split('\n');
    let mut out = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        out.push_str(if is_hanging(line) { "\n" } else { "\n  " });
        out.push_str(line);
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_message_looks_like_the_first_of_another() {
        for (text, shown) in [
            ("one line", "one line"),
            ("several:\n  - one\n\n    two", "several:\n  - one\n\n    two"),
            ("no file `a\nerror: b\n c`", "no file `a\n  error: b\n   c`"),
        ] {
            assert_eq!(hanging(text), shown);
            assert_eq!(
                render(&Failure::new(text).hint(text).into()),
                format!("error: {shown}\nhint: {shown}\n")
            );
        }
    }

    #[test]
    fn the_whole_chain_and_every_hint_is_shown() {
        let inner = Failure::new("connection refused").hint("is the registry running?");
        let outer = Failure::new("could not read docker.io/a/b:1").because(inner).exit(Exit::Partial);
        let error = anyhow::Error::from(outer);
        assert_eq!(
            render(&error),
            "error: could not read docker.io/a/b:1\n  caused by: connection refused\nhint: is the registry running?\n"
        );
        assert_eq!(exit_of(&error), Exit::Partial);
        assert_eq!(render(&Failure::new("failed").hint(" ").into()), "error: failed\n");
        assert_eq!(exit_of(&anyhow::anyhow!("plain").context("more")), Exit::Failed);
        assert_eq!(Exit::Signal(2).code(), 130);
    }
}
