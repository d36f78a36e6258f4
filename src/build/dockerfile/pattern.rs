//! Patterns over paths, as COPY and `.dockerignore` use them: read into tokens, and matched without recursion. Patterns
//! whose parts can be told apart are matched part by part, most often in as many steps as the path has characters; all
//! others in at most pattern × path steps, which are counted. Forms in which the engines' versions differ are not read: the
//! caller counts more instead.

mod parts;

use parts::Parts;

/// A pattern for whole paths, which have `/` between their parts and none in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
    /// The same as parts, where that can be told.
    parts: Option<Parts>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// This character.
    Char(char),
    /// `?`: any character but a slash.
    Any,
    /// `[a-c]`, or `[^a-c]`: one of these ranges, or none of them.
    Class { negated: bool, ranges: Vec<(char, char)> },
    /// `*`: any number of characters but slashes.
    Star,
    /// Nothing, or the next token and on to what follows it: `(.*/)?`.
    MaybeFolders,
    /// `.*/`.
    Folders,
    /// `.*`.
    Rest,
}

impl Token {
    /// Whether it stands for this one character.
    fn is(&self, c: char) -> bool {
        match self {
            Self::Char(own) => *own == c,
            Self::Any => c != '/',
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
            Self::Star | Self::MaybeFolders | Self::Folders | Self::Rest => false,
        }
    }
}

/// Takes `count` off `steps`; whether there were as many.
fn take(steps: &mut u64, count: u64) -> bool {
    let left = steps.checked_sub(count);
    *steps = left.unwrap_or_default();
    left.is_some()
}

/// How `**` is read where a pattern begins with it and goes on without a slash, as in `**.log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leading {
    /// Any number of folders: moby before patternmatcher 0.5, and all versions if more wildcards follow.
    Folders,
    /// Any characters: patternmatcher since 0.5, which compares the ends of the texts.
    Anything,
}

impl Pattern {
    /// One part of a pattern of COPY: `*` and `?` (Go's `filepath.Match`). `None`: it is not understood.
    pub(crate) fn of_source(text: &str) -> Option<Self> {
        let odd = text.contains("**") || text.contains(['+', '(', ')', '{', '}', '|']) || !plain(text);
        if odd { None } else { Self::read(text, None) }
    }

    /// A pattern of `.dockerignore`: as for COPY, and `**` is any number of folders, at the end of a pattern anything
    /// (moby/patternmatcher, `compile`). `None`: it is not understood.
    pub(super) fn of_ignore(text: &str, leading: Leading) -> Option<Self> {
        Self::read(text, Some(leading))
    }

    fn new(tokens: Vec<Token>) -> Self {
        Self { parts: Parts::of(&tokens), tokens }
    }

