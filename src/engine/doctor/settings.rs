//! The daemon's settings beside the declaration's, for each registry that the engine pushes to.

use std::path::{Path, PathBuf};

use super::{Check, Fix, State};
use crate::config::{Declaration, RegistrySettings};
use crate::engine::DaemonInfo;
use crate::error::Failure;
use crate::model::reference::host_is_loopback;

/// Where a daemon that runs as root looks for certificates, by host. It reads them anew for each connection.
const CERTIFICATES: &str = "/etc/docker/certs.d";

/// Refuses to begin what the daemon's settings let fail at the first push.
///
/// # Errors
///
/// A declared registry to which the engine pushes is spoken to otherwise by the daemon.
pub fn require(info: &DaemonInfo, reaches_loopback: bool, declaration: &Declaration) -> Result<(), Failure> {
    let wrong =
        checks(info, reaches_loopback, declaration).into_iter().find(|check| check.state == State::Wrong);
    let Some(wrong) = wrong else { return Ok(()) };
    let failure = Failure::new(format!("the engine could not push: {}: {}", wrong.name, wrong.found));
    Err(match wrong.fix {
        Some(fix) => failure.hint(fix.shown()),
        None => failure,
    })
}

/// Whether the engine pushes to this machine's loopback, so that it matters whether the daemon reaches it.
pub fn loopback_is_declared(declaration: &Declaration) -> bool {
    hosts(declaration).into_iter().any(host_is_loopback)
}

pub(super) fn checks(info: &DaemonInfo, reaches_loopback: bool, declaration: &Declaration) -> Vec<Check> {
    let default = RegistrySettings::default();
    let declared = |host: &str| declaration.registries.get(host).unwrap_or(&default);
    let check = |host: &str| match host_is_loopback(host) && !reaches_loopback {
        true => Check::fine(
            format!("daemon and {host}"),
            "the daemon has another loopback: images are exported, and pushed from here",
        ),
        false => check(info, host, declared(host), Path::new(CERTIFICATES)),
    };
    hosts(declaration).into_iter().map(check).collect()
}

