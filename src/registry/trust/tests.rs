//! Certificates that are trusted themselves: with the dates, names and purposes that they have.

use rustls::pki_types::pem::PemObject as _;

use super::*;

/// `openssl req -x509`: CA:TRUE, for registry.corp, good from November 2026 for ten years.
const LISTED: &[u8] = b"\
-----BEGIN CERTIFICATE-----\n\
MIIBlTCCATugAwIBAgIUesL7YhXUjCo8UhVo32bMcnrcufQwCgYIKoZIzj0EAwIw\n\
EzERMA8GA1UEAwwIcmVnaXN0cnkwHhcNMjYxMTI1MjIyNjUyWhcNMzYxMTIyMjIy\n\
NjUyWjATMREwDwYDVQQDDAhyZWdpc3RyeTBZMBMGByqGSM49AgEGCCqGSM49AwEH\n\
A0IABN0seD3CGJNtt/dzVyuk+L2ndAP3pZWJkxSZuxr1MV09euHU//YsIMraur/w\n\
owTWHYW+TPEB6qGK8STNtpsMSVWjbTBrMB0GA1UdDgQWBBQRqPELs6/oCnkzTUQU\n\
A3SBht2hJDAfBgNVHSMEGDAWgBQRqPELs6/oCnkzTUQUA3SBht2hJDAPBgNVHRMB\n\
Af8EBTADAQH/MBgGA1UdEQQRMA+CDXJlZ2lzdHJ5LmNvcnAwCgYIKoZIzj0EAwID\n\
SAAwRQIhALjUe6oJ5lislK7jsDqrSfOvB1fPjqvnfiN3BrcbVfEdAiAeqMd/BZzF\n\
UUfBzlodUnTKSlH3rCoTeEOCJyaYf2cMgw==\n\
-----END CERTIFICATE-----\n";
/// The same names and the same key, issued again.
const AGAIN: &[u8] = b"\
-----BEGIN CERTIFICATE-----\n\
MIIBlTCCATugAwIBAgIURJbgrsnZUGw7YC8it/F9XVIcTTEwCgYIKoZIzj0EAwIw\n\
EzERMA8GA1UEAwwIcmVnaXN0cnkwHhcNMjYxMTI1MjIyNjUyWhcNMzYxMTIyMjIy\n\
NjUyWjATMREwDwYDVQQDDAhyZWdpc3RyeTBZMBMGByqGSM49AgEGCCqGSM49AwEH\n\
A0IABN0seD3CGJNtt/dzVyuk+L2ndAP3pZWJkxSZuxr1MV09euHU//YsIMraur/w\n\
owTWHYW+TPEB6qGK8STNtpsMSVWjbTBrMB0GA1UdDgQWBBQRqPELs6/oCnkzTUQU\n\
A3SBht2hJDAfBgNVHSMEGDAWgBQRqPELs6/oCnkzTUQUA3SBht2hJDAPBgNVHRMB\n\
Af8EBTADAQH/MBgGA1UdEQQRMA+CDXJlZ2lzdHJ5LmNvcnAwCgYIKoZIzj0EAwID\n\
SAAwRQIgWuXhwpITbZqE6vznbj9UAWfRElUmlUbp4YTfWjmje3ECIQCjtxlTv/92\n\
l6QrwEl2o6urjI0BztUanD0cnM1jeu6nWA==\n\
-----END CERTIFICATE-----\n";
/// Signed by an authority that is not among those that are trusted.
const LEAF: &[u8] = b"\
-----BEGIN CERTIFICATE-----\n\
MIIBgTCCASagAwIBAgIUHpsih0ixjlUa76AGsrfnc6icoEgwCgYIKoZIzj0EAwIw\n\
EzERMA8GA1UEAwwIcmVnaXN0cnkwHhcNMjYxMTI1MjIyNjUyWhcNMzYxMTIyMjIy\n\
NjUyWjAPMQ0wCwYDVQQDDARsZWFmMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n\
gZwlplj0o0GF3t+qOQML+HaZaHbXI3Ra2E6Hfnk0vXwBKyN+5NmrQiJWS5kwk1GY\n\
2VaibLIcSrAwJx5sSzEAUqNcMFowGAYDVR0RBBEwD4INcmVnaXN0cnkuY29ycDAd\n\
BgNVHQ4EFgQUnAOCHx4K10EpPhiXQpFxWM4zvd0wHwYDVR0jBBgwFoAUwHudkukz\n\
V+nKjKD/GoPTdka7EVswCgYIKoZIzj0EAwIDSQAwRgIhAL4LmSK81PgCiBlY/m+C\n\
sMTZJjOhan9xTHVhjir7YaIlAiEAlnp083mjZRINSTNp7R3pe1kevItQtREN/0BC\n\
TGwQ7bI=\n\
-----END CERTIFICATE-----\n";
/// The same, for clients.
const FOR_CLIENTS: &[u8] = b"\
-----BEGIN CERTIFICATE-----\n\
MIIBlTCCATugAwIBAgIUHpsih0ixjlUa76AGsrfnc6icoEkwCgYIKoZIzj0EAwIw\n\
EzERMA8GA1UEAwwIcmVnaXN0cnkwHhcNMjYxMTI1MjIyNjUyWhcNMzYxMTIyMjIy\n\
NjUyWjAPMQ0wCwYDVQQDDARsZWFmMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n\
gZwlplj0o0GF3t+qOQML+HaZaHbXI3Ra2E6Hfnk0vXwBKyN+5NmrQiJWS5kwk1GY\n\
2VaibLIcSrAwJx5sSzEAUqNxMG8wGAYDVR0RBBEwD4INcmVnaXN0cnkuY29ycDAT\n\
BgNVHSUEDDAKBggrBgEFBQcDAjAdBgNVHQ4EFgQUnAOCHx4K10EpPhiXQpFxWM4z\n\
vd0wHwYDVR0jBBgwFoAUwHudkukzV+nKjKD/GoPTdka7EVswCgYIKoZIzj0EAwID\n\
SAAwRQIgXx0Vq0i7rusa1eVDKVglvWL+4mJ4Bbj5toAeb4tCDjICIQC8ksd8ZQ0M\n\
xYk5YxqjvzUM2BUDDyG+9kB57UrjCsziFg==\n\
-----END CERTIFICATE-----\n";

