//! The stages of a Dockerfile, and what names in it mean.

use super::expand::Variable;
use super::parse::{Dockerfile, Instruction};
use crate::model::platform::Platform;

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
