//! A release against the embedded registry: the same declaration with every registry mapped into it.
//!
//! What a rehearsal keeps lives under `target/manifests/rehearsal` beside the declaration; nothing leaves the machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::config::{Declaration, TagPolicy, working_folder_of};
use crate::embedded::{Options, Server};
use crate::model::reference::{Reference, Repository};
use crate::{workspace::own_folder, workspace::working_folder};

/// A running embedded registry that stands for every declared one.
pub(crate) struct Rehearsal {
    /// `None` where another process serves it.
    server: Option<Server>,
    host: String,
    root: PathBuf,
}

impl Rehearsal {
    /// Starts the registry for the workspace at `root`, on the port that it had before if that is free, so that
    /// references stay the same from run to run. Only one process at a time may: it begins the log of requests anew.
    ///
    /// # Errors
    ///
    /// No port to listen on, or a storage folder that cannot be used.
    pub(crate) async fn start(root: &Path) -> Result<Self> {
        let folder = working_folder::create_in(root, "rehearsal")?;
        let kept = folder.join("port");
        let port = std::fs::read_to_string(&kept).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let log = folder.join("requests.log");
        match std::fs::remove_file(&log) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("could not start {} anew", log.display()));
            }
            _ => {}
        }
        let options = |port| Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            request_log: Some(log.clone()),
            ..Options::new(folder.join("registry"))
        };
        let taken = port != 0 && std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err();
        let server = Server::start(options(if taken { 0 } else { port })).await?;
        own_folder::write(&kept, &format!("{}\n", server.addr().port()))?;
        Ok(Self { host: server.addr().to_string(), server: Some(server), root: folder })
    }

    /// The registry of the workspace at `root` that another process serves at `host`, for reading.
    pub(crate) fn join(root: &Path, host: String) -> Self {
        Self { server: None, host, root: working_folder_of(root).join("rehearsal") }
    }

    /// Whether something listens at `host`.
    pub(crate) fn answers(host: &str) -> bool {
        std::net::TcpStream::connect(host).is_ok()
    }

    /// `HOST:PORT` of the registry.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Where its storage and its request log are.
    pub(crate) fn folder(&self) -> &Path {
        &self.root
    }

    /// How many requests came in, and how many of them could write.
    pub(crate) fn requests(&self) -> (usize, usize) {
        let requests = self.server.as_ref().map(Server::requests).unwrap_or_default();
        let reads =
            requests.iter().filter(|request| matches!(request.method.as_str(), "GET" | "HEAD")).count();
        (requests.len(), requests.len() - reads)
    }

    /// `declaration` with every repository, and every image that is built, in this registry. Images that exist already
    /// are read where they are.
    pub(crate) fn map(&self, mut declaration: Declaration) -> Declaration {
        let host = self.host();
        for target in &mut declaration.targets {
            for repository in &mut target.repositories {
                *repository = map_repository(host, repository);
            }
            for image in target.images.iter_mut().filter(|image| image.build.is_some()) {
                let repository = map_repository(host, &image.reference.repository);
                image.reference = Reference { repository, ..image.reference.clone() };
            }
            // What an earlier rehearsal left must not stop this one.
            for tag in target.tags.iter_mut().filter(|tag| tag.policy == TagPolicy::Immutable) {
                tag.policy = TagPolicy::Moving;
            }
        }
        declaration
    }

    /// Ends the registry; what it stores stays.
    ///
    /// # Errors
    ///
    /// The server failed while it ran.
    pub(crate) async fn stop(self) -> Result<()> {
        match self.server {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }
}

/// `host`, with the declared host as the first part of the path: `docker.io/a/b` → `127.0.0.1:5000/docker.io/a/b`.
fn map_repository(host: &str, repository: &Repository) -> Repository {
    // A path has no place for the colon of a port, nor for the brackets of an IPv6 address.
    let first: String = repository
        .host
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .collect();
    Repository {
        host: host.to_owned(),
        path: format!("{}/{}", first.trim_matches(['-', '.']), repository.path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_has_a_place_of_its_own() {
        for (declared, mapped) in [
            ("docker.io/library/app", "127.0.0.1:5000/docker.io/library/app"),
            ("registry.corp:5000/app", "127.0.0.1:5000/registry.corp-5000/app"),
            ("[::1]:5000/app", "127.0.0.1:5000/1--5000/app"),
        ] {
            let (host, path) = declared.split_once('/').unwrap();
            let repository = Repository { host: host.to_owned(), path: path.to_owned() };
            assert_eq!(map_repository("127.0.0.1:5000", &repository).to_string(), mapped);
            assert!(mapped.parse::<Repository>().is_ok(), "{mapped}");
        }
    }
}
