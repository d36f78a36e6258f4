//! The standard streams of this process. A stream that is full, closed, or whose reader has gone stops no work: the first
//! failure is kept, for the end of the run to tell. I/O.
//!
//! `println!` and its kin panic where a stream cannot be written, and so do `indicatif`'s own draw targets while they
//! hold their lock: nothing else writes to these streams.

use std::io::{self, ErrorKind};
use std::mem::take;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use indicatif::{ProgressDrawTarget, TermLike};

use super::printer;
use super::style::Style;

/// A standard stream. Cheap to clone; all clones know of the same failure.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    stream: Stream,
    is_coloured: bool,
    lost: Arc<OnceLock<io::Error>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Stdout,
    Stderr,
}

impl Output {
    /// Where data goes. After a failure nothing more is written: data with a hole in it would pass for whole.
    pub(crate) fn stdout(style: Style) -> Self {
        Self { stream: Stream::Stdout, is_coloured: style.is_coloured(), lost: Arc::default() }
    }

    /// Where everything else goes. After a failure the rest is tried all the same.
    pub(crate) fn stderr(style: Style) -> Self {
        Self { stream: Stream::Stderr, is_coloured: style.is_coloured(), lost: Arc::default() }
    }

    /// Writes text for people, at once: what two threads write does not mix. Nothing in it moves a cursor or is a command
    /// for a CI runner, see [`printer::terminal`].
    pub(crate) fn write(&self, text: &str) {
        self.write_exactly(&printer::terminal(text, self.is_coloured));
    }

    /// Writes a value for programs, on a line of its own or laid out.
    pub(crate) fn write_json(&self, serialised: &str) {
        self.write_exactly(&printer::json(serialised));
    }

    /// Writes `text`, as it is and at once: for what has no text from outside in it, or is content.
    pub(crate) fn write_exactly(&self, text: &str) {
        if self.stream == Stream::Stdout && self.lost.get().is_some() {
            return;
        }
        let written = match self.stream {
            Stream::Stdout => whole(&mut io::stdout().lock(), text),
            Stream::Stderr => whole(&mut io::stderr().lock(), text),
        };
        if let Err(error) = written {
            // Only the first one is told.
            let _ = self.lost.set(error);
        }
    }

    /// Why not everything was written. A reader that had enough, as `head` has, is none of these reasons.
    pub(crate) fn lost(&self) -> Option<&io::Error> {
        self.lost.get().filter(|error| error.kind() != ErrorKind::BrokenPipe)
    }

    /// What `indicatif` draws on, `hz` times a second at most.
    pub(crate) fn draw_target(&self, hz: u8) -> ProgressDrawTarget {
        let terminal = Terminal { output: self.clone(), drawn: Mutex::default() };
        ProgressDrawTarget::term_like_with_hz(Box::new(terminal), hz)
    }
}

fn whole(stream: &mut impl io::Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

/// A terminal that takes all that is drawn, also when it is gone.
#[derive(Debug)]
struct Terminal {
    output: Output,
    /// What is to be written together.
    drawn: Mutex<String>,
}

impl Terminal {
    fn draw(&self, text: &str) -> io::Result<()> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
        Ok(())
    }

    fn move_cursor(&self, n: usize, direction: char) -> io::Result<()> {
        if n > 0 { self.draw(&format!("\x1b[{n}{direction}")) } else { Ok(()) }
    }

    fn size() -> (u16, u16) {
        let size = terminal_size::terminal_size_of(io::stderr());
        size.map_or((80, 24), |(width, height)| (width.0, height.0))
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        Self::size().0
    }

    fn height(&self) -> u16 {
        Self::size().1
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.draw(&format!("{}\n", printer::terminal(text, self.output.is_coloured)))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.draw(&printer::terminal(text, self.output.is_coloured))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.draw("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let drawn = take(&mut *self.drawn.lock().unwrap_or_else(PoisonError::into_inner));
        self.output.write_exactly(&drawn);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_stops_at_the_first_failure_and_a_reader_that_left_is_none() {
        for (kind, told) in [(ErrorKind::StorageFull, true), (ErrorKind::BrokenPipe, false)] {
            let output = Output::stdout(Style::new(false));
            assert!(output.lost().is_none());
            output.clone().lost.set(kind.into()).unwrap();
            output.write("a test that shows this has failed\n");
            assert_eq!(output.lost().is_some(), told, "{kind}");
        }
    }
}
