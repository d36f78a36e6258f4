//! HTTP clients, one for each combination of TLS settings, so that hosts with the same settings share connections'
//! machinery and the certificates are read once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Identity};

use super::contact::Resolver;

/// What distinguishes one client from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Profile {
    /// PEM files of authorities, besides the system's.
    pub(crate) authorities: Vec<PathBuf>,
    /// PEM files of the client's certificate and key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    /// Any certificate is taken.
    pub(crate) insecure: bool,
    /// Loopback: proxies are for other hosts.
    pub(crate) direct: bool,
    /// Only plain HTTP: spares reading the system's authorities.
    pub(crate) plain: bool,
}

/// The clients made so far.
#[derive(Default)]
pub(crate) struct Clients(Mutex<HashMap<Profile, Client>>);

impl Clients {
    /// The client for `profile`, made at its first use.
    pub(crate) fn get(&self, profile: &Profile) -> Result<Client, String> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made.get(profile) {
            return Ok(client.clone());
        }
        let client = make(profile)?;
        made.insert(profile.clone(), client.clone());
        Ok(client)
    }
}

fn make(profile: &Profile) -> Result<Client, String> {
    // reqwest is built without a provider. One that somebody installed before stays: the error only says so.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("manifests/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(20))
        // Redirects are followed by the transport, which knows what may go where.
        .redirect(Policy::none())
        .dns_resolver(Resolver)
        .referer(false)
        .tls_danger_accept_invalid_certs(profile.insecure);
    if profile.direct {
        builder = builder.no_proxy();
    }
    if profile.plain {
        builder = builder.tls_certs_only([]);
    } else {
        let mut authorities = Vec::new();
        for path in &profile.authorities {
            authorities.extend(certificates(path)?);
        }
        builder = builder.tls_certs_merge(authorities);
    }
    if let Some((certificate, key)) = &profile.identity {
        let mut pem = read(certificate)?;
        pem.push(b'\n');
        pem.extend(read(key)?);
        let identity = Identity::from_pem(&pem).map_err(|_| {
            format!(
                "{} and {} are not a certificate and its key in PEM",
                certificate.display(),
                key.display()
            )
        })?;
        builder = builder.identity(identity);
    }
    builder.build().map_err(|error| {
        let mut deepest: &dyn std::error::Error = &error;
        while let Some(source) = deepest.source() {
            deepest = source;
        }
        format!("the TLS settings do not work: {deepest}")
    })
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, String> {
    let found = Certificate::from_pem_bundle(&read(path)?).unwrap_or_default();
    if found.is_empty() { Err(format!("{} holds no PEM certificate", path.display())) } else { Ok(found) }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}
