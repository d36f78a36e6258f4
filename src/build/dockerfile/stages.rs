//! The stages of a Dockerfile, and what names in it mean.

use std::collections::BTreeMap;

use super::expand::Variable;
use super::parse::{Dockerfile, Instruction};
use crate::model::platform::Platform;
use crate::model::reference::Reference;

/// A `FROM` and what follows it.
pub(super) struct Stage<'a> {
    pub(super) name: Option<String>,
    pub(super) from: &'a Instruction,
    pub(super) instructions: &'a [Instruction],
}

/// The arguments above the first stage, and the stages.
pub(super) fn split(dockerfile: &Dockerfile) -> (&[Instruction], Vec<Stage<'_>>) {
    let starts: Vec<usize> = dockerfile
        .instructions
        .iter()
        .enumerate()
        .filter(|(_, instruction)| instruction.keyword == "FROM")
        .map(|(index, _)| index)
        .collect();
    let first = starts.first().copied().unwrap_or(dockerfile.instructions.len());
    let ends = starts.iter().skip(1).copied().chain([dockerfile.instructions.len()]);
    let stages = starts.iter().zip(ends).map(|(start, end)| {
        let from = &dockerfile.instructions[*start];
        let words = from.words();
        let name = match &words[..] {
            [_, word, name] if word.eq_ignore_ascii_case("as") => Some(name.to_ascii_lowercase()),
            _ => None,
        };
        Stage { name, from, instructions: &dockerfile.instructions[start + 1..end] }
    });
    (&dockerfile.instructions[..first], stages.collect())
}

/// The variables that a stage sets, and what it begins with.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope<'a> {
    variables: BTreeMap<String, Set>,
    /// The stage that it begins with.
    pub(super) parent: Option<usize>,
    /// Whether it begins with an image from elsewhere, which may set variables.
    pub(super) open: bool,
    /// Whether it may be for another platform than the one asked for.
    pub(super) foreign: bool,
    /// Whether an instruction that is not understood may have set any variable.
    pub(super) obscure: bool,
    /// The image that it begins with in the end.
    pub(super) base: Option<Reference>,
    /// What the stage's `ONBUILD`s leave to those that begin with it.
    pub(super) triggers: Vec<&'a Instruction>,
}

#[derive(Clone, Debug)]
struct Set {
    value: Variable,
    by_argument: bool,
}

impl Scope<'_> {
    /// One where nothing is set.
    pub(super) fn new(foreign: bool) -> Self {
        Self { foreign, ..Self::default() }
    }

    /// What `ARG` or `ENV` gives a variable: the last one counts.
    pub(super) fn set(&mut self, name: String, value: Variable, by_argument: bool) {
        self.variables.insert(name, Set { value, by_argument });
    }

    /// Whether the variable was set by an `ARG` of this stage.
    pub(super) fn is_argument(&self, name: &str) -> bool {
        self.variables.get(name).is_some_and(|set| set.by_argument)
    }
}

/// The variable `name` at the end of `scope`, which begins with one of `scopes` or with none.
pub(super) fn variable(scopes: &[Scope<'_>], scope: &Scope<'_>, name: &str) -> Variable {
    let mut at = scope;
    loop {
        if at.obscure {
            return Variable::Unknown;
        }
        if let Some(set) = at.variables.get(name) {
            // Engines differ in whether arguments go over to what begins with the stage.
            let inherited = !std::ptr::eq(at, scope);
            return if inherited && set.by_argument { Variable::Unknown } else { set.value.clone() };
        }
        match at.parent {
            Some(parent) => at = &scopes[parent],
            None if at.open => return Variable::Unknown,
            None => return Variable::Unset,
        }
    }
}

/// What the builder sets by itself (Dockerfile reference, "Automatic platform ARGs in the global scope").
pub(super) fn automatic(name: &str, platform: &Platform) -> Variable {
    let platform = platform.normal();
    match name {
        "TARGETPLATFORM" => Variable::Set(platform.for_engine()),
        "TARGETOS" => Variable::Set(platform.os),
        "TARGETARCH" => Variable::Set(platform.arch),
        "TARGETVARIANT" => Variable::Set(platform.variant.unwrap_or_default()),
        "BUILDPLATFORM" | "BUILDOS" | "BUILDARCH" | "BUILDVARIANT" | "BUILDOSVERSION" | "TARGETOSVERSION"
        | "TARGETSTAGE" => Variable::Unknown,
        _ => Variable::Unset,
    }
}

/// Whether the builder gives an argument of this name another meaning than its value.
pub(super) fn reserved(name: &str) -> bool {
    name == "SOURCE_DATE_EPOCH"
        || name.starts_with("BUILDKIT_")
        || name.to_ascii_lowercase().ends_with("_proxy")
}