/// Where built images go, each once.
fn hosts(declaration: &Declaration) -> Vec<&str> {
    let images = declaration.targets.iter().flat_map(|target| &target.images);
    let mut hosts: Vec<&str> = images
        .filter(|image| image.build.is_some())
        .map(|image| image.reference.repository.host.as_str())
        .collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

fn check(info: &DaemonInfo, host: &str, declared: &RegistrySettings, certificates: &Path) -> Check {
    let name = format!("daemon and {host}");
    let loose = info.is_insecure(host);
    if wants_loose(host, declared) {
        if loose {
            return Check::fine(name, "the daemon takes it without verified TLS, as declared");
        }
        let found = "from here it is plain HTTP or any certificate, but the daemon insists on verified TLS";
        let fix = format!(
            "add {host:?} to \"insecure-registries\" in {}, and restart the daemon",
            settings_file(info)
        );
        return Check::bad(name, State::Wrong, found, Fix::Say(fix));
    }
    if loose {
        return Check::fine(
            name,
            "the daemon takes it without verified TLS, which is not declared and not needed",
        );
    }
    match lacking(declared, &certificates.join(host)) {
        Some((found, commands)) if info.is_local() && !info.rootless => {
            Check::bad(name, State::Doubtful, found, Fix::as_root(commands))
        }
        Some((found, _)) => {
            let fix = format!("give the daemon's machine what is declared, under {CERTIFICATES}/{host}");
            Check::bad(name, State::Doubtful, found, Fix::Say(fix))
        }
        None => Check::fine(name, "verified TLS"),
    }
}

/// What we speak to `host`: loopback is plain HTTP unless TLS keys say otherwise.
fn wants_loose(host: &str, declared: &RegistrySettings) -> bool {
    let tls = declared.ca_file.is_some() || declared.client_cert.is_some();
    declared.insecure || declared.plain_http.unwrap_or(host_is_loopback(host) && !tls)
}

/// Which declared files the daemon has no file like, and how it gets them: `*.crt` are authorities, `*.cert` with
/// `*.key` are its own (Docker's documentation, "Verify repository client with certificates").
fn lacking(declared: &RegistrySettings, folder: &Path) -> Option<(String, Vec<Vec<String>>)> {
    let files: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let has =
        |extension: &str| files.iter().any(|file| file.extension().is_some_and(|found| found == extension));
    let wanted = [
        ("a certificate authority", &declared.ca_file, "crt", "ca.crt", "644"),
        ("a client certificate", &declared.client_cert, "cert", "client.cert", "644"),
        ("a client key", &declared.client_key, "key", "client.key", "600"),
    ];
    let missing: Vec<_> = wanted
        .into_iter()
        .filter_map(|(what, file, extension, name, mode)| Some((what, file.as_ref()?, extension, name, mode)))
        .filter(|(_, _, extension, ..)| !has(extension))
        .collect();
    if missing.is_empty() {
        return None;
    }
    let names: Vec<&str> = missing.iter().map(|(what, ..)| *what).collect();
    let commands = missing.iter().map(|(_, file, _, name, mode)| {
        let into = folder.join(name);
        let words = ["install", "-D", "-m", mode].into_iter().map(str::to_owned);
        words.chain([file.display().to_string(), into.display().to_string()]).collect()
    });
    let found =
        format!("declared with {}, which the daemon has not in {}", names.join(" and "), folder.display());
    Some((found, commands.collect()))
}

fn settings_file(info: &DaemonInfo) -> &'static str {
    match (info.is_desktop(), info.rootless) {
        (true, _) => "Docker Desktop's settings under \"Docker Engine\"",
        (false, true) => "~/.config/docker/daemon.json",
        (false, false) => "/etc/docker/daemon.json of the daemon's machine",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Attestations, BinaryCheck, Build, Format, Image, Target, Undeclared};
    use crate::error::render;
    use crate::model::reference::Repository;

    fn local(insecure: &[&str]) -> DaemonInfo {
        DaemonInfo {
            endpoint: "unix:///var/run/docker.sock".to_owned(),
            insecure: insecure.iter().map(|entry| (*entry).to_owned()).collect(),
            ..DaemonInfo::default()
        }
    }

    #[test]
    fn the_daemon_must_be_as_loose_as_the_declaration() {
        let nowhere = Path::new("/no/certs.d");
        let default = RegistrySettings::default();
        let plain = RegistrySettings { plain_http: Some(true), ..default.clone() };
        let any = RegistrySettings { insecure: true, ..default.clone() };
        let state = |info: &DaemonInfo, host: &str, declared| check(info, host, declared, nowhere).state;
        assert_eq!(state(&local(&[]), "r.corp", &default), State::Fine);
        assert_eq!(state(&local(&["r.corp"]), "r.corp", &plain), State::Fine);
        assert_eq!(state(&local(&["r.corp"]), "r.corp", &default), State::Fine);
        assert_eq!(state(&local(&[]), "r.corp", &any), State::Wrong);
        assert_eq!(state(&local(&["127.0.0.0/8"]), "127.0.0.1:5000", &default), State::Fine);
        let check = check(&local(&[]), "r.corp", &plain, nowhere);
        let fix = check.fix.unwrap().shown();
        assert!(
            check.state == State::Wrong && fix.contains(r#"add "r.corp" to "insecure-registries""#),
            "{fix}"
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn declared_certificates_are_the_daemons_too() {
        let folder = tempfile::tempdir().unwrap();
        let declared = RegistrySettings {
            ca_file: Some("/src/ca.pem".into()),
            client_cert: Some("/src/me.pem".into()),
            ..RegistrySettings::default()
        };
        let host = "r.corp:5000";
        let check = || check(&local(&[]), host, &declared, folder.path());
        let fix = check().fix.unwrap().shown();
        let certificates = folder.path().join(host);
        let install = |file: &str, name: &str| {
            format!("install -D -m 644 {file} {}", certificates.join(name).display())
        };
        assert!(fix.contains(&install("/src/ca.pem", "ca.crt")), "{fix}");
        assert!(fix.contains(&install("/src/me.pem", "client.cert")), "{fix}");
        std::fs::create_dir(&certificates).unwrap();
        for name in ["corp.crt", "corp.cert"] {
            std::fs::write(certificates.join(name), "").unwrap();
        }
        assert_eq!(check().state, State::Fine);
    }

    fn declaration(host: &str, registries: &[(&str, RegistrySettings)]) -> Declaration {
        let repository: Repository = format!("{host}/app").parse().unwrap();
        let image = Image {
            platform: "linux/amd64".parse().unwrap(),
            reference: repository.tag("1"),
            build: Some(Build::default()),
            smoke: None,
            annotations: BTreeMap::new(),
        };
        Declaration {
            path: "/src/manifests.toml".into(),
            root: "/src".into(),
            revision: None,
            unresolved: BTreeMap::new(),
            targets: vec![Target {
                name: "app".to_owned(),
                repositories: vec![repository],
                tags: Vec::new(),
                images: vec![image],
                undeclared: Undeclared::Known,
                attestations: Attestations::Keep,
                format: Format::Auto,
                annotations: BTreeMap::new(),
                binary_check: BinaryCheck::Error,
                version: None,
            }],
            registries: registries
                .iter()
                .map(|(host, settings)| ((*host).to_owned(), settings.clone()))
                .collect(),
        }
    }

    #[test]
    fn another_loopback_needs_no_settings() {
        let declaration = declaration("localhost:5000", &[]);
        assert!(loopback_is_declared(&declaration));
        assert!(require(&local(&[]), false, &declaration).is_ok());
        assert!(checks(&local(&[]), false, &declaration)[0].found.contains("exported"));
        let error = require(&local(&[]), true, &declaration).unwrap_err();
        assert_eq!(
            render(&error.into()),
            "error: the engine could not push: daemon and localhost:5000: from here it is plain HTTP or any certificate, \
             but the daemon insists on verified TLS\nhint: add \"localhost:5000\" to \"insecure-registries\" in \
             /etc/docker/daemon.json of the daemon's machine, and restart the daemon\n"
        );
    }
}
