//! What is no TOML: the parser's message in the words of whoever wrote the file, and the way out. Pure.

use super::problems::{Problem, Span};
use super::tree::{Table, Value, recover};

/// The problem behind one of the parser's errors; `root` is what it could read all the same.
pub(super) fn problem(text: &str, span: &Span, message: &str, root: &Table) -> Problem {
    let line = line_of(text, span.start);
    let before = text[line.clone()].get(..span.start - line.start).unwrap_or_default();
    let word = word_at(text, span.start);
    let new = |message: &str| Problem::new(span, message);
    match message.split(',').next().unwrap_or(message) {
        "duplicate key" => doubled(text, span, root),
        "string values must be quoted" if word.is_empty() => new("there is no value after `=`"),
        "string values must be quoted" => {
            let value = value_at(text, span.start);
            let bare = value.trim_matches(|c| "“”„‘’«»".contains(c));
            let message =
                if bare == value { "a string without quotes" } else { "quotes that TOML does not know" };
            new(message).help(format!("write \"{bare}\""))
        }
        "unclosed table" | "unclosed array table" => {
            let brackets = if message.contains("array") { "]]" } else { "]" };
            Problem::new(&line, "the header of this table is never closed")
                .help(format!("it ends with `{brackets}`"))
        }
        "invalid boolean" if matches!(&*word.to_ascii_lowercase(), "true" | "false") => {
            new(&format!("`{word}` is no value"))
                .help(format!("write `{}`, or \"{word}\" for a string", word.to_ascii_lowercase()))
        }
        "invalid boolean" | "invalid float" if !is_number_like(word) => {
            new("a string without quotes").help(format!("write \"{}\"", value_at(text, span.start)))
        }
        invalid if invalid.starts_with("invalid") && is_number_like(word) => {
            new(&format!("`{word}` is not a number")).help(format!("a string goes into quotes: \"{word}\""))
        }
        "invalid unquoted key" | "key with no value"
            if before.trim_end().ends_with(':') || word.starts_with(':') =>
        {
            new("`:` after a key").help("TOML has `=` between a key and its value")
        }
        "invalid unquoted key" if word.starts_with("//") => {
            new("`//` is no comment").help("a comment starts with `#`")
        }
        "invalid unquoted key" if !first(&text[span.start..]).is_ascii() => {
            let found = text[span.start..].chars().next().unwrap_or_default();
            new(&format!("U+{:04X} in a key", u32::from(found))).help(match found.is_whitespace() {
                true => "it looks like a space: write an ordinary one",
                false => "it may look like a letter and is another: write the key anew, or put it in quotes",
            })
        }
        "invalid unquoted key" => new(&format!("a key without quotes cannot hold `{}`", first(word)))
            .help("put the name in quotes, e.g. `platform.\"linux/arm64\"`"),
        "key with no value" if word.is_empty() => {
            new(&format!("`{}` has no value", before.trim())).help("write `KEY = VALUE`")
        }
        "key with no value" => new(&format!("`{}` has no value", before.trim())).help(format!(
            "a key has no spaces: write `=`, or `.` between a table and its key: `{}.{word}`",
            before.trim()
        )),
        "unexpected key or value" => {
            new("something follows the value").help("every key has a line of its own")
        }
        "missing comma between array elements" if !word.is_empty() && before.ends_with(['"', '\'']) => {
            new("a quote too many, or one too few before it")
                .help("every string has one on each side: `\"1\", \"2\"`")
        }
        _ if is_open_string(message) => open_string(text, span),
        "missing escaped value" => {
            new(&format!("`\\{}` means nothing in a string", first(&text[span.start..])))
                .help("write `\\\\` for a backslash; in paths `/` works everywhere")
        }
        "too few unicode value digits" => new("`\\u` and `\\U` begin a character by its number")
            .help("write `\\\\` for a backslash; in paths `/` works everywhere"),
        _ => new(&message.replace('\n', "; ")),
    }
}

/// The first mark that git left where two changes met.
pub(super) fn conflict(text: &str) -> Option<Problem> {
    let begins = |mark: &&str| match text.starts_with(*mark) {
        true => Some(0),
        false => text.find(&format!("\n{mark}")).map(|newline| newline + 1),
    };
    let start = ["<<<<<<< ", ">>>>>>> "].iter().filter_map(begins).min()?;
    let message = "two changes met here, and the conflict is not resolved";
    let help = "keep what is right of both, and take out the lines `<<<<<<<`, `=======` and `>>>>>>>`";
    Some(Problem::new(&line_of(text, start), message).help(help))
}

/// Whether the parser's error is about a string without its end.
fn is_open_string(message: &str) -> bool {
    message.starts_with("invalid basic string") || message.starts_with("invalid literal string")
}

/// A string whose line ends before it, which is where `span` begins.
fn open_string(text: &str, span: &Span) -> Problem {
    let line = line_of(text, span.start);
    let before = text[line.clone()].get(..span.start - line.start).unwrap_or_default();
    let start = before.rfind(['"', '\'']).map_or(span.start, |quote| line.start + quote);
    Problem::new(&(start..span.end), "this string is never closed")
        .help("it ends with the quotes that it begins with")
}

