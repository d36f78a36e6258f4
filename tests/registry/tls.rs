//! Whole commands over TLS: a private authority, a client's certificate, Docker's folders, HTTP/2.

use std::fs;
use std::path::{Path, PathBuf};

use manifests::config::RegistrySettings;
use manifests::registry::{Kind, Options, Registry};

use crate::commands::{
    WRITES, count, declaration, docker_pulls, fails, log_in, ok, put_images, reconciled, skopeo_reads,
};
use crate::debian::Debian;
use crate::scripted::options;
use crate::support::{Workspace, certificates, openssl};

/// The registry under an address that docker, too, takes for another machine's: for loopback it reads no certificates.
fn elsewhere(debian: &Debian) -> String {
    format!("0.0.0.0:{}", debian.port())
}

/// The test's certificates where docker looks for them; they go with this.
struct CertificatesForDocker(PathBuf);

impl CertificatesForDocker {
    fn new(debian: &Debian) -> Self {
        let folder = Path::new("/etc/docker/certs.d").join(elsewhere(debian));
        fs::create_dir_all(&folder).unwrap();
        let made = Self(folder);
        for (from, to) in [("ca.pem", "ca.crt"), ("client.pem", "client.cert"), ("client.key", "client.key")]
        {
            fs::copy(debian.path(from), made.0.join(to)).unwrap();
        }
        made
    }
}

impl Drop for CertificatesForDocker {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_with_a_private_authority_and_http_2() {
    let section = "  tls: { certificate: {}/server.pem, key: {}/server.key }";
    let debian = Debian::with_passwords(section, certificates);
    let host = debian.host();
    put_images(&debian.registry(), &host).await;

    let with = |keys: &str| format!("{}\n[registry.\"{host}\"]\n{keys}\n", declaration(&host));
    let ca_file = with(&format!("ca-file = {:?}", debian.path("ca.pem")));
    let workspace = Workspace::new(&[("manifests.toml", &ca_file)]);
    log_in(&workspace, &host, "hunter2");
    let before = debian.requests().len();
    reconciled(&workspace, &host, || count(&debian.requests(), &WRITES)).await;
    let asked = debian.requests().split_off(before);
    assert!(!asked.is_empty() && asked.iter().all(|line| line.contains(" HTTP/2.0\"")), "{asked:#?}");

    workspace.write("manifests.toml", &with("plain-http = false"));
    fails(&workspace, &[], &["certificate", "ca-file"]).await;
    // Any certificate, when the declaration or the flag says so.
    workspace.write("manifests.toml", &with("insecure = true\nplain-http = false"));
    ok(&workspace, &["reconcile"], &[]).await;
    workspace.write("manifests.toml", &with("plain-http = false"));
    ok(&workspace, &["reconcile", "--insecure"], &[]).await;

    // Then TLS is tried on loopback as well.
    workspace.write("manifests.toml", &declaration(&host));
    ok(&workspace, &["reconcile", "--insecure"], &[]).await;
    workspace.write("manifests.toml", &with("insecure = true"));
    ok(&workspace, &["reconcile"], &[]).await;

