//! The stages of a Dockerfile, and what names in it mean.

use std::collections::BTreeMap;

use super::expand::Variable;
use super::parse::{Dockerfile, Instruction};
use crate::platform::Platform;
use crate::reference::Reference;

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

/// The variables at some point of a stage.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub(super) environment: BTreeMap<String, Variable>,
    pub(super) arguments: BTreeMap<String, Variable>,
    /// Whether the stage begins with an image from elsewhere, which may set variables.
    pub(super) open: bool,
    /// The image that it begins with in the end.
    pub(super) base: Option<Reference>,
    /// What the stage's `ONBUILD`s leave to those that begin with it.
    pub(super) triggers: Vec<Instruction>,
}

impl Scope {
    /// What a stage begins with that begins with this one. Engines differ in whether arguments go over.
    pub(super) fn inherited(&self) -> Self {
        let arguments = self.arguments.keys().map(|name| (name.clone(), Variable::Unknown)).collect();
        Self { arguments, triggers: Vec::new(), ..self.clone() }
    }

    /// A variable of the environment counts before an argument of its name. An image from elsewhere may set one that
    /// is declared as an argument too; nobody does, and asking its configuration would cost requests every time.
    pub(super) fn variable(&self, name: &str) -> Variable {
        let known = self.environment.get(name).or_else(|| self.arguments.get(name));
        let other = if self.open { Variable::Unknown } else { Variable::Unset };
        known.cloned().unwrap_or(other)
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
