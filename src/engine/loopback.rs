//! Whether the daemon's loopback is ours. A daemon in a virtual machine (Docker Desktop), on another host, or with a
//! network of its own (rootless, a socket that is mounted into a container) has another one, and no setting says so
//! reliably: it is asked to come by.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::Engine;

/// A daemon that has not come by until then does not.
const RETRY_POLICY: Duration = Duration::from_secs(10);

impl Engine {
    /// Whether the daemon reaches a server on this process's 127.0.0.1: it is told to pull from one, which notes that
    /// somebody came, and has nothing to give.
    ///
    /// # Errors
    ///
    /// No port can be opened on 127.0.0.1, or the CLI cannot be started.
    pub async fn reaches_loopback(&self) -> Result<bool> {
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).await.context("could not open a port on 127.0.0.1")?;
        let reference = format!("127.0.0.1:{}/manifests/probe:latest", listener.local_addr()?.port());
        let pull = self.command(["pull", &reference]).timeout(RETRY_POLICY).abridged().merged();
        tokio::select! {
            // A visitor that comes as the pull ends has come.
            biased;
            visitor = listener.accept() => {
                let (mut visitor, _) = visitor?;
                // Dropping the pull ends it; an answer lets the daemon end its part at once.
                let _ = visitor.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
                Ok(true)
            }
            ended = pull => { ended?; Ok(false) }
        }
    }
}
