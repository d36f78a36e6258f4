//! A registry at a distance: a relay that holds every byte back for half a round trip each way, and the first of a
//! connection for the round trip that connecting takes.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// A running relay; it ends when this is dropped.
pub(crate) struct Relay {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

/// How much of a stream may be on its way: at 64 KiB a piece far more than the tests of small requests need, and
/// enough for a blob to flow.
const PIECES: usize = 256;
const PIECE: usize = 64 << 10;

impl Relay {
    /// Relays to `target`, which then is `round_trip` away.
    pub(crate) async fn start(target: SocketAddr, round_trip: Duration) -> Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("the relay cannot listen")?;
        let addr = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(connect(near, target, round_trip));
            }
        });
        Ok(Self { addr, task })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection. It ends when both directions have.
async fn connect(near: TcpStream, target: SocketAddr, round_trip: Duration) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    // To the client the connection stands at once; over a real distance it would stand a round trip later.
    let stands = Instant::now() + round_trip;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::join!(
        carry(near_read, far_write, stands, round_trip / 2),
        carry(far_read, near_write, stands, round_trip / 2)
    );
}

/// Timers are late by up to a millisecond or two, which adds up over the rounds of a run: the rest is waited awake.
async fn wait_until(due: Instant) {
    sleep_until(due - Duration::from_millis(2)).await;
    while Instant::now() < due {
        tokio::task::yield_now().await;
    }
}

/// One direction: what comes in goes out after `delay`, and nothing before the connection stands.
async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    stands: Instant,
    delay: Duration,
) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    let read = async move {
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            match from.read_buf(&mut piece).await {
                Ok(1..) if sender.send((Instant::now().max(stands) + delay, piece)).await.is_ok() => {}
                _ => return,
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = receiver.recv().await {
            wait_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}
