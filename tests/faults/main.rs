//! A hostile registry: every request of a run meets every fault, many runs meet each other, and any list becomes any
//! other. The registry is the embedded one, with faults put around it.
//!
//! `cargo test --test faults -- --nocapture` shows the counts; they are also kept in `target/fault-matrix.txt`.

#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "the helpers are part of the tests")]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod backdoor;
mod concurrent;
mod content;
mod converge;
mod door;
mod engine;
mod fault;
mod layer;
mod matrix;
mod race;
mod request;
mod rivals;
mod scenarios;
mod table;
mod unpublish;
mod world;
