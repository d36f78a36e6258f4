//! Every declaration in `examples/`, run as it stands there. What a test puts in the place of a name is a registry on
//! this machine: the one that base images come from, and, where a rehearsal does not do, the one that is published to.

#![allow(clippy::unwrap_used, reason = "what a test does not expect may panic")]

#[path = "../support/mod.rs"]
mod support;

mod example;
mod published;
mod rehearsed;
mod table;
