//! `cargo xtask ci`: everything that must hold, on a machine on which nothing was prepared by hand.
//!
//! Nothing is skipped silently: what a check needs is made here, and what cannot be made is a failure.

mod busybox;
mod emulators;
mod packages;
mod targets;
mod workflows;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use duct::cmd;

use crate::{book, example, host, transcript};

/// Prepares the machine, then checks and tests this repository.
///
/// On Debian, as root or with sudo, it installs what is missing; elsewhere it says what to install. Rust targets come
/// from rustup. The container engine has to be installed; a Docker daemon that does not run is started. The licenses and
/// sources of the dependencies are not checked here but by `cargo deny check`, after deny.toml.
#[derive(Parser)]
#[command(name = "ci", bin_name = "cargo xtask ci")]
struct Args {}

/// Runs the task with the arguments of this process.
pub(crate) fn run() -> Result<()> {
    Args::parse_from(std::env::args().skip(1));
    let started = Instant::now();

    step("engine", engine)?;
    step("packages", packages::install)?;
    step("emulators", emulators::register)?;
    step("Rust targets", targets::install)?;
    step("busybox bases", busybox::fetch)?;
    step("format", || cargo(&["fmt", "--all", "--check"]))?;
    step("workflows", workflows::lint)?;
    step("clippy", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    step("clippy without default features", || {
        let library = ["--package", "manifests", "--lib", "--bins", "--no-default-features"];
        cargo(&[&["clippy"], &library[..], &["--", "-D", "warnings"]].concat())
    })?;
    step("book", book::check)?;
    step("documentation", || cargo(&["doc", "--workspace", "--no-deps"]))?;
    // The package is built from its own files alone.
    step("package", || cargo(&["package", "--package", "manifests", "--allow-dirty"]))?;
    step("example", example::check)?;
    step("transcript", transcript::check)?;
    step("soak", || crate::soak(["--minutes".to_owned(), "2".to_owned()]))?;
    step("documentation tests", || cargo(&["test", "--workspace", "--doc"]))?;
    // Last and without a line of ours behind it: the output ends with the test runner's own summary.
    announce(&format!("tests, {:.1} s after the start", started.elapsed().as_secs_f64()));
    tests().context("tests")
}

/// Runs one step between two lines on stderr.
fn step(name: &'static str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    announce(name);
    let started = Instant::now();
    work().context(name)?;
    announce(&format!("{name}: done in {:.1} s", started.elapsed().as_secs_f64()));
    Ok(())
}

fn announce(line: &str) {
    eprintln!("==> {line}");
}

/// The tests need a running engine. A Docker daemon that is installed but does not run is started, and stays.
fn engine() -> Result<()> {
    let hint = "hint: install a container engine and start it; the tests build and run images";
    if host::find_program("docker").is_none() {
        bail!("no `docker` on PATH\n{hint}");
    }
    let answers = || host::run("docker", &["version", "--format", "engine {{.Server.Version}}"]);
    if answers().is_err() && host::find_program("dockerd").is_some() {
        let log = host::target_dir().join("ci/dockerd.log");
        fs::create_dir_all(host::target_dir().join("ci"))?;
        eprintln!("starting dockerd, whose log is {}", log.display());
        // In a session of its own: it outlives this task, as a service does.
        // The pid file of one that was killed would be in its way, so it has a new one.
        let pid = host::target_dir().join(format!("ci/dockerd-{}.pid", std::process::id()));
        let start =
            format!("setsid dockerd --pidfile '{}' >'{}' 2>&1 </dev/null &", pid.display(), log.display());
        host::run_as_root("sh", &["-c", &start])?;
        for _ in 0..30 {
            if answers().is_ok() {
                break;
            }
            thread::sleep(Duration::from_secs(1));
        }
    }
    answers().context(hint)
}

fn tests() -> Result<()> {
    if host::find_program("cargo-nextest").is_some() {
        cargo(&["nextest", "run", "--workspace", "--no-fail-fast"])
    } else {
        cargo(&["test", "--workspace", "--all-targets"])
    }
}

fn cargo(args: &[&str]) -> Result<()> {
    // Set by the cargo that runs this task: the steps use the same toolchain.
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let command = cmd(program, args)
        .dir(host::root())
        .env("RUSTDOCFLAGS", "-D warnings")
        .env("MANIFESTS_TEST_BASES", busybox::folder());
    host::finish(command, &format!("cargo {}", args.join(" ")))
}
