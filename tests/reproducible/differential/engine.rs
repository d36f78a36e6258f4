//! What an engine makes of a world.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use manifests::model::digest::Digest;

use super::world::World;
use crate::support::docker;

/// The files of one stage: their state by their path, without times and owners.
pub(super) type Arrived = BTreeMap<String, String>;

/// An engine's client.
pub(super) struct Client {
    program: PathBuf,
    /// Whether its engine knows here-documents without another frontend (BuildKit from 0.10).
    pub(super) here_documents: bool,
    /// Whether a mount's type may be a variable (BuildKit from 0.10).
    pub(super) variable_mounts: bool,
}

impl Client {
    pub(super) fn find() -> Self {
        let named = std::env::var_os("MANIFESTS_ENGINE").map(PathBuf::from);
        let program = named.unwrap_or_else(|| docker().to_owned());
        let mut client = Self { program, here_documents: false, variable_mounts: false };
        client.here_documents = client.knows("FROM scratch\nCOPY <<E /a\nx\nE\n");
        client.variable_mounts =
            client.knows("FROM scratch AS a\nARG T=bind\nRUN --mount=type=$T,target=/m x\nFROM scratch\nCOPY Dockerfile /\n");
        client
    }

    fn knows(&self, dockerfile: &str) -> bool {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Dockerfile"), dockerfile).unwrap();
        self.run(&[folder.path().as_os_str().to_owned()], &BTreeMap::new()).status.success()
    }

    fn run(&self, arguments: &[OsString], environment: &BTreeMap<OsString, OsString>) -> Output {
        self.command(environment)
            .args(["build", "--progress", "plain", "--output", "type=tar,dest=-"])
            .args(arguments)
            .output()
            .unwrap()
    }

    fn command(&self, environment: &BTreeMap<OsString, OsString>) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().envs(environment);
        for name in ["PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG"] {
            if let Some(value) =
                std::env::var_os(name).filter(|_| !environment.contains_key(&OsString::from(name)))
            {
                command.env(name, value);
            }
        }
        command.env("DOCKER_BUILDKIT", "1").env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1").stdin(Stdio::null());
        command
    }

    /// The variables in the configuration of those of `stages` that set any with ENV, which their files do not show.
    pub(super) fn variables(&self, world: &World, stages: &[usize]) -> BTreeMap<usize, String> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let environment = world.environment();
        let said = |arguments: &[&str]| {
            let output = self.command(&environment).args(arguments).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{arguments:?}: {stderr}");
            String::from_utf8(output.stdout).unwrap()
        };
        let of = |stage: &usize| {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let tag = format!("manifests-differential-{}-{number}", std::process::id());
            let (file, target) = (world.file(), format!("s{stage}"));
            let context = world.context();
            let arguments = world.arguments();
            let build = ["build", "--quiet", "--tag", &tag, "--target", &target, "--file"];
            let mut all: Vec<&str> = build.into_iter().chain([file.to_str().unwrap()]).collect();
            all.extend(arguments.iter().map(String::as_str).chain([context.to_str().unwrap()]));
            said(&all);
            let variables = said(&["image", "inspect", "--format", "{{json .Config.Env}}", &tag]);
            said(&["image", "rm", &tag]);
            (*stage, variables)
        };
        stages.iter().filter(|stage| world.sets_variables(**stage)).map(of).collect()
    }

    /// What `stages` give; those that fail are missing.
    pub(super) fn build(&self, world: &World, stages: &[usize]) -> Built {
        let mut left = stages.to_vec();
        loop {
            let file = world.with_all(&left);
            let mut arguments: Vec<OsString> = vec!["--file".into(), file.into()];
            arguments.extend(world.arguments().iter().map(OsString::from));
            arguments.push(world.context().into());
            let output = self.run(&arguments, &world.environment());
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() {
                return Built { arrived: arrived(&output.stdout, &left), ran: ran(&stderr), is_told: true };
            }
            let failed = failed(&stderr);
            let before = left.len();
            left.retain(|stage| !failed.contains(stage));
            // Where the engine does not say which stage failed, none is compared.
            if left.is_empty() && !failed.is_empty() {
                return Built { is_told: true, ..Built::default() };
            }
            if left.len() == before {
                let last = stderr.trim_end().lines().next_back().unwrap_or_default();
                let _ = writeln!(std::io::stderr(), "the engine built nothing of a world: {last}");
                return Built::default();
            }
        }
    }
}

/// What a build gave.
#[derive(Default)]
pub(super) struct Built {
    /// By the number of the stage.
    pub(super) arrived: BTreeMap<usize, Arrived>,
    /// The stages with a step that did not come from the cache.
    pub(super) ran: BTreeSet<usize>,
    /// Whether the engine said of each stage what it gives, if only that it fails. Older clients do not get through some
    /// ignore files at all.
    pub(super) is_told: bool,
}

/// The stages that a build's output tells as failed, itself, by what they begin with, or by what was to be taken from
/// them: ` > [s3 1/2] COPY …`, ` > [all 4/9] COPY --from=s3 /out /s3/:`.
fn failed(stderr: &str) -> Vec<usize> {
    let steps = stderr.lines().filter_map(|line| line.trim_start().strip_prefix("> ["));
    let of = |step: &str| {
        let from = step.split_once("--from=").filter(|_| step.starts_with("all "));
        stage_of(from.map_or(step, |(_, from)| from))
    };
    steps.filter_map(of).collect()
}

/// The number in `s3 …` or `p3 …`.
fn stage_of(text: &str) -> Option<usize> {
    let name = text.trim_start_matches("stage-").split([' ', ']']).next()?;
    name.strip_prefix(['s', 'p'])?.parse().ok()
}

/// The stages with a step that is not told as cached: `#7 [s3 1/2] COPY …`, `#7 CACHED`.
fn ran(stderr: &str) -> BTreeSet<usize> {
    let lines = || stderr.lines().filter_map(|line| line.strip_prefix('#')?.split_once(' '));
    let cached: BTreeSet<&str> =
        lines().filter(|(_, text)| *text == "CACHED").map(|(number, _)| number).collect();
    let steps = lines().filter(|(number, _)| !cached.contains(number));
    steps.filter_map(|(_, text)| stage_of(text.strip_prefix('[')?)).collect()
}

fn arrived(tar: &[u8], stages: &[usize]) -> BTreeMap<usize, Arrived> {
    let mut all: BTreeMap<usize, Arrived> = stages.iter().map(|stage| (*stage, Arrived::new())).collect();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes()).trim_matches('/').to_owned();
        let Some((top, path)) = path.split_once('/') else { continue };
        let Some(stage) = top.strip_prefix('s').and_then(|number| number.parse::<usize>().ok()) else {
            continue;
        };
        let mode = entry.header().mode().unwrap() & 0o7777;
        let kind = entry.header().entry_type();
        let link = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned());
        let mut attributes = Vec::new();
        if let Some(extensions) = entry.pax_extensions().unwrap() {
            for extension in extensions.flatten() {
                let name = extension.key().unwrap_or_default();
                if name.starts_with("SCHILY.xattr.") {
                    attributes.push((name.to_owned(), extension.value_bytes().to_vec()));
                }
            }
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let digest = Digest::of(&content);
        let state = format!("{kind:?} {mode:o} {link:?} {attributes:?} {digest}");
        // A hard link is told by the first of its names.
        let state = if kind == tar::EntryType::Link { "the same as another".to_owned() } else { state };
        all.entry(stage).or_default().insert(path.to_owned(), state);
    }
    all
}
