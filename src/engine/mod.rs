//! The container engine, through its CLI: find one that can build, build, run, push, export. Knows no plan and no list.
//!
//! Pushes by the engine are the engine's: it has its own TLS, insecure and mirror settings, which [`doctor`] compares
//! with the declaration.

pub mod doctor;

mod build;
mod build_log;
mod export;
mod find;
mod image;
mod info;
mod loopback;
mod push;
mod runnable;
mod smoke;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::children::Program;
use crate::model::foreign::child_line;

pub use build::{BuildJob, Built};
pub use export::{Exported, ExportedBlob, ExportedManifest, SavedLayer};
pub use find::{Candidate, Lack, Request, candidates};
pub use image::LocalImage;
pub use info::DaemonInfo;
pub use push::Pushed;
pub use runnable::Runnable;

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

    /// How it builds.
    pub fn builder(&self) -> Builder {
        self.builder
    }

    /// The CLI with these arguments.
    fn command<A: Into<OsString>>(&self, arguments: impl IntoIterator<Item = A>) -> Program {
        command(&self.program, arguments)
    }
}

/// The CLI at `program` with these arguments.
fn command<A: Into<OsString>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> Program {
    let program = Program::new(program).args(arguments);
    // Without the first, an older CLI takes its builder from before BuildKit; with the second, a newer one says only
    // what was asked.
    program.env("DOCKER_BUILDKIT", "1").env("DOCKER_CLI_HINTS", "false")
}

/// `text` as part of a message that it does not belong to.
fn indent(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| format!("    {}\n", child_line(line)));
    lines.collect::<String>().trim_end().to_owned()
}
