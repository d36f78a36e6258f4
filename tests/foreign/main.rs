//! Text from outside stays text: a registry whose every text is hostile, and a workspace whose declaration quotes such
//! texts, under every command and in every format. Nothing moves a cursor, begins a line, is a command for a CI runner, or
//! becomes markup, and what is written into `manifests.toml` means the text itself.
#![allow(clippy::unwrap_used, reason = "what a test does not expect may panic")]

mod commands;
mod hostile;
mod output;
#[path = "../support/mod.rs"]
mod support;
mod world;
mod written;