/// Seconds since 1970: in 2028.
const IN_TIME: u64 = 1_830_000_000;
const BEFORE: u64 = 1_600_000_000;
const AFTER: u64 = 2_500_000_000;

fn is_trusted(declared: &[&[u8]], presented: &[u8], name: &str, seconds: u64) -> bool {
    let read = |pem: &[u8]| CertificateDer::from_pem_slice(pem).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let declared = declared.iter().map(|pem| read(pem)).collect();
    let trust = Trust::authorities(declared, &provider).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    trust.verify_server_cert(&read(presented), &[], &name, &[], now).is_ok()
}

#[test]
fn a_listed_certificate_is_trusted_for_its_names_and_dates() {
    for (declared, presented, name, seconds, expected) in [
        (LISTED, LISTED, "registry.corp", IN_TIME, true),
        (LEAF, LEAF, "registry.corp", IN_TIME, true),
        (LISTED, LISTED, "registry.example", IN_TIME, false),
        (LEAF, LEAF, "registry.example", IN_TIME, false),
        (LISTED, LISTED, "registry.corp", BEFORE, false),
        (LISTED, LISTED, "registry.corp", AFTER, false),
        (LEAF, LEAF, "registry.corp", BEFORE, false),
        (LEAF, LEAF, "registry.corp", AFTER, false),
        // Byte for byte: a certificate with the same key and names is another one.
        (LISTED, AGAIN, "registry.corp", IN_TIME, false),
        (AGAIN, LEAF, "registry.corp", IN_TIME, false),
        (LEAF, FOR_CLIENTS, "registry.corp", IN_TIME, false),
        (FOR_CLIENTS, FOR_CLIENTS, "registry.corp", IN_TIME, false),
    ] {
        let of = |pem: &[u8]| String::from_utf8_lossy(pem)[28..60].to_owned();
        let found = is_trusted(&[declared], presented, name, seconds);
        assert_eq!(found, expected, "{} for {name} at {seconds}, declared {}", of(presented), of(declared));
    }
    // Beside others.
    assert!(is_trusted(&[AGAIN, LEAF, LISTED], LISTED, "registry.corp", IN_TIME));
    assert!(!is_trusted(&[], LISTED, "registry.corp", IN_TIME));
}
