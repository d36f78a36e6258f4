//! Lines that fit a screen: broken between words, so that a terminal does not break them within one. Pure.

/// `text` with every line that is longer than `columns` continued below, indented. What is longer than a line by
/// itself, e.g. a reference, gets one of its own and is left to the terminal, from which it can be copied whole.
pub(crate) fn fold(text: &str, columns: usize) -> String {
    text.split('\n').map(|line| fold_line(line, columns)).collect::<Vec<_>>().join("\n")
}

fn fold_line(line: &str, columns: usize) -> String {
    if width(line) <= columns {
        return line.to_owned();
    }
    let indent = line.len() - line.trim_start_matches(' ').len();
    let hang = " ".repeat((indent + 4).min(columns / 2));
    let mut folded = line[..indent].to_owned();
    let mut used = indent;
    let mut gap = "";
    let mut rest = &line[indent..];
    while !rest.is_empty() {
        let (word, behind) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
        if !gap.is_empty() && used + gap.len() + width(word) > columns {
            folded.push('\n');
            folded.push_str(&hang);
            used = hang.len();
        } else {
            folded.push_str(gap);
            used += gap.len();
        }
        folded.push_str(word);
        used += width(word);
        (gap, rest) = behind.split_at(behind.len() - behind.trim_start_matches(' ').len());
    }
    folded
}

/// Characters that are seen: colours take no room.
fn width(text: &str) -> usize {
    let mut seen = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                chars.by_ref().find(char::is_ascii_alphabetic);
            }
            _ => seen += 1,
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_continue_indented() {
        for (text, folded) in [
            ("short\n\nlines stay\n", "short\n\nlines stay\n"),
            ("one two three four five six", "one two three four\n    five six"),
            (
                "  ? linux/arm64  sha256:1 → known after the build",
                "  ? linux/arm64\n      sha256:1 →\n      known after\n      the build",
            ),
            (
                "tagged registry.corp:5000/acme/app:1 → sha256:1",
                "tagged\n    registry.corp:5000/acme/app:1\n    → sha256:1",
            ),
            ("    \u{1b}[1mPlanning\u{1b}[0m echo two", "    \u{1b}[1mPlanning\u{1b}[0m echo\n        two"),
            ("größere Wörter äöü", "größere Wörter äöü"),
        ] {
            assert_eq!(fold(text, 20), folded, "{text}");
        }
    }

    #[test]
    fn nothing_is_lost() {
        let text = "  ? linux/amd64  sha256:2f862ada29cc → known after the build  (a rebuild is asked for)\nnext  one";
        for columns in 1..100 {
            let folded = fold(text, columns);
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&folded), words(text), "{columns}: {folded}");
        }
    }
}
