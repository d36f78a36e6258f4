//! Repositories and references, normalised as Docker does. Pure.
//!
//! The grammar is the one of distribution's `reference` package. `oci-distribution` has it as a regular expression whose
//! compilation takes longer (50 ms) than all the rest of a run in which nothing changed, so it is written out here; the
//! tests hold it to that crate's.

use std::fmt;
use std::str::FromStr;

use crate::model::digest::Digest;

/// A repository of one registry: `host/path`, e.g. `docker.io/library/alpine`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository {
    /// Host and port as declared; Docker Hub is `docker.io`.
    pub host: String,
    /// The name within the registry, e.g. `library/alpine`.
    pub path: String,
}

impl Repository {
    /// The reference of `tag` in this repository.
    pub fn tag(&self, tag: &str) -> Reference {
        Reference { repository: self.clone(), tag: Some(tag.to_owned()), digest: None }
    }

    /// The reference of `digest` in this repository.
    pub fn digest(&self, digest: &Digest) -> Reference {
        Reference { repository: self.clone(), tag: None, digest: Some(digest.clone()) }
    }

    /// Whether the host is this machine's loopback, where plain HTTP is the default.
    pub fn is_loopback(&self) -> bool {
        host_is_loopback(&self.host)
    }
}

/// Whether `host` (with or without a port) names this machine's loopback.
pub fn host_is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// `[host/]repository[:tag][@digest]`. With a tag and a digest, the digest counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Where to look.
    pub repository: Repository,
    /// The tag; `latest` when the text had neither tag nor digest.
    pub tag: Option<String>,
    /// The digest, when one was given.
    pub digest: Option<Digest>,
}

impl Reference {
    /// The reference with its digest shortened as [`Digest::short`] does: to be read, not to be asked for.
    pub fn short(&self) -> String {
        let named = Self { digest: None, ..self.clone() };
        match &self.digest {
            Some(digest) => format!("{named}@{}", digest.short()),
            None => named.to_string(),
        }
    }

    /// What a registry is asked for: the digest if there is one, else the tag.
    pub fn lookup(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }

    /// As Docker abbreviates it in its own output: without `docker.io/` and `library/`.
    pub fn familiar(&self) -> String {
        let text = self.to_string();
        match text.strip_prefix("docker.io/") {
            Some(rest) => rest.strip_prefix("library/").unwrap_or(rest).to_owned(),
            None => text,
        }
    }
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a reference: {reason}")]
pub struct ReferenceError {
    text: String,
    reason: String,
}

impl ReferenceError {
    fn new(text: &str, reason: impl Into<String>) -> Self {
        Self { text: text.to_owned(), reason: reason.into() }
    }

    /// The reason alone, for messages that show the text by other means.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            |reason: &str| ReferenceError::new(text, explain(text).unwrap_or_else(|| reason.to_owned()));
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (text, None),
        };
        let digest = digest
            .map(|digest| Digest::verifiable(digest).map_err(|error| wrong(error.reason())))
            .transpose()?;
        // A colon in an earlier part is that of a port.
        let tag_at = named.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match named[tag_at..].split_once(':') {
            Some((last, tag)) => (&named[..tag_at + last.len()], Some(tag)),
            None => (named, None),
        };
        if let Some(problem) = tag.and_then(tag_problem) {
            return Err(wrong(&problem));
        }
        let repository = repository(name).map_err(wrong)?;
        let tag = tag.or(digest.is_none().then_some("latest")).map(str::to_owned);
        Ok(Self { repository, tag, digest })
    }
}

/// The repository that `name`, without tag and digest, stands for; the error says what is wrong with it.
fn repository(name: &str) -> Result<Repository, &'static str> {
    const HUB: &str = "docker.io";
    // What looks like a host is one; anything else is the first part of a path on Docker Hub.
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
        _ => (HUB, name),
    };
    if !is_host(host) {
        return Err("the part before the first slash is no host");
    }
    if path.is_empty() || !path.split('/').all(is_path_component) {
        return Err("its name is made of lower-case letters and digits, with single separators between them");
    }
    let host = if host == "index.docker.io" { HUB } else { host };
    let path = match path.contains('/') {
        false if host == HUB => format!("library/{path}"),
        _ => path.to_owned(),
    };
    if path.len() > LONGEST_PATH {
        return Err("its name has more than 255 characters");
    }
    Ok(Repository { host: host.to_owned(), path })
}

const LONGEST_PATH: usize = 255;

/// Labels with dots between them, or an IPv6 address in brackets; then perhaps a port.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let is_name = match name.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| {
            !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
        }),
        None => name.split('.').all(|label| {
            let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
        }),
    };
    is_name && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// Runs of lower-case letters and digits; between two of them a dot, one or two underscores, or any number of dashes.
fn is_path_component(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator =
        |separator: &str| matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-');
    text.starts_with(is_plain)
        && text.ends_with(is_plain)
        && text.split(is_plain).filter(|separator| !separator.is_empty()).all(is_separator)
}

impl FromStr for Repository {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let reference: Reference = text.parse()?;
        let last = text.rsplit('/').next().unwrap_or(text);
        if text.contains('@') || (last.contains(':') && text.contains('/')) {
            return Err(ReferenceError::new(text, "a repository has no tag and no digest"));
        }
        Ok(reference.repository)
    }
}

