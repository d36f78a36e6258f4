//! A bad connection: a relay that is slow, cuts connections at random, or refuses them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How bad the connections are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// Each piece of what is sent is held back for up to so long.
    pub(crate) delay: Duration,
    /// Of so many pieces one ends its connection; 0 for none.
    pub(crate) cut_one_of: u32,
    /// Of so many connections one is closed at once; 0 for none.
    pub(crate) refuse_one_of: u32,
}

/// A running relay; it ends when this is dropped.
pub(crate) struct Proxy {
    addr: SocketAddr,
    weather: Arc<Mutex<Weather>>,
    task: JoinHandle<()>,
}

const PIECE: usize = 4 << 10;

impl Proxy {
    /// Relays to `target`.
    pub(crate) async fn start(target: SocketAddr) -> Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("the proxy cannot listen")?;
        let addr = listener.local_addr()?;
        let weather = Arc::new(Mutex::new(Weather::default()));
        let now = weather.clone();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let weather = *now.lock().unwrap_or_else(PoisonError::into_inner);
                if !strikes(weather.refuse_one_of) {
                    tokio::spawn(relay(near, target, weather));
                }
            }
        });
        Ok(Self { addr, weather, task })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Connections are so from now on.
    pub(crate) fn set(&self, weather: Weather) {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(near: TcpStream, target: SocketAddr, weather: Weather) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    // The end of one direction is the end of both: half a connection helps nobody.
    tokio::select! {
        () = carry(near_read, far_write, weather) => {}
        () = carry(far_read, near_write, weather) => {}
    }
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, weather: Weather) {
    let mut piece = vec![0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        if !weather.delay.is_zero() {
            tokio::time::sleep(weather.delay.mul_f32(fastrand::f32())).await;
        }
        if strikes(weather.cut_one_of) {
            // Some of it may have arrived.
            let _ = to.write_all(&piece[..fastrand::usize(..count)]).await;
            return;
        }
        if to.write_all(&piece[..count]).await.is_err() {
            return;
        }
    }
}

fn strikes(one_of: u32) -> bool {
    one_of > 0 && fastrand::u32(..one_of) == 0
}
