//! HTTP clients, one for each combination of TLS settings, so that hosts with the same settings share connections'
//! machinery and the certificates are read once.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use reqwest::redirect::Policy;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, InconsistentKeys};

use super::contact::Resolver;
use super::proxies;
use super::trust::Trust;

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
        .referer(false);
    builder = match profile.direct {
        true => builder.no_proxy(),
        false => proxies::apply(builder, profile.plain)?,
    };
    builder = match profile.plain {
        true => builder.tls_certs_only([]),
        false => builder.tls_backend_preconfigured(config(profile)?),
    };
    builder.build().map_err(|error| {
        let mut deepest: &dyn std::error::Error = &error;
        while let Some(source) = deepest.source() {
            deepest = source;
        }
        unusable(deepest)
    })
}

/// What reqwest would make of the same settings, but for two things: a server's certificate may be one of `authorities`
/// itself ([`Trust`]), and the client's own certificate is sent as it is.
fn config(profile: &Profile) -> Result<ClientConfig, String> {
    let installed = CryptoProvider::get_default().cloned();
    let provider = installed.unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
    let mut authorities = Vec::new();
    for path in &profile.authorities {
        authorities.extend(certificates(path)?);
    }
    let trust = match profile.insecure {
        true => Trust::Any,
        false => Trust::authorities(authorities, &provider).map_err(unusable)?,
    };
    let identity = profile.identity.as_ref().map(|(certificate, key)| identity(certificate, key, &provider));
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust));
    let mut config = match identity.transpose()? {
        Some(identity) => config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The client's certificate and key. Whether the certificate is a good one is for the server to say: `openssl x509 -req`
/// makes certificates of version 1, which the library's own check refuses.
fn identity(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let (certificates, shown, path) = (certificates(certificate)?, certificate.display(), key.display());
    let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| {
        format!("{path}, the key of {shown}, holds no private key in PEM, or an encrypted one")
    })?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|error| format!("the key in {path} cannot be used: {error}"))?;
    let pair = CertifiedKey::new(certificates, key);
    match pair.keys_match() {
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(format!("the key in {path} is not that of the certificate in {shown}"))
        }
        _ => Ok(pair),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let found = found.unwrap_or_default();
    if found.is_empty() { Err(format!("{} holds no PEM certificate", path.display())) } else { Ok(found) }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn unusable(error: impl fmt::Display) -> String {
    format!("the TLS settings do not work: {error}")
}
