//! What the engine's daemon is, and how it is set up.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Engine;
use crate::error::Failure;
use crate::model::foreign::Foreign;
use crate::model::reference::host_is_loopback;

/// The daemon, as `docker info` describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaemonInfo {
    /// e.g. `Debian GNU/Linux 12 (bookworm)`, `Docker Desktop`.
    pub operating_system: String,
    /// `linux` or `windows`.
    pub os: String,
    /// `uname -m` of its machine.
    pub machine: String,
    /// Hosts and networks that it speaks plain HTTP or unverified TLS to.
    pub insecure: Vec<String>,
    /// What it asks in place of Docker Hub.
    pub mirrors: Vec<String>,
    /// Whether it runs without root, in a network of its own.
    pub rootless: bool,
    /// Whether it keeps images in containerd's store, where a push may be an index.
    pub containerd_store: bool,
    /// Where the CLI reaches it, e.g. `unix:///var/run/docker.sock`.
    pub endpoint: String,
    /// What the CLI calls that place.
    pub context: String,
}

impl Engine {
    /// Asks the daemon.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub async fn info(&self) -> Result<DaemonInfo> {
        let endpoint = async {
            if let Some(host) = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()) {
                return host;
            }
            let format = "{{.Endpoints.docker.Host}}";
            let asked = self.command(["context", "inspect", "--format", format]).apart().await;
            asked.map(|answer| answer.stdout.trim().to_owned()).unwrap_or_default()
        };
        let info = self.command(["info", "--format", "{{json .}}"]).apart();
        let (endpoint, info) = futures_util::future::join(endpoint, info).await;
        let info = info?;
        if !info.success {
            let complaint = Foreign(info.stderr.trim());
            return Err(Failure::new(format!(
                "the daemon of {} does not answer: {complaint}",
                self.describe()
            ))
            .hint(super::find::DAEMON)
            .into());
        }
        parse(&info.stdout, endpoint).with_context(|| format!("could not read what {} says", self.describe()))
    }
}

fn parse(json: &str, endpoint: String) -> Result<DaemonInfo> {
    let json: Value = serde_json::from_str(json.trim())?;
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let registries = &json["RegistryConfig"];
    let mut insecure = strings(&registries["InsecureRegistryCIDRs"]);
    let hosts = registries["IndexConfigs"].as_object().into_iter().flatten();
    insecure.extend(hosts.filter(|(_, host)| host["Secure"] == false).map(|(name, _)| name.clone()));
    let driver = json["DriverStatus"].to_string();
    Ok(DaemonInfo {
        operating_system: text("OperatingSystem"),
        os: text("OSType"),
        machine: text("Architecture"),
        insecure,
        mirrors: strings(&registries["Mirrors"]),
        rootless: strings(&json["SecurityOptions"]).iter().any(|option| option.contains("name=rootless")),
        containerd_store: driver.contains("io.containerd.snapshotter"),
        endpoint,
        context: json["ClientInfo"]["Context"].as_str().unwrap_or("default").to_owned(),
    })
}

impl DaemonInfo {
    /// Whether it is Docker Desktop's, in a virtual machine that brings emulators.
    pub fn is_desktop(&self) -> bool {
        self.operating_system.contains("Docker Desktop")
    }

    /// Whether the daemon runs on this very machine, so that its emulators and settings are this machine's.
    pub fn is_local(&self) -> bool {
        cfg!(target_os = "linux") && self.endpoint.starts_with("unix://") && !self.is_desktop()
    }

    /// Whether the daemon speaks plain HTTP or unverified TLS to `host`, which may have a port.
    pub fn is_insecure(&self, host: &str) -> bool {
        let (name, _) = split_port(host);
        let address: Option<IpAddr> = match name {
            // The daemon asks its resolver, which says this.
            _ if host_is_loopback(host) && name == "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
            name => name.trim_matches(['[', ']']).parse().ok(),
        };
        self.insecure.iter().any(|entry| {
            entry == host || address.is_some_and(|address| network_has(entry, address).unwrap_or(false))
        })
    }
}

/// The name, and the port if there is one.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    }
}

/// Whether the network `a.b.c.d/n` contains `address`; `None` when it is no network.
fn network_has(network: &str, address: IpAddr) -> Option<bool> {
    let (base, length) = network.split_once('/')?;
    let length: u32 = length.parse().ok()?;
    let (base, address, bits) = match (base.parse().ok()?, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            (u128::from(u32::from(base)), u128::from(u32::from(address)), 32)
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => (u128::from(base), u128::from(address), 128),
        _ => return Some(false),
    };
    let shift = u32::checked_sub(bits, length)?;
    // A shift by all 128 bits is none to the processor.
    Some(base.checked_shr(shift).unwrap_or(0) == address.checked_shr(shift).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = r#"{"OperatingSystem":"Debian GNU/Linux 12 (bookworm)","OSType":"linux","Architecture":"x86_64",
        "SecurityOptions":["name=seccomp,profile=default"],"DriverStatus":null,
        "RegistryConfig":{"InsecureRegistryCIDRs":["127.0.0.0/8","10.1.0.0/16","::1/128"],"Mirrors":["https://m.corp/"],
        "IndexConfigs":{"docker.io":{"Secure":true},"registry.corp:5000":{"Secure":false}}}}"#;

    fn here() -> DaemonInfo {
        parse(INFO, "unix:///var/run/docker.sock".to_owned()).unwrap()
    }

    #[test]
    fn a_daemon_is_here_or_elsewhere() {
        let here = here();
        assert_eq!(
            (here.os.as_str(), here.mirrors.as_slice()),
            ("linux", &["https://m.corp/".to_owned()][..])
        );
        assert!(here.is_local() || !cfg!(target_os = "linux"));
        assert!(!DaemonInfo { endpoint: "ssh://build@host".to_owned(), ..here.clone() }.is_local());
        assert!(!DaemonInfo { operating_system: "Docker Desktop".to_owned(), ..here.clone() }.is_local());
        assert_eq!(here.context, "default");
        assert!(!here.containerd_store);
        let store = r#"{"DriverStatus":[["driver-type","io.containerd.snapshotter.v1"]]}"#;
        assert!(parse(store, String::new()).unwrap().containerd_store);
        assert!(parse("Cannot connect", String::new()).is_err());
    }

    #[test]
    fn hosts_are_insecure_by_name_or_network() {
        for (host, insecure) in [
            ("registry.corp:5000", true),
            ("registry.corp", false),
            ("registry.corp:5001", false),
            ("docker.io", false),
            ("127.0.0.1:5000", true),
            ("localhost:5000", true),
            ("localhost.corp", false),
            ("10.1.200.3:80", true),
            ("10.2.0.1", false),
            ("[::1]:5000", true),
            ("[::2]:5000", false),
        ] {
            assert_eq!(here().is_insecure(host), insecure, "{host}");
        }
        assert_eq!(network_has("0.0.0.0/0", IpAddr::from([8, 8, 8, 8])), Some(true));
        assert_eq!(network_has("::/0", IpAddr::from([0u16; 8])), Some(true));
        assert_eq!(network_has("registry.corp", IpAddr::from([8, 8, 8, 8])), None);
        assert_eq!(network_has("10.0.0.0/99", IpAddr::from([8, 8, 8, 8])), None);
    }
}
