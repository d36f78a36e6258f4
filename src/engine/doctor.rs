//! Whether this machine can release: each check says what it found, and, where it can be helped, how.

use anyhow::Result;

use super::find::{Candidate, Request, candidates};
use super::runnable::Runnable;
use super::{DaemonInfo, Engine, Lines, children};
use crate::config::{Declaration, RegistrySettings};
use crate::error::Failure;
use crate::platform::Platform;

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should be.
    Fine,
    /// A release may go through all the same.
    Doubtful,
    /// A release would fail.
    Wrong,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// What it came to.
    pub state: State,
    /// What was found.
    pub found: String,
    /// How to help it.
    pub fix: Option<Fix>,
}

/// How to help a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fix {
    /// Commands that can be run as they stand, one after the other.
    Run(Vec<Vec<String>>),
    /// Something that a person does.
    Say(String),
}

impl Check {
    /// A check that went well.
    pub fn fine(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Fine, found: found.into(), fix: None }
    }

    /// A check that did not.
    pub fn bad(name: impl Into<String>, state: State, found: impl Into<String>, fix: Fix) -> Self {
        Self { name: name.into(), state, found: found.into(), fix: Some(fix) }
    }
}

impl Fix {
    /// What a person types or reads.
    pub fn shown(&self) -> String {
        match self {
            Self::Run(commands) => commands.iter().map(|command| command.join(" ")).collect::<Vec<_>>().join(" && "),
            Self::Say(text) => text.clone(),
        }
    }
}

/// Runs what can be run of `fix`; `false` when it is for a person to do.
///
/// # Errors
///
/// A command cannot be started or ends with a status other than 0.
pub async fn run(fix: &Fix, lines: Lines) -> Result<bool> {
    let Fix::Run(commands) = fix else { return Ok(false) };
    for command in commands {
        let Some((program, arguments)) = command.split_first() else { continue };
        let arguments = arguments.iter().map(std::ffi::OsString::from).collect();
        let finished = children::stream(std::path::Path::new(program), arguments, &[], lines.clone()).await?;
        if !finished.success {
            let text = format!("`{}` ended with {}:\n{}", command.join(" "), finished.status, finished.output);
            return Err(Failure::new(text).into());
        }
    }
    Ok(true)
}

/// Every check of the engine and its machine; those of registries are made elsewhere.
pub async fn checks(request: &Request<'_>, declaration: &Declaration) -> Vec<Check> {
    let mut checks = Vec::new();
    let candidates = match candidates(request).await {
        Ok(candidates) => candidates,
        Err(error) => {
            let text = format!("{error:#}");
            let fix = Fix::Say("install Docker: https://docs.docker.com/engine/install/".to_owned());
            return vec![Check::bad("engine", State::Wrong, text, fix)];
        }
    };
    let engine = candidates.iter().find_map(|candidate| candidate.verdict.as_ref().ok()).cloned();
    checks.extend(candidates.iter().map(|candidate| cli(candidate, engine.as_ref())));
    let Some(engine) = engine else { return checks };

    match engine.info().await {
        Ok(info) => {
            checks.push(Check::fine("daemon", format!("{} at {}", info.operating_system, info.endpoint)));
            checks.extend(registries(&info, declaration));
            let os_release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
            checks.extend(emulators(&engine.runnable(&info), declaration, &os_release));
        }
        Err(error) => {
            let fix = Fix::Say("start the engine's daemon".to_owned());
            checks.push(Check::bad("daemon", State::Wrong, format!("{error:#}"), fix));
        }
    }
    checks
}

fn cli(candidate: &Candidate, chosen: Option<&Engine>) -> Check {
    let name = format!("CLI {}", candidate.program.display());
    match &candidate.verdict {
        Ok(engine) if Some(engine) == chosen => Check::fine(name, engine.describe()),
        Ok(engine) => Check::fine(name, format!("{}, not needed", engine.describe())),
        // Another one builds: that this one cannot is worth knowing and no more.
        Err(lack) => {
            let state = if chosen.is_some() { State::Doubtful } else { State::Wrong };
            Check::bad(name, state, lack.found.clone(), Fix::Say(lack.hint.clone()))
        }
    }
}

/// The daemon's settings beside the declaration's, for each registry that images are pushed to.
fn registries(info: &DaemonInfo, declaration: &Declaration) -> Vec<Check> {
    let images = declaration.targets.iter().flat_map(|target| &target.images);
    let mut hosts: Vec<&str> = images
        .filter(|image| image.build.is_some())
        .map(|image| image.reference.repository.host.as_str())
        .collect();
    hosts.sort_unstable();
    hosts.dedup();
    let default = RegistrySettings::default();
    hosts
        .into_iter()
        .map(|host| registry(info, host, declaration.registries.get(host).unwrap_or(&default)))
        .collect()
}

