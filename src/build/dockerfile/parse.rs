//! Text → instructions: directives, comments, continued lines, here-documents, flags (BuildKit,
//! `frontend/dockerfile/parser`). Whatever one version of it reads in another way than the next is noted as a doubt.

use std::fmt;

/// A Dockerfile taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dockerfile {
    /// `# syntax=`: the image of the frontend that reads it.
    pub syntax: Option<String>,
    /// `# escape=`: a backslash, or a backtick.
    pub escape: char,
    /// In the order of the file.
    pub instructions: Vec<Instruction>,
    /// Where it may be read in another way.
    pub doubts: Vec<Doubt>,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    /// Its word in capitals, e.g. `COPY`. That of what `ONBUILD` holds back is in [`Self::arguments`].
    pub keyword: String,
    /// `--name=value` before the arguments, in order, without quotes; the value is empty for a bare `--name`.
    pub flags: Vec<(String, String)>,
    /// What follows the flags, without comments, on one line.
    pub arguments: String,
    /// All of it as it stands, without comments and joined to one line, with its here-documents byte for byte.
    pub text: String,
    /// The line that it begins on, from 1.
    pub line: usize,
}

/// A place that may be read in another way, from which it would follow that other things count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Doubt {
    /// The line, from 1.
    pub line: usize,
    /// What stands there.
    pub what: String,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the Dockerfile has {}", self.line, self.what)
    }
}

/// All there are (Dockerfile reference).
pub(super) const KEYWORDS: &[&str] = &[
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

impl Dockerfile {
    /// Takes `text` apart. What its instructions say is not judged.
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut read = Self { syntax: None, escape: '\\', instructions: Vec::new(), doubts: Vec::new() };
        read.directives(text);
        let mut lines = Lines { rest: text, number: 0 };
        while let Some((line, text)) = logical_line(&mut lines, read.escape) {
            let mut instruction = Instruction::of(&text, read.escape, line);
            match instruction.opened_documents(read.escape) {
                Ok(documents) => {
                    for (name, chomp) in documents {
                        match document(&mut lines, &name, chomp) {
                            Some(document) => instruction.text.push_str(&document),
                            None => read.doubt(line, format!("the here-document `{name}`, which has no end")),
                        }
                    }
                }
                Err(what) => read.doubt(line, what),
            }
            read.instructions.push(instruction);
        }
        read
    }

    fn doubt(&mut self, line: usize, what: impl Into<String>) {
        self.doubts.push(Doubt { line, what: what.into() });
    }

    /// Syntax and escape character: comments `# name=value` above everything else.
    fn directives(&mut self, text: &str) {
        let mut ended = false;
        let mut seen = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let Some((name, value)) = directive(line.trim_start()) else {
                // A first line of a shell is skipped by some.
                if index == 0 && line.starts_with("#!") {
                    ended = true;
                    continue;
                }
                return;
            };
            let known = ["syntax", "escape", "check"].contains(&name.as_str());
            let sure = !ended && line.starts_with('#') && !seen.contains(&name);
            match (name.as_str(), value) {
                ("syntax", value) if sure => self.syntax = Some(value.to_owned()),
                ("escape", "`") if sure => self.escape = '`',
                ("escape", "\\") | ("check", _) if sure => {}
                _ if known => {
                    self.doubt(index + 1, format!("a directive `{name}` that not all versions heed"))
                }
                // Any other comment ends them; versions before 2023 still look for a syntax.
                _ => ended = true,
            }
            seen.push(name);
        }
    }
}

/// Name and value of a comment that has the form of a directive.
fn directive(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let form = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric())
        && !value.is_empty();
    form.then(|| (name.to_ascii_lowercase(), value))
}

impl Instruction {
    /// Takes one logical line apart.
    pub(super) fn of(line: &str, escape: char, number: usize) -> Self {
        let text = line.trim();
        let (keyword, rest) = text.split_once(SPACES).unwrap_or((text, ""));
        let keyword = keyword.to_ascii_uppercase();
        let mut rest = rest.trim();
        let text = format!("{keyword} {rest}");
        let mut flags = Vec::new();
        while rest.starts_with("--") {
            let length = word_length(rest, escape);
            let flag = unquoted(&rest[2..length], escape);
            rest = rest[length..].trim_start();
            if flag.is_empty() {
                break;
            }
            let (name, value) = flag.split_once('=').unwrap_or((&flag, ""));
            flags.push((name.to_owned(), value.to_owned()));
        }
        Self { keyword, flags, arguments: rest.to_owned(), text, line: number }
    }

    /// The value of a flag.
    pub(crate) fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The arguments as words: the elements of a JSON array, or what whitespace separates, quotes and all.
    pub(crate) fn words(&self) -> Vec<String> {
        match self.array() {
            Some(words) => words,
            None => self.arguments.split(SPACES).filter(|word| !word.is_empty()).map(str::to_owned).collect(),
        }
    }

    /// The arguments as a JSON array of texts, if they are one.
    fn array(&self) -> Option<Vec<String>> {
        self.arguments.starts_with('[').then(|| serde_json::from_str(&self.arguments).ok())?
    }

    /// [`Self::text`], of COPY and ADD with one space between the words, as every engine reads it.
    pub(super) fn plain_text(&self) -> String {
        let words = matches!(self.keyword.as_str(), "COPY" | "ADD") && self.array().is_none();
        match self.text.strip_suffix(&self.arguments) {
            Some(before) if words && self.has_plain_words() => format!("{before}{}", self.words().join(" ")),
            _ => self.text.clone(),
        }
    }

