//! `manifests.toml`: text → checked declaration. Pure: reads no file, asks no program.
//!
//! [`read`] keeps what is written with its places, [`Document::needs`] says what has to be known about the world
//! around it, and [`Document::resolve`] makes the [`Declaration`], or [`Problems`] with all that is wrong.

mod build;
mod document;
mod expand;
mod facts;
mod fields;
mod helps;
mod keys;
mod model;
mod paths;
mod platforms;
mod problems;
#[cfg(test)]
mod reference;
mod resolve;
mod schema;
mod section;
mod syntax;
mod tables;
pub(crate) mod template;
mod tree;
mod validate;

pub use document::{Document, read};
pub use expand::Strictness;
pub use facts::{Fact, Facts, Needs, Package};
pub use model::{
    Attestations, BinaryCheck, Build, CargoBuild, CargoTool, Declaration, Format, Image, Libc,
    RegistrySettings, Smoke, Tag, TagPolicy, Target, Undeclared, WithoutEmulator,
};
pub use paths::LOCK_NAME;
pub(crate) use paths::working_folder_of;
pub use problems::{Located, Problem, Problems, Span};
pub use resolve::FileKind;
pub use schema::schema;
