//! Text → instructions: directives, comments, continued lines, here-documents, flags.

use std::iter::Peekable;
use std::str::Lines;

/// A Dockerfile taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dockerfile {
    /// `# syntax=`: the image of the frontend that reads it.
    pub syntax: Option<String>,
    /// `# escape=`: a backslash, or a backtick.
    pub escape: char,
    /// In the order of the file.
    pub instructions: Vec<Instruction>,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    /// Its word in capitals, e.g. `COPY`. That of what `ONBUILD` holds back is in [`Self::arguments`].
    pub keyword: String,
    /// `--name=value` before the arguments, in order; the value is empty for a bare `--name`.
    pub flags: Vec<(String, String)>,
    /// What follows the flags, without comments, on one line.
    pub arguments: String,
    /// Here-documents that it takes, in order, with the line that ends each.
    pub documents: Vec<String>,
}

/// Why a text is no Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the here-document `{0}` has no end")]
pub(crate) struct ParseError(String);

impl Dockerfile {
    /// Takes `text` apart. What its instructions say is not judged.
    ///
    /// # Errors
    ///
    /// A here-document without an end.
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        let text = text.trim_start_matches('\u{feff}');
        let (syntax, escape) = directives(text);
        let mut lines = text.lines().peekable();
        let mut instructions = Vec::new();
        while let Some(line) = logical_line(&mut lines, escape) {
            let mut instruction = Instruction::of(&line, escape);
            for (name, chomp) in instruction.opened_documents(escape) {
                instruction.documents.push(document(&mut lines, &name, chomp)?);
            }
            instructions.push(instruction);
        }
        Ok(Self { syntax, escape, instructions })
    }
}

impl Instruction {
    /// Takes one logical line apart.
    pub(super) fn of(line: &str, escape: char) -> Self {
        let line = line.trim();
        let (keyword, mut rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let mut flags = Vec::new();
        rest = rest.trim_start();
        while rest.starts_with("--") {
            let length = word_length(rest, escape);
            let flag = unquoted(&rest[2..length], escape);
            let (name, value) = flag.split_once('=').unwrap_or((&flag, ""));
            if name.is_empty() {
                break;
            }
            flags.push((name.to_ascii_lowercase(), value.to_owned()));
            rest = rest[length..].trim_start();
        }
        Self {
            keyword: keyword.to_ascii_uppercase(),
            flags,
            arguments: rest.to_owned(),
            documents: Vec::new(),
        }
    }

    /// The value of a flag.
    pub(crate) fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The arguments as words: the elements of a JSON array, or what whitespace separates, quotes and all.
    pub(crate) fn words(&self) -> Vec<String> {
        if self.arguments.starts_with('[')
            && let Ok(words) = serde_json::from_str::<Vec<String>>(&self.arguments)
        {
            return words;
        }
        self.arguments.split_whitespace().map(str::to_owned).collect()
    }

    /// The arguments as words that quotes hold together; they still have their quotes.
    pub(crate) fn quoted_words(&self, escape: char) -> Vec<&str> {
        let mut words = Vec::new();
        let mut rest = self.arguments.as_str();
        while !rest.is_empty() {
            let length = word_length(rest, escape);
            words.push(&rest[..length]);
            rest = rest[length..].trim_start();
        }
        words
    }

    /// The instruction without its line breaks and comments: what means the same, reads the same.
    pub(crate) fn canonical(&self) -> String {
        let mut text = self.keyword.clone();
        for (name, value) in &self.flags {
            text.push_str(&format!(" --{name}={value}"));
        }
        text.push(' ');
        text.push_str(&self.arguments);
        for document in &self.documents {
            text.push('\n');
            text.push_str(document);
        }
        text
    }

    /// What `ONBUILD` holds back.
    pub(super) fn triggered(&self, escape: char) -> Option<Self> {
        let inner = (self.keyword == "ONBUILD").then(|| Self::of(&self.arguments, escape))?;
        Some(Self { documents: self.documents.clone(), ..inner })
    }

    /// The names of the here-documents that the next lines hold, and whether their leading tabs go.
    fn opened_documents(&self, escape: char) -> Vec<(String, bool)> {
        let inner = self.triggered(escape);
        let holder = inner.as_ref().unwrap_or(self);
        let json = holder.arguments.starts_with('[')
            && serde_json::from_str::<Vec<String>>(&holder.arguments).is_ok();
        if json || !matches!(holder.keyword.as_str(), "ADD" | "COPY" | "RUN") {
            return Vec::new();
        }
        let words = holder.quoted_words(escape);
        words.into_iter().filter_map(|word| document_name(word, escape)).collect()
    }
}

/// The name in `<<NAME`, `<<-NAME` or `3<<"NAME"`, and whether leading tabs go.
pub(super) fn document_name(word: &str, escape: char) -> Option<(String, bool)> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (rest, chomp) = match rest.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let name = unquoted(rest, escape);
    (!name.is_empty() && !rest.contains('<')).then_some((name, chomp))
}

/// Syntax and escape character from the directives: comments `# name=value` above everything else.
fn directives(text: &str) -> (Option<String>, char) {
    let mut syntax = None;
    let mut escape = '\\';
    for line in text.lines() {
        let Some((name, value)) = line.trim_start().strip_prefix('#').and_then(|line| line.split_once('='))
        else {
            break;
        };
        match (name.trim().to_ascii_lowercase().as_str(), value.trim()) {
            ("syntax", value) => syntax = Some(value.to_owned()),
            ("escape", "`") => escape = '`',
            ("escape" | "check", _) => {}
            // Any other comment ends them.
            _ => break,
        }
    }
    (syntax, escape)
}

