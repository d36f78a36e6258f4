//! The terminal pictures of the documentation are what the commands show on a real terminal.
//!
//! `cargo xtask screens` has them written anew: it runs these tests with `SNAPSHOTS=overwrite`.

// The transcript of the walkthrough makes the same things the same.
#[path = "../../src/transcript/filters.rs"]
#[allow(dead_code, reason = "the transcript uses the rest")]
mod filters;

#[path = "../../../tests/support/engine.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests of the library use the rest")]
mod engine;
mod picture;
mod terminal;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use regex::Regex;

use engine::{ImageGuard, docker};
use filters::Filters;

const HINT: &str = "hint: `cargo xtask ci` installs and prepares what the tests need";

#[test]
fn check_with_errors() {
    let project = Project::new(
        r#"[target.echo-platform]
repository = "docker.io/bookadmusic/echo-platform"
tags = ["20240716", "latest!"]
image = "docker.io/bookadmusic/echo-platform-{arhc}:20240716"
platforms = ["linux/amd64", "linux/arm46"]
"#,
    );
    project.picture("check", "check", 2);
}

#[test]
fn release_running_and_done() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let declaration = fs::read_to_string(root.join("manifests.toml")).expect("the repository's declaration");
    let project = Project::new(&declaration);
    let line = "release --rehearse";
    let written = project.record(line, 0);
    let host = Regex::new(r"embedded registry at (\S+:\d+)").expect("an expression");
    let host = &host.captures(&written).expect("the registry's address")[1];
    let image = |arch| format!("{host}/docker.io/bookadmusic/echo-platform-{arch}:20240716");
    let mut images = ImageGuard::new(image("amd64"));
    images.add(image("arm64"));

    let written = stable(&written, host);
    let shows_both = |screen: &String| screen.matches("  1s  building").count() == 2;
    let running: Vec<_> = terminal::frames(&written).filter(shows_both).collect();
    let tells_more = running.iter().find(|screen| screen.matches("building: ").count() == 2);
    let running = tells_more.or(running.last()).expect("a moment at which both images are built");
    picture::keep("release-running", running);
    picture::keep("release", &terminal::screen(&written));
}

#[test]
fn doctor_plan_and_inspect() {
    let registry = Registry::start();
    let host = &registry.host;
    let declaration = format!(
        r#"[target.echo-platform]
repository = "{host}/bookadmusic/echo-platform"
tags = ["1.0", "latest"]
platforms = ["linux/amd64", "linux/arm64", "linux/riscv64"]
build.context = "examples/echo-platform"
"#
    );
    let project = Project::new(&declaration);
    let image = |platform| format!("{host}/bookadmusic/echo-platform:1.0-{platform}");
    let mut images = ImageGuard::new(image("linux-amd64"));
    images.add(image("linux-arm64"));
    images.add(image("linux-riscv64"));
    project.record("release", 0);
    project.picture_at("doctor", "doctor", host);
    project.picture_at("inspect", &format!("inspect {host}/bookadmusic/echo-platform:1.0"), host);

    // Another version, with a platform less, a platform more, and a program that is not what it was.
    let changed = declaration.replace("1.0", "1.1").replace("riscv64", "arm/v7");
    project.write("manifests.toml", changed.as_bytes());
    let program = "examples/echo-platform/bin/linux-arm64";
    let mut contents = fs::read(project.folder.path().join(program)).expect("the example's program");
    contents.push(0);
    project.write(program, &contents);
    project.picture_at("plan", "plan", host);
}

/// The example in a folder that goes.
struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    fn new(declaration: &str) -> Self {
        let project = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/echo-platform");
        for file in
            ["Dockerfile", "bin/linux-amd64", "bin/linux-arm64", "bin/linux-armv7", "bin/linux-riscv64"]
        {
            let copy = project.folder.path().join("examples/echo-platform").join(file);
            fs::create_dir_all(copy.parent().expect("a path below the folder")).expect("a folder");
            // With its permissions: the programs are run.
            fs::copy(example.join(file), copy).expect("a file of the example");
        }
        project.write("manifests.toml", declaration.as_bytes());
        project
    }

    fn write(&self, path: &str, contents: &[u8]) {
        fs::write(self.folder.path().join(path), contents).expect("a file is written");
    }

    /// What the command wrote to its terminal, below the line that started it.
    fn record(&self, line: &str, code: i32) -> String {
        let written = terminal::record(&program(), line, self.folder.path(), docker(), code);
        format!("\u{1b}[2m$\u{1b}[0m \u{1b}[1mcargo xtask {line}\u{1b}[0m\r\n{written}")
    }

    fn picture(&self, name: &str, line: &str, code: i32) {
        picture::keep(name, &terminal::screen(&self.record(line, code)));
    }

    fn picture_at(&self, name: &str, line: &str, host: &str) {
        picture::keep(name, &terminal::screen(&stable(&self.record(line, 0), host)));
    }
}

/// The embedded registry by itself.
struct Registry {
    process: Child,
    host: String,
    _folder: tempfile::TempDir,
}

impl Registry {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(program());
        command.args(["registry", "serve", "--quiet", "--listen", "127.0.0.1:0", "--root"]);
        let mut process =
            command.arg(folder.path()).stdout(Stdio::piped()).spawn().expect("the registry starts");
        let mut host = String::new();
        let stdout = process.stdout.take().expect("the registry's stdout");
        BufReader::new(stdout).read_line(&mut host).expect("the registry's address");
        Self { process, host: host.trim().to_owned(), _folder: folder }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // One that cannot be killed has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_xtask").into()
}

/// Digests, the registry's port and times made the same; a slow machine takes longer, and shows no other picture.
fn stable(written: &str, host: &str) -> String {
    let written = Filters::new(host).names(written).replace(filters::HOST, "127.0.0.1:50000");
    let all = |written: String, of: &str, with: &str| {
        Regex::new(of).expect("an expression").replace_all(&written, with).into_owned()
    };
    let written = all(written, r"\((\d\.\ds|\d+s|\d+m\d\ds)\)", "(1.0s)");
    let written = all(written, r"[⠁-⣿] (\S+) +\d+s", "⠹ ${1}    1s");
    all(written, r"done, \d+s", "done, 1s")
}
