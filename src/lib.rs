//! Publish container images for several platforms from one declared, reviewed file.
//!
//! A task binary of your own is one line around [`cli::main`]:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     manifests::cli::main()
//! }
//! ```
//!
//! Tests of your own may start the [`embedded`] registry. These two are what versions promise to keep. The other modules are
//! public for this repository's tests and benchmarks, and for those who build on the parts: they may change with every
//! minor version.
//!
//! `ARCHITECTURE.md` is the map and names the invariants. Data goes one way: declared → observed → plan → apply →
//! report.

pub mod apply;
mod binary;
pub mod cargo;
pub mod children;
pub mod cli;
pub mod config;
mod content;
mod declared_file;
pub mod digest;
mod dockerfile;
mod edit;
#[cfg(feature = "embedded-registry")]
pub mod embedded;
pub mod engine;
pub mod error;
mod facts;
pub mod fingerprint;
mod freshness;
mod go_json;
mod groundwork;
mod import;
pub mod init;
mod inner_path;
mod invocation;
mod journal;
mod keyed;
pub mod load;
pub mod lock;
pub mod manifest;
mod many;
pub mod media;
mod metadata;
pub mod observe;
mod own_folder;
mod pipeline;
pub mod plan;
pub mod platform;
mod programs;
mod promote;
pub mod publish;
pub mod reference;
pub mod registry;
#[cfg(feature = "embedded-registry")]
mod rehearsal;
mod report;
mod rewrite;
mod suggest;
pub mod unpublish;
mod verify;
mod working_folder;
