//! Credentials as Docker and podman keep them (docs.docker.com, "docker login"; containers-auth.json(5)).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use reqwest::header::HeaderValue;
use serde::Deserialize;

use super::{helper, sensitive};
use crate::model::go_json::Json;
use crate::model::secret::Secret;

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
    /// `XDG_CONFIG_HOME`, in which podman keeps its file and rootless Docker its certificates; default `~/.config`.
    pub config_home: Option<PathBuf>,
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
    /// Name and password that are not UTF-8: the name for people, and both in the base64 that `Authorization` takes.
    Bytes { name: String, pair: Secret },
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

/// What a search for a credential came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) found: Option<Found>,
    /// The helpers on the way that could not say whether they hold one.
    pub(crate) failed: Vec<FailedHelper>,
}

/// A helper that is missing, fails, or gives no answer that is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FailedHelper {
    /// `docker-credential-NAME`.
    pub(crate) program: String,
    /// What is wrong with it, and the file that names it.
    pub(crate) why: String,
}

impl Search {
    /// Why there may be a credential although none was found; `None` where there is one, or certainly none.
    pub(crate) fn doubt(&self) -> Option<String> {
        let whys: Vec<&str> = self.failed.iter().map(|failed| failed.why.as_str()).collect();
        (self.found.is_none() && !whys.is_empty()).then(|| whys.join("; "))
    }
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
            config_home: None,
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
            config_home: path("XDG_CONFIG_HOME"),
            home: path("HOME"),
            path: env::var_os("PATH"),
            ..Self::default()
        }
    }

    /// The credential for the repository `path` of `host`, or what is wrong with the first file that should have one;
    /// without a path, the one for the host as a whole. Blocks: it reads files and runs helpers.
    ///
    /// What was named for this run comes first, then Docker's file, then podman's. A helper that fails is passed over, as
    /// Docker does: what is public can be read without it.
    pub(crate) fn search(&self, host: &str, path: &str) -> Result<Search, String> {
        let mut search = Search::default();
        for config in self.configs() {
            let (config, source) = config?;
            search.found = self.find_in(&config, &source, host, path, &mut search.failed)?;
            if search.found.is_some() {
                break;
            }
        }
        Ok(search)
    }

    /// The parts of `host` that have entries of their own, as podman writes them. Blocks.
    ///
    /// A broken source is passed over: whether it matters is known when a credential is looked for.
    pub(crate) fn namespaces(&self, host: &str) -> BTreeSet<String> {
        let mut namespaces = BTreeSet::new();
        for (config, _) in self.configs().flatten() {
            let keys = config.auths.keys().map(|key| Key::parse(key));
            let own = keys.filter(|key| key.is_for(host) && !key.path.is_empty());
            namespaces.extend(own.map(|key| key.path.to_owned()));
        }
        namespaces
    }

    /// Whether a source has an entry for `host`, although it may be an empty one whose secret a helper keeps. Blocks,
    /// but runs no helper: those may ask their owner.
    pub(crate) fn mention(&self, host: &str) -> bool {
        let is_for = |key: &String| Key::parse(key).is_for(host);
        self.configs()
            .flatten()
            .any(|(config, _)| config.auths.keys().any(is_for) || config.cred_helpers.keys().any(is_for))
    }

    /// The sources that exist, in their order, each with its name.
    fn configs(&self) -> impl Iterator<Item = Result<(ConfigFile, String), String>> {
        let variable = self.docker_auth_config.as_ref().map(|text| {
            let name = "DOCKER_AUTH_CONFIG".to_owned();
            Ok((read(text.reveal().as_bytes(), &name)?, name))
        });
        let files = self.files().into_iter().filter_map(|path| match std::fs::read(&path) {
            Ok(bytes) => {
                let name = path.display().to_string();
                Some(read(&bytes, &name).map(|config| (config, name)))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => Some(Err(format!("cannot read {}: {error}", path.display()))),
        });
        variable.into_iter().chain(files)
    }

    fn files(&self) -> Vec<PathBuf> {
        let docker =
            self.docker_config.clone().or_else(|| self.home.as_ref().map(|home| home.join(".docker")));
        let config_home =
            self.config_home.clone().or_else(|| self.home.as_ref().map(|home| home.join(".config")));
        let podman = "containers/auth.json";
        let files = [
            self.registry_auth_file.clone(),
            docker.map(|folder| folder.join("config.json")),
            self.runtime_folder.as_ref().map(|folder| folder.join(podman)),
            config_home.map(|folder| folder.join(podman)),
        ];
        files.into_iter().flatten().collect()
    }

    fn find_in(
        &self,
        config: &ConfigFile,
        source: &str,
        host: &str,
        path: &str,
        failed: &mut Vec<FailedHelper>,
    ) -> Result<Option<Found>, String> {
        let keys = config.auths.iter().map(|(text, entry)| (text, Key::parse(text), entry));
        let mut entries: Vec<_> = keys.filter(|(_, key, _)| key.is_for(host) && key.holds(path)).collect();
        entries.sort_by_key(|(_, key, _)| Reverse(key.path.len()));
        let whole_host = entries.partition_point(|(_, key, _)| !key.path.is_empty());
        let from_entries = |entries: &[(&String, Key<'_>, &Entry)]| {
            for (text, key, entry) in entries {
                let credential =
                    entry.credential().map_err(|why| format!("{source}: the entry of {text} {why}"))?;
                if let Some(credential) = credential {
                    let source = match key.path {
                        "" => source.to_owned(),
                        _ => format!("{source}, entry {text}"),
                    };
                    return Ok(Some(Found { credential, source }));
                }
            }
            Ok(None)
        };
        // An entry for a part of the registry says more than a helper, which knows registries only.
        if let Some(found) = from_entries(&entries[..whole_host])? {
            return Ok(Some(found));
        }
        let own = config.cred_helpers.iter().find(|(key, _)| Key::parse(key).is_for(host));
        let helper = own.map(|(_, helper)| helper).or(config.creds_store.as_ref());
        if let Some(helper) = helper.filter(|helper| !helper.is_empty()) {
            let address = if host == "docker.io" { "https://index.docker.io/v1/" } else { host };
            let program = format!("docker-credential-{helper}");
            match helper::ask(helper, address, self.path.as_deref(), self.helper_limit) {
                Ok(Some(credential)) => {
                    return Ok(Some(Found { credential, source: format!("{program} ({source})") }));
                }
                Ok(None) => {}
                Err(why) => {
                    failed.push(FailedHelper { program, why: format!("{why} (named in {source})") });
                }
            }
        }
        // Docker writes an empty entry for what its helper keeps.
        from_entries(&entries[whole_host..])
    }
}

/// Reads a configuration file as Docker does: an empty one holds nothing.
///
/// The parser's message is left out of the error: it may quote what it read.
fn read(bytes: &[u8], name: &str) -> Result<ConfigFile, String> {
    let json = match Json::first(bytes) {
        Ok(Some(json)) => json,
        Ok(None) => return Ok(ConfigFile::default()),
        Err(error) => return Err(format!("{name} is not valid JSON at line {}", error.line().unwrap_or(1))),
    };
    ConfigFile::deserialize(json).map_err(|error| match error.place() {
        Some(place) => format!("{name} does not hold what a config.json holds at `{place}`"),
        None => format!("{name} does not hold the JSON object of a config.json"),
    })
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
            // Go passes over the ends of lines: `base64` wraps its output.
            let auth: String = auth.trim().chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
            let bytes = lenient.decode(auth).map_err(|_| "has an `auth` that is not base64")?;
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let bytes = &bytes[..end];
            let colon = bytes.iter().position(|byte| *byte == b':').ok_or("has an `auth` without a colon")?;
            return Ok(Some(match std::str::from_utf8(bytes) {
                Ok(text) => Credential::from_pair(text[..colon].to_owned(), Secret::new(&text[colon + 1..])),
                Err(_) => Credential::Bytes {
                    name: String::from_utf8_lossy(&bytes[..colon]).into_owned(),
                    pair: Secret::new(BASE64_STANDARD.encode(bytes)),
                },
            }));
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

    /// The name, and `Authorization: Basic …` (RFC 7617), of a name and its password.
    pub(super) fn basic(&self) -> Option<(&str, HeaderValue)> {
        match self {
            Self::Password { name, password } => {
                let pair = BASE64_STANDARD.encode(format!("{name}:{}", password.reveal()));
                Some((name, sensitive(&format!("Basic {pair}"))))
            }
            Self::Bytes { name, pair } => Some((name, sensitive(&format!("Basic {}", pair.reveal())))),
            Self::Identity(_) | Self::Token(_) => None,
        }
    }
}

/// A key of a configuration file. Docker's are hosts or, from older days, addresses; podman's may go on with a part of a
/// repository's path (containers-auth.json(5), "FORMAT").
struct Key<'a> {
    host: &'a str,
    /// Empty for the host as a whole.
    path: &'a str,
}

impl<'a> Key<'a> {
    fn parse(text: &'a str) -> Self {
        let address = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let (host, path) = address.unwrap_or(text).split_once('/').unwrap_or((address.unwrap_or(text), ""));
        let path = path.trim_end_matches('/');
        // What stands behind an address, or names a version of the API, is no repository.
        let path = if address.is_some() || matches!(path, "v1" | "v2") { "" } else { path };
        Self { host, path }
    }

    /// Docker Hub has several names.
    fn is_for(&self, host: &str) -> bool {
        match host {
            "docker.io" => matches!(self.host, "docker.io" | "index.docker.io" | "registry-1.docker.io"),
            _ => self.host == host,
        }
    }

    fn holds(&self, path: &str) -> bool {
        is_within(path, self.path)
    }
}

/// Whether the repository `path` is `namespace` or lies in it. Everything lies in the empty one.
pub(crate) fn is_within(path: &str, namespace: &str) -> bool {
    let rest = path.strip_prefix(namespace);
    namespace.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
