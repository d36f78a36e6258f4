//! Patterns over paths, as COPY and `.dockerignore` use them.

use regex::Regex;

/// A pattern for whole paths, which have `/` between their parts and none in front.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    regex: Regex,
}

/// A pattern that nothing can be held against, such as an unclosed `[`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a pattern")]
pub struct PatternError(String);

impl Pattern {
    /// A pattern of COPY: `*` and `?` stay within one part (Go's `filepath.Match`).
    ///
    /// # Errors
    ///
    /// It is none.
    pub(crate) fn of_source(text: &str) -> Result<Self, PatternError> {
        Self::new(text, false)
    }

    /// A pattern of `.dockerignore`: as for COPY, and `**` is any number of parts (moby/patternmatcher).
    ///
    /// # Errors
    ///
    /// It is none.
    pub(crate) fn of_ignore(text: &str) -> Result<Self, PatternError> {
        Self::new(text, true)
    }

    /// Whether `path` is meant.
    pub(crate) fn matches(&self, path: &str) -> bool {
        self.regex.is_match(path)
    }

    fn new(text: &str, deep: bool) -> Result<Self, PatternError> {
        let error = || PatternError(text.to_owned());
        let mut expression = String::from("(?s)^");
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '*' if deep && rest.starts_with('*') => {
                    rest = &rest[1..];
                    match rest.strip_prefix('/') {
                        Some("") => expression.push_str(".*"),
                        Some(after) => {
                            rest = after;
                            expression.push_str("(.*/)?");
                        }
                        None => expression.push_str(".*"),
                    }
                }
                '*' => expression.push_str("[^/]*"),
                '?' => expression.push_str("[^/]"),
                '[' => {
                    let class = class(rest).ok_or_else(error)?;
                    expression.push_str(&class.expression);
                    rest = &rest[class.length..];
                }
                '\\' => {
                    let literal = rest.chars().next().ok_or_else(error)?;
                    rest = &rest[literal.len_utf8()..];
                    expression.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
                }
                c => expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
            }
        }
        expression.push('$');
        Ok(Self { regex: Regex::new(&expression).map_err(|_| error())? })
    }
}

struct Class {
    expression: String,
    length: usize,
}

/// What stands between `[` and `]`: characters and ranges, escaped with a backslash, the other way round after `^`.
fn class(text: &str) -> Option<Class> {
    let mut expression = String::from("[");
    let mut characters = text.char_indices().peekable();
    if characters.next_if(|(_, c)| *c == '^').is_some() {
        // What is not in it may be anything but what separates parts.
        expression.push_str("^/");
    }
    let mut some = false;
    while let Some((at, c)) = characters.next() {
        match c {
            ']' if some => {
                expression.push(']');
                return Some(Class { expression, length: at + 1 });
            }
            '-' if some => expression.push('-'),
            '\\' => expression.push_str(&escaped(characters.next()?.1)),
            c => expression.push_str(&escaped(c)),
        }
        some = true;
    }
    None
}

fn escaped(c: char) -> String {
    if c.is_ascii_punctuation() { format!("\\{c}") } else { c.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_within_a_part_unless_there_are_two() {
        for (pattern, path, source, ignore) in [
            ("a", "a", true, true),
            ("a", "a/b", false, false),
            ("*", "a", true, true),
            ("*", "a/b", false, false),
            ("a/*.txt", "a/b.txt", true, true),
            ("a.txt", "abtxt", false, false),
            ("?", "ä", true, true),
            ("[a-c]", "b", true, true),
            ("[^a-c]", "b", false, false),
            ("[^a]b", "/b", false, false),
            ("\\*", "*", true, true),
            ("\\*", "a", false, false),
            ("**/a", "a", false, true),
            ("**/a", "b/a", true, true),
            ("**/a", "b/c/a", false, true),
            ("a/**", "a/b/c", false, true),
            ("**", "a/b", false, true),
            ("a**", "abc/d", false, true),
        ] {
            assert_eq!(Pattern::of_source(pattern).unwrap().matches(path), source, "COPY {pattern} {path}");
            assert_eq!(Pattern::of_ignore(pattern).unwrap().matches(path), ignore, "ignore {pattern} {path}");
        }
        for wrong in ["[", "[a", "[]", "a\\"] {
            assert_eq!(Pattern::of_source(wrong).unwrap_err(), PatternError(wrong.to_owned()));
        }
    }
}
