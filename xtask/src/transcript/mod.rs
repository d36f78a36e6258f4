//! `cargo xtask transcript`: the walkthrough of publishing one name for several platforms, each step by hand and with
//! `manifests`, run for real. What was printed is kept in docs/walkthrough.md, with what differs from run to run made
//! the same.

mod filters;
mod steps;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use duct::cmd;

use crate::host;
use filters::Filters;
use steps::{Command, STEPS, Shown};

/// Runs the walkthrough on the embedded registry and writes docs/walkthrough.md. It needs a container engine that can
/// build and run for linux/amd64 and linux/arm64.
#[derive(Parser)]
#[command(name = "transcript", bin_name = "cargo xtask transcript")]
struct Args {
    /// Write nothing; fail when the committed transcript is not what a run prints
    #[arg(long)]
    check: bool,
}

/// Runs the task with the arguments of this process.
pub(crate) fn run() -> Result<()> {
    let args = Args::parse_from(std::env::args().skip(1));
    if args.check { check() } else { Ok(fs::write(committed(), transcript()?)?) }
}

/// Compares the committed transcript with what a run prints.
pub(crate) fn check() -> Result<()> {
    let (was, is) = (fs::read_to_string(committed()).unwrap_or_default(), transcript()?);
    let differs = was.lines().zip(is.lines()).enumerate().find(|(_, (was, is))| was != is);
    match differs {
        _ if was == is => Ok(()),
        Some((line, (was, is))) => bail!(
            "docs/walkthrough.md, line {}, is not what a run prints\n  has:    {was}\n  prints: {is}\n\
             hint: `cargo xtask transcript` writes it anew",
            line + 1
        ),
        None => bail!(
            "docs/walkthrough.md ends otherwise than what a run prints\nhint: `cargo xtask transcript` writes it anew"
        ),
    }
}

fn committed() -> PathBuf {
    host::root().join("docs/walkthrough.md")
}

const DECLARATION: &str = r#"[target.echo-platform]
repository = "HOST/bookadmusic/echo-platform"
tags       = ["20240716"]
image      = "HOST/bookadmusic/echo-platform-{arch}:20240716"
platforms  = ["linux/amd64", "linux/arm64"]
build.context = "."
smoke      = { expect = "{machine}" }
"#;

fn transcript() -> Result<String> {
    let project = Project::new()?;
    let mut filters = Filters::new(&project.host);
    let mut out = String::from(
        "# The walkthrough, by hand and with `manifests`\n\n\
         One image name for several platforms, step by step. What follows was printed by a run; `cargo xtask transcript`\n\
         makes it anew, `cargo xtask ci` checks that it is current. Ports, digests, sizes and times are made the same.\n\n\
         The project is `examples/echo-platform`: an image that prints the machine it was\n\
         built for. Its `manifests.toml`, for a registry on this machine:\n\n",
    );
    let _ = write!(out, "```toml\n{}```\n", DECLARATION.replace("HOST", filters::HOST));
    let result = STEPS.iter().try_for_each(|step| {
        let _ = write!(out, "\n## {}\n\nBy hand: `{}`\n\n{}\n", step.title, step.by_hand, step.text);
        for command in step.commands {
            let printed = filters.stable(&project.run(command)?);
            let _ = write!(out, "\n```console\n$ {}\n{printed}```\n", command.shown());
        }
        anyhow::Ok(())
    });
    project.clean();
    result.map(|()| out)
}

/// The example in a folder that goes, and a registry.
struct Project {
    folder: tempfile::TempDir,
    docker: PathBuf,
    program: PathBuf,
    registry: duct::ReaderHandle,
    host: String,
}

impl Project {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let source = host::root().join("examples/echo-platform");
        fs::create_dir(folder.path().join("bin"))?;
        for file in ["Dockerfile", "bin/linux-amd64", "bin/linux-arm64"] {
            fs::copy(source.join(file), folder.path().join(file))?;
        }
        // The commands are the library's: this very program has them.
        let program = std::env::current_exe()?;
        let root = folder.path().join("registry");
        let serve = cmd!(&program, "registry", "serve", "--quiet", "--listen", "127.0.0.1:0", "--root", root);
        let registry = serve.unchecked().reader().context("cannot start the registry")?;
        let mut host = String::new();
        BufReader::new(&registry).read_line(&mut host)?;
        let host = host.trim().to_owned();
        fs::write(folder.path().join("manifests.toml"), DECLARATION.replace("HOST", &host))?;
        let docker = host::find_program("docker").context("no docker on PATH")?;
        Ok(Self { folder, docker, program, registry, host })
    }

    /// What the command printed.
    fn run(&self, command: &Command) -> Result<String> {
        let line = command.line.replace("HOST", &self.host);
        let mut words = line.split_whitespace();
        let program = match words.next() {
            Some("docker") => self.docker.clone(),
            Some("manifests") => self.program.clone(),
            Some(other) => host::find_program(other).with_context(|| format!("no {other} on PATH"))?,
            None => bail!("a step without a command"),
        };
        let run = cmd(program, words).dir(self.folder.path()).stdin_null().env("NO_COLOR", "1");
        let ended = run.stdout_capture().stderr_capture().unchecked().run()?;
        let (stdout, stderr) =
            (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        let code = ended.status.code();
        if code != Some(command.code) {
            bail!("`{line}` ended with {code:?}, not {}:\n{stdout}{stderr}", command.code);
        }
        let mut printed = match command.shows {
            Shown::All => stdout.into_owned(),
            Shown::Lines(what) => {
                stdout.lines().filter(|line| line.contains(what)).map(|line| format!("{line}\n")).collect()
            }
        };
        if command.code != 0 {
            // Tries that are repeated and progress come before.
            let error = stderr.find("error:").map_or("", |at| &stderr[at..]);
            let _ = writeln!(printed, "{}\nexit code {}", error.trim_end(), command.code);
        }
        Ok(printed)
    }

    /// Ends the registry and takes the images out of the engine.
    fn clean(&self) {
        for name in ["echo-platform", "echo-platform-amd64", "echo-platform-arm64"] {
            let repository = format!("{}/bookadmusic/{name}", self.host);
            self.remove(&format!("{repository}:20240716"));
            // A pulled image is known by a digest of its repository too.
            let format = "{{.Repository}}@{{.Digest}}";
            let list = cmd!(&self.docker, "image", "ls", "--digests", "--format", format, repository);
            let listed = list.stderr_null().unchecked().read().unwrap_or_default();
            listed.lines().filter(|line| line.contains("@sha256:")).for_each(|image| self.remove(image));
        }
        if let Err(error) = self.registry.kill() {
            eprintln!("warning: the registry was not ended: {error}");
        }
    }

    /// Removes one name of an image. What was never built or pulled is not there, and that is as well.
    fn remove(&self, image: &str) {
        let remove = cmd!(&self.docker, "image", "rm", "--force", image);
        let _ = remove.stdout_null().stderr_null().unchecked().run();
    }
}
