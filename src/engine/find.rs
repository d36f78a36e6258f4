//! Which CLI builds: the first on PATH that *can*, not the first on PATH.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;
use futures_util::future::join_all;
use serde_json::Value;

use super::{Builder, Engine, children};
use crate::error::Failure;

/// The CLI's that are looked for on PATH.
const NAMES: [&str; 1] = ["docker"];

/// What an engine is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `--engine` or `MANIFESTS_ENGINE`: this one or none.
    pub explicit: Option<&'a Path>,
}

/// A CLI that was looked at: what it is, and how it builds or what it lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it is.
    pub program: PathBuf,
    /// How it builds, or why it cannot.
    pub verdict: Result<Engine, Lack>,
}

/// What a CLI lacks, and how to get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// What was found.
    pub found: String,
    /// What to do.
    pub hint: String,
    /// Whether the CLI would build if only its daemon answered.
    pub daemon: bool,
}

/// What was asked of a CLI.
#[derive(Clone, Debug, Default)]
struct Probe {
    client: Option<String>,
    server: Option<String>,
    complaint: String,
    buildx: bool,
}

impl Engine {
    /// Finds the CLI to build with.
    ///
    /// # Errors
    ///
    /// When none can build: what each candidate lacks, and how to get it.
    pub async fn find(request: &Request<'_>) -> Result<Self> {
        let candidates = candidates(request).await?;
        if let Some(engine) = candidates.iter().find_map(|candidate| candidate.verdict.as_ref().ok()) {
            return Ok(engine.clone());
        }
        let lacks: Vec<(&Path, &Lack)> = candidates
            .iter()
            .filter_map(|candidate| candidate.verdict.as_ref().err().map(|lack| (candidate.program.as_path(), lack)))
            .collect();
        let list: Vec<String> =
            lacks.iter().map(|(program, lack)| format!("\n  {}: {}", program.display(), lack.found)).collect();
        let mut hints: Vec<&str> = lacks.iter().map(|(_, lack)| lack.hint.as_str()).collect();
        // With a daemon that is down nothing else is worth repairing first.
        if let Some((_, down)) = lacks.iter().find(|(_, lack)| lack.daemon) {
            hints = vec![&down.hint];
        }
        hints.dedup();
        Err(Failure::new(format!("no container engine here can build for other platforms:{}", list.concat()))
            .hint(hints.join("; or "))
            .into())
    }
}

/// Looks at every candidate.
///
/// # Errors
///
/// When there is none to look at.
pub async fn candidates(request: &Request<'_>) -> Result<Vec<Candidate>> {
    let programs = match request.explicit {
        Some(program) => vec![which::which(program).unwrap_or_else(|_| program.to_path_buf())],
        None => on_path(),
    };
    if programs.is_empty() {
        return Err(Failure::new("no container engine on PATH: there is no `docker`")
            .hint("install Docker (https://docs.docker.com/engine/install/), or name its CLI with `--engine PATH`")
            .into());
    }
    Ok(join_all(programs.into_iter().map(|program| async move {
        let probe = probe(&program).await;
        Candidate { verdict: decide(&program, &probe), program }
    }))
    .await)
}

/// The candidates in the order of PATH; names for one file once.
fn on_path() -> Vec<PathBuf> {
    let mut seen = Vec::new();
    let mut programs = Vec::new();
    for program in NAMES.iter().filter_map(|name| which::which_all(name).ok()).flatten() {
        let file = program.canonicalize().unwrap_or_else(|_| program.clone());
        if !seen.contains(&file) {
            seen.push(file);
            programs.push(program);
        }
    }
    programs
}

async fn probe(program: &Path) -> Probe {
    let ask = |arguments: &[&str]| children::capture(program, arguments.iter().map(OsString::from).collect());
    let (version, buildx) =
        futures_util::future::join(ask(&["version", "--format", "{{json .}}"]), ask(&["buildx", "version"])).await;
    let mut probe = Probe { buildx: buildx.is_ok_and(|answer| answer.success), ..Probe::default() };
    match version {
        Ok(answer) => {
            let json: Value = serde_json::from_str(answer.stdout.trim()).unwrap_or_default();
            let text = |path: &str| json.pointer(path).and_then(Value::as_str).map(str::to_owned);
            probe.client = text("/Client/Version");
            probe.server = text("/Server/Version");
            probe.complaint = answer.stderr.trim().to_owned();
        }
        Err(error) => probe.complaint = format!("{error:#}"),
    }
    probe
}

/// How a CLI builds, or what it lacks. Pure.
fn decide(program: &Path, probe: &Probe) -> Result<Engine, Lack> {
    let Some(client) = &probe.client else {
        return Err(Lack {
            found: format!("does not say its version: {}", probe.complaint),
            hint: "install Docker (https://docs.docker.com/engine/install/)".to_owned(),
            daemon: false,
        });
    };
    let Some(server) = &probe.server else {
        return Err(Lack {
            found: format!("version {client}, but its daemon does not answer: {}", probe.complaint),
            hint: "start the daemon (`systemctl start docker`, or Docker Desktop), and look whether you may use it: \
                   `docker version`"
                .to_owned(),
            daemon: true,
        });
    };
    let engine =
        |builder| Engine { program: program.to_owned(), builder, client: client.clone(), server: server.clone() };
    if probe.buildx {
        return Ok(engine(Builder::Buildx));
    }
    // From version 23 on the CLI leaves BuildKit to the plugin; without it, its builder knows no other platform.
    let major = client.split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(18..23) => Ok(engine(Builder::BuildKit)),
        _ => Err(Lack {
            found: format!("version {client} without the buildx plugin, which it needs to build for other platforms"),
            hint: "install the plugin (Debian and Ubuntu: the package docker-buildx-plugin or docker-buildx; \
                   https://github.com/docker/buildx#installing)"
                .to_owned(),
            daemon: false,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cli_builds_with_buildx_or_is_old_enough_to_do_it_itself() {
        let builder = |client: &str, server: &str, buildx: bool| {
            let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            let probe =
                Probe { client: filled(client), server: filled(server), complaint: "refused".to_owned(), buildx };
            decide(Path::new("docker"), &probe).map(|engine| engine.builder).map_err(|lack| lack.found)
        };
        assert_eq!(builder("28.2.2", "28.2.2", true), Ok(Builder::Buildx));
        assert_eq!(builder("20.10.24+dfsg1", "20.10.24", false), Ok(Builder::BuildKit));
        assert_eq!(builder("20.10.24", "20.10.24", true), Ok(Builder::Buildx));
        assert!(builder("28.2.2", "20.10.24", false).unwrap_err().contains("without the buildx plugin"));
        assert!(builder("17.12.1", "17.12", false).is_err(), "before BuildKit");
        assert!(builder("28.2.2", "", true).unwrap_err().ends_with("daemon does not answer: refused"));
        assert!(builder("", "", false).unwrap_err().contains("does not say its version"));
    }
}
