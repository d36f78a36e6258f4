//! The certificate of a registry that speaks TLS.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

/// A certificate with its key; cheap to clone.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl Tls {
    /// Reads PEM files: the certificate with those that lead to its authority, the server's own first, and its key.
    ///
    /// # Errors
    ///
    /// A file cannot be read, holds nothing of the kind, or the two do not go together. The error names the file.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self> {
        let what = || format!("could not read the certificate in {}", certificate.display());
        let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
            .with_context(what)?
            .collect::<Result<_, _>>()
            .with_context(what)?;
        ensure!(!chain.is_empty(), "{} holds no PEM certificate", certificate.display());
        let private = PrivateKeyDer::from_pem_file(key)
            .with_context(|| format!("could not read a PEM private key in {}", key.display()))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .with_context(|| {
                format!("{} and {} are not a certificate and its key", certificate.display(), key.display())
            })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.clone())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
