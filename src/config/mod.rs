//! `manifests.toml`: text → checked declaration. Pure: reads no file, asks no program.

mod model;

pub use model::{
    Attestations, Build, Declaration, Format, Image, RegistrySettings, Smoke, Tag, TagPolicy, Target,
    Undeclared, WithoutEmulator,
};
/// STUB
#[derive(Clone, Copy, Debug, PartialEq, Eq)] pub enum Strictness { /// c
 Check, /// r
 Release }
