//! What the tasks know of the machine and of this repository.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use duct::{Expression, cmd};

/// Ends a task: its error with all causes on stderr, and exit code 1.
pub(crate) fn exit_code(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// Where cargo puts what it makes; everything of ours that is no source lies there too.
pub(crate) fn target_dir() -> PathBuf {
    // An absolute path replaces the root, a relative one is taken from it.
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// A program's place on PATH, or in the folders of the system's administration, which a user's PATH may lack.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Runs a program, its output going to stderr: a task prints no data.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<()> {
    finish(cmd(program, args), &format!("{program} {}", args.join(" ")))
}

/// Runs a prepared command; `shown` is how messages name it.
pub(crate) fn finish(command: Expression, shown: &str) -> Result<()> {
    let status = command
        .stdout_to_stderr()
        .unchecked()
        .run()
        .with_context(|| format!("cannot start `{shown}`"))?
        .status;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(())
}

/// Runs a program with the system administrator's rights: directly, or through sudo.
pub(crate) fn run_as_root(program: &str, args: &[&str]) -> Result<()> {
    let user = cmd!("id", "-u").read().context("cannot tell who runs this: `id -u` failed")?;
    if user == "0" {
        return run(program, args);
    }
    if find_program("sudo").is_none() {
        bail!("`{program} {}` needs root, and there is no sudo here", args.join(" "));
    }
    run("sudo", &[&[program], args].concat())
}

/// Tries again what depends on a network: mirrors are out of step for minutes while they synchronise.
pub(crate) fn retry(what: &str, mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
    const ATTEMPTS: u32 = 10;
    const LONGEST: Duration = Duration::from_secs(60);

    let mut pause = Duration::from_secs(2);
    for number in 1..ATTEMPTS {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(error) => {
                eprintln!(
                    "{what}: attempt {number} of {ATTEMPTS}: {error:#}; again in {} s",
                    pause.as_secs()
                );
            }
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST);
    }
    attempt().with_context(|| format!("{what}: given up after {ATTEMPTS} attempts"))
}
