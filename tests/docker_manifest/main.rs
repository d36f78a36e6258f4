//! `manifests manifest` beside the real `docker manifest`: the same commands on the same content in the same registry,
//! and what came of it compared.
#![allow(clippy::unwrap_used, reason = "what a test does not expect may panic")]

mod agree;
mod content;
mod import;
mod improve;
mod sides;
#[path = "../support/mod.rs"]
mod support;
