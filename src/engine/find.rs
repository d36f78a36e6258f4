//! Which CLI builds: the first on PATH that *can*, not the first on PATH.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use futures_util::future::join_all;
use serde_json::Value;

use super::{Builder, Engine, command};
use crate::error::Failure;

/// The CLI's that are looked for on PATH.
const NAMES: [&str; 1] = ["docker"];

/// How to get a CLI.
pub(super) const DOCKER: &str =
    "install Docker (https://docs.docker.com/engine/install/), or name its CLI with `--engine PATH`";

/// How to get a daemon.
pub(super) const DAEMON: &str = "start the daemon (`systemctl start docker`, or Docker Desktop); `docker version` shows whether you may use it";

/// How to get the plugin.
pub(super) const BUILDX: &str = "install the buildx plugin (the package docker-buildx-plugin of Docker's repositories, \
                                 docker-buildx of Ubuntu's; https://github.com/docker/buildx#installing)";

/// A daemon that takes longer to say its version does not answer.
const RETRY_POLICY: Duration = Duration::from_secs(30);

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
    docker: bool,
    server: Option<String>,
    server_os: Option<String>,
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
            .filter_map(|candidate| {
                candidate.verdict.as_ref().err().map(|lack| (candidate.program.as_path(), lack))
            })
            .collect();
        let list: Vec<String> = lacks
            .iter()
            .map(|(program, lack)| format!("\n  {}: {}", program.display(), lack.found))
            .collect();
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
        return Err(Failure::new("no container engine on PATH: there is no `docker`").hint(DOCKER).into());
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
    let ask = |arguments: [&str; 3]| {
        let arguments = arguments.into_iter().filter(|argument| !argument.is_empty());
        command(program, arguments).timeout(RETRY_POLICY).apart()
    };
    let (version, buildx) = futures_util::future::join(
        ask(["version", "--format", "{{json .}}"]),
        ask(["buildx", "version", ""]),
    )
    .await;
    let buildx = buildx.is_ok_and(|answer| answer.success);
    match version {
        Ok(answer) if answer.timed_out => Probe {
            buildx,
            complaint: format!("no answer within {}s", RETRY_POLICY.as_secs()),
            ..read_version(&answer.stdout)
        },
        Ok(answer) => {
            Probe { buildx, complaint: answer.stderr.trim().to_owned(), ..read_version(&answer.stdout) }
        }
        Err(error) => Probe { complaint: format!("{error:#}"), ..Probe::default() },
    }
}

/// What `docker version --format '{{json .}}'` says: the client even when the daemon does not answer. Pure.
fn read_version(json: &str) -> Probe {
    let json: Value = serde_json::from_str(json.trim()).unwrap_or_default();
    let text = |path: &str| json.pointer(path).and_then(Value::as_str).map(str::to_owned);
    Probe {
        client: text("/Client/Version"),
        // podman's stand-in spells the key otherwise.
        docker: json.pointer("/Client/ApiVersion").is_some(),
        server: text("/Server/Version"),
        server_os: text("/Server/Os"),
        ..Probe::default()
    }
}

/// How a CLI builds, or what it lacks. Pure.
fn decide(program: &Path, probe: &Probe) -> Result<Engine, Lack> {
    let lack = |found: String, hint: &str| Lack { found, hint: hint.to_owned(), daemon: false };
    let Some(client) = &probe.client else {
        return Err(lack(format!("does not say its version: {}", probe.complaint), DOCKER));
    };
    if !probe.docker {
        return Err(lack(format!("version {client} of something else under Docker's name"), DOCKER));
    }
    let Some(server) = &probe.server else {
        let found = format!("version {client}, but its daemon does not answer: {}", probe.complaint);
        return Err(Lack { daemon: true, ..lack(found, DAEMON) });
    };
    let engine = |builder| Engine {
        program: program.to_owned(),
        builder,
        client: client.clone(),
        server: server.clone(),
    };
    if probe.buildx {
        return Ok(engine(Builder::Buildx));
    }
    if probe.server_os.as_deref() == Some("windows") {
        let found = format!(
            "version {client} without the buildx plugin, and a daemon on Windows, which has no BuildKit"
        );
        return Err(lack(found, "switch Docker Desktop to Linux containers"));
    }
    // From version 23 on the CLI leaves BuildKit to the plugin; without it, its builder knows no other platform.
    let mut numbers = client.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
    let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    match version {
        (18, 9..) | (19..23, _) => Ok(engine(Builder::BuildKit)),
        (0..19, _) => Err(lack(format!("version {client}, from before BuildKit"), DOCKER)),
        _ => Err(lack(
            format!(
                "version {client} without the buildx plugin, which it needs to build for other platforms"
            ),
            BUILDX,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(client: &str, server: &str, buildx: bool) -> Result<Builder, String> {
        let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let probe = Probe {
            client: filled(client),
            docker: true,
            server: filled(server),
            server_os: Some("linux".to_owned()),
            complaint: "refused".to_owned(),
            buildx,
        };
        decide(Path::new("docker"), &probe).map(|engine| engine.builder).map_err(|lack| lack.found)
    }

    #[test]
    fn a_cli_builds_with_buildx_or_is_old_enough_to_do_it_itself() {
        assert_eq!(builder("28.2.2", "28.2.2", true), Ok(Builder::Buildx));
        assert_eq!(builder("20.10.24", "20.10.24", true), Ok(Builder::Buildx));
        for old in ["20.10.24+dfsg1", "18.09.1", "19.03.15", "22.06.0-beta.0"] {
            assert_eq!(builder(old, "20.10.24", false), Ok(Builder::BuildKit), "{old}");
        }
        for (client, server, lack) in [
            ("28.2.2", "20.10.24", "without the buildx plugin"),
            ("23.0.0", "23.0.0", "without the buildx plugin"),
            ("18.06.3-ce", "18.06.3-ce", "from before BuildKit"),
            ("17.12.1", "17.12.1", "from before BuildKit"),
            ("28.2.2", "", "daemon does not answer: refused"),
            ("", "", "does not say its version: refused"),
        ] {
            let found = builder(client, server, false).unwrap_err();
            assert!(found.contains(lack), "{client}: {found}");
        }
    }

    #[test]
    fn a_version_is_read_with_and_without_a_daemon() {
        let json = r#"{"Client":{"Version":"28.2.2","ApiVersion":"1.50"},
            "Server":{"Version":"20.10.24+dfsg1","Os":"windows"}}"#;
        let probe = read_version(json);
        assert!(decide(Path::new("docker"), &probe).unwrap_err().found.contains("a daemon on Windows"));
        let down = read_version(r#"{"Client":{"Version":"20.10.24","ApiVersion":"1.41"},"Server":null}"#);
        assert!(decide(Path::new("docker"), &down).unwrap_err().daemon);
        let podman = read_version(r#"{"Client":{"APIVersion":"4.3.1","Version":"4.3.1"}}"#);
        let found = decide(Path::new("docker"), &podman).unwrap_err().found;
        assert_eq!(found, "version 4.3.1 of something else under Docker's name");
        assert_eq!(read_version("sh: not found").client, None);
    }
}
