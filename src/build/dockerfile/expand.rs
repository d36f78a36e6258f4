//! Variables in the words of a Dockerfile (BuildKit, `frontend/dockerfile/shell`).

/// What is known of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    /// Its value.
    Set(String),
    /// Nothing sets it.
    Unset,
    /// A base image, or the machine that builds, may set it.
    Unknown,
}

/// What an expansion asks of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Query {
    /// Whether it is set, and not empty.
    Emptiness,
    /// Its value.
    Value,
}

/// What is known of each variable.
pub(super) type Variables<'a> = dyn Fn(&str, Query) -> Variable + 'a;

/// The name of a variable whose value cannot be told, or the form that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unknown(pub(super) String);

/// As long as a text gets; arguments that double each other would fill the memory.
const LONGEST: usize = 16 * 1024;

/// As deep as words lie in each other, as in `${A:-${B:-c}}`.
const DEEPEST: usize = 16;

/// `word` with variables filled in, and without quotes and escapes.
pub(super) fn expand(word: &str, escape: char, variable: &Variables<'_>) -> Result<String, Unknown> {
    let mut reader = Reader { rest: word, escape, variable, depth: 0 };
    reader.text(None)
}

/// Asks for everything that an engine may ask to fill `text` in, whatever it takes for quotes and escapes there: each
/// variable counts, also one behind a backslash or between single quotes.
///
/// # Errors
///
/// A form is not understood, or a value is not known: anything that `text` names may be asked for.
pub(super) fn ask(text: &str, escape: char, variable: &Variables<'_>) -> Result<(), Unknown> {
    let mut rest = text;
    let mut escaped = false;
    while let Some(at) = rest.find('$') {
        escaped = rest[..at].ends_with(['\\', escape]) || (at == 0 && escaped);
        rest = &rest[at + 1..];
        let mut reader = Reader { rest, escape, variable, depth: 0 };
        reader.variable()?;
        let taken = &rest[..rest.len() - reader.rest.len()];
        // Where it may be no variable at all, those within it stand for themselves.
        let plain = !escaped && !taken.contains(['\\', escape, '\'', '"']);
        if plain {
            rest = reader.rest;
        }
        escaped = false;
    }
    Ok(())
}

/// The names in `text` that may be those of variables, however it is read.
pub(super) fn names(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|c: char| !is_part(c));
    let from_letter = |part: &str| part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    parts.map(move |part| &part[from_letter(part)..]).filter(|name| !name.is_empty())
}

/// Whether a name may hold this character.
fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

struct Reader<'a> {
    rest: &'a str,
    escape: char,
    variable: &'a Variables<'a>,
    depth: usize,
}

