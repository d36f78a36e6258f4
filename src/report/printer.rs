//! Printers: what goes to a terminal or a log, into JSON, or into Markdown, so that text from outside in it stays text.
//! Pure.
//!
//! A value is shown through [`Foreign`], which keeps it on its line. What is here stands behind that, once for each
//! medium, and knows nothing of where a text came from: what was forgotten before cannot do harm either.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::model::foreign::{Foreign, is_odd, visible};

/// `text` for a terminal or a log, of several lines perhaps: what cannot be seen is shown as an escape, but for line
/// ends, tabs and, where it `is_coloured`, colours; and no line is a command for a CI runner. Plain text comes out as it is.
///
/// GitHub's runner takes a line for a command that begins with `::` after white space, or has `##[` anywhere; that of
/// Azure `##vso[`. GitLab's markers of sections need control characters. Lines are the same wherever they go: the log of a
/// runner may be that of a child of ours, too.
pub(crate) fn terminal(text: &str, is_coloured: bool) -> Cow<'_, str> {
    let is_plain = |line: &str| {
        !line.contains(|c: char| is_odd(c) && c != '\t') && !line.contains("##") && !line.contains("::")
    };
    if text.split('\n').all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let line = line.strip_suffix('\r').unwrap_or(line);
        terminal_line(&mut out, line, is_coloured);
    }
    Cow::Owned(out)
}

fn terminal_line(out: &mut String, line: &str, is_coloured: bool) {
    let mut rest = line;
    // Whether only white space and colours came so far.
    let mut at_start = true;
    while let Some(character) = rest.chars().next() {
        if let Some(length) = colour(rest).filter(|_| is_coloured) {
            out.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        if at_start && rest.starts_with("::") {
            out.push('\\');
        }
        at_start = at_start && character.is_whitespace();
        let (piece, behind) = rest.split_at(character.len_utf8());
        out.push_str(&if character == '\t' { Cow::Borrowed(piece) } else { visible(piece) });
        if rest.starts_with("##[") || rest.starts_with("##vso[") {
            out.push('\\');
        }
        rest = behind;
    }
}

/// The length of the sequence that `text` begins with, if it only sets colours and weight; what hides text is none.
fn colour(text: &str) -> Option<usize> {
    let (parameters, _) = text.strip_prefix("\u{1b}[")?.split_once('m')?;
    let known = |parameter: &str| {
        matches!(parameter.parse::<u8>(), Ok(0..=4 | 22 | 30..=37 | 39 | 90..=97)) || parameter.is_empty()
    };
    parameters.split(';').all(known).then_some(parameters.len() + 3)
}

/// Serialised JSON whose strings mean the same and show nothing but themselves: what cannot be seen, and what a runner
/// takes for a command, is written as `\u`. All of these characters stand in strings only.
pub(crate) fn json(serialised: &str) -> Cow<'_, str> {
    let is_hidden = |c: char| is_odd(c) && !matches!(c, '\n' | '\r' | '\t');
    if !serialised.contains(is_hidden) && !serialised.contains("##") {
        return Cow::Borrowed(serialised);
    }
    let mut out = String::with_capacity(serialised.len() + 16);
    let mut rest = serialised.chars().peekable();
    while let Some(character) = rest.next() {
        if is_hidden(character) || (character == '#' && rest.peek() == Some(&'#')) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// A value as Markdown, within a line or the cell of a table: code, in which no mention, link or reference is one.
pub(crate) fn code(text: &str) -> String {
    // No parser agrees with another about a backslash before a bar that does not end a cell.
    let text = Foreign(text).to_string().replace("\\|", "\\u{7c}").replace('|', "\\|");
    if text.is_empty() {
        return text;
    }
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let is_padded = |end: Option<char>| end.is_some_and(|c| c == '`' || c == ' ');
    let pad = if is_padded(text.chars().next()) || is_padded(text.chars().next_back()) { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A sentence of ours as Markdown, within a line or the cell of a table. What it has between backticks becomes code, and
/// so does every word that Markdown or a forge would take for something: markup, a mention, a link, a reference. Whatever
/// backticks a text from outside adds, all of it is one or the other.
pub(crate) fn prose(text: &str) -> String {
    // Lines of our own; those of a value are escapes by now.
    let text = text.lines().map(|line| visible(line.trim())).collect::<Vec<_>>().join(" ");
    let mut out = String::with_capacity(text.len());
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            push_apart(&mut out, &code(part));
            continue;
        }
        for word in part.split_inclusive(' ') {
            let (word, space) = word.strip_suffix(' ').map_or((word, ""), |word| (word, " "));
            if is_markup(word) {
                push_apart(&mut out, &code(word));
            } else {
                out.push_str(word);
            }
            out.push_str(space);
        }
    }
    out
}

/// Appends code, which would be one with the code before it.
fn push_apart(out: &mut String, code: &str) {
    if out.ends_with('`') && !code.is_empty() {
        out.push(' ');
    }
    out.push_str(code);
}

/// Whether a word is more than its text in Markdown, or in the Markdown of GitHub or GitLab.
fn is_markup(word: &str) -> bool {
    let upper = word.to_ascii_uppercase();
    word.contains(|c: char| "\\*_{}[]<>#@!|~&$%^".contains(c))
        || word.contains("://")
        || upper.contains("WWW.")
        || upper.contains("GH-")
}

#[cfg(test)]
mod tests;
