//! The running server: where it listens, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::{Router, middleware};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::clients::{self, Activity, Clients};
use super::request_log::{self, Request, RequestLog};
use super::routes::{self, Registry};
use super::socket::Socket;
use super::store::Store;
use super::{Limits, Options};

/// How often unfinished uploads are looked through for those that nobody will finish.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// How long work on the disk may take beyond the requests that asked for it.
const LAST_WRITE: Duration = Duration::from_secs(10);

/// How often idle connections are looked for, at most.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// Until it is tried again to accept a connection.
const PAUSE: Duration = Duration::from_millis(20);

/// How many requests one HTTP/2 connection has at once.
const STREAMS: u32 = 64;

/// A running registry. Dropping it cuts all connections; [`Server::stop`] lets requests end first.
pub struct Server {
    addr: SocketAddr,
    log: Arc<RequestLog>,
    store: Arc<Store>,
    grace: Duration,
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
        let limits = options.limits;
        let registry = Registry {
            store: store.clone(),
            allow_sparse: options.allow_sparse,
            read_only: options.read_only,
            users: options.users,
            stall: limits.stall,
        };
        let router = request_log::wrap(layer(routes::router(registry)), log.clone());

        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("the registry cannot listen on {}", options.listen))?;
        let addr = listener.local_addr().context("the registry's listener has no address")?;
        let (stop, stopped) = oneshot::channel();
        let grace = limits.grace;
        let tls = options.tls.map(|tls| tls.acceptor());
        let serving = Serving { router, store: store.clone(), limits, tls };
        let task = tokio::spawn(serve(serving, listener, stopped));
        Ok(Self { addr, log, store, grace, stop: Some(stop), task })
    }

    /// Where it listens, with the port that was taken.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The requests answered since the start, in order; only the latest are kept: 65,536 at most, and 16 MiB of them.
    pub fn requests(&self) -> Vec<Request> {
        self.log.requests()
    }

    /// Accepts nothing more, lets the requests under way end, for [`Limits::grace`] at most, and lets go of the root.
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
        tokio::time::timeout(self.grace + LAST_WRITE, wait)
            .await
            .context("the registry is still writing to its root")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What it takes to serve.
struct Serving {
    router: Router,
    store: Arc<Store>,
    limits: Limits,
    tls: Option<TlsAcceptor>,
}

/// Accepts connections until told to stop. When this future goes, all connections go with it.
async fn serve(serving: Serving, listener: TcpListener, mut stopped: oneshot::Receiver<()>) {
    let limits = &serving.limits;
    let permits = Arc::new(Semaphore::new(limits.connections.max(1)));
    let graceful = GracefulShutdown::new();
    let mut clients = Clients::new(limits.connections);
    let mut connections = JoinSet::new();
    let mut expiry = tokio::time::interval(EXPIRY_INTERVAL);
    let mut idle = tokio::time::interval((limits.idle / 4).clamp(PAUSE, IDLE_INTERVAL));
    loop {
        let is_full = clients.is_full();
        if is_full {
            clients.make_room();
        }
        tokio::select! {
            accepted = listener.accept(), if !is_full => {
                let Ok((stream, _)) = accepted else {
                    // Most often there are too many open files, and some will close.
                    clients.make_room();
                    tokio::time::sleep(PAUSE).await;
                    continue;
                };
                // Answers are small and waited for. Without the option they are only slower.
                let _ = stream.set_nodelay(true);
                let activity = Activity::new(permits.clone());
                let counted = middleware::from_fn_with_state(activity.clone(), clients::count);
                let router = serving.router.clone().layer(counted);
                let (tls, watcher) = (serving.tls.clone(), graceful.watcher());
                let (stall, idle) = (limits.stall, limits.idle);
                let task = connections.spawn(async move {
                    match tls {
                        None => converse(Socket::new(stream, stall), router, watcher).await,
                        Some(tls) => {
                            let greeted = tokio::time::timeout(idle, tls.accept(stream)).await;
                            if let Ok(Ok(stream)) = greeted {
                                converse(Socket::new(stream, stall), router, watcher).await;
                            }
                        }
                    }
                });
                clients.add(task, activity);
            }
            Some(ended) = connections.join_next_with_id(), if !connections.is_empty() => {
                clients.remove(ended.map_or_else(|error| error.id(), |(id, ())| id));
            }
            _ = idle.tick() => clients.end_idle(limits.idle),
            _ = expiry.tick() => {
                let store = serving.store.clone();
                // Tried again at the next tick; failing to tidy up is no reason to stop serving.
                connections.spawn_blocking(move || drop(store.expire_old_uploads()));
            }
            () = tokio::time::sleep(PAUSE), if is_full => {}
            _ = &mut stopped => break,
        }
    }
    drop(listener);
    // Whoever has asked for nothing need not be waited for.
    clients.end_idle(Duration::ZERO);
    let _ = tokio::time::timeout(limits.grace, graceful.shutdown()).await;
    connections.shutdown().await;
}

/// HTTP/1.1, and HTTP/2 for clients that begin with its preface, until one side ends it. How a connection ends is the
/// client's affair; what it asked for is in the log.
async fn converse(
    stream: Socket<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>,
    router: Router,
    watcher: Watcher,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http2().max_concurrent_streams(STREAMS);
    let service = TowerToHyperService::new(router);
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let _ = watcher.watch(connection).await;
}
