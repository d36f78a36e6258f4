//! Publication in stages and its undoing, by the real command: several registries, interrupted runs, tag policies, first
//! publications, `unpublish`.
#![allow(clippy::unwrap_used, reason = "what a test does not expect may panic")]

#[path = "../support/mod.rs"]
mod support;

mod first_publish;
mod fixture;
mod interrupted;
mod newest;
mod several;
mod unpublish;
mod unreadable;
