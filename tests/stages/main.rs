//! Publication in stages and its undoing, by the real command: several registries, interrupted runs, tag policies, first
//! publications, `unpublish`.
#![allow(clippy::unwrap_used, reason = "what a test does not expect may panic")]

#[path = "../support/mod.rs"]
mod support;

mod account;
mod disk;
mod ended;
mod first_publish;
mod fixture;
mod hints;
mod interrupted;
mod newest;
mod several;
mod streams;
mod subjects;
mod unpublish;
mod unreadable;
mod verify;
