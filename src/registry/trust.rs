//! Which certificates of servers are trusted.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage};

/// What a server's certificate is checked against.
#[derive(Debug)]
pub(super) enum Trust {
    /// Nothing: `insecure`.
    Any,
    /// The system's authorities and declared ones.
    Authorities(Authorities),
}

#[derive(Debug)]
pub(super) struct Authorities {
    chains: rustls_platform_verifier::Verifier,
    declared: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Trust {
    /// The system's authorities and `declared`.
    pub(super) fn authorities(
        declared: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let chains =
            rustls_platform_verifier::Verifier::new_with_extra_roots(declared.clone(), provider.clone())?;
        let algorithms = provider.signature_verification_algorithms;
        Ok(Self::Authorities(Authorities { chains, declared, algorithms }))
    }
}

impl Authorities {
    /// Whether the server's certificate is itself one of those that are trusted, byte for byte.
    fn hold(&self, certificate: &CertificateDer<'_>) -> bool {
        self.declared.contains(certificate) || system_holds(certificate)
    }

    /// Checks a certificate that needs no issuer, because it is trusted itself: its dates, its names, and that it is one
    /// for servers. Docker's documentation makes such certificates ("Use self-signed certificates": `openssl req -x509`),
    /// and as OpenSSL marks them as authorities', the usual check refuses them; so it does one that somebody else signed.
    fn check_itself(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
        refusal: Error,
    ) -> Result<(), Error> {
        let Ok(parsed) = EndEntityCert::try_from(certificate) else { return Err(refusal) };
        // Without any authority, the check ends at the first thing that is wrong with the certificate itself, or at the
        // lack of an issuer.
        let at = |time| {
            let usage = KeyUsage::server_auth();
            parsed.verify_for_usage(self.algorithms.all, &[], &[], time, usage, None, None).err()
        };
        match at(now) {
            Some(webpki::Error::UnknownIssuer) => {}
            // The dates are checked before this mark is: a time before all of them shows that they still are.
            Some(webpki::Error::CaUsedAsEndEntity)
                if matches!(
                    at(UnixTime::since_unix_epoch(Duration::ZERO)),
                    Some(webpki::Error::CertNotValidYet { .. })
                ) => {}
            _ => return Err(refusal),
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
    }
}

/// Whether the system's certificates have this one: `update-ca-certificates`, `SSL_CERT_FILE`. Read only for a
/// certificate that would be refused otherwise.
#[cfg(all(unix, not(target_os = "android"), not(target_vendor = "apple")))]
fn system_holds(certificate: &CertificateDer<'_>) -> bool {
    rustls_native_certs::load_native_certs().certs.contains(certificate)
}

/// Where the system checks certificates itself, it knows those that were added to it.
#[cfg(not(all(unix, not(target_os = "android"), not(target_vendor = "apple"))))]
fn system_holds(_: &CertificateDer<'_>) -> bool {
    false
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Self::Authorities(authorities) = self else { return Ok(ServerCertVerified::assertion()) };
        let checked =
            authorities.chains.verify_server_cert(certificate, intermediates, name, ocsp_response, now);
        match checked {
            Err(refusal) if authorities.hold(certificate) => {
                authorities.check_itself(certificate, name, now, refusal)?;
                Ok(ServerCertVerified::assertion())
            }
            checked => checked,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self {
            Self::Any => Ok(HandshakeSignatureValid::assertion()),
            Self::Authorities(authorities) => {
                authorities.chains.verify_tls12_signature(message, certificate, signed)
            }
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self {
            Self::Any => Ok(HandshakeSignatureValid::assertion()),
            Self::Authorities(authorities) => {
                authorities.chains.verify_tls13_signature(message, certificate, signed)
            }
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        use SignatureScheme::{
            ECDSA_NISTP256_SHA256, ECDSA_NISTP384_SHA384, ECDSA_NISTP521_SHA512, ECDSA_SHA1_Legacy, ED448,
            ED25519, RSA_PKCS1_SHA1, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
            RSA_PSS_SHA384, RSA_PSS_SHA512,
        };
        match self {
            Self::Any => vec![
                RSA_PKCS1_SHA1,
                ECDSA_SHA1_Legacy,
                RSA_PKCS1_SHA256,
                ECDSA_NISTP256_SHA256,
                RSA_PKCS1_SHA384,
                ECDSA_NISTP384_SHA384,
                RSA_PKCS1_SHA512,
                ECDSA_NISTP521_SHA512,
                RSA_PSS_SHA256,
                RSA_PSS_SHA384,
                RSA_PSS_SHA512,
                ED25519,
                ED448,
            ],
            Self::Authorities(authorities) => authorities.chains.supported_verify_schemes(),
        }
    }
}

#[cfg(test)]
mod tests;
