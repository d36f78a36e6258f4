//! What somebody meets who comes to the tool anew: help, completion, first files, messages for people and machines.
#![allow(clippy::unwrap_used, reason = "what a test does not expect may panic")]

#[path = "../support/mod.rs"]
mod support;

mod first_contact;
mod licences;
mod machines;
mod shell;
mod terminal;
