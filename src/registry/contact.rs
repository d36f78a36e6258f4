//! Whether a host can be reached at all, found out once in a run.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// What is known of the connection to one host.
///
/// Where nobody was reached yet, trouble with the connection is most often a wrong name or a registry that does not run:
/// it is reported at once, or after a moment, and every other request to the host is told the same. Where somebody was,
/// it is taken to pass.
#[derive(Default)]
pub(crate) struct Contact {
    reached: AtomicBool,
    lost: OnceLock<(String, Option<String>)>,
    /// Held by the request that finds out, while the others wait for what it finds.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

impl Contact {
    /// Something answered there, if only with nonsense.
    pub(crate) fn reach(&self) {
        self.reached.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    /// Nobody is to be reached there in this run.
    pub(crate) fn lose(&self, why: String, hint: Option<String>) {
        // Whoever comes second says the same.
        let _ = self.lost.set((why, hint));
    }

    /// Why nobody is to be reached there, and the way out.
    pub(crate) fn lost(&self) -> Option<&(String, Option<String>)> {
        self.lost.get().filter(|_| !self.is_reached())
    }
}

/// The system's resolver, whose failures can be told from those of a connection.
pub(crate) struct Resolver;

/// The name of a host is not known.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unresolved(std::io::Error);

/// A name server that is busy may know the name a moment later.
const MOMENT: Duration = Duration::from_millis(300);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let look_up = async || tokio::net::lookup_host((name.as_str(), 0)).await.map(Iterator::collect);
            let found: std::io::Result<Vec<_>> = look_up().await;
            let found = match found {
                Err(_) => {
                    tokio::time::sleep(MOMENT).await;
                    look_up().await
                }
                found => found,
            };
            let addresses: Addrs = Box::new(found.map_err(Unresolved)?.into_iter());
            Ok(addresses)
        })
    }
}
