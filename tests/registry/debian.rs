//! Debian's `docker-registry` (CNCF distribution 2.8): plain, with a password file, with signed tokens, over TLS.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use manifests::config::RegistrySettings;
use manifests::model::digest::Digest;
use manifests::model::reference::Repository;
use manifests::registry::{Copied, Credentials, Kind, Options, Registry};
use tempfile::TempDir;

use crate::scripted::{LIST, OCI_INDEX, Reply, Seen, Server, entry, options, registry};
use crate::support::{certificates, openssl};

const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry of its own for one test; ends with it.
pub(crate) struct Debian {
    process: Child,
    folder: TempDir,
    port: u16,
}

impl Drop for Debian {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Debian {
    /// `sections` are added to its configuration; `{}` in them is the test's folder.
    pub(crate) fn start(sections: &str, files: impl FnOnce(&Path)) -> Self {
        let program = which::which("docker-registry")
            .expect("Debian's docker-registry is not installed; `cargo xtask ci` installs it");
        let folder = tempfile::tempdir().unwrap();
        files(folder.path());
        let here = folder.path().display().to_string();
        // Another process may take the port before the registry does; then it ends, and another port is tried.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let config = format!(
                "version: 0.1\nlog: {{ level: error }}\n\
                 storage: {{ filesystem: {{ rootdirectory: {here}/store }}, delete: {{ enabled: true }} }}\n\
                 http:\n  addr: 127.0.0.1:{port}\n{}\n",
                sections.replace("{}", &here)
            );
            fs::write(folder.path().join("config.yml"), config).unwrap();
            let log = fs::File::create(folder.path().join("log")).unwrap();
            let mut process = Command::new(&program)
                .args(["serve", &format!("{here}/config.yml")])
                .stdout(fs::File::create(folder.path().join("requests")).unwrap())
                .stderr(log)
                .spawn()
                .unwrap();
            for _ in 0..500 {
                if process.try_wait().unwrap().is_some() {
                    break;
                }
                if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Self { process, folder, port };
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("docker-registry does not start: {log}")
    }

    /// With a password file; `section` as in [`Self::start`].
    pub(crate) fn with_passwords(section: &str, files: impl FnOnce(&Path)) -> Self {
        let sections = format!("{section}\nauth: {{ htpasswd: {{ realm: r, path: {{}}/htpasswd }} }}");
        Self::start(&sections, |folder| {
            fs::write(folder.join("htpasswd"), HTPASSWD).unwrap();
            files(folder);
        })
    }

    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn repository(&self, path: &str) -> Repository {
        Repository { host: self.host(), path: path.to_owned() }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Everything there is for this registry: its authority, a client's certificate, a password.
    pub(crate) fn registry(&self) -> Registry {
        let all = RegistrySettings {
            ca_file: Some(self.path("ca.pem")),
            client_cert: Some(self.path("client.pem")),
            client_key: Some(self.path("client.key")),
            ..RegistrySettings::default()
        };
        let registries = [(self.host(), all)].into();
        Registry::new(Options { registries, credentials: entry(&self.host(), PASSWORD), ..options() })
            .unwrap()
    }

    /// The requests so far, as web servers log them: address, time, `"METHOD PATH PROTOCOL"`, status.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("requests")).unwrap();
        log.lines().map(str::to_owned).collect()
    }
}

/// Everything that a release asks of a registry, once.
async fn whole_way(registry: &Registry, at: impl Fn(&str) -> Repository, other: Option<&Repository>) {
    let (image, list) = (at("o/image"), at("o/list"));
    assert_eq!(registry.head_manifest(&list, "1").await.unwrap(), None);
    assert_eq!(registry.tags(&list).await.unwrap(), None);

    let folder = tempfile::tempdir().unwrap();
    let layer: Vec<u8> = (0u32..300_000).flat_map(u32::to_le_bytes).collect();
    let mut descriptors = Vec::new();
    for (name, bytes) in [("config", b"{}".as_slice()), ("layer", &layer)] {
        let (path, digest, size) = (folder.path().join(name), Digest::of(bytes), bytes.len() as u64);
        fs::write(&path, bytes).unwrap();
        assert_eq!(registry.upload_file(&image, &digest, size, &path).await.unwrap(), Copied::Sent);
        assert_eq!(registry.upload_file(&image, &digest, size, &path).await.unwrap(), Copied::Present);
        descriptors.push((digest, size));
    }
    let (config, layer) = (descriptors[0].clone(), descriptors[1].clone());
    assert_eq!(registry.get_blob(&image, &config.0, config.1).await.unwrap(), "{}");
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_IMAGE}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":{}}}]}}"#,
        config.0, config.1, layer.0, layer.1
    );
    let child = registry.put_manifest(&image, "1", OCI_IMAGE, manifest.as_bytes()).await.unwrap();

    // Children before the list: the registry insists.
    let bytes = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"{OCI_IMAGE}","digest":"{child}","size":{}}}]}}"#,
        manifest.len()
    );
    let error = registry.put_manifest(&list, "1", OCI_INDEX, bytes.as_bytes()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Rejected, "{error}");
    assert!(error.said().iter().any(|said| said.code == "MANIFEST_BLOB_UNKNOWN"), "{error}");
    for (digest, size) in [&config, &layer] {
        assert_eq!(registry.copy_blob(&image, &list, digest, *size).await.unwrap(), Copied::Mounted);
    }
    registry.put_manifest(&list, child.as_str(), OCI_IMAGE, manifest.as_bytes()).await.unwrap();
    let digest = registry.put_manifest(&list, "1", OCI_INDEX, bytes.as_bytes()).await.unwrap();

    let head = registry.head_manifest(&list, "1").await.unwrap().unwrap();
    assert_eq!((&head.digest, head.size, head.media_type.as_str()), (&digest, bytes.len() as u64, OCI_INDEX));
    let fetched = registry.get_manifest(&list, digest.as_str()).await.unwrap().unwrap();
    assert_eq!((&fetched.bytes[..], fetched.digest), (bytes.as_bytes(), digest.clone()));
    for tag in ["2", "3"] {
        registry.put_manifest(&list, tag, OCI_INDEX, bytes.as_bytes()).await.unwrap();
    }
    let mut tags = registry.tags(&list).await.unwrap().unwrap();
    // Distribution 2 serves them in no particular order.
    tags.sort();
    assert_eq!(tags, ["1", "2", "3"]);
    assert!(registry.referrers(&list, &digest).await.unwrap().is_empty());

    if let Some(other) = other {
        assert_eq!(registry.copy_blob(&list, other, &layer.0, layer.1).await.unwrap(), Copied::Sent);
        assert!(registry.has_blob(other, &layer.0).await.unwrap());
    }

    let error = registry.delete_manifest(&list, "2").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "distribution 2 deletes no tags: {error}");
    assert!(registry.delete_manifest(&list, digest.as_str()).await.unwrap());
    assert_eq!(registry.head_manifest(&list, "1").await.unwrap(), None);
}

