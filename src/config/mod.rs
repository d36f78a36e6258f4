//! `manifests.toml`: text → checked declaration. Pure: reads no file, asks no program.
//!
//! [`read`] takes the text apart and keeps every place, [`Document::needs`] says what its templates ask of the world,
//! and [`Document::resolve`] fills them in and checks the meaning. All problems come at once.

mod document;
mod expand;
mod facts;
mod fields;
mod images;
mod model;
mod problems;
mod resolve;
mod template;
mod tree;

pub use document::{Document, read};
pub use expand::Strictness;
pub use facts::{Fact, Facts, Needs, Package};
pub use model::{
    Attestations, Build, Declaration, Format, Image, RegistrySettings, Smoke, Tag, TagPolicy, Target,
    Undeclared, WithoutEmulator,
};
pub use problems::{Located, Problem, Problems, Span};

#[cfg(test)]
mod tests;
