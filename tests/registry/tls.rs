//! Whole commands over TLS: a private authority, a client's certificate, Docker's folders, HTTP/2.

use std::fs;
use std::path::{Path, PathBuf};

use crate::commands::{
    WRITES, count, declaration, docker_pulls, fails, log_in, ok, put_images, reconciled, skopeo_reads,
};
use crate::debian::Debian;
use crate::support::{Workspace, certificates};

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
