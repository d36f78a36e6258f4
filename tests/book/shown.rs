//! Command lines as pages show them, and what they print.

/// The words of a line, as a shell would hand them over; quotes hold words together.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (Some(open), letter) if letter == open => quote = None,
            (None, ' ') => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// Whether `printed` is what a page shows: line by line, where `…` alone is any lines, and in a line any text.
pub(crate) fn fits(shown: &str, printed: &str) -> bool {
    let (shown, printed): (Vec<&str>, Vec<&str>) = (shown.lines().collect(), printed.lines().collect());
    lines_fit(&shown, &printed)
}

fn lines_fit(shown: &[&str], printed: &[&str]) -> bool {
    match (shown.split_first(), printed.split_first()) {
        (None, first) => first.is_none(),
        (Some((&"…", rest)), _) => (0..=printed.len()).any(|skipped| lines_fit(rest, &printed[skipped..])),
        (Some(_), None) => false,
        (Some((line, rest)), Some((is, left))) => line_fits(line, is) && lines_fit(rest, left),
    }
}

fn line_fits(shown: &str, printed: &str) -> bool {
    match shown.split_once('…') {
        None => shown == printed,
        Some((before, after)) => printed.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| line_fits(after, &rest[at..]))
        }),
    }
}

#[test]
fn dots_stand_for_what_varies_and_nothing_else() {
    assert!(fits("a …c\n…\nz\n", "a bc\n1\n2\nz\n"));
    assert!(fits("…\nz\n", "z\n"));
    for (shown, printed) in
        [("a\n", ""), ("", "a\n"), ("a…b\n", "ac\n"), ("…\nz\n", "z\ny\n"), ("a\nb\n", "b\na\n")]
    {
        assert!(!fits(shown, printed), "{shown:?} {printed:?}");
    }
    assert_eq!(words("git commit  -m 'two words' \"\""), ["git", "commit", "-m", "two words", ""]);
}
