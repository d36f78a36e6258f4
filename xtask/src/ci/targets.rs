//! The Rust targets that examples cross-compile for.

use anyhow::{Context as _, Result, bail};
use duct::cmd;

use crate::host;

const TARGETS: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];

/// Adds the targets that are missing to the toolchain that projects outside this one get, as the tests' projects do;
/// does nothing, and needs no network, when none is.
pub(super) fn install() -> Result<()> {
    let mut missing = Vec::new();
    for target in TARGETS {
        if !is_there(target)? {
            missing.push(target);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if host::find_program("rustup").is_none() {
        bail!(
            "missing Rust targets: {names}\nhint: no rustup to add them with; install their standard libraries"
        );
    }
    let add = [&["target", "add"], &missing[..]].concat();
    host::retry("adding Rust targets", || {
        host::finish(outside("rustup", &add), &format!("rustup target add {names}"))
    })
}

/// Whether the target's standard library is installed.
fn is_there(target: &str) -> Result<bool> {
    let asked = outside("rustc", &["--target", target, "--print", "target-libdir"]);
    let folder = asked.read().context("cannot ask rustc where its libraries are")?;
    Ok(std::path::Path::new(folder.trim()).is_dir())
}

/// A program of the toolchain, run as from a folder that is no part of this repository.
fn outside(program: &str, args: &[&str]) -> duct::Expression {
    // Set by the cargo that runs this task; the tests' projects do not get it.
    cmd(program, args).dir(std::env::temp_dir()).env_remove("RUSTUP_TOOLCHAIN")
}
