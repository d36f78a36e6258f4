//! Publish container images for several platforms from one declared, reviewed file.
//!
//! `ARCHITECTURE.md` is the map and names the invariants. Data goes one way: declared → observed → plan → apply →
//! report.

pub mod apply;
pub mod cli;
pub mod config;
pub mod content;
pub mod digest;
#[cfg(feature = "embedded-registry")]
pub mod embedded;
pub mod engine;
pub mod error;
pub mod facts;
pub mod init;
pub mod journal;
mod keyed;
pub mod load;
pub mod manifest;
pub mod media;
pub mod observe;
pub mod pipeline;
pub mod plan;
pub mod platform;
pub mod publish;
pub mod reference;
pub mod registry;
#[cfg(feature = "embedded-registry")]
pub mod rehearsal;
pub mod report;
pub mod suggest;
