//! A rehearsed release beside the walkthrough's commands by hand: the same two images, built, run, pushed to a registry
//! of the same kind, and listed.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use duct::cmd;
use serde::Serialize;

use crate::fixture::{Fixture, platforms};
use crate::measure::{Sample, run};
use crate::peers::on_path;

/// The platforms of the walkthrough.
const ARCHES: [&str; 2] = ["amd64", "arm64"];

/// One line of the result, in seconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) work: &'static str,
    pub(crate) by_hand: f64,
    pub(crate) rehearsed: f64,
}

/// The fastest of so many runs each.
pub(crate) fn measure(binary: &Path, times: u32) -> Result<Vec<Row>> {
    let bench = Bench::new(binary)?;
    let mut changed = [Duration::MAX; 2];
    let mut unchanged = [Duration::MAX; 2];
    let measured = (0..times).try_for_each(|round| {
        // New content in each round, so that neither side finds the other's layers in the build cache.
        bench.change(&format!("by hand {round}"))?;
        changed[0] = changed[0].min(timed(|| bench.by_hand())?);
        unchanged[0] = unchanged[0].min(timed(|| bench.by_hand())?);
        bench.change(&format!("rehearsed {round}"))?;
        changed[1] = changed[1].min(timed(|| bench.rehearse())?);
        unchanged[1] = unchanged[1].min(timed(|| bench.rehearse())?);
        anyhow::Ok(())
    });
    bench.clean();
    measured?;
    let row = |work, [by_hand, rehearsed]: [Duration; 2]| Row {
        work,
        by_hand: by_hand.as_secs_f64(),
        rehearsed: rehearsed.as_secs_f64(),
    };
    Ok(vec![row("changed", changed), row("unchanged", unchanged)])
}

/// A release of eight platforms after one in which all of them were built, with the registry `round_trip` milliseconds
/// away.
pub(crate) fn unchanged(
    runtime: &tokio::runtime::Runtime,
    binary: &Path,
    times: u32,
    round_trip: u64,
) -> Result<Sample> {
    let fixture = runtime.block_on(Fixture::in_memory(Duration::from_millis(round_trip)))?;
    let workspace = fixture.workspace("release")?;
    let platforms = platforms(8);
    let names: Vec<String> = platforms.iter().map(|platform| format!("\"{platform}\"")).collect();
    let host = fixture.host();
    let declaration = format!(
        "[target.app]\nrepository = \"{host}/app\"\ntags = [\"1\"]\nplatforms = [{}]\nbuild.context = \".\"\n",
        names.join(", ")
    );
    fs::write(workspace.join("manifests.toml"), declaration)?;
    fs::write(workspace.join("Dockerfile"), "FROM scratch\nCOPY content /\n")?;
    fs::write(workspace.join("content"), &host)?;
    let release = || {
        let mut command = Command::new(binary);
        command.args(["release", "--quiet"]).current_dir(&workspace);
        command.env("XDG_CACHE_HOME", workspace.join("cache"));
        command
    };
    let measured = run(release()).and_then(|_| {
        let mut best = None;
        for _ in 0..times {
            best = Some(crate::measure::measure(&fixture, vec![release()])?.better(best));
        }
        best.context("measured nothing")
    });
    let docker = docker()?;
    for platform in &platforms {
        let image = format!("{host}/app:1-{}", platform.dashed());
        // What was never built is not there, and that is as well.
        let _ = quietly(cmd!(&docker, "image", "rm", "--force", &image), "docker image rm");
    }
    measured
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed())
}

/// A copy of the example in a folder that goes, and a registry for what is done by hand.
struct Bench {
    folder: tempfile::TempDir,
    docker: PathBuf,
    binary: PathBuf,
    registry: duct::ReaderHandle,
    host: String,
}