    /// Whether the name of one file or folder is meant.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let mut steps = u64::MAX;
        self.matches_within(name, &mut steps)
    }

    /// Whether `path` is meant. Takes what it needs off `steps`; where they do not last, it says no, and none are left.
    pub(super) fn matches_within(&self, path: &str, steps: &mut u64) -> bool {
        match &self.parts {
            Some(parts) => parts.matches(path, steps),
            None => self.matches_any(path, steps),
        }
    }

    /// Follows all ways through the tokens at once.
    fn matches_any(&self, path: &str, steps: &mut u64) -> bool {
        let end = self.tokens.len();
        if !take(steps, end as u64) {
            return false;
        }
        let mut now = Positions::new(end);
        let mut next = Positions::new(end);
        now.add(&self.tokens, 0);
        for c in path.chars() {
            if now.active.is_empty() || !take(steps, now.active.len() as u64) {
                return false;
            }
            next.clear();
            for position in &now.active {
                let Some(token) = self.tokens.get(*position) else { continue };
                let (stays, goes) = match token {
                    Token::Star => (c != '/', false),
                    Token::MaybeFolders => (false, false),
                    Token::Folders => (true, c == '/'),
                    Token::Rest => (true, false),
                    token => (false, token.is(c)),
                };
                if stays {
                    next.add(&self.tokens, *position);
                }
                if goes {
                    next.add(&self.tokens, position + 1);
                }
            }
            std::mem::swap(&mut now, &mut next);
        }
        now.has[end]
    }

    fn read(text: &str, ignore: Option<Leading>) -> Option<Self> {
        let mut tokens = Vec::new();
        let mut characters = text.chars().peekable();
        let begins_deep = ignore == Some(Leading::Anything)
            && text.strip_prefix("**").is_some_and(|rest| !rest.starts_with('/') && !rest.contains(WILD));
        if !plain(text) {
            return None;
        }
        if begins_deep {
            tokens.push(Token::Rest);
            tokens.extend(text[2..].chars().map(Token::Char));
            return Some(Self::new(tokens));
        }
        while let Some(c) = characters.next() {
            match c {
                '*' if ignore.is_some() && characters.next_if_eq(&'*').is_some() => {
                    characters.next_if_eq(&'/');
                    match characters.peek() {
                        None => tokens.push(Token::Rest),
                        Some(_) => tokens.extend([Token::MaybeFolders, Token::Folders]),
                    }
                }
                '*' => tokens.push(Token::Star),
                '?' => tokens.push(Token::Any),
                '[' => tokens.push(class(&mut characters)?),
                // Behind a backslash letters may mean classes of characters.
                '\\' => tokens.push(Token::Char(characters.next().filter(char::is_ascii_punctuation)?)),
                c => tokens.push(Token::Char(c)),
            }
        }
        Some(Self::new(tokens))
    }
}

/// What makes a text a pattern.
pub(super) const WILD: [char; 4] = ['*', '?', '[', '\\'];

/// Without what the regular expressions that moby makes of patterns read in a way of their own.
fn plain(text: &str) -> bool {
    let odd = |text: &str| text.contains(['^', ']']);
    let mut parts = text.split('[');
    let first = parts.next().unwrap_or_default();
    let after_class = |part: &str| part.split_once(']').is_none_or(|(_, rest)| odd(rest));
    !odd(first) && !parts.any(after_class) && !text.contains(char::is_control)
}

/// The rest of a class of ASCII letters, digits and ranges of them; in no other do all engines agree.
fn class(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let negated = characters.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let low = characters.next()?;
        if low == ']' && !ranges.is_empty() {
            return Some(Token::Class { negated, ranges });
        }
        let mut high = low;
        if characters.next_if_eq(&'-').is_some() {
            high = characters.next()?;
        }
        if !low.is_ascii_alphanumeric() || !high.is_ascii_alphanumeric() || low > high {
            return None;
        }
        ranges.push((low, high));
    }
}

/// Positions in the tokens that a path's beginning leads to.
struct Positions {
    active: Vec<usize>,
    has: Vec<bool>,
}

impl Positions {
    fn new(end: usize) -> Self {
        Self { active: Vec::new(), has: vec![false; end + 1] }
    }

    fn clear(&mut self) {
        for position in self.active.drain(..) {
            self.has[position] = false;
        }
    }

