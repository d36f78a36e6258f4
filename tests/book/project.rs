//! The project of a page: the example's programs, a Cargo package, and registries under the names that the page uses.

use std::path::Path;
use std::process::{Command as Process, Stdio};

use manifests::embedded::{Options, Server};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::page::{Block, Command};
use crate::shown;
use crate::support::{Workspace, docker};

/// Names of registries in pages, and which of ours each is.
const NAMES: [(&str, usize); 4] =
    [("ghcr.io", 0), ("127.0.0.1:5000", 0), ("localhost:5000", 0), ("quay.io", 1)];

const CARGO: &str = "[package]\nname = \"app\"\nversion = \"1.2.3\"\nedition = \"2024\"\n";

pub(crate) struct Project {
    workspace: Workspace,
    names: Vec<(String, String)>,
    declarations: usize,
    _registries: [(Server, TempDir); 2],
    _runtime: Runtime,
}

impl Project {
    /// A project for a page with this text.
    pub(crate) fn new(text: &str) -> Self {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/echo-platform");
        let dockerfile = std::fs::read_to_string(example.join("Dockerfile")).unwrap();
        let workspace = Workspace::new(&[
            ("Dockerfile", &dockerfile),
            ("Cargo.toml", CARGO),
            ("src/main.rs", "fn main() {}\n"),
        ]);
        std::fs::create_dir(workspace.path().join("bin")).unwrap();
        for program in ["linux-amd64", "linux-arm64"] {
            std::fs::copy(example.join("bin").join(program), workspace.path().join("bin").join(program))
                .unwrap();
        }
        let runtime = Runtime::new().unwrap();
        let registries = std::array::from_fn(|_| {
            let root = tempfile::tempdir().unwrap();
            let options = Options { listen: "127.0.0.1:0".parse().unwrap(), ..Options::new(root.path()) };
            (runtime.block_on(Server::start(options)).unwrap(), root)
        });
        let named = NAMES.iter().filter(|(name, _)| text.contains(name));
        let names = named.map(|(name, which): &(&str, usize)| {
            let (server, _): &(Server, TempDir) = &registries[*which];
            let address = server.addr().to_string();
            let ours = if name.starts_with("localhost") {
                address.replace("127.0.0.1", "localhost")
            } else {
                address
            };
            ((*name).to_owned(), ours)
        });
        let names = names.collect();
        let project = Self { workspace, names, declarations: 0, _registries: registries, _runtime: runtime };
        project.commit();
        project
    }

    /// Does what a block asks for.
    pub(crate) fn follow(&mut self, block: &Block) -> Result<(), String> {
        match block {
            Block::File { path, text } => {
                self.workspace.write(path, &self.here(text));
                self.commit();
                Ok(())
            }
            Block::Made { by, text } => {
                self.run(&Command { line: by.clone(), prints: String::new() })?;
                let made = self.as_shown(&self.workspace.read("manifests.toml"));
                if made == *text {
                    Ok(())
                } else {
                    Err(format!("`{by}` does not make what is shown, but\n{made}"))
                }
            }
            Block::Declaration { text, needs } => self.check(text, needs),
            Block::Console(commands) => commands.iter().try_for_each(|command| self.run(command)),
            Block::Text | Block::Data { .. } => Ok(()),
        }
    }

    /// Runs `check` on a declaration, beside the page's own.
    fn check(&mut self, text: &str, needs: &[String]) -> Result<(), String> {
        self.declarations += 1;
        let file = format!("declaration-{}.toml", self.declarations);
        self.workspace.write(&file, &self.here(text));
        for path in needs {
            self.workspace.write(path, "FROM scratch\n");
        }
        let checked = self.workspace.manifests(&["check", "--config", &file]).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        std::fs::remove_file(self.workspace.path().join(&file)).unwrap();
        if checked.status.success() { Ok(()) } else { Err(format!("`check` refuses\n{text}\n{said}")) }
    }

    fn run(&self, command: &Command) -> Result<(), String> {
        let line = self.here(command.line.split(" #").next().unwrap_or_default());
        let words = shown::words(&line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut process = match words.as_slice() {
            ["manifests", rest @ ..] | ["cargo", "xtask", rest @ ..] => self.workspace.command(rest),
            ["git", rest @ ..] => {
                self.workspace.git(rest);
                return Ok(());
            }
            ["docker", rest @ ..] => {
                let mut process = Process::new(docker());
                process.args(rest).current_dir(self.workspace.path()).env("DOCKER_BUILDKIT", "1");
                process.env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1");
                process
            }
            _ => return Err(format!("nobody runs `{line}` here: say why, with `<!-- not run: … -->`")),
        };
        let ended = process.stdin(Stdio::null()).output().map_err(|error| format!("`{line}`: {error}"))?;
        let (stdout, stderr) =
            (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        let mut printed = self.as_shown(&stdout);
        if !ended.status.success() {
            let error = stderr.find("error:").map_or("", |at| &stderr[at..]);
            let code = ended.status.code().unwrap_or_default();
            printed.push_str(&format!("{}\nexit code {code}\n", self.as_shown(error).trim_end()));
        }
        // What `init` wrote names registries as the page does.
        let file = self.workspace.path().join("manifests.toml");
        if let Ok(text) = std::fs::read_to_string(&file) {
            std::fs::write(&file, self.here(&text)).unwrap();
        }
        let silent = command.prints.is_empty() && ended.status.success();
        if silent || shown::fits(&command.prints, &printed) {
            return Ok(());
        }
        Err(format!("`{}` does not print what is shown:\n{printed}---\n{stderr}", command.line))
    }

    fn commit(&self) {
        self.workspace.git(&["add", "."]);
        self.workspace.git(&["commit", "--quiet", "--allow-empty", "--message=What the page shows"]);
    }

    /// A page's text with the registries of this test.
    fn here(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, ours)| text.replace(name, ours))
    }

    /// What was printed, as a page shows it.
    fn as_shown(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, ours)| text.replace(ours, name))
    }
}

impl Drop for Project {
    /// Takes the images out of the engine again, those of rehearsals too.
    fn drop(&mut self) {
        let mut hosts: Vec<String> = self.names.iter().map(|(_, ours)| ours.clone()).collect();
        let port = self.workspace.path().join("target/manifests/rehearsal/port");
        hosts.extend(std::fs::read_to_string(port).map(|port| format!("127.0.0.1:{}", port.trim())));
        let list = ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"];
        let Ok(listed) = Process::new(docker()).args(list).output() else { return };
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let ours =
            listed.lines().filter(|image| hosts.iter().any(|host| image.starts_with(&format!("{host}/"))));
        for image in ours {
            // One that is gone already is as well.
            let _ = Process::new(docker()).args(["image", "rm", "--force", image]).output();
        }
    }
}