#[tokio::test]
async fn plain_and_from_one_registry_to_another() {
    let debian = Debian::start("", |_| {});
    let other = Debian::start("", |_| {});
    whole_way(&registry(), |path| debian.repository(path), Some(&other.repository("o/copy"))).await;
    let ping = registry().ping(&debian.host()).await.unwrap();
    assert_eq!((ping.authentication.as_str(), ping.accepted), ("none", true));
}

/// `me` and `hunter2`, as `htpasswd -Bbn` writes it.
const HTPASSWD: &str = "me:$2y$05$Dz3IPux6U03sJGDF4jfOxOM/UzKyMM5DGxI80bLezAkSLfrX06/Oq\n";
const PASSWORD: &str = r#"{"auth":"bWU6aHVudGVyMg=="}"#;

#[tokio::test]
async fn with_a_password_file() {
    let debian = Debian::with_passwords("", |_| {});
    let with = |credentials| Registry::new(Options { credentials, ..options() }).unwrap();
    whole_way(&with(entry(&debian.host(), PASSWORD)), |path| debian.repository(path), None).await;

    let wrong = with(entry(&debian.host(), r#"{"username":"me","password":"wrong"}"#));
    let error = wrong.head_manifest(&debian.repository("o/list"), "1").await.unwrap_err();
    assert_eq!((error.kind(), error.credential_source()), (Kind::Unauthorized, Some("DOCKER_AUTH_CONFIG")));
    let nobody = with(Credentials::default());
    let error = nobody.put_manifest(&debian.repository("o/list"), "1", OCI_INDEX, LIST).await.unwrap_err();
    assert_eq!((error.kind(), error.credential_source()), (Kind::Unauthorized, None));
    let ping = nobody.ping(&debian.host()).await.unwrap();
    assert_eq!((ping.authentication.as_str(), ping.accepted), ("basic", false));
}

/// The bearer token that distribution takes: a JWT signed with the key of a certificate that it was given
/// (distribution, "Token Authentication Implementation").
pub(crate) fn signed_token(folder: &Path, host: &str, seen: &Seen) -> Reply {
    let query = seen.target.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",");
    let scopes = query.split(['&', '?']).filter_map(|pair| pair.strip_prefix("scope=repository:"));
    let access = scopes.map(|scope| {
        let (name, actions) = scope.rsplit_once(':').unwrap();
        let actions = actions.split(',').map(|action| format!("{action:?}")).collect::<Vec<_>>().join(",");
        format!(r#"{{"type":"repository","name":"{name}","actions":[{actions}]}}"#)
    });
    let access = access.collect::<Vec<_>>().join(",");
    let pem = fs::read_to_string(folder.join("server.pem")).unwrap();
    let certificate: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let header = format!(r#"{{"typ":"JWT","alg":"RS256","x5c":["{certificate}"]}}"#);
    let claims = format!(
        r#"{{"iss":"tests","aud":"{host}","sub":"me","exp":4102444800,"nbf":0,"iat":0,"jti":"1","access":[{access}]}}"#
    );
    let signed =
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let (text, signature) =
        (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    fs::write(text.path(), &signed).unwrap();
    let (text, out) = (text.path().display(), signature.path().display());
    openssl(folder, &format!("dgst -sha256 -sign server.key -out {out} {text}"));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(fs::read(signature.path()).unwrap());
    Reply::status(200).body(format!(r#"{{"token":"{signed}.{signature}","expires_in":300}}"#))
}

#[tokio::test]
async fn with_signed_tokens() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let keys = folder.path().to_owned();
    let password = format!("Basic {}", BASE64_STANDARD.encode("me:hunter2"));
    let tokens = Server::start(move |seen, _| {
        // Reading is for everybody, writing for those with a name.
        let may = !seen.target.contains("push") || seen.header("authorization") == Some(&password);
        Some(if may { signed_token(&keys, "service", seen) } else { Reply::status(401) })
    })
    .await;
    let section = format!(
        "auth: {{ token: {{ realm: 'http://{}/token', service: service, issuer: tests, rootcertbundle: {}/ca.pem }} }}",
        tokens.address,
        folder.path().display()
    );
    let debian = Debian::start(&section, |_| {});
    let named = Options { credentials: entry(&debian.host(), PASSWORD), ..options() };
    let named = Registry::new(named).unwrap();
    whole_way(&named, |path| debian.repository(path), None).await;

    let nobody = registry();
    assert!(nobody.head_manifest(&debian.repository("o/image"), "1").await.unwrap().is_some());
    let error = nobody.put_manifest(&debian.repository("o/list"), "1", OCI_INDEX, LIST).await.unwrap_err();
    assert_eq!((error.kind(), error.credential_source()), (Kind::Unauthorized, None), "{error}");
    let before = tokens.log().len();
    for _ in 0..8 {
        named.head_manifest(&debian.repository("o/image"), "1").await.unwrap().unwrap();
    }
    assert_eq!(tokens.log().len(), before, "the tokens at hand cover this");
}

#[tokio::test]
async fn over_tls_with_a_private_authority() {
    let section = "  tls: { certificate: {}/server.pem, key: {}/server.key }";
    let debian = Debian::start(section, certificates);
    let with = |settings, insecure| {
        let registries = [(debian.host(), settings)].into();
        Registry::new(Options { registries, insecure, ..options() }).unwrap()
    };
    let trusting = RegistrySettings { ca_file: Some(debian.path("ca.pem")), ..RegistrySettings::default() };
    whole_way(&with(trusting, false), |path| debian.repository(path), None).await;

    // The server's own certificate, whoever signed it.
    let own = RegistrySettings { ca_file: Some(debian.path("server.pem")), ..RegistrySettings::default() };
    let found = with(own, false).head_manifest(&debian.repository("o/nothing"), "1").await.unwrap();
    assert_eq!(found, None);

    let tls = RegistrySettings { plain_http: Some(false), ..RegistrySettings::default() };
    let error = with(tls.clone(), false).head_manifest(&debian.repository("o/list"), "1").await.unwrap_err();
    assert_eq!((error.kind(), error.method()), (Kind::Tls, "HEAD"), "{error}");
    assert!(error.hint().unwrap().contains("ca-file"), "{:?}", error.hint());

    for insecure in [with(RegistrySettings { insecure: true, ..tls.clone() }, false), with(tls.clone(), true)]
    {
        assert_eq!(insecure.head_manifest(&debian.repository("o/list"), "1").await.unwrap(), None);
    }

    // As Docker keeps it.
    let folders = tempfile::tempdir().unwrap();
    let folder = folders.path().join(debian.host());
    fs::create_dir(&folder).unwrap();
    fs::copy(debian.path("ca.pem"), folder.join("ca.crt")).unwrap();
    let as_docker = Options { certificate_folders: Some(vec![folders.path().to_owned()]), ..options() };
    let as_docker = Registry::new(as_docker).unwrap();
    assert!(as_docker.head_manifest(&debian.repository("o/image"), "1").await.unwrap().is_some());
}

#[tokio::test]
async fn over_tls_with_a_client_certificate() {
    let section = "  tls: { certificate: {}/server.pem, key: {}/server.key, clientcas: [{}/ca.pem] }";
    let debian = Debian::start(section, certificates);
    let with =
        |settings| Registry::new(Options { registries: [(debian.host(), settings)].into(), ..options() });
    let without = RegistrySettings { ca_file: Some(debian.path("ca.pem")), ..RegistrySettings::default() };
    let identified = RegistrySettings {
        client_cert: Some(debian.path("client.pem")),
        client_key: Some(debian.path("client.key")),
        ..without.clone()
    };
    whole_way(&with(identified.clone()).unwrap(), |path| debian.repository(path), None).await;
    let error = with(without).unwrap().head_manifest(&debian.repository("o/list"), "1").await.unwrap_err();
    // In TLS 1.3 the server refuses after the client's side of the handshake is done: its alert and the end of the
    // connection race each other.
    assert!(matches!(error.kind(), Kind::Tls | Kind::Interrupted), "{error:?}");

    let mixed_up = RegistrySettings { client_key: Some(debian.path("ca.pem")), ..identified };
    let error = with(mixed_up).err().unwrap();
    assert_eq!(error.kind(), Kind::Local);
    assert!(error.to_string().contains("client.pem"), "{error}");
}