fn registry(info: &DaemonInfo, host: &str, declared: &RegistrySettings) -> Check {
    let name = format!("daemon and {host}");
    let loose = declared.insecure || declared.plain_http == Some(true);
    if loose && !info.is_insecure(host) {
        let setting = format!(
            "add {host:?} to \"insecure-registries\" in the daemon's settings (/etc/docker/daemon.json) and restart it"
        );
        let found = "declared as plain HTTP or insecure, but the daemon insists on verified TLS";
        return Check::bad(name, State::Wrong, found, Fix::Say(setting));
    }
    if let Some(ca) = &declared.ca_file
        && info.is_local()
        && !std::path::Path::new("/etc/docker/certs.d").join(host).is_dir()
        && !info.is_insecure(host)
    {
        let setting = format!("install -D {} /etc/docker/certs.d/{host}/ca.crt", ca.display());
        let found = "declared with a certificate authority of its own, which the daemon may not know";
        return Check::bad(name, State::Doubtful, found, Fix::Say(setting));
    }
    Check::fine(name, if info.is_insecure(host) { "the daemon takes it without verified TLS" } else { "verified TLS" })
}

/// An emulator for each declared platform that is built here.
fn emulators(runnable: &Runnable, declaration: &Declaration, os_release: &str) -> Vec<Check> {
    let mut platforms: Vec<&Platform> = declaration
        .targets
        .iter()
        .flat_map(|target| &target.images)
        .filter(|image| image.build.is_some())
        .map(|image| &image.platform)
        .collect();
    platforms.sort();
    platforms.dedup();
    platforms
        .into_iter()
        .map(|platform| {
            let name = format!("running {platform}");
            if runnable.can_run(platform) {
                return Check::fine(name, "native or emulated");
            }
            let found = "no emulator: a `RUN` or a smoke run for it fails";
            Check::bad(name, State::Doubtful, found, emulator_fix(os_release, &platform.normal().arch))
        })
        .collect()
}

/// How emulators are registered on this system.
fn emulator_fix(os_release: &str, arch: &str) -> Fix {
    let like = |name: &str| {
        let lines = os_release.lines().filter_map(|line| line.split_once('='));
        lines
            .filter(|(key, _)| matches!(*key, "ID" | "ID_LIKE"))
            .any(|(_, value)| value.trim_matches('"').split_whitespace().any(|word| word == name))
    };
    let command = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    if like("debian") || like("ubuntu") {
        return Fix::Run(vec![
            command("apt-get install --yes --no-install-recommends qemu-user-static binfmt-support"),
            vec![
                "sh".to_owned(),
                "-c".to_owned(),
                "test -e /proc/sys/fs/binfmt_misc/register || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc"
                    .to_owned(),
            ],
            command("update-binfmts --enable"),
        ]);
    }
    if like("fedora") || like("rhel") {
        return Fix::Run(vec![command("dnf install --assumeyes qemu-user-static")]);
    }
    if like("arch") {
        return Fix::Run(vec![command("pacman --sync --noconfirm qemu-user-static qemu-user-static-binfmt")]);
    }
    Fix::Run(vec![command(&format!("docker run --privileged --rm tonistiigi/binfmt --install {arch}"))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_has_its_own_way_to_emulators() {
        for (os_release, expected) in [
            ("ID=debian\n", "apt-get install --yes"),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "apt-get install --yes"),
            ("ID=fedora\n", "dnf install"),
            ("ID=arch\n", "pacman"),
            ("", "docker run --privileged --rm tonistiigi/binfmt --install arm64"),
        ] {
            let shown = emulator_fix(os_release, "arm64").shown();
            assert!(shown.starts_with(expected), "{os_release:?}: {shown}");
        }
    }

    #[test]
    fn the_daemon_must_be_as_loose_as_the_declaration() {
        let strict = DaemonInfo::default();
        let loose = DaemonInfo { insecure: vec!["r.corp".to_owned()], ..DaemonInfo::default() };
        let plain = RegistrySettings { plain_http: Some(true), ..RegistrySettings::default() };
        let default = RegistrySettings::default();
        assert_eq!(registry(&strict, "r.corp", &default).state, State::Fine);
        assert_eq!(registry(&loose, "r.corp", &plain).state, State::Fine);
        let check = registry(&strict, "r.corp", &plain);
        assert_eq!(check.state, State::Wrong);
        assert!(check.fix.unwrap().shown().contains("insecure-registries"));
    }
}