/// A better reason than "invalid reference format" for the mistakes people make.
fn explain(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("it is empty".to_owned());
    }
    if let Some(scheme) =
        ["https://", "http://", "docker://"].iter().find(|scheme| text.starts_with(**scheme))
    {
        return Some(format!("leave `{scheme}` out"));
    }
    if let Some(character) = text.chars().find(|c| c.is_whitespace()) {
        return Some(format!("it contains {character:?}"));
    }
    let name = text.split('@').next().unwrap_or(text);
    let path = name.split_once('/').map_or(name, |(_, path)| path);
    let path = path.split(':').next().unwrap_or(path);
    if path.chars().any(char::is_uppercase) {
        return Some("a repository's name is lower-case".to_owned());
    }
    if let Some((_, digest)) = text.split_once('@') {
        return Digest::verifiable(digest).err().map(|error| error.reason().to_owned());
    }
    if let Some((_, tag)) = name.rsplit('/').next().and_then(|last| last.split_once(':'))
        && let Some(reason) = tag_problem(tag)
    {
        return Some(reason);
    }
    None
}

/// Why `tag` cannot be a tag (distribution-spec, "Pulling manifests"), or `None` when it can.
pub fn tag_problem(tag: &str) -> Option<String> {
    let starts = tag.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    if !starts {
        return Some("a tag starts with a letter, a digit or `_`".to_owned());
    }
    if tag.len() > 128 {
        return Some(format!("a tag has at most 128 characters, this one has {}", tag.len()));
    }
    let wrong = tag.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')))?;
    Some(format!("a tag cannot hold {wrong:?}"))
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_normalised_as_docker_does() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, normal, lookup) in [
            ("alpine", "docker.io/library/alpine:latest".to_owned(), "latest"),
            ("user/app:1", "docker.io/user/app:1".to_owned(), "1"),
            ("index.docker.io/user/app:1", "docker.io/user/app:1".to_owned(), "1"),
            ("localhost:5000/app", "localhost:5000/app:latest".to_owned(), "latest"),
            ("[::1]:5000/app", "[::1]:5000/app:latest".to_owned(), "latest"),
            ("ghcr.io/o/app:v1@DIGEST", format!("ghcr.io/o/app:v1@{digest}"), digest.as_str()),
        ] {
            let reference: Reference = text.replace("DIGEST", &digest).parse().unwrap();
            assert_eq!((reference.to_string(), reference.lookup()), (normal, lookup));
        }
    }

    /// What the crate makes of a text, in our terms. It takes digests of more algorithms, tags with letters of any
    /// script, and a capitalised host for the first part of a path, which no registry does; it knows no IPv6.
    fn by_the_crate(text: &str) -> Option<(String, String, Option<String>, Option<String>)> {
        let parsed = oci_distribution::Reference::try_from(text).ok()?;
        let digest = parsed.digest().map(str::to_owned);
        if digest.as_ref().is_some_and(|digest| Digest::verifiable(digest).is_err())
            || parsed.tag().is_some_and(|tag| tag_problem(tag).is_some())
            || parsed.repository().chars().any(char::is_uppercase)
        {
            return None;
        }
        Some((
            parsed.registry().to_owned(),
            parsed.repository().to_owned(),
            parsed.tag().map(str::to_owned),
            digest,
        ))
    }

    fn by_us(text: &str) -> Option<(String, String, Option<String>, Option<String>)> {
        let Reference { repository, tag, digest } = text.parse().ok()?;
        Some((repository.host, repository.path, tag, digest.map(|digest| digest.to_string())))
    }

    proptest::proptest! {
        #[test]
        fn the_grammar_is_the_crates(
            text in "(([a-zA-Z0-9.-]{1,4}|localhost|index\\.docker\\.io)(:[0-9]{0,2})?/)?\
                     [a-zA-Z0-9._-]{1,6}(/[a-z0-9._-]{0,6}){0,2}(:[a-zA-Z0-9._+-]{0,4})?(@sha256:[0-9a-f]{63,65})?"
        ) {
            proptest::prop_assert_eq!(by_us(&text), by_the_crate(&text), "{}", text);
        }

        #[test]
        fn texts_of_any_kind_are_read_as_the_crate_reads_them(text in "[a-z0-9A-Z:/@._ é-]{0,12}") {
            proptest::prop_assert_eq!(by_us(&text), by_the_crate(&text), "{}", text);
        }
    }

    #[test]
    fn mistakes_are_explained() {
        for (text, reason) in [
            ("", "it is empty"),
            ("https://ghcr.io/o/app", "leave `https://` out"),
            ("ghcr.io/Owner/app:1", "a repository's name is lower-case"),
            ("ghcr.io/o/app:1.0+build", "a tag cannot hold '+'"),
            ("ghcr.io/o/app:-1", "a tag starts with a letter, a digit or `_`"),
            ("ghcr.io/o/a pp", "it contains ' '"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap_err().reason(), reason, "{text}");
        }
        assert!("ghcr.io/o/app:1".parse::<Repository>().is_err());
        assert!("localhost:5000/app".parse::<Repository>().is_ok());
    }

    #[test]
    fn loopback_hosts_are_known() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:1", "127.8.9.1", "[::1]:5000"] {
            assert!(host_is_loopback(host), "{host}");
        }
        for host in ["docker.io", "registry.corp:5000", "10.0.0.1:5000", "localhost.corp"] {
            assert!(!host_is_loopback(host), "{host}");
        }
    }
}
