//! This repository's own tasks; every other command is the library's, as in any project that adopts it.
#![allow(clippy::print_stderr, reason = "a task tells on stderr what it does")]

mod book;
mod ci;
mod example;
mod host;
mod transcript;

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("bench") => host::exit_code(bench()),
        Some("book") => host::exit_code(book::run()),
        Some("ci") => host::exit_code(ci::run()),
        Some("docs") => host::exit_code(docs()),
        Some("example") => host::exit_code(example::run()),
        Some("screens") => host::exit_code(screens()),
        Some("soak") => host::exit_code(soak(std::env::args().skip(2))),
        Some("transcript") => host::exit_code(transcript::run()),
        _ => manifests::cli::main(),
    }
}

/// What is measured is a program of its own: nobody who releases has to build it.
fn bench() -> anyhow::Result<()> {
    let packages =
        ["build", "--release", "--quiet", "--package", "manifests", "--package", "manifests-bench"];
    host::run("cargo", &packages)?;
    let program = host::target_dir().join("release/manifests-bench");
    let ended = duct::cmd(program, std::env::args().skip(2)).unchecked().run()?;
    anyhow::ensure!(ended.status.success(), "the benchmark failed: {}", ended.status);
    Ok(())
}

/// Releases again and again while everything goes wrong that may.
pub(crate) fn soak(arguments: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
    host::run("cargo", &["build", "--quiet", "--package", "manifests", "--package", "manifests-bench"])?;
    let program = host::target_dir().join("debug/manifests-bench");
    let ended = duct::cmd(program, std::iter::once("soak".to_owned()).chain(arguments)).unchecked().run()?;
    anyhow::ensure!(ended.status.success(), "the soak failed: {}", ended.status);
    Ok(())
}

/// Writes anew what is generated: the schema, the references, and what a page quotes of the benchmark. The tests that check them can write them too.
fn docs() -> anyhow::Result<()> {
    let tests = ["test", "--quiet", "--package", "manifests", "--lib", "--test", "book", "generated_files"];
    let tests = duct::cmd("cargo", tests).dir(host::root()).env("SNAPSHOTS", "overwrite");
    host::finish(tests, "cargo test generated_files")
}

/// Makes the terminal pictures of the documentation anew; with `--check` it only compares them with what runs show, as
/// the tests of the workspace do too.
fn screens() -> anyhow::Result<()> {
    let wish = match std::env::args().nth(2).as_deref() {
        None => "overwrite",
        Some("--check") => "verify",
        Some(other) => anyhow::bail!("`cargo xtask screens` takes `--check` or nothing, not `{other}`"),
    };
    let tests = duct::cmd!("cargo", "test", "--quiet", "--package", "xtask", "--test", "screens")
        .dir(host::root())
        .env("SNAPSHOTS", wish);
    host::finish(tests, "cargo test --test screens")
}
