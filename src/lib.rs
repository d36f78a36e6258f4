//! Publish container images for several platforms from one declared, reviewed file.
//!
//! `ARCHITECTURE.md` is the map and names the invariants; the modules below stand in the order in which
//! data passes through them: declared → observed → plan → apply → report.

pub mod config;
pub mod digest;
#[cfg(feature = "embedded-registry")]
pub mod embedded;
pub mod error;
pub mod manifest;
pub mod media;
pub mod plan;
pub mod platform;
pub mod reference;
pub mod registry;
pub mod suggest;
