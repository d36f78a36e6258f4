//! Dockerfiles: text → instructions → what an image takes in. Pure: reads no file, asks no engine.
//!
//! An image is called fresh because of what is read here, so nothing is taken for understood that is not. Understood is:
//!
//! - **Lines**: directives at the very top, comments, continued lines, here-documents at the beginning of a word or of
//!   the next one ([`parse`]). Whatever BuildKit's versions read in more than one way makes the image *undecided*: it is
//!   built each time, and the reason names the line.
//! - **Instructions**: the eighteen of the reference. COPY and ADD with their flags of today, sources of plain words or a
//!   JSON array; `RUN --mount` of plain options; ARG and ENV of plain names ([`needs`]). Of a source that is not
//!   understood, all of the context counts; a flag that is not, or a name of an image or stage, makes the image undecided.
//! - **Variables**: `$A`, `${A}` and the operators `-`, `+` and `?`, with values from the build's arguments, from ARG and
//!   from ENV ([`expand`]). What a base image may set, what engines inherit in different ways, and longer texts are
//!   unknown.
//! - **Patterns**: `*`, `?`, classes of ASCII letters and digits, `**` in ignore files ([`pattern`], [`ignore`]).
//!
//! What a base image from a registry leaves to those that begin with it (ONBUILD) is in that image's configuration, not in
//! the Dockerfile: [`crate::build::bases`] reads it, and what is built on such a base is not recorded. BuildKit's own rules
//! are followed (`frontend/dockerfile/parser`, `shell`, `instructions` and `dockerfile2llb`), and `tests/reproducible`
//! compares with what an engine does. The parsers on crates.io were looked at in their source (November 2026), and each
//! reads other lines as instructions than BuildKit does. `dockerfile-parser` 0.9.0 knows no here-documents.
//! `dockerfile-parser-rs` 3.4.0 knows one that is called `EOF`. `parse-dockerfile` 0.1.9 finds one of a
//! RUN, at the start of its command. None of them says where it is not sure.

mod expand;
mod ignore;
mod needs;
mod parse;
mod pattern;
mod scope;
mod stages;

pub(crate) use ignore::{Ignore, MOST_STEPS as MOST_IGNORE_STEPS, Verdict};
pub(crate) use needs::{Asked, Needs};
pub(crate) use parse::{Dockerfile, Instruction};
pub(crate) use pattern::Pattern;
pub(crate) use scope::Use;
