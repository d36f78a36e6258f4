//! The running server: where it listens, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::Options;
use super::request_log::{self, Request, RequestLog};
use super::routes;
use super::store::Store;

/// How long [`Server::stop`] waits for requests that are under way.
const GRACE: Duration = Duration::from_secs(10);

/// How often unfinished uploads are looked through for those that nobody will finish.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// After a failure to accept a connection; most often there are too many open files, and some will close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running registry. Dropping it cuts all connections; [`Server::stop`] lets requests end first.
pub struct Server {
    addr: SocketAddr,
    log: Arc<RequestLog>,
    store: Arc<Store>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Takes the root, binds and serves. Once this returns, requests are answered.
    pub async fn start(options: Options) -> Result<Self> {
        Self::start_with(options, |router| router).await
    }

    /// As [`Server::start`], with something around the registry: tests put faults and latency there. What the layer
    /// answers itself appears in the request log like everything else.
    pub async fn start_with(options: Options, layer: impl FnOnce(Router) -> Router + Send) -> Result<Self> {
        let root = options.root.clone();
        let store = tokio::task::spawn_blocking(move || Store::open(&root))
            .await
            .context("opening the registry's root was interrupted")??;
        let store = Arc::new(store);
        let log = Arc::new(RequestLog::open(options.request_log.as_deref())?);
        let router = layer(routes::router(store.clone(), options.allow_sparse));
        let router = request_log::wrap(router, log.clone());

        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("the registry cannot listen on {}", options.listen))?;
        let addr = listener.local_addr().context("the registry's listener has no address")?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, router, store.clone(), stopped));
        Ok(Self { addr, log, store, stop: Some(stop), task })
    }

    /// Where it listens, with the port that was taken.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The requests answered since the start, in order; only the latest 65,536 of them are kept.
    pub fn requests(&self) -> Vec<Request> {
        self.log.requests()
    }

    /// Accepts nothing more, lets the requests under way end, for ten seconds at most, and lets go of the root.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(stop) = self.stop.take() {
            // The receiver is only gone when the task is.
            let _ = stop.send(());
        }
        (&mut self.task).await.context("the registry's server did not end well")?;
        // Work that a cut connection left behind may still be writing; the lock goes with the last of it.
        let wait = async {
            while Arc::strong_count(&self.store) > 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(GRACE, wait).await.context("the registry is still writing to its root")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts connections until told to stop. When this future goes, all connections go with it.
async fn serve(listener: TcpListener, router: Router, store: Arc<Store>, mut stopped: oneshot::Receiver<()>) {
    // HTTP/1.1, and HTTP/2 for clients that begin with its preface.
    let builder = Builder::new(TokioExecutor::new());
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut expiry = tokio::time::interval(EXPIRY_INTERVAL);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                // Answers are small and waited for. Without the option they are only slower.
                let _ = stream.set_nodelay(true);
                let service = TowerToHyperService::new(router.clone());
                let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
                let connection = graceful.watch(connection);
                // How a connection ends is the client's affair; what it asked for is in the log.
                connections.spawn(async move { drop(connection.await) });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            _ = expiry.tick() => {
                let store = store.clone();
                // Tried again at the next tick; failing to tidy up is no reason to stop serving.
                connections.spawn_blocking(move || drop(store.expire_old_uploads()));
            }
            _ = &mut stopped => break,
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
    connections.shutdown().await;
}
