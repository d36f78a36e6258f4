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
//! - **Left running.** Clients that are silent, slow or many do not lock others out, and no request leaves anything
//!   behind on a disk that was full ([`Limits`]).
//!
//! Everybody who reaches it may push and delete unless [`Options::users`] or [`Options::read_only`] say otherwise. It
//! listens where it is told to and nowhere else.

mod blobs;
mod clients;
mod condition;
mod digest;
mod discovery;
mod document;
mod error;
mod incoming;
mod limits;
mod manifests;
mod names;
mod range;
mod request_log;
mod routes;
mod server;
mod socket;
mod store;
mod tls;
mod uploads;
mod users;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

pub use limits::Limits;
pub use request_log::Request;
pub use server::Server;
pub use tls::Tls;
pub use users::Users;

/// How to run a registry.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes any free one, see [`Server::addr`].
    pub listen: SocketAddr,
    /// The folder of the registry's content, created if it is missing. It has to be new, empty or a registry's. One
    /// process at a time can use it.
    pub root: PathBuf,
    /// Accept indexes whose manifests, and manifests whose blobs, are absent.
    pub allow_sparse: bool,
    /// A file to append a line to for each request, once it is answered: `METHOD path status bytes-in bytes-out`. At
    /// most 64 MiB are written.
    pub request_log: Option<PathBuf>,
    /// Refuse whatever would write.
    pub read_only: bool,
    /// Who may use it; everybody when it is not given.
    pub users: Option<Users>,
    /// The certificate to speak TLS with; plain HTTP when it is not given.
    pub tls: Option<Tls>,
    /// What clients get at most.
    pub limits: Limits,
}

impl Options {
    /// A strict registry on `root`, at any free port of the loopback interface.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen,
            root: root.into(),
            allow_sparse: false,
            request_log: None,
            read_only: false,
            users: None,
            tls: None,
            limits: Limits::default(),
        }
    }
}
