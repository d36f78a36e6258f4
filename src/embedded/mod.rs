//! An OCI registry in the process: the whole of the distribution specification, version 1.1, on a folder.
//!
//! It is what a rehearsal publishes to, what tests talk to, and what `registry serve` serves. It is a registry
//! like any other, reached over HTTP only; nothing in here knows what the rest of the crate does with it.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use manifests::embedded::{Options, Server};
//!
//! let server = Server::start(Options::new("target/registry")).await?;
//! println!("http://{}/v2/", server.addr());
//! server.stop().await
//! # }
//! ```
//!
//! What holds, whatever clients do and whenever the process dies:
//!
//! - **Verified.** Nothing is served under a digest that it does not have.
//! - **Whole.** Content is visible complete or not at all. A manifest and the tags that come with it appear in one
//!   step, and a tag always names a manifest that is there.
//! - **Strict.** A manifest is refused while its blobs are absent, and an index while its manifests are
//!   (`MANIFEST_BLOB_UNKNOWN`), so that a wrong order shows where it happens. Exempt are `subject`, which the
//!   specification lets come first, and layers that are fetched from elsewhere (`urls`).
//!   [`Options::allow_sparse`] lets everything else be absent too.
//! - **Isolated.** A repository serves what was pushed or mounted to it, although bytes are stored once.
//! - **Constant memory.** Blobs stream between the socket and the disk.
//!
//! It has no authentication and no TLS: it is for loopback, and listens where it is told to and nowhere else.

mod blobs;
mod digest;
mod discovery;
mod document;
mod error;
mod manifests;
mod names;
mod range;
mod request_log;
mod routes;
mod server;
mod store;
mod uploads;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

pub use request_log::Request;
pub use server::Server;

/// How to run a registry.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes any free one, see [`Server::addr`].
    pub listen: SocketAddr,
    /// The folder of the registry's content, created if it is missing. One process at a time can use it.
    pub root: PathBuf,
    /// Accept indexes whose manifests, and manifests whose blobs, are absent.
    pub allow_sparse: bool,
    /// A file to append a line to for each request, once it is answered: `METHOD path status bytes-in bytes-out`.
    pub request_log: Option<PathBuf>,
}

impl Options {
    /// A strict registry on `root`, at any free port of the loopback interface.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { listen, root: root.into(), allow_sparse: false, request_log: None }
    }
}