    /// Whether [`Self::words`] are what every engine takes for them.
    pub(super) fn has_plain_words(&self) -> bool {
        let odd = |c: char| c.is_whitespace() && !SPACES.contains(&c);
        self.array().is_some() || !(self.arguments.starts_with('[') || self.arguments.contains(odd))
    }

    /// The arguments as words that quotes hold together; they still have their quotes.
    pub(crate) fn quoted_words(&self, escape: char) -> Vec<&str> {
        quoted_words(&self.arguments, escape)
    }

    /// What `ONBUILD` holds back.
    pub(super) fn triggered(&self, escape: char) -> Option<Self> {
        let inner = (self.keyword == "ONBUILD").then(|| Self::of(&self.arguments, escape, self.line))?;
        Some(Self { text: self.text.clone(), ..inner })
    }

    /// The names of the here-documents that the next lines hold, and whether their leading tabs go.
    ///
    /// # Errors
    ///
    /// That cannot be told: what there is.
    fn opened_documents(&self, escape: char) -> Result<Vec<(String, bool)>, String> {
        let inner = self.triggered(escape);
        let holder = inner.as_ref().unwrap_or(self);
        let may = matches!(holder.keyword.as_str(), "ADD" | "COPY" | "RUN") && self.text.contains("<<");
        if !may || holder.array().is_some() {
            return Ok(Vec::new());
        }
        // Engines read the line as a shell does, with a backslash in any case, and find nothing where they fail.
        let doubt = Err("`<<` beside what may hide a here-document".to_owned());
        if !balanced(&self.text) || holder.arguments.starts_with('[') {
            return doubt;
        }
        let mut documents = Vec::new();
        let mut words = quoted_words(&self.text, '\\').into_iter();
        while let Some(word) = words.next() {
            let Some(rest) = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<") else {
                continue;
            };
            // `<< NAME` is one for versions since 2024; for others its lines are instructions, and its end is none.
            let (rest, chomp) = match (rest, rest.strip_prefix('-')) {
                ("", _) => (words.next().unwrap_or_default(), false),
                (_, Some(rest)) => (rest, true),
                (rest, None) => (rest, false),
            };
            if rest.contains('<') {
                continue;
            }
            let name = unquoted(rest, '\\');
            if name.is_empty() || name.contains(['$', '`']) || KEYWORDS.contains(&&*name.to_ascii_uppercase())
            {
                return doubt;
            }
            documents.push((name, chomp));
        }
        Ok(documents)
    }
}

/// What separates words; other whitespace is part of them.
pub(super) const SPACES: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// Whether a word of COPY is `<<NAME`, a here-document and no path.
pub(super) fn is_document(word: &str) -> bool {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<");
    rest.is_some_and(|rest| !rest.trim_start_matches('-').is_empty() && !rest.contains('<'))
}

/// Whether every quote has its end, and no variable has a form that some versions do not read.
fn balanced(text: &str) -> bool {
    let mut quote = None;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None | Some('"'), '\\') => {
                characters.next();
            }
            (None | Some('"'), '$') if characters.peek() == Some(&'{') => return false,
            _ => {}
        }
    }
    quote.is_none()
}

fn quoted_words(text: &str, escape: char) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let length = word_length(rest, escape);
        words.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    words
}

/// The lines of a text, each with what ends it.
struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let end = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.number += 1;
        (!line.is_empty()).then_some(line)
    }
}

/// The next instruction's line with those that continue it, and the number of the first; comments and empty lines within
/// are left out.
fn logical_line(lines: &mut Lines<'_>, escape: char) -> Option<(usize, String)> {
    let mut whole = String::new();
    let mut first = None;
    while let Some(line) = lines.next() {
        let line = line.trim_end_matches(['\r', '\n']);
        let trimmed = line.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let line = if first.is_some() { line } else { trimmed };
        first.get_or_insert(lines.number);
        match continued(line, escape) {
            Some(part) => whole.push_str(part),
            None => {
                whole.push_str(line);
                break;
            }
        }
    }
    first.map(|first| (first, whole))
}

/// `line` without the escape character that ends it, if one does.
fn continued(line: &str, escape: char) -> Option<&str> {
    let line = line.trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    // An escaped escape character is none.
    (!line.ends_with(escape)).then_some(line)
}

/// The lines up to the one that is `name`, with it and the line break before the first.
fn document(lines: &mut Lines<'_>, name: &str, chomp: bool) -> Option<String> {
    let mut text = String::from("\n");
    for line in lines {
        text.push_str(line);
        let line = line.trim_end_matches(['\r', '\n']);
        if name == if chomp { line.trim_start_matches('\t') } else { line } {
            return Some(text);
        }
    }
    None
}

/// How many bytes of `text`, which begins with one, its first word takes; quotes and escapes hold it together.
fn word_length(text: &str, escape: char) -> usize {
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => {}
            (_, c) if c == escape => {
                characters.next();
            }
            (None, '\'' | '"') => quote = Some(c),
            (None, c) if c.is_whitespace() => return at,
            _ => {}
        }
    }
    text.len()
}

/// `word` without quotes and escapes.
fn unquoted(word: &str, escape: char) -> String {
    let mut text = String::new();
    let mut quote = None;
    let mut characters = word.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None | Some('"'), c) if c == escape => text.extend(characters.next()),
            (_, c) => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests;
