//! Colour, when it is wanted. What is coloured reads the same without.

use super::fold::fold;

/// Writes text with or without colour, for a terminal or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    colour: bool,
    screen: Option<Screen>,
}

/// How much a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Characters in a line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

/// What a piece of text means; the colours are of the terminal's own palette, readable on light and dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Something comes.
    Add,
    /// Something goes, or fails.
    Remove,
    /// Something changes, or deserves care.
    Change,
    /// Of less weight.
    Dim,
    /// Of more weight.
    Strong,
}

impl Style {
    /// With colour or without.
    pub(crate) fn new(colour: bool) -> Self {
        Self { colour, screen: None }
    }

    /// For a terminal of this size; without one, text has no end.
    #[must_use]
    pub(crate) fn on(self, screen: Option<Screen>) -> Self {
        Self { screen, ..self }
    }

    /// The terminal that is written to.
    pub(crate) fn screen(self) -> Option<Screen> {
        self.screen
    }

    /// Whether it colours.
    pub(crate) fn is_coloured(self) -> bool {
        self.colour
    }

    /// `text` with its lines broken between words where the screen has no more room for them.
    pub(crate) fn fold(self, text: &str) -> String {
        match self.screen {
            Some(screen) => fold(text, screen.columns),
            None => text.to_owned(),
        }
    }

    /// `text` in `ink`.
    pub(crate) fn paint(self, ink: Ink, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Add => "32",
            Ink::Remove => "31",
            Ink::Change => "33",
            Ink::Dim => "2",
            Ink::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}