    /// Adds a position, and those that follow it without a character.
    fn add(&mut self, tokens: &[Token], mut position: usize) {
        loop {
            if std::mem::replace(&mut self.has[position], true) {
                return;
            }
            self.active.push(position);
            match tokens.get(position) {
                Some(Token::Star | Token::Rest) => position += 1,
                Some(Token::MaybeFolders) => {
                    // What stays in the folders needs no more: the position after them follows at once.
                    if !std::mem::replace(&mut self.has[position + 1], true) {
                        self.active.push(position + 1);
                    }
                    position += 2;
                }
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_within_a_part_unless_there_are_two() {
        for (pattern, path, matches) in [
            ("a", "a", true),
            ("a", "a/b", false),
            ("*", "a", true),
            ("*", "a/b", false),
            ("a/*.txt", "a/b.txt", true),
            ("a.txt", "abtxt", false),
            ("?", "ä", true),
            ("[a-c]", "b", true),
            ("[^a-c]", "b", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            let read = [Pattern::of_source(pattern), Pattern::of_ignore(pattern, Leading::Folders)];
            for read in read {
                assert_eq!(read.unwrap().matches(path), matches, "{pattern} {path}");
            }
        }
        for (pattern, path, matches) in [
            ("**/a", "a", true),
            ("**/a", "b/a", true),
            ("**/a", "b/c/a", true),
            ("**/a", "ba", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("**", "a/b", true),
            ("a**", "abc/d", true),
            ("a**b", "ab", true),
            ("a**b", "axb", false),
            ("a**b", "ax/b", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
        ] {
            assert_eq!(Pattern::of_source(pattern), None, "{pattern}");
            let read = Pattern::of_ignore(pattern, Leading::Folders).unwrap();
            assert_eq!(read.matches(path), matches, "{pattern} {path}");
        }
    }

    #[test]
    fn two_stars_in_front_are_read_in_two_ways() {
        for (pattern, path, folders, anything) in [
            ("**.log", "a.log", false, true),
            ("**.log", ".log", true, true),
            ("**.log", "b/.log", true, true),
            ("**.log", "b/a.log", false, true),
            ("**a*", "xab", false, false),
            ("**/a", "xa", false, false),
        ] {
            let of = |leading| Pattern::of_ignore(pattern, leading).unwrap().matches(path);
            assert_eq!(of(Leading::Folders), folders, "{pattern} {path}");
            assert_eq!(of(Leading::Anything), anything, "{pattern} {path}");
        }
    }

    #[test]
    fn forms_without_one_meaning_are_not_read() {
        for text in [
            "[",
            "[a",
            "[]",
            "[]a]",
            "[[:alpha:]]",
            "[a-]",
            "[^]",
            "[ä]",
            "a\\",
            "\\d",
            "[z-a]",
            "a+*",
            "a^b",
        ] {
            assert_eq!(Pattern::of_source(text), None, "{text}");
        }
        for text in ["a^b", "a]", "a\tb"] {
            assert_eq!(Pattern::of_ignore(text, Leading::Folders), None, "{text}");
        }
    }

    #[test]
    fn parts_say_the_same_as_tokens() {
        let pieces = ["a", "b", "*", "?", "**", "/", "[a-b]", "[^a]", "a*", "*a*b", "\\*"];
        let paths =
            ["a", "b", "ab", "a/b", "a/a/b", "b/a/b/a", "ab/b", "ba", "a/ab/a", "*", "a/*", "aab/b/a/b"];
        let mut with_parts = 0;
        for number in 0..pieces.len().pow(4) {
            let mut rest = number;
            let mut text = String::new();
            for _ in 0..4 {
                text.push_str(pieces[rest % pieces.len()]);
                rest /= pieces.len();
            }
            for leading in [Leading::Folders, Leading::Anything] {
                let Some(pattern) = Pattern::of_ignore(&text, leading) else { continue };
                with_parts += usize::from(pattern.parts.is_some());
                for path in paths {
                    let (mut one, mut other) = (u64::MAX, u64::MAX);
                    let by_tokens = pattern.matches_any(path, &mut one);
                    assert_eq!(pattern.matches_within(path, &mut other), by_tokens, "{text} {path}");
                    assert!(one < u64::MAX && other < u64::MAX);
                }
            }
        }
        assert!(with_parts > 1000, "{with_parts}");
    }

    #[test]
    fn steps_that_do_not_last_end_it() {
        let path = "a".repeat(1000);
        for text in ["*a".repeat(10_000) + "b", "a**b".repeat(10_000)] {
            let mut steps = 1500;
            assert!(!Pattern::of_ignore(&text, Leading::Folders).unwrap().matches_within(&path, &mut steps));
            assert_eq!(steps, 0, "{}", &text[..10]);
        }
        // What can be told by its parts takes few.
        let mut steps = 3000;
        assert!(!Pattern::of_source(&("*a".repeat(200) + "b")).unwrap().matches_within(&path, &mut steps));
        assert!(steps > 0);
    }
}