/// The next instruction's line with those that continue it; comments and empty lines within are left out.
fn logical_line(lines: &mut Peekable<Lines<'_>>, escape: char) -> Option<String> {
    let mut whole = String::new();
    let mut begun = false;
    for line in lines {
        let trimmed = line.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let line = if begun { line } else { trimmed };
        begun = true;
        match continued(line, escape) {
            Some(part) => whole.push_str(part),
            None => {
                whole.push_str(line);
                break;
            }
        }
    }
    begun.then_some(whole)
}

/// `line` without the escape character that ends it, if one does.
fn continued(line: &str, escape: char) -> Option<&str> {
    let line = line.trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    // An escaped escape character is none.
    (!line.ends_with(escape)).then_some(line)
}

fn document(lines: &mut Peekable<Lines<'_>>, name: &str, chomp: bool) -> Result<String, ParseError> {
    let mut text = String::new();
    for line in lines {
        text.push_str(line);
        text.push('\n');
        let line = if chomp { line.trim_start_matches('\t') } else { line };
        if line == name {
            return Ok(text);
        }
    }
    Err(ParseError(name.to_owned()))
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
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<String> {
        Dockerfile::parse(text).unwrap().instructions.iter().map(Instruction::canonical).collect()
    }

    #[test]
    fn lines_are_joined_and_comments_left_out() {
        for (text, expected) in [
            ("", &[][..]),
            ("# only a comment\n\n", &[]),
            ("from a\nRun b\n", &["FROM a", "RUN b"]),
            ("  FROM a # no comment", &["FROM a # no comment"]),
            ("RUN a \\\n  b", &["RUN a   b"]),
            ("RUN a \\\n# comment\n\n  && b \\  \n&& c\nCMD d", &["RUN a   && b && c", "CMD d"]),
            ("RUN echo \\\\\nCMD d", &["RUN echo \\\\", "CMD d"]),
            ("# escape=`\nRUN a `\nb\nRUN c:\\\nCMD d", &["RUN a b", "RUN c:\\", "CMD d"]),
            ("# a comment\n# escape=`\nRUN a \\\nb", &["RUN a b"]),
            ("FROM a\r\nCMD b\r\n", &["FROM a", "CMD b"]),
            ("RUN a \\", &["RUN a"]),
        ] {
            assert_eq!(parsed(text), expected, "{text:?}");
        }
    }

    #[test]
    fn here_documents_belong_to_their_instruction() {
        for (text, expected) in [
            ("RUN <<EOF\nFROM x\nEOF\nCMD d", &["RUN <<EOF\nFROM x\nEOF\n", "CMD d"][..]),
            (
                "RUN cat > f <<-'E' && true\n\tCOPY a b\n\tE\nCMD d",
                &["RUN cat > f <<-'E' && true\n\tCOPY a b\n\tE\n", "CMD d"],
            ),
            ("COPY <<a <<\"b\" /\n1\na\n2\nb\nCMD d", &["COPY <<a <<\"b\" /\n1\na\n\n2\nb\n", "CMD d"]),
            ("ONBUILD RUN <<E\nx\nE", &["ONBUILD RUN <<E\nx\nE\n"]),
            ("RUN echo $((1<<2))\nCMD d", &["RUN echo $((1<<2))", "CMD d"]),
            ("CMD cat <<E\nRUN x", &["CMD cat <<E", "RUN x"]),
            ("RUN [\"cat\", \"<<E\"]\nCMD d", &["RUN [\"cat\", \"<<E\"]", "CMD d"]),
        ] {
            assert_eq!(parsed(text), expected, "{text:?}");
        }
        assert_eq!(Dockerfile::parse("RUN <<E\nx"), Err(ParseError("E".to_owned())));
    }

    #[test]
    fn flags_come_before_arguments() {
        let instruction = Instruction::of("COPY --from=a --chown=\"1 2\" --link src --dst", '\\');
        assert_eq!(instruction.flag("from"), Some("a"));
        assert_eq!(instruction.flag("chown"), Some("1 2"));
        assert_eq!(instruction.flag("link"), Some(""));
        assert_eq!(instruction.words(), ["src", "--dst"]);
        assert_eq!(Instruction::of("COPY [\"a b\", \"c\"]", '\\').words(), ["a b", "c"]);
        assert_eq!(
            Instruction::of("ENV a=\"b c\" d=e\\ f", '\\').quoted_words('\\'),
            ["a=\"b c\"", "d=e\\ f"]
        );
    }

    #[test]
    fn directives_stand_above_everything() {
        let syntax = |text: &str| Dockerfile::parse(text).unwrap().syntax;
        assert_eq!(syntax("# syntax = docker/dockerfile:1\nFROM a"), Some("docker/dockerfile:1".to_owned()));
        assert_eq!(syntax("\u{feff}#escape=`\n#SYNTAX=x\nFROM a"), Some("x".to_owned()));
        assert_eq!(syntax("\n# syntax=x\nFROM a"), None);
        assert_eq!(syntax("# hello\n# syntax=x\nFROM a"), None);
    }
}
