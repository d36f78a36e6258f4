//! Dockerfiles: text → instructions → what an image takes in. Pure: reads no file, asks no engine.
//!
//! BuildKit's own rules are followed (`frontend/dockerfile/parser`, `shell` and `instructions`). The crates there are
//! for this were looked at: `dockerfile-parser` is no longer kept up and knows no here-documents; `parse-dockerfile`
//! finds them only at the start of a command, and would take the lines of any other for instructions.

mod expand;
mod ignore;
mod needs;
mod parse;
mod pattern;
mod stages;

pub(crate) use ignore::Ignore;
pub(crate) use needs::{Asked, Needs};
pub(crate) use parse::{Dockerfile, Instruction};
pub(crate) use pattern::Pattern;
