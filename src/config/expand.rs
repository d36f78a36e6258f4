//! Fills templates in: which name has a value where, and what happens when it has none.

use std::collections::BTreeMap;

use super::facts::{Facts, Package};
use super::problems::{Problem, Span};
use super::template::{Form, NAMES, Name, Part, Template, Unclosed, for_tag};
use super::tree::Text;
use crate::model::platform::Platform;
use crate::model::suggest::near_miss;

/// How names are taken that only this checkout cannot resolve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// They get a placeholder: the declaration may be right elsewhere.
    Check,
    /// They are errors, with the reason.
    Release,
}

/// What has a value where a string stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    /// The place as messages name it, e.g. "`tags`".
    pub(super) place: &'static str,
    pub(super) target: Option<&'a TargetScope<'a>>,
    pub(super) tag: Option<&'a str>,
    pub(super) platform: Option<&'a Platform>,
}

/// What belongs to a target.
#[derive(Debug)]
pub(super) struct TargetScope<'a> {
    pub(super) name: &'a str,
    pub(super) package: Result<&'a Package, NoPackage>,
}

/// Why a target has no package.
#[derive(Clone, Debug)]
pub(super) enum NoPackage {
    /// Not in this checkout, at least.
    Here(String),
    /// The declaration leaves it open.
    Open(String),
    /// It is reported already.
    Reported,
}

/// A string with its templates filled in.
#[derive(Clone, Debug)]
pub(super) struct Expanded {
    pub(super) text: String,
    /// Whether a placeholder is in it: then what is wrong with it may be the placeholder's fault.
    pub(super) guessed: bool,
}

/// Why a name has no value.
enum Missing {
    /// Not in this checkout; the placeholder for it.
    Here { reason: String, placeholder: String },
    /// Not in this place; where it has one.
    Place(&'static str),
    /// The declaration leaves it open.
    Open(String),
}

/// Fills templates in and collects what is wrong with them.
pub(super) struct Expander<'a> {
    pub(super) source: &'a str,
    pub(super) facts: &'a Facts,
    pub(super) strictness: Strictness,
    pub(super) problems: Vec<Problem>,
    /// Names that have a placeholder, with the reason.
    pub(super) unresolved: BTreeMap<String, String>,
}

impl Expander<'_> {
    /// `text` with its templates filled in, or `None` after reporting why not.
    pub(super) fn expand(&mut self, text: &Text, scope: Scope<'_>, form: Form) -> Option<Expanded> {
        let template = match Template::parse(&text.value) {
            Ok(template) => template,
            Err(Unclosed(at)) => {
                let span = inside(self.source, text, at..at + 1);
                self.problems
                    .push(Problem::new(&span, "this brace is never closed").help("write `{{` for a brace"));
                return None;
            }
        };
        let mut expanded = Expanded { text: String::new(), guessed: false };
        let mut complete = true;
        for (index, part) in template.parts().iter().enumerate() {
            match part {
                Part::Literal(literal) => expanded.text.push_str(literal),
                Part::Name(name, range) => {
                    let span = inside(self.source, text, range.clone());
                    let Some((value, guessed)) = self.value(name, &span, scope, form) else {
                        complete = false;
                        continue;
                    };
                    let in_tag = template.in_tag(index, &expanded.text, form);
                    expanded.text.push_str(&if in_tag { for_tag(&value) } else { value });
                    expanded.guessed |= guessed;
                }
            }
        }
        complete.then_some(expanded)
    }

    /// As [`Self::expand`], for strings that may hold anything.
    pub(super) fn plain(&mut self, text: &Text, scope: Scope<'_>) -> Option<String> {
        self.expand(text, scope, Form::Plain).map(|expanded| expanded.text)
    }

    /// The value of a name and whether it is a placeholder.
    fn value(&mut self, text: &str, span: &Span, scope: Scope<'_>, form: Form) -> Option<(String, bool)> {
        let Some(name) = Name::parse(text) else {
            let problem = Problem::new(span, format!("unknown template name `{text}`"));
            let last = |name: &&&str| name.ends_with(&format!(".{text}"));
            let meant = near_miss(text, NAMES.iter().copied()).or(NAMES.iter().find(last).copied());
            let help = match (text.strip_prefix("env:"), meant) {
                (Some(name), _) => format!("did you mean `{{env.{name}}}`?"),
                (None, Some(candidate)) => format!("did you mean `{{{candidate}}}`?"),
                (None, None) if text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)) => {
                    format!("expected one of `{}`; write `{{{{` for a brace", NAMES.join("`, `"))
                }
                (None, None) => "write `{{` for a brace".to_owned(),
            };
            self.problems.push(problem.help(help));
            return None;
        };
        match lookup(&name, scope, self.facts, form) {
            Ok(value) => Some((value, false)),
            Err(Missing::Here { placeholder, reason }) if self.strictness == Strictness::Check => {
                self.unresolved.insert(text.to_owned(), reason);
                Some((placeholder, true))
            }
            Err(Missing::Here { reason, .. }) => {
                let message = format!("`{{{text}}}` cannot be resolved: {reason}");
                let is_cargo = ["version", "major", "minor", "package"].contains(&text);
                let help = (is_cargo && self.facts.packages.is_err())
                    .then(|| "without Cargo a version comes from `{git.tag}` or `{env.NAME}`".to_owned());
                self.problems.push(Problem::new(span, message).maybe_help(help));
                None
            }
            Err(Missing::Place(where_it_has_one)) => {
                let message = format!("`{{{text}}}` has no value in {}", scope.place);
                self.problems.push(Problem::new(span, message).help(where_it_has_one));
                None
            }
            Err(Missing::Open(reason)) => {
                let message = format!("`{{{text}}}` cannot be resolved: {reason}");
                self.problems.push(Problem::new(span, message).help("say which with `package = \"…\"`"));
                None
            }
        }
    }
}

