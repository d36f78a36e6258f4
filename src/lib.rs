//! Publish container images for several platforms from one declared, reviewed file.
//!
//! `ARCHITECTURE.md` is the map and names the invariants. Data goes one way: declared → observed → plan → apply →
//! report.

pub mod apply;
pub mod binary;
pub mod cargo;
pub mod children;
pub mod cli;
pub mod config;
pub mod content;
pub mod declared_file;
pub mod digest;
pub mod dockerfile;
pub mod edit;
#[cfg(feature = "embedded-registry")]
pub mod embedded;
pub mod engine;
pub mod error;
pub mod facts;
pub mod fingerprint;
pub mod freshness;
pub mod groundwork;
pub mod import;
pub mod init;
mod inner_path;
mod invocation;
pub mod journal;
mod keyed;
pub mod load;
pub mod lock;
pub mod manifest;
mod many;
pub mod media;
pub mod metadata;
pub mod observe;
pub mod pipeline;
pub mod plan;
pub mod platform;
pub mod programs;
pub mod promote;
pub mod publish;
pub mod reference;
pub mod registry;
#[cfg(feature = "embedded-registry")]
pub mod rehearsal;
pub mod report;
pub mod rewrite;
pub mod suggest;
pub mod verify;
