//! The container engine, through its CLI: find one that can build, build, run, push, export. Knows no plan and no list.
//!
//! Pushes by the engine are the engine's: it has its own TLS, insecure and mirror settings, which [`doctor`] compares
//! with the declaration.

pub mod children;
pub mod doctor;

mod build;
mod export;
mod find;
mod info;
mod push;
mod runnable;
mod smoke;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

pub use build::{BuildJob, Built};
pub use export::{Exported, ExportedBlob};
pub use find::{Candidate, Request, candidates};
pub use info::DaemonInfo;
pub use push::Pushed;
pub use runnable::Runnable;

/// Takes each line that a child writes, as it comes.
pub type Lines = Arc<dyn Fn(&str) + Send + Sync>;

/// How a CLI builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builder {
    /// The buildx plugin.
    Buildx,
    /// The CLI itself, told to use BuildKit; Docker before version 23.
    BuildKit,
}

/// A CLI that was found able to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    program: PathBuf,
    builder: Builder,
    client: String,
    server: String,
}

impl Engine {
    /// Path, versions and builder, for people.
    pub fn describe(&self) -> String {
        let builder = match self.builder {
            Builder::Buildx => "buildx",
            Builder::BuildKit => "BuildKit",
        };
        format!("{} {} with {builder}, daemon {}", self.program.display(), self.client, self.server)
    }

    /// Runs the CLI to its end with stdout and stderr as one stream.
    async fn stream(&self, arguments: Vec<OsString>, lines: Lines) -> Result<children::Finished> {
        children::stream(&self.program, arguments, &[("DOCKER_BUILDKIT", "1")], lines).await
    }

    /// Runs the CLI to its end with stdout and stderr apart.
    async fn capture(&self, arguments: &[&str]) -> Result<children::Captured> {
        children::capture(&self.program, arguments.iter().map(OsString::from).collect()).await
    }
}
