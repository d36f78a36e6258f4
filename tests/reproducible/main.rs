//! Releases that are the same tomorrow and elsewhere: what decides an image, what a context gives, what is locked.

#[path = "../support/mod.rs"]
mod support;

mod cargo;
mod context;
mod inputs;
mod release;
