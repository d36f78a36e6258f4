//! Where a registry is reached and how: the declared settings, Docker's `certs.d`, and the rules for loopback and
//! insecure registries.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use reqwest::Url;

use super::tls::Profile;
use crate::config::RegistrySettings;
use crate::model::reference::host_is_loopback;

/// How one registry is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// As declared, e.g. `docker.io`.
    pub(crate) name: String,
    /// Scheme, host and port, with the path `/`.
    pub(crate) base: Url,
    /// Plain HTTP, for an insecure registry that turns out not to speak TLS.
    pub(crate) fallback: Option<Url>,
    /// The client's settings.
    pub(crate) profile: Profile,
    pub(crate) max_connections: usize,
}

impl Place {
    /// `folders` are Docker's `certs.d` folders, the most important first.
    pub(crate) fn new(
        name: &str,
        settings: &RegistrySettings,
        insecure: bool,
        folders: &[PathBuf],
    ) -> Result<Self, String> {
        let insecure = insecure || settings.insecure;
        let loopback = host_is_loopback(name);
        let mut profile = Profile { insecure, direct: loopback, ..Profile::default() };
        profile.authorities.extend(settings.ca_file.clone());
        profile.identity = match (&settings.client_cert, &settings.client_key) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            _ => {
                return Err(format!(
                    "[registry.\"{name}\"] needs both `client-cert` and `client-key`, or neither"
                ));
            }
        };
        for folder in folders {
            add_docker_certificates(&folder.join(name), &mut profile)?;
        }
        let has_tls_keys = !profile.authorities.is_empty() || profile.identity.is_some();
        // Without a word on it loopback speaks plain HTTP; where any certificate is taken, TLS is tried first, as Docker
        // does.
        profile.plain = settings.plain_http.unwrap_or(loopback && !has_tls_keys && !insecure);
        let scheme = if profile.plain { "http" } else { "https" };
        let falls_back = insecure && settings.plain_http.is_none() && !has_tls_keys && !profile.plain;
        Ok(Self {
            name: name.to_owned(),
            base: url(scheme, name)?,
            fallback: falls_back.then(|| url("http", name)).transpose()?,
            profile,
            max_connections: settings.max_connections.max(1),
        })
    }
}

/// Docker Hub's API is not at the name that its references carry.
fn url(scheme: &str, name: &str) -> Result<Url, String> {
    let authority = if name == "docker.io" { "registry-1.docker.io" } else { name };
    Url::parse(&format!("{scheme}://{authority}/")).map_err(|error| format!("`{name}` is no host: {error}"))
}

