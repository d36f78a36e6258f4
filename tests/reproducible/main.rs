//! Releases that are the same tomorrow and elsewhere: what decides an image, what a context gives, what is locked.

#![allow(clippy::unwrap_used, reason = "what a test does not expect may panic")]

#[path = "../support/mod.rs"]
mod support;

mod bases;
mod cargo;
mod context;
mod differential;
mod engines;
mod fresh;
mod inputs;
mod outputs;
mod project;
mod release;
mod time;
