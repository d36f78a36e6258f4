//! What a server gives at most to whoever connects.

use std::time::Duration;

/// Bounds of a [`Server`](super::Server), so that no client locks others out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many connections there are at once, and as many requests. When one more comes, the connection that has been
    /// without a request for longest is closed.
    pub connections: usize,
    /// How long a connection may be without a request: the time to send a whole head, and between two requests.
    pub idle: Duration,
    /// How long to wait for more of a request's body, and for a client to take more of an answer. A body that brings
    /// less than 1 KiB a second has stalled too.
    pub stall: Duration,
    /// How long [`Server::stop`](super::Server::stop) waits for requests that are under way.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: connections(),
            idle: Duration::from_secs(60),
            stall: Duration::from_secs(60),
            grace: Duration::from_secs(10),
        }
    }
}

/// As many as the process has descriptors for: a request needs one for its connection and one for a file, and the rest of
/// the process some, too.
fn connections() -> usize {
    #[cfg(unix)]
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let descriptors = Some(1024);
    let descriptors = descriptors.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    (descriptors.saturating_sub(128) / 2).clamp(8, 2048)
}