/// `*.crt` are authorities; `NAME.cert` and `NAME.key` are the client's (docs.docker.com, "Verify repository client
/// with certificates"). A declared client certificate stays.
fn add_docker_certificates(folder: &Path, profile: &mut Profile) -> Result<(), String> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(format!("cannot read {}: {error}", folder.display())),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => profile.authorities.push(path),
            Some("cert") if profile.identity.is_none() => {
                let key = path.with_extension("key");
                if !key.exists() {
                    return Err(format!("{} has no {} beside it", path.display(), key.display()));
                }
                profile.identity = Some((path, key));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Docker's `certs.d` folders: the system's, that of Docker Desktop, and that of rootless engines below
/// `XDG_CONFIG_HOME` (`config_home`; default `~/.config`).
pub(crate) fn docker_certificate_folders(home: Option<&Path>, config_home: Option<&Path>) -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from("/etc/docker/certs.d")];
    folders.extend(home.map(|home| home.join(".docker/certs.d")));
    let rootless = config_home.map(Path::to_owned).or_else(|| home.map(|home| home.join(".config")));
    folders.extend(rootless.map(|folder| folder.join("docker/certs.d")));
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(
        name: &str,
        change: impl FnOnce(&mut RegistrySettings),
        insecure: bool,
    ) -> (String, Option<String>) {
        let mut settings = RegistrySettings::default();
        change(&mut settings);
        let place = Place::new(name, &settings, insecure, &[]).unwrap();
        (place.base.to_string(), place.fallback.map(|url| url.to_string()))
    }

    #[test]
    fn tls_unless_loopback_or_declared() {
        let tls = |url: &str| (url.to_owned(), None);
        assert_eq!(place("docker.io", |_| {}, false), tls("https://registry-1.docker.io/"));
        assert_eq!(place("registry.corp:5000", |_| {}, false), tls("https://registry.corp:5000/"));
        assert_eq!(place("localhost:5000", |_| {}, false), tls("http://localhost:5000/"));
        assert_eq!(place("[::1]:5000", |_| {}, false), tls("http://[::1]:5000/"));
        assert_eq!(
            place("127.0.0.1:5000", |s| s.plain_http = Some(false), false),
            tls("https://127.0.0.1:5000/")
        );
        assert_eq!(
            place("127.0.0.1:1", |s| s.ca_file = Some("ca.pem".into()), false),
            tls("https://127.0.0.1:1/")
        );
        assert_eq!(
            place("registry.corp", |s| s.plain_http = Some(true), false),
            tls("http://registry.corp/")
        );
    }

    #[test]
    fn only_an_insecure_registry_without_tls_keys_falls_back() {
        let falls = ("https://r.corp:5000/".to_owned(), Some("http://r.corp:5000/".to_owned()));
        assert_eq!(place("r.corp:5000", |_| {}, true), falls);
        assert_eq!(place("r.corp:5000", |s| s.insecure = true, false), falls);
        let loopback = ("https://[::1]:5000/".to_owned(), Some("http://[::1]:5000/".to_owned()));
        assert_eq!(place("[::1]:5000", |_| {}, true), loopback);
        for change in [(|s| s.plain_http = Some(false)) as fn(&mut RegistrySettings), |s| {
            s.ca_file = Some("ca.pem".into())
        }] {
            assert_eq!(place("r.corp:5000", change, true), ("https://r.corp:5000/".to_owned(), None));
        }
    }

    #[test]
    fn dockers_folders_are_the_systems_and_the_users() {
        let folders = |home: Option<&str>, config: Option<&str>| {
            docker_certificate_folders(home.map(Path::new), config.map(Path::new))
        };
        let as_paths = |folders: &[&str]| folders.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(folders(None, None), as_paths(&["/etc/docker/certs.d"]));
        assert_eq!(
            folders(Some("/h"), None),
            as_paths(&["/etc/docker/certs.d", "/h/.docker/certs.d", "/h/.config/docker/certs.d"])
        );
        assert_eq!(
            folders(Some("/h"), Some("/c")),
            as_paths(&["/etc/docker/certs.d", "/h/.docker/certs.d", "/c/docker/certs.d"])
        );
    }

    #[test]
    fn dockers_folders_count_as_tls_keys() {
        let folder = tempfile::tempdir().unwrap();
        let host = folder.path().join("127.0.0.1:5000");
        std::fs::create_dir(&host).unwrap();
        for name in ["ca.crt", "me.cert", "me.key"] {
            std::fs::write(host.join(name), "").unwrap();
        }
        let folders = [folder.path().to_owned()];
        let place = Place::new("127.0.0.1:5000", &RegistrySettings::default(), false, &folders).unwrap();
        assert_eq!(place.base.as_str(), "https://127.0.0.1:5000/");
        assert_eq!(place.profile.authorities, [host.join("ca.crt")]);
        assert_eq!(place.profile.identity, Some((host.join("me.cert"), host.join("me.key"))));

        std::fs::remove_file(host.join("me.key")).unwrap();
        let error = Place::new("127.0.0.1:5000", &RegistrySettings::default(), false, &folders).unwrap_err();
        assert!(error.contains("me.key"), "{error}");
    }
}
