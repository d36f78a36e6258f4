//! What a TLS failure means for somebody who sets up a registry: rustls says it to programmers. Pure.

use rustls::{AlertDescription, CertificateError, Error};

/// What is wrong, and the way out; `None` for the usual one, which is about authorities.
pub(super) fn explain(error: &Error, host: &str) -> (String, Option<String>) {
    let issue_again = |how: &str| Some(format!("have the certificate of {host} issued again, {how}"));
    match error {
        Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                (error.to_string(), issue_again(&format!("with `subjectAltName` for {host}")))
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => (
                error.to_string(),
                Some(format!("renew the certificate of {host}, unless this machine's clock is wrong")),
            ),
            CertificateError::UnknownIssuer => {
                ("the server's certificate is of an authority that is not trusted here".to_owned(), None)
            }
            CertificateError::Other(other) => match other.0.downcast_ref::<webpki::Error>() {
                Some(webpki::Error::CaUsedAsEndEntity) => (
                    "the server's certificate is an authority's (CA:TRUE), and not itself one that is trusted here"
                        .to_owned(),
                    None,
                ),
                Some(webpki::Error::UnsupportedCertVersion) => (
                    "the server's certificate is of X.509 version 1, which names no host".to_owned(),
                    issue_again(&format!("with `subjectAltName` for {host}")),
                ),
                _ => (error.to_string(), None),
            },
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => (
                "the server's certificate is signed with an algorithm that is not supported, as SHA-1 is".to_owned(),
                issue_again("signed with SHA-256"),
            ),
            _ => (error.to_string(), None),
        },
        Error::AlertReceived(AlertDescription::HandshakeFailure) => (
            format!("{error}: {host} takes none of the ciphers and keys that are supported here"),
            issue_again("with a key on P-256 or P-384, Ed25519, or RSA"),
        ),
        Error::AlertReceived(AlertDescription::CertificateRequired) => (
            error.to_string(),
            Some(format!("{host} asks for a client's certificate: set `client-cert` and `client-key` in [registry.\"{host}\"]")),
        ),
        _ => (error.to_string(), None),
    }
}