/// The value of `name` in `scope`.
fn lookup(name: &Name, scope: Scope<'_>, facts: &Facts, form: Form) -> Result<String, Missing> {
    let here = |fact: &Result<String, String>, placeholder: &str| {
        fact.clone().map_err(|reason| Missing::Here { reason, placeholder: placeholder.to_owned() })
    };
    let target = || scope.target.ok_or(Missing::Place("it has one in the keys of a target"));
    let platform = || {
        scope.platform.ok_or(Missing::Place(
            "it has one where a platform is known: in `image`, `build`, `smoke` and the tables of platforms",
        ))
    };
    let package = |of: fn(&Package) -> String, placeholder: &str| {
        let target = target()?;
        let here = |reason| Missing::Here { reason, placeholder: placeholder.to_owned() };
        match &target.package {
            Ok(package) => Ok(of(package)),
            Err(NoPackage::Here(reason)) => Err(here(reason.clone())),
            Err(NoPackage::Open(reason)) => Err(Missing::Open(reason.clone())),
            Err(NoPackage::Reported) => Ok(placeholder.to_owned()),
        }
    };
    match name {
        Name::Target => Ok(target()?.name.to_owned()),
        Name::Os => Ok(platform()?.os.clone()),
        Name::Arch => Ok(platform()?.arch.clone()),
        Name::Variant => Ok(platform()?.variant.clone().unwrap_or_default()),
        // With slashes it would name another repository.
        Name::Platform if form != Form::Plain => Ok(platform()?.dashed()),
        Name::Platform => Ok(platform()?.without_features().to_string()),
        Name::Machine => Ok(platform()?.machine()),
        Name::Tag => scope.tag.map(str::to_owned).ok_or(Missing::Place(
            "it is the first of `tags`, and has one in what follows from them, e.g. `image`",
        )),
        Name::Package => package(|package| package.name.clone(), target()?.name),
        Name::Version => package(|package| package.version.to_string(), "0.0.0"),
        Name::Major => package(|package| package.version.major.to_string(), "0"),
        Name::Minor => package(|package| package.version.minor.to_string(), "0"),
        Name::GitSha => here(&facts.git_sha, &"0".repeat(40)),
        Name::GitTag => here(&facts.git_tag, "v0.0.0"),
        Name::Env(variable) => facts.env.get(variable).cloned().ok_or_else(|| Missing::Here {
            reason: format!("the environment variable {variable} is not set"),
            placeholder: variable.to_ascii_lowercase(),
        }),
    }
}

/// Where `range` of the string's value stands in the file; the whole string where escapes hide it.
pub(super) fn inside(source: &str, text: &Text, range: Span) -> Span {
    let raw = source.get(text.span.clone()).unwrap_or_default();
    match raw.find(&text.value) {
        Some(at) => text.span.start + at + range.start..text.span.start + at + range.end,
        None => text.span.clone(),
    }
}