    // As Docker keeps authorities: the user's folder, and a rootless engine's.
    workspace.write("manifests.toml", &declaration(&host));
    let rootless = tempfile::tempdir().unwrap();
    let variable = [("XDG_CONFIG_HOME", rootless.path().to_str().unwrap())];
    for folder in [workspace.docker_config().join("certs.d"), rootless.path().join("docker/certs.d")] {
        fs::create_dir_all(folder.join(&host)).unwrap();
        fs::copy(debian.path("ca.pem"), folder.join(&host).join("ca.crt")).unwrap();
        ok(&workspace, &["reconcile"], &variable).await;
        fs::remove_dir_all(&folder).unwrap();
    }
    let list = format!("{host}/team/app:1");
    let folder = tempfile::tempdir().unwrap();
    fs::copy(debian.path("ca.pem"), folder.path().join("ca.crt")).unwrap();
    let trust = ["--cert-dir", folder.path().to_str().unwrap(), "--creds", "me:hunter2"];
    assert_eq!(skopeo_reads(&list, &trust), ["amd64", "arm64"]);
    docker_pulls(&workspace, &list, "arm64");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_with_a_client_certificate() {
    let section = "  tls: { certificate: {}/server.pem, key: {}/server.key, clientcas: [{}/ca.pem] }";
    let debian = Debian::start(section, certificates);
    let host = debian.host();
    put_images(&debian.registry(), &host).await;

    let keys = format!(
        "{}\n[registry.\"{host}\"]\nca-file = {:?}\nclient-cert = {:?}\nclient-key = {:?}\n",
        declaration(&host),
        debian.path("ca.pem"),
        debian.path("client.pem"),
        debian.path("client.key")
    );
    let workspace = Workspace::new(&[("manifests.toml", &keys)]);
    let digest = reconciled(&workspace, &host, || count(&debian.requests(), &WRITES)).await;

    // Docker's own folder serves docker and this program alike.
    let certificates = CertificatesForDocker::new(&debian);
    let host = elsewhere(&debian);
    workspace.write("manifests.toml", &declaration(&host));
    assert!(ok(&workspace, &["reconcile", "--format", "json"], &[]).await.contains(&digest));
    let list = format!("{host}/team/app:1");
    docker_pulls(&workspace, &list, "arm64");
    assert_eq!(skopeo_reads(&list, &["--cert-dir", certificates.0.to_str().unwrap()]), ["amd64", "arm64"]);
    drop(certificates);
    fails(&workspace, &[], &["certificate", "ca-file"]).await;
}

/// A server's certificate as Docker's documentation makes one ("Use self-signed certificates"), and a client's as
/// `openssl x509 -req` makes it: of version 1.
fn as_documented(folder: &Path) {
    certificates(folder);
    openssl(
        folder,
        "req -x509 -newkey rsa:2048 -nodes -sha256 -days 2 -keyout self.key -out self.pem -subj /CN=registry -addext subjectAltName=IP:127.0.0.1",
    );
    openssl(
        folder,
        "x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out client-1.pem -days 2",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_with_a_certificate_that_is_trusted_itself() {
    let section = "  tls: { certificate: {}/self.pem, key: {}/self.key, clientcas: [{}/ca.pem] }";
    let debian = Debian::start(section, as_documented);
    let host = debian.host();
    let with = |authority: &str, client: &str, key: &str| {
        let settings = RegistrySettings {
            ca_file: Some(debian.path(authority)),
            client_cert: Some(debian.path(client)),
            client_key: Some(debian.path(key)),
            ..RegistrySettings::default()
        };
        Registry::new(Options { registries: [(host.clone(), settings)].into(), ..options() })
    };
    for (authority, client, expected) in [
        ("self.pem", "client.pem", None),
        ("self.pem", "client-1.pem", None),
        (
            "ca.pem",
            "client.pem",
            Some("is an authority's (CA:TRUE), and not itself one that is trusted here"),
        ),
        (
            "server.pem",
            "client.pem",
            Some("is an authority's (CA:TRUE), and not itself one that is trusted here"),
        ),
    ] {
        let registry = with(authority, client, "client.key").unwrap();
        let looked = registry.head_manifest(&debian.repository("o/app"), "1").await;
        match (looked, expected) {
            (Ok(found), None) => assert_eq!(found, None),
            (Err(error), Some(words)) => {
                assert_eq!(error.kind(), Kind::Tls, "{error}");
                assert!(error.to_string().contains(words), "{authority}, {client}: {error}");
            }
            (looked, _) => panic!("{authority}, {client}: {looked:?}"),
        }
    }
    let error = with("self.pem", "client-1.pem", "server.key").map(drop);
    // Whose key it is cannot be told of a certificate of version 1; the server says so.
    assert!(error.is_ok(), "{error:?}");
    let error = with("self.pem", "client.pem", "server.key").map(drop).unwrap_err();
    assert!(error.to_string().contains("is not that of the certificate in"), "{error}");

    // As the same page goes on: the certificate is one of the system's.
    let keys = format!(
        "[registry.\"{host}\"]\nclient-cert = {:?}\nclient-key = {:?}\n",
        debian.path("client.pem"),
        debian.path("client.key")
    );
    let workspace = Workspace::new(&[("manifests.toml", &keys)]);
    for (file, expected) in [("self.pem", "is not in the registry"), ("ca.pem", "CA:TRUE")] {
        let file = debian.path(file);
        let variable = [("SSL_CERT_FILE", file.to_str().unwrap())];
        let output = crate::commands::run(&workspace, &["tags", &format!("{host}/o/app")], &variable).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(expected), "{stderr}");
    }
}
