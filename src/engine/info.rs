//! What the engine's daemon is, and how it is set up.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Engine;
use crate::error::Failure;

/// The daemon, as `docker info` describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaemonInfo {
    /// e.g. `Debian GNU/Linux 12 (bookworm)`, `Docker Desktop`.
    pub operating_system: String,
    /// `uname -m` of its machine.
    pub machine: String,
    /// Hosts and networks that it speaks plain HTTP or unverified TLS to.
    pub insecure: Vec<String>,
    /// Whether it runs without root, in a network of its own.
    pub rootless: bool,
    /// Where the CLI reaches it, e.g. `unix:///var/run/docker.sock`.
    pub endpoint: String,
}

impl Engine {
    /// Asks the daemon.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub async fn info(&self) -> Result<DaemonInfo> {
        let endpoint = async {
            if let Ok(host) = std::env::var("DOCKER_HOST") {
                return host;
            }
            let format = "{{.Endpoints.docker.Host}}";
            let asked = self.capture(&["context", "inspect", "--format", format]).await;
            asked.map(|answer| answer.stdout.trim().to_owned()).unwrap_or_default()
        };
        let info = self.capture(&["info", "--format", "{{json .}}"]);
        let (endpoint, info) = futures_util::future::join(endpoint, info).await;
        let info = info?;
        if !info.success {
            return Err(Failure::new(format!("the daemon of {} does not answer: {}", self.describe(), info.stderr.trim()))
                .hint("is it running? `doctor` looks")
                .into());
        }
        parse(&info.stdout, endpoint).with_context(|| format!("could not read what {} says", self.describe()))
    }
}

fn parse(json: &str, endpoint: String) -> Result<DaemonInfo> {
    let json: Value = serde_json::from_str(json.trim())?;
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    let registries = &json["RegistryConfig"];
    let networks = registries["InsecureRegistryCIDRs"].as_array().into_iter().flatten();
    let mut insecure: Vec<String> = networks.filter_map(Value::as_str).map(str::to_owned).collect();
    let hosts = registries["IndexConfigs"].as_object().into_iter().flatten();
    insecure.extend(hosts.filter(|(_, host)| host["Secure"] == false).map(|(name, _)| name.clone()));
    let options = json["SecurityOptions"].as_array().into_iter().flatten();
    let rootless = options.filter_map(Value::as_str).any(|option| option.contains("name=rootless"));
    Ok(DaemonInfo {
        operating_system: text("OperatingSystem"),
        machine: text("Architecture"),
        insecure,
        rootless,
        endpoint,
    })
}

impl DaemonInfo {
    /// Whether the daemon runs on this very machine, so that its emulators are this machine's.
    pub fn is_local(&self) -> bool {
        cfg!(target_os = "linux")
            && self.endpoint.starts_with("unix://")
            && !self.operating_system.contains("Docker Desktop")
    }

    /// Whether the daemon's loopback is this process's: a daemon in a virtual machine, on another host, or in a network
    /// of its own has another.
    pub fn shares_loopback(&self) -> bool {
        self.is_local() && !self.rootless
    }

    /// Whether the daemon speaks plain HTTP or unverified TLS to `host`.
    pub fn is_insecure(&self, host: &str) -> bool {
        self.insecure.iter().any(|insecure| insecure == host)
            || (crate::reference::host_is_loopback(host) && self.insecure.iter().any(|net| net.starts_with("127.")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_here_or_elsewhere() {
        let json = r#"{"OperatingSystem":"Debian GNU/Linux 12 (bookworm)","Architecture":"x86_64",
            "SecurityOptions":["name=seccomp,profile=default"],
            "RegistryConfig":{"InsecureRegistryCIDRs":["127.0.0.0/8"],
            "IndexConfigs":{"docker.io":{"Secure":true},"registry.corp:5000":{"Secure":false}}}}"#;
        let here = parse(json, "unix:///var/run/docker.sock".to_owned()).unwrap();
        assert!(here.shares_loopback() || !cfg!(target_os = "linux"));
        for (host, insecure) in [("registry.corp:5000", true), ("docker.io", false), ("127.0.0.1:5000", true)] {
            assert_eq!(here.is_insecure(host), insecure, "{host}");
        }
        assert!(!DaemonInfo { endpoint: "ssh://build@host".to_owned(), ..here.clone() }.shares_loopback());
        assert!(!DaemonInfo { operating_system: "Docker Desktop".to_owned(), ..here.clone() }.shares_loopback());
        assert!(!DaemonInfo { rootless: true, ..here }.shares_loopback());
        assert!(parse("Cannot connect", String::new()).is_err());
    }
}