/// The array or inline table without its end, or the string in it that took the end away, if there is one; `errors` are
/// the parser's in the order of the text, and those from the index that is given back on follow from it.
pub(super) fn never_closed(text: &str, errors: &[(Span, &toml::de::Error)]) -> Option<(usize, Problem)> {
    let is_unclosed = |message: &str| {
        message.starts_with("unclosed array,") || message.starts_with("unclosed inline table")
    };
    let unclosed = errors.iter().find(|(_, error)| is_unclosed(error.message()))?;
    let is_array = unclosed.1.message().contains("array");
    let (name, opens, closes) = if is_array { ("array", '[', ']') } else { ("inline table", '{', '}') };
    // Another key, on a line of its own, where the next value should be.
    let is_key = |span: &Span| {
        let line = &text[line_of(text, span.start)];
        line.trim_start().starts_with(|c: char| c.is_alphanumeric() || c == '[')
    };
    let first = errors.iter().position(|(span, error)| {
        let message = error.message();
        is_open_string(message)
            || is_unclosed(message)
            || message.starts_with("invalid inline table element")
            || message.starts_with("missing comma") && is_key(span)
    })?;
    let (span, error) = &errors[first];
    let problem = match is_open_string(error.message()) {
        true => open_string(text, span),
        false => {
            let start = text[..span.start].rfind(opens).unwrap_or(span.start);
            let end = line_of(text, start).end;
            Problem::new(&(start..end), format!("this {name} is never closed"))
                .help(format!("it ends with `{closes}`"))
        }
    };
    Some((first, problem))
}

/// A key or a table that stands twice; both places are shown.
fn doubled(text: &str, span: &Span, root: &Table) -> Problem {
    let name = text.get(span.clone()).unwrap_or_default();
    let line = line_of(text, span.start);
    let is_header = text[line.clone()].trim_start().starts_with('[');
    let (first, problem) = match is_header {
        true => {
            let path = header(&text[line.clone()], span.start - line.start);
            let problem = Problem::new(span, format!("table `{}` stands twice", path.join(".")))
                .help("keep all of its keys in one place");
            (place(&recover(&text[..line.start]).0, &path), problem)
        }
        false => {
            let section = text[..line.start].rfind("\n[").map_or(0, |newline| newline + 1);
            let key = name.trim_matches(|c| c == '"' || c == '\'');
            let first = last_before(root, key, section..span.start);
            (first, Problem::new(span, format!("key `{name}` stands twice")).help("keep one of them"))
        }
    };
    match first {
        Some(first) => problem.also(&first, "the first one"),
        None => problem,
    }
}

/// The names of a table's header, up to the one at `offset`.
fn header(line: &str, offset: usize) -> Vec<String> {
    let (read, _) = recover(line);
    let mut names = Vec::new();
    let mut table = Some(&read);
    while let Some(entry) = table.and_then(|table| table.0.first()) {
        names.push(entry.key.value.clone());
        table = match &entry.node.value {
            Value::Table(table) if !entry.key.span.contains(&offset) => Some(table),
            _ => None,
        };
    }
    names
}

/// Where the key at the end of `path` stands.
fn place(root: &Table, path: &[String]) -> Option<Span> {
    let (last, tables) = path.split_last()?;
    let mut table = root;
    for name in tables {
        let Value::Table(inner) = &table.get(name)?.node.value else { return None };
        table = inner;
    }
    table.get(last).map(|entry| entry.key.span.clone())
}

/// The last place within `range` where a key of this name stands.
fn last_before(table: &Table, name: &str, range: Span) -> Option<Span> {
    fn inside(value: &Value, name: &str, range: &Span) -> Option<Span> {
        match value {
            Value::Table(table) => last_before(table, name, range.clone()),
            Value::Array(nodes) => {
                nodes.iter().filter_map(|node| inside(&node.value, name, range)).max_by_key(|span| span.start)
            }
            _ => None,
        }
    }
    let found = table.0.iter().flat_map(|entry| {
        let span = &entry.key.span;
        let here = (entry.key.value == name && range.contains(&span.start)).then(|| span.clone());
        here.into_iter().chain(inside(&entry.node.value, name, &range))
    });
    found.max_by_key(|span| span.start)
}

/// The line around `offset`, without its end.
pub(super) fn line_of(text: &str, offset: usize) -> Span {
    let start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[offset..].find('\n').map_or(text.len(), |newline| offset + newline);
    start..end.max(start)
}

/// What stands around `offset`, up to the next space or what separates values.
fn word_at(text: &str, offset: usize) -> &str {
    let separates = |c: char| c.is_whitespace() || ",[]{}=#\"".contains(c);
    let number = |c: char| c.is_ascii_digit() || ".+-_".contains(c);
    // A number is found wrong in its middle.
    let start = match text[offset..].starts_with(number) {
        true => text[..offset].trim_end_matches(number).len(),
        false => offset,
    };
    let length = text[start..].find(separates).unwrap_or(text.len() - start);
    &text[start..start + length]
}

/// What was meant as a value at `offset`: up to what ends it, or the line.
fn value_at(text: &str, offset: usize) -> &str {
    let rest = &text[offset..line_of(text, offset).end];
    rest.split([',', ']', '}', '#']).next().unwrap_or(rest).trim()
}

fn is_number_like(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit() || c == '.')
}

fn first(text: &str) -> &str {
    text.chars().next().map_or("", |c| &text[..c.len_utf8()])
}