impl Bench {
    fn new(binary: &Path) -> Result<Self> {
        let binary = binary.to_owned();
        let folder = tempfile::tempdir()?;
        let example = folder.path().join("examples/echo-platform");
        fs::create_dir_all(example.join("bin"))?;
        let source = crate::root().join("examples/echo-platform");
        let dockerfile = fs::read_to_string(source.join("Dockerfile"))?;
        fs::write(example.join("Dockerfile"), format!("{dockerfile}COPY content /content\n"))?;
        for arch in ARCHES {
            let program = format!("bin/linux-{arch}");
            fs::copy(source.join(&program), example.join(&program))?;
        }
        fs::copy(crate::root().join("manifests.toml"), folder.path().join("manifests.toml"))?;
        let root = folder.path().join("registry");
        let serve = cmd!(&binary, "registry", "serve", "--quiet", "--listen", "127.0.0.1:0", "--root", root);
        let registry = serve.unchecked().reader().context("cannot start the registry")?;
        let mut host = String::new();
        BufReader::new(&registry).read_line(&mut host)?;
        Ok(Self { docker: docker()?, folder, binary, registry, host: host.trim().to_owned() })
    }

    fn example(&self) -> PathBuf {
        self.folder.path().join("examples/echo-platform")
    }

    fn change(&self, content: &str) -> Result<()> {
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
        Ok(fs::write(self.example().join("content"), format!("{content} {nanos}\n"))?)
    }

    fn manifests(&self, args: &[&str]) -> Result<()> {
        quietly(cmd(&self.binary, args).dir(self.folder.path()), "manifests")
    }

    fn rehearse(&self) -> Result<()> {
        self.manifests(&["release", "--rehearse"])
    }

    /// The walkthrough, command by command.
    fn by_hand(&self) -> Result<()> {
        let list = format!("{}/bookadmusic/echo-platform:20240716", self.host);
        let images = ARCHES.map(|arch| format!("{}/bookadmusic/echo-platform-{arch}:20240716", self.host));
        for (arch, image) in ARCHES.iter().zip(&images) {
            let platform = format!("--platform=linux/{arch}");
            let context = self.example();
            self.docker(&["build", &platform, "-t", image, &context.to_string_lossy()])?;
            self.docker(&["run", &platform, "--rm", image])?;
            self.docker(&["push", image])?;
        }
        let amend: Vec<&str> = ["manifest", "create", "--insecure", &list]
            .into_iter()
            .chain(images.iter().map(String::as_str))
            .collect();
        self.docker(&amend)?;
        // Without `--purge` the next run would find the local list and refuse.
        self.docker(&["manifest", "push", "--insecure", "--purge", &list])
    }

    fn docker(&self, args: &[&str]) -> Result<()> {
        quietly(cmd(&self.docker, args).env("DOCKER_BUILDKIT", "1"), &format!("docker {}", args[0]))
    }

    /// Ends the registry and takes the images out of the engine.
    fn clean(&self) {
        let port = fs::read_to_string(self.folder.path().join("target/manifests/rehearsal/port"))
            .unwrap_or_default();
        let rehearsed = format!("127.0.0.1:{}/docker.io", port.trim());
        for host in [&self.host, &rehearsed] {
            for arch in ARCHES {
                let image = format!("{host}/bookadmusic/echo-platform-{arch}:20240716");
                // What was never built is not there, and that is as well.
                let _ = self.docker(&["image", "rm", "--force", &image]);
            }
        }
        if let Err(error) = self.registry.kill() {
            eprintln!("warning: the registry was not ended: {error}");
        }
    }
}

/// The first docker on PATH that builds with BuildKit.
fn docker() -> Result<PathBuf> {
    let found = on_path("docker").into_iter().find(|program| builds(program));
    found.context("no docker on PATH builds with BuildKit")
}

fn builds(program: &Path) -> bool {
    let help = cmd!(program, "build", "--help").env("DOCKER_BUILDKIT", "1");
    help.stdout_null().stderr_null().unchecked().run().is_ok_and(|ended| ended.status.success())
}

fn quietly(command: duct::Expression, shown: &str) -> Result<()> {
    let ended = command.stdin_null().stdout_null().stderr_capture().unchecked().run()?;
    if !ended.status.success() {
        bail!("`{shown}` failed: {}\n{}", ended.status, String::from_utf8_lossy(&ended.stderr));
    }
    Ok(())
}
