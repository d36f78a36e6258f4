//! Templates: `{name}` in strings, `{{` for a brace.

use std::ops::Range;

/// A string taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    /// What stands between the braces, and where in the string.
    Name(String, Range<usize>),
}

/// A brace that is never closed, and where it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unclosed(pub(super) usize);

/// A name that templates know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Target,
    Os,
    Arch,
    Variant,
    Platform,
    Machine,
    Tag,
    Package,
    Version,
    Major,
    Minor,
    GitSha,
    GitTag,
    Env(String),
}

/// Every name, as near misses and the documentation list them.
pub(super) const NAMES: &[&str] = &[
    "target", "os", "arch", "variant", "platform", "machine", "tag", "package", "version", "major", "minor",
    "git.sha", "git.tag", "env.NAME",
];

/// What a string is used as, which decides what becomes of characters that a tag cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Anything.
    Plain,
    /// A tag.
    Tag,
    /// A repository or a reference, which may end in a tag.
    Reference,
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, Unclosed> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text.char_indices().peekable();
        while let Some((at, character)) = rest.next() {
            let doubled = rest.peek().is_some_and(|(_, next)| *next == character);
            match character {
                '{' | '}' if doubled => {
                    rest.next();
                    literal.push(character);
                }
                '{' => {
                    let length = text[at..].find('}').ok_or(Unclosed(at))?;
                    let range = at + 1..at + length;
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Name(text[range.clone()].to_owned(), range.clone()));
                    while rest.next_if(|(at, _)| *at <= range.end).is_some() {}
                }
                other => literal.push(other),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The names it uses, known or not.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name, _) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// Whether what stands at part `index`, after the text `so_far`, becomes part of a tag.
    pub(super) fn in_tag(&self, index: usize, so_far: &str, form: Form) -> bool {
        let last = so_far.rsplit('/').next().unwrap_or(so_far);
        let later_slash =
            self.parts[index..].iter().any(|part| matches!(part, Part::Literal(text) if text.contains('/')));
        match form {
            Form::Plain => false,
            Form::Tag => true,
            Form::Reference => last.contains(':') && !so_far.contains('@') && !later_slash,
        }
    }
}

impl Name {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "target" => Self::Target,
            "os" => Self::Os,
            "arch" => Self::Arch,
            "variant" => Self::Variant,
            "platform" => Self::Platform,
            "machine" => Self::Machine,
            "tag" => Self::Tag,
            "package" => Self::Package,
            "version" => Self::Version,
            "major" => Self::Major,
            "minor" => Self::Minor,
            "git.sha" => Self::GitSha,
            "git.tag" => Self::GitTag,
            _ => Self::Env(text.strip_prefix("env.").filter(|name| !name.is_empty())?.to_owned()),
        })
    }
}

/// Text that stands for itself, as a template: what is written into a file from elsewhere means what it says, whatever
/// braces it has.
pub(crate) fn literal(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// `text` with `-` for what a tag cannot hold.
pub(super) fn for_tag(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    text.chars().map(|c| if allowed(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> Part {
        Part::Literal(text.to_owned())
    }

    #[test]
    fn strings_are_taken_apart() {
        for (text, parts) in [
            ("", vec![]),
            ("plain", vec![literal("plain")]),
            ("a{os}b", vec![literal("a"), Part::Name("os".into(), 2..4), literal("b")]),
            ("{os}{arch}", vec![Part::Name("os".into(), 1..3), Part::Name("arch".into(), 5..9)]),
            ("{{os}}", vec![literal("{os}")]),
            ("{{{os}}}", vec![literal("{"), Part::Name("os".into(), 3..5), literal("}")]),
            ("a } b", vec![literal("a } b")]),
            ("ä{ö}", vec![literal("ä"), Part::Name("ö".into(), 3..5)]),
        ] {
            assert_eq!(Template::parse(text), Ok(Template { parts }), "{text}");
        }
        assert_eq!(Template::parse("ab{os"), Err(Unclosed(2)));
    }

    proptest::proptest! {
        #[test]
        fn a_literal_stands_for_itself(text in "([{}]|env\\.X|.){0,12}") {
            let parts = if text.is_empty() { vec![] } else { vec![literal(&text)] };
            proptest::prop_assert_eq!(Template::parse(&super::literal(&text)), Ok(Template { parts }));
        }
    }

    #[test]
    fn the_tag_part_of_a_reference_is_known() {
        for (text, so_far, expected) in [
            ("host/app:{version}", "host/app:", true),
            ("host:{env.PORT}/app", "host:", false),
            ("host/{target}", "host/", false),
            ("host/app@sha256:{env.D}", "host/app@sha256:", false),
        ] {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.in_tag(1, so_far, Form::Reference), expected, "{text}");
        }
    }

    #[test]
    fn every_listed_name_is_known() {
        for name in NAMES {
            assert!(Name::parse(name).is_some(), "{name}");
        }
        assert_eq!(Name::parse("env."), None);
        assert_eq!(for_tag("release/1.0+b"), "release-1.0-b");
    }
}
