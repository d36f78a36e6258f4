//! A folder of `examples/`, copied into a repository of its own, and what its commands publish.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

use manifests::embedded::{Options, Server};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::{DebianRegistry, ImageGuard, Workspace, busybox_base};

/// What the examples build on.
const BASE: &str = "docker.io/library/busybox:1.37";

/// Where `examples/` is.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The commands that the comments of a declaration show.
pub(crate) fn shown(declaration: &str) -> Vec<&str> {
    declaration.lines().filter_map(|line| line.strip_prefix("# $ ")).collect()
}

/// A copy of one example.
pub(crate) struct Example {
    pub(crate) workspace: Workspace,
    images: ImageGuard,
    engine: Option<&'static str>,
}

impl Example {
    /// Where the second part of a pair stands in for the first.
    pub(crate) fn copy(name: &str, replaced: &[(&str, &str)]) -> Self {
        let mut files = Vec::new();
        let folder = folder().join(name);
        read_all(&folder, &folder, &mut files);
        for (from, to) in replaced {
            let found = files.iter().filter(|(_, text)| text.contains(from)).count();
            assert!(found > 0, "{name} does not mention {from}");
            files.iter_mut().for_each(|(_, text)| *text = text.replace(from, to));
        }
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        Self { workspace: Workspace::new(&files), images: ImageGuard::default(), engine: None }
    }

    /// On a machine that has no container engine.
    pub(crate) fn without_engine(mut self) -> Self {
        self.engine = Some("/nowhere/docker");
        self
    }

    /// Runs a command that the declaration's comments show; it has to succeed.
    pub(crate) fn run(&mut self, command: &str) -> Ran {
        let declaration = self.workspace.read("manifests.toml");
        assert!(shown(&declaration).contains(&command), "the comments do not show `{command}`");
        let output = self.start(command);
        assert!(output.status.success(), "`{command}`: {}", String::from_utf8_lossy(&output.stderr));
        Ran { values: values(&output) }
    }

    /// Runs any command, and returns its exit code and what it says on stderr.
    pub(crate) fn fails(&mut self, command: &str) -> (Option<i32>, String) {
        let output = self.start(command);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn start(&mut self, command: &str) -> Output {
        let mut arguments: Vec<&str> = command.split(' ').skip(1).collect();
        arguments.extend(["--format", "json"]);
        let mut command = self.workspace.command(&arguments);
        command.envs(self.engine.map(|engine| ("MANIFESTS_ENGINE", engine)));
        let output = command.output().unwrap();
        for value in values(&output) {
            let images = value["images"].as_array().into_iter().flatten().chain([&value]);
            images.filter_map(|image| image["reference"].as_str()).for_each(|name| self.images.add(name));
        }
        output
    }

    /// What a reference serves: the list, its entries and their images.
    pub(crate) fn inspect(&self, reference: &str) -> Value {
        self.ask(&["inspect", "--verbose", reference])
    }

    /// The tags of a repository, sorted.
    pub(crate) fn tags(&self, repository: &str) -> Vec<String> {
        let mut tags = strings(self.ask(&["tags", repository])["tags"].as_array().unwrap().iter());
        tags.sort();
        tags
    }

    fn ask(&self, arguments: &[&str]) -> Value {
        let output = self.workspace.command(&[arguments, &["--format", "json"]].concat()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The registry that a rehearsal published to. The next rehearsal needs it to be gone.
    pub(crate) fn rehearsed(&self) -> Rehearsed<'_> {
        let runtime = Runtime::new().unwrap();
        let options = Options::new(self.workspace.path().join("target/manifests/rehearsal/registry"));
        let server = runtime.block_on(Server::start(options)).unwrap();
        Rehearsed { example: self, server, _runtime: runtime }
    }
}

/// A rehearsal's registry, by the names that the declaration has.
pub(crate) struct Rehearsed<'a> {
    example: &'a Example,
    server: Server,
    _runtime: Runtime,
}

impl Rehearsed<'_> {
    pub(crate) fn inspect(&self, reference: &str) -> Value {
        self.example.inspect(&format!("{}/{reference}", self.server.addr()))
    }

    pub(crate) fn tags(&self, repository: &str) -> Vec<String> {
        self.example.tags(&format!("{}/{repository}", self.server.addr()))
    }
}

/// What a command wrote.
pub(crate) struct Ran {
    values: Vec<Value>,
}

impl Ran {
    /// The last value, which says what it came to.
    pub(crate) fn result(&self) -> &Value {
        self.values.last().unwrap()
    }

    /// The images that went through a stage, as `TARGET PLATFORM`.
    pub(crate) fn went_through(&self, stage: &str) -> BTreeSet<String> {
        let finished =
            self.values.iter().filter(|value| value["event"] == "finished" && value["stage"] == stage);
        let name = |value: &Value| {
            format!("{} {}", value["target"].as_str().unwrap(), value["platform"].as_str().unwrap())
        };
        finished.map(name).collect()
    }
}

/// The platforms of a list's entries, in its order.
pub(crate) fn platforms(list: &Value) -> Vec<String> {
    strings(entries(list).iter().map(|entry| &entry["platform"]))
}

/// A list's entries.
pub(crate) fn entries(list: &Value) -> &[Value] {
    list["entries"].as_array().unwrap_or_else(|| panic!("no list: {list}"))
}

fn strings<'a>(values: impl Iterator<Item = &'a Value>) -> Vec<String> {
    values.map(|value| value.as_str().unwrap_or_else(|| panic!("no string: {value}")).to_owned()).collect()
}

/// A registry, and in it the base image of the examples.
pub(crate) struct Base {
    pub(crate) registry: DebianRegistry,
    reference: String,
}

impl Base {
    pub(crate) fn new(platforms: &[&str]) -> Self {
        let registry = DebianRegistry::start();
        let reference = busybox_base(&registry.host(), platforms);
        Self { registry, reference }
    }

    /// For [`Example::copy`].
    pub(crate) fn stands_in(&self) -> (&str, &str) {
        (BASE, &self.reference)
    }
}

/// One value a line, or one in all.
fn values(output: &Output) -> Vec<Value> {
    serde_json::Deserializer::from_slice(&output.stdout).into_iter().map_while(Result::ok).collect()
}

fn read_all(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    let found = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for file in found {
        let path = file.unwrap().path();
        if path.is_dir() {
            // What somebody built there does not belong to it.
            if !path.ends_with("target") {
                read_all(root, &path, files);
            }
            continue;
        }
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        files.push((name, std::fs::read_to_string(&path).unwrap()));
    }
}