impl Reader<'_> {
    /// Up to `end`, which is taken too, or to the end of the word.
    fn text(&mut self, end: Option<char>) -> Result<String, Unknown> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.form(""));
        }
        let mut text = String::new();
        while let Some(c) = self.next() {
            match c {
                c if Some(c) == end => break,
                '\'' => {
                    while let Some(c) = self.next().filter(|c| *c != '\'') {
                        text.push(c);
                    }
                }
                '"' => text.push_str(&self.double_quoted()?),
                '$' => text.push_str(&self.variable()?),
                c if c == self.escape => text.extend(self.next()),
                c => text.push(c),
            }
            if text.len() > LONGEST {
                return Err(self.form(""));
            }
        }
        self.depth -= 1;
        Ok(text)
    }

    fn double_quoted(&mut self) -> Result<String, Unknown> {
        let mut text = String::new();
        while let Some(c) = self.next() {
            match c {
                '"' => break,
                '$' => text.push_str(&self.variable()?),
                c if c == self.escape => match self.next() {
                    Some(next) if next == '"' || next == '$' || next == self.escape => text.push(next),
                    Some(next) => text.extend([c, next]),
                    None => text.push(c),
                },
                c => text.push(c),
            }
            if text.len() > LONGEST {
                return Err(self.form(""));
            }
        }
        Ok(text)
    }

    /// After a `$`.
    fn variable(&mut self) -> Result<String, Unknown> {
        if !self.rest.starts_with('{') {
            let name = self.name();
            return match name.as_str() {
                "" if self
                    .rest
                    .starts_with(|c: char| "@*#?-$!".contains(c) || c.is_ascii_digit() || !c.is_ascii()) =>
                {
                    Err(self.form(&name))
                }
                "" => Ok("$".to_owned()),
                // Other letters belong to the name as well.
                _ if self.rest.starts_with(|c: char| !c.is_ascii()) => Err(self.form(&name)),
                _ => self.value(&name, Query::Value).map(Option::unwrap_or_default),
            };
        }
        self.next();
        let name = self.name();
        let colon = self.rest.starts_with(':');
        if colon {
            self.next();
        }
        let operator = self.next();
        if name.is_empty() {
            return Err(self.form(&name));
        }
        let value = |reader: &Self| reader.value(&name, Query::Value).map(Option::unwrap_or_default);
        let is_there = |reader: &Self| {
            let value = reader.value(&name, Query::Emptiness)?;
            Ok(value.is_some_and(|value| !(colon && value.is_empty())))
        };
        match operator {
            Some('}') if !colon => value(self),
            // What is not taken may hold what is not known.
            Some('-') => match is_there(self)? {
                true => self.skip_word().and_then(|()| value(self)),
                false => self.text(Some('}')),
            },
            Some('+') => match is_there(self)? {
                true => self.text(Some('}')),
                false => self.skip_word().map(|()| String::new()),
            },
            Some('?') => match is_there(self)? {
                true => self.skip_word().and_then(|()| value(self)),
                false => Err(Unknown(name)),
            },
            _ => Err(self.form(&name)),
        }
    }

    fn skip_word(&mut self) -> Result<(), Unknown> {
        let known = |_: &str, _: Query| Variable::Unset;
        let mut skipping =
            Reader { rest: self.rest, escape: self.escape, variable: &known, depth: self.depth };
        skipping.text(Some('}'))?;
        self.rest = &self.rest[self.rest.len() - skipping.rest.len()..];
        Ok(())
    }

    fn value(&self, name: &str, query: Query) -> Result<Option<String>, Unknown> {
        match (self.variable)(name, query) {
            Variable::Set(value) => Ok(Some(value)),
            Variable::Unset => Ok(None),
            Variable::Unknown => Err(Unknown(name.to_owned())),
        }
    }

    /// Empty for positional parameters, which engines read in more than one way.
    fn name(&mut self) -> String {
        let length = match self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            true => 0,
            false => self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len()),
        };
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        name.to_owned()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn form(&self, name: &str) -> Unknown {
        Unknown(format!("${{{name}…}}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(word: &str) -> Result<String, Unknown> {
        expand(word, '\\', &|name, _| match name {
            "A" => Variable::Set("1".to_owned()),
            "E" => Variable::Set(String::new()),
            "B" => Variable::Unknown,
            _ => Variable::Unset,
        })
    }

    #[test]
    fn words_are_expanded_as_a_shell_does() {
        for (word, expected) in [
            ("plain", "plain"),
            ("$A/${A}b", "1/1b"),
            ("a$", "a$"),
            ("\\$A", "$A"),
            ("'$A'\"$A\"", "$A1"),
            ("\"\\a\\$A\"", "\\a$A"),
            ("$U-${U}", "-"),
            ("${A:-x}${E:-x}${U:-x}", "1xx"),
            ("${A-x}${E-x}${U-x}", "1x"),
            ("${A:+x}${E:+x}${U:+x}", "x"),
            ("${A+x}${E+x}${U+x}", "xx"),
            ("${U:-$A}/${A:-$B}", "1/1"),
            ("${U:-${E:-z}}", "z"),
            ("${A?no}", "1"),
        ] {
            assert_eq!(expanded(word), Ok(expected.to_owned()), "{word}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_named() {
        for (word, unknown) in [
            ("$B", "B"),
            ("${B:-x}", "B"),
            ("${U:?x}", "U"),
            ("${A#x}", "${A…}"),
            ("$@", "${…}"),
            ("$1", "${…}"),
            ("$Aä", "${A…}"),
        ] {
            assert_eq!(expanded(word), Err(Unknown(unknown.to_owned())), "{word}");
        }
        for word in
            ["x".repeat(LONGEST + 1), format!("\"{}\"", "x".repeat(LONGEST + 1)), "${U:-".repeat(100_000)]
        {
            assert!(expanded(&word).is_err());
        }
    }

    #[test]
    fn what_an_expansion_asks_is_what_it_depends_on() {
        use std::cell::RefCell;
        for (text, asked) in [
            ("plain", ""),
            ("$A", "A"),
            ("${A:-$B}", "A? A"),
            ("${E:-$A}", "E? A"),
            ("${A:+b}", "A?"),
            ("${U:+$A}", "U?"),
            // Some reader of this line may see the variable within.
            ("\\${A:-$E}", "A? A E"),
            ("${A:-'$E'}", "A? A E"),
            ("'$A'", "A"),
            ("\\\\$A$E", "A E"),
        ] {
            let all = RefCell::new(Vec::new());
            let known = ask(text, '\\', &|name, query| {
                all.borrow_mut().push(match query {
                    Query::Emptiness => format!("{name}?"),
                    Query::Value => name.to_owned(),
                });
                match name {
                    "A" => Variable::Set("1".to_owned()),
                    "E" => Variable::Set(String::new()),
                    _ => Variable::Unset,
                }
            });
            assert_eq!(known, Ok(()), "{text}");
            assert_eq!(all.into_inner().join(" "), asked, "{text}");
        }
        assert_eq!(names("${A#x}-$1B_c").collect::<Vec<_>>(), ["A", "x", "B_c"]);
    }
}
