//! Text from outside, shown to people. Pure.
//!
//! Labels, annotations, platforms, media types, error bodies, file names, output of children: whoever wrote them may have
//! meant to move a cursor, to reverse a line, or to begin a line of their own. [`Foreign`] is such a text on its way into a
//! sentence: it stays on its line, shows what cannot be seen, and has an end. What it may not do is go anywhere as
//! content: what is written to a registry or compared is the text itself, byte for byte.

use std::borrow::Cow;
use std::fmt;

/// How many characters of one value are shown.
pub const SHOWN: usize = 1_000;

/// A text from outside, whose `Display` is for people: one line, visible, bounded. Plain text comes out as it is.
///
/// A backslash stays a backslash, so what is shown cannot be read back; JSON output is for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign<'a>(pub &'a str);

impl fmt::Display for Foreign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(SHOWN).map_or(self.0.len(), |(at, _)| at);
        let (shown, rest) = self.0.split_at(end);
        f.write_str(&visible(shown))?;
        match rest.chars().count() {
            0 => Ok(()),
            more => write!(f, "… ({more} more characters)"),
        }
    }
}

/// `text` on one line, with an escape for every character that [`is_odd`].
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_odd) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            odd if is_odd(odd) => out.extend(odd.escape_unicode()),
            plain => out.push(plain),
        }
    }
    Cow::Owned(out)
}

/// A line that a child wrote, on one line: without the colours that it set, since what stands around has its
/// own; of what it overwrote, the last.
pub fn child_line(line: &str) -> String {
    let line = line.trim_end();
    let mut rest = line.rsplit('\r').next().unwrap_or(line);
    let mut out = String::with_capacity(rest.len());
    while let Some(at) = rest.find("\u{1b}[") {
        let (before, sequence) = rest.split_at(at);
        out.push_str(before);
        let parameters = &sequence[2..];
        let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';');
        match end.filter(|end| matches!(parameters.as_bytes()[*end], b'm' | b'K')) {
            Some(end) => rest = &parameters[end + 1..],
            None => {
                out.push_str(&sequence[..2]);
                rest = parameters;
            }
        }
    }
    out.push_str(rest);
    // A tab takes as much room as it does anywhere; everything else stays on the line.
    out.split('\t').map(visible).collect::<Vec<_>>().join("\t")
}

/// Whether a character is not seen, or changes how others are seen: it is shown as an escape. These are the control
/// characters of ASCII and Latin-1, direction marks, overrides and isolates, separators of lines, what has no width, and
/// the tags that repeat ASCII invisibly.
pub fn is_odd(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e01ef}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_visible_line() {
        for (text, shown) in [
            ("linux/arm64: äöü 漢字 🦀 \\ | ` < ::", "linux/arm64: äöü 漢字 🦀 \\ | ` < ::"),
            ("", ""),
            ("two\nlines\r\n\tand a tab", "two\\nlines\\r\\n\\tand a tab"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}31m \u{85} \u{7f} \0", "\\u{9b}31m \\u{85} \\u{7f} \\u{0}"),
            ("a\u{202e}b\u{2066}c\u{200f}d", "a\\u{202e}b\\u{2066}c\\u{200f}d"),
            ("a\u{2028}b\u{2029}c", "a\\u{2028}b\\u{2029}c"),
            ("a\u{200b}b\u{feff}c\u{e0041}", "a\\u{200b}b\\u{feff}c\\u{e0041}"),
        ] {
            assert_eq!(Foreign(text).to_string(), shown, "{text:?}");
        }
    }

    #[test]
    fn a_value_has_an_end() {
        for (length, more) in
            [(SHOWN, ""), (SHOWN + 1, "… (1 more characters)"), (9_999, "… (8999 more characters)")]
        {
            let shown = "x".repeat(length.min(SHOWN));
            assert_eq!(Foreign(&"x".repeat(length)).to_string(), format!("{shown}{more}"));
        }
    }

    #[test]
    fn what_a_child_wrote_stays_on_its_line() {
        for (line, shown) in [
            ("#12 [2/3] RUN make\tall", "#12 [2/3] RUN make\tall"),
            ("\u{1b}[1;32mok\u{1b}[0m done\u{1b}[K\r\n", "ok done"),
            ("10%\r20%\r30%", "30%"),
            ("\u{1b}[2Jx\u{1b}[\u{1b}]0;t\u{7}", "\\u{1b}[2Jx\\u{1b}[\\u{1b}]0;t\\u{7}"),
        ] {
            assert_eq!(child_line(line), shown, "{line:?}");
        }
    }
}
