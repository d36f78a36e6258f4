//! Credentials as Docker and podman keep them (docs.docker.com, "docker login"; containers-auth.json(5)).

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::super::secret::Secret;
use super::helper;

/// Where credentials are looked for: the environment of one run.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// `DOCKER_AUTH_CONFIG`: the text of a `config.json`.
    pub docker_auth_config: Option<Secret>,
    /// `DOCKER_CONFIG`: the folder of `config.json`; default `~/.docker`.
    pub docker_config: Option<PathBuf>,
    /// `REGISTRY_AUTH_FILE`: podman's file.
    pub registry_auth_file: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, in which podman keeps its file.
    pub runtime_folder: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `PATH`, on which helpers are found.
    pub path: Option<OsString>,
    /// How long a helper may take. It may ask its owner something.
    pub helper_limit: Duration,
}

/// What a registry or its token server is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// Name and password.
    Password { name: String, password: Secret },
    /// A refresh token, exchanged at the token server (distribution, "OAuth2 Token Authentication").
    Identity(Secret),
    /// A token for the registry itself.
    Token(Secret),
}

/// A credential and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) credential: Credential,
    /// For messages: a file, or a helper and the file that names it.
    pub(crate) source: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConfigFile {
    auths: BTreeMap<String, Entry>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl Default for Credentials {
    /// None.
    fn default() -> Self {
        Self {
            docker_auth_config: None,
            docker_config: None,
            registry_auth_file: None,
            runtime_folder: None,
            home: None,
            path: None,
            helper_limit: Duration::from_secs(60),
        }
    }
}

impl Credentials {
    /// As the environment says.
    pub fn from_env() -> Self {
        let path = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            docker_auth_config: env::var("DOCKER_AUTH_CONFIG")
                .ok()
                .filter(|t| !t.is_empty())
                .map(Secret::new),
            docker_config: path("DOCKER_CONFIG"),
            registry_auth_file: path("REGISTRY_AUTH_FILE"),
            runtime_folder: path("XDG_RUNTIME_DIR"),
            home: path("HOME"),
            path: env::var_os("PATH"),
            ..Self::default()
        }
    }

    /// The credential for `host`, or what is wrong with the first source that should have one. Blocks: it reads files
    /// and runs helpers.
    ///
    /// What was named for this run comes first, then Docker's file, then podman's.
    pub(crate) fn find(&self, host: &str) -> Result<Option<Found>, String> {
        if let Some(text) = &self.docker_auth_config {
            let config: ConfigFile = serde_json::from_str(text.reveal())
                .map_err(|_| "DOCKER_AUTH_CONFIG does not hold the JSON of a config.json".to_owned())?;
            if let Some(found) = self.find_in(&config, "DOCKER_AUTH_CONFIG", host)? {
                return Ok(Some(found));
            }
        }
        for path in self.files() {
            let bytes = match std::fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
            };
            // The parser's message is left out: it may quote what it read.
            let config: ConfigFile = serde_json::from_slice(&bytes)
                .map_err(|error| format!("{} is broken at line {}", path.display(), error.line()))?;
            if let Some(found) = self.find_in(&config, &path.display().to_string(), host)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn files(&self) -> Vec<PathBuf> {
        let docker =
            self.docker_config.clone().or_else(|| self.home.as_ref().map(|home| home.join(".docker")));
        let podman = ["containers/auth.json", ".config/containers/auth.json"];
        let files = [
            self.registry_auth_file.clone(),
            docker.map(|folder| folder.join("config.json")),
            self.runtime_folder.as_ref().map(|folder| folder.join(podman[0])),
            self.home.as_ref().map(|home| home.join(podman[1])),
        ];
        files.into_iter().flatten().collect()
    }

    fn find_in(&self, config: &ConfigFile, source: &str, host: &str) -> Result<Option<Found>, String> {
        let own = config.cred_helpers.iter().find(|(key, _)| is_for(key, host)).map(|(_, helper)| helper);
        if let Some(helper) = own.or(config.creds_store.as_ref()).filter(|helper| !helper.is_empty()) {
            let address = if host == "docker.io" { "https://index.docker.io/v1/" } else { host };
            let answer = helper::ask(helper, address, self.path.as_deref(), self.helper_limit)
                .map_err(|why| format!("{why} (named in {source})"))?;
            if let Some(credential) = answer {
                return Ok(Some(Found {
                    credential,
                    source: format!("docker-credential-{helper} ({source})"),
                }));
            }
        }
        // Docker writes an empty entry for what its helper keeps.
        let entries = config.auths.iter().filter(|(key, _)| is_for(key, host));
        for (key, entry) in entries {
            let credential =
                entry.credential().map_err(|why| format!("{source}: the entry of {key} {why}"))?;
            if let Some(credential) = credential {
                return Ok(Some(Found { credential, source: source.to_owned() }));
            }
        }
        Ok(None)
    }
}

impl Entry {
    fn credential(&self) -> Result<Option<Credential>, String> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.registrytoken) {
            return Ok(Some(Credential::Token(Secret::new(token))));
        }
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(Credential::Identity(Secret::new(token))));
        }
        if let Some(auth) = given(&self.auth) {
            // With padding or without: hand-written files have either.
            let lenient = GeneralPurpose::new(
                &base64::alphabet::STANDARD,
                GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
            );
            let text = lenient.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let text = text.ok_or("has an `auth` that is not base64")?;
            let (name, password) = text.split_once(':').ok_or("has an `auth` without a colon")?;
            let password = password.trim_end_matches('\0');
            return Ok(Some(Credential::from_pair(name.to_owned(), Secret::new(password))));
        }
        if let (Some(name), Some(password)) = (given(&self.username), given(&self.password)) {
            return Ok(Some(Credential::from_pair(name, Secret::new(password))));
        }
        Ok(None)
    }
}

impl Credential {
    /// By Docker's convention the name `<token>` marks an identity token.
    pub(crate) fn from_pair(name: String, secret: Secret) -> Self {
        if name == "<token>" { Self::Identity(secret) } else { Self::Password { name, password: secret } }
    }
}

/// Whether a key of a configuration file is for `host`. Keys are hosts or, from older days, addresses; Docker Hub has
/// several names.
fn is_for(key: &str, host: &str) -> bool {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.split('/').next().unwrap_or(key);
    match host {
        "docker.io" => matches!(key, "docker.io" | "index.docker.io" | "registry-1.docker.io"),
        _ => key == host,
    }
}

#[cfg(test)]
mod tests;
