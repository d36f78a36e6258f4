//! The way into a registry, below HTTP: a port that passes bytes on, cuts connections where the layer says so, and
//! closes altogether, so that the next connection is refused.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A header of an answer that tells the door to cut the connection there.
pub(crate) const CUT: &str = "x-cut";

/// Where an answer is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Before its first byte: the connection is closed.
    Closed,
    /// Before its first byte: the connection is reset.
    Reset,
    /// In the middle of its head.
    Head,
}

impl Cut {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Head => "head",
        }
    }
}

/// An open port; it closes when this is dropped.
#[derive(Clone)]
pub(crate) struct Door {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
}

impl Door {
    /// Opens a port that leads to `to`.
    ///
    /// Each door has an address of its own in 127.0.0.0/8: while it is closed nobody else is given its port.
    pub(crate) async fn open(to: SocketAddr) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let [_, _, high, low] = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let process = u8::try_from(std::process::id() % 250).unwrap() + 1;
        let listener = TcpListener::bind(SocketAddr::from(([127, process, high, low], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_open, told) = watch::channel(true);
        tokio::spawn(serve(listener, to, told));
        Self { address, is_open }
    }

    /// `HOST:PORT`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Cuts all connections and refuses new ones, until the time is over or for good.
    pub(crate) fn close(&self, time: Option<Duration>) {
        self.is_open.send_replace(false);
        let Some(time) = time else { return };
        let is_open = self.is_open.clone();
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            is_open.send_replace(true);
        });
    }

    /// Lets connections in again, and returns once they are.
    pub(crate) async fn reopen(&self) {
        self.is_open.send_replace(true);
        while TcpStream::connect(self.address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn serve(first: TcpListener, to: SocketAddr, mut told: watch::Receiver<bool>) {
    let address = first.local_addr().unwrap();
    let mut first = Some(first);
    let mut connections = JoinSet::new();
    loop {
        let listener = match first.take() {
            Some(listener) => listener,
            None => TcpListener::bind(address).await.unwrap(),
        };
        while *told.borrow_and_update() {
            tokio::select! {
                accepted = listener.accept() => if let Ok((client, _)) = accepted {
                    connections.spawn(pass(client, to));
                },
                changed = told.changed() => if changed.is_err() { return },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
        drop(listener);
        connections.shutdown().await;
        if told.wait_for(|is_open| *is_open).await.is_err() {
            return;
        }
    }
}

/// One connection. It ends as soon as either side ends it.
async fn pass(client: TcpStream, to: SocketAddr) {
    let Ok(server) = TcpStream::connect(to).await else { return };
    // Without the option it is only slower.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let reset = tokio::select! {
        _ = copy(from_client, &mut to_server) => false,
        cut = copy_answers(from_server, &mut to_client) => cut == Some(Cut::Reset),
    };
    if reset {
        // Closing throws away what was not sent and resets the connection.
        let _ = to_client.as_ref().set_zero_linger();
    }
}

async fn copy(mut from: OwnedReadHalf, to: &mut OwnedWriteHalf) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer).await? {
            0 => return Ok(()),
            read => to.write_all(&buffer[..read]).await?,
        }
    }
}

/// Passes on what the registry says, up to where the layer wants it cut; gives how it is cut, if it is. The head of an
/// answer is written by the server at once, so that the mark comes in one piece.
async fn copy_answers(mut from: OwnedReadHalf, to: &mut OwnedWriteHalf) -> Option<Cut> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        let bytes = &buffer[..read];
        let Some((cut, place)) = marked(bytes) else {
            to.write_all(bytes).await.ok()?;
            continue;
        };
        if cut == Cut::Head {
            to.write_all(&bytes[..place]).await.ok()?;
        }
        return Some(cut);
    }
}

/// The mark in the head of an answer, and where it is.
fn marked(bytes: &[u8]) -> Option<(Cut, usize)> {
    let head = bytes.get(..bytes.len().min(1024)).filter(|head| head.starts_with(b"HTTP/1.1 "))?;
    [Cut::Closed, Cut::Reset, Cut::Head].into_iter().find_map(|cut| {
        let mark = format!("{CUT}: {}", cut.as_str());
        Some((cut, head.windows(mark.len()).position(|window| window == mark.as_bytes())?))
    })
}
