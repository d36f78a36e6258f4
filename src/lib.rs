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
pub mod author;
pub mod build;
pub mod children;
pub mod cli;
mod concurrency;
pub mod config;
#[cfg(feature = "embedded-registry")]
pub mod embedded;
pub mod engine;
pub mod error;
pub mod events;
mod invocation;
pub mod lock;
pub mod model;
pub mod observe;
pub mod plan;
pub mod registry;
pub mod release;
mod report;
mod single_flight;
pub mod workspace;
