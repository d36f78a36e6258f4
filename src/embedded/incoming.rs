//! The body of a request, with a bound on how long it may take.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;

use super::error::{ApiError, Code};

/// The least that a body brings on average, in bytes a second, once [`Limits::stall`](super::Limits::stall) has passed:
/// a byte now and then would hold a connection for ever.
const LEAST_RATE: f64 = 1024.0;

/// A request's body.
pub(super) struct Incoming {
    body: Body,
    stall: Duration,
    waited: Duration,
    received: u64,
}

/// Why a body did not come whole.
#[derive(Debug)]
pub(super) enum Broken {
    /// Nothing, or next to nothing, came for so long.
    Stalled(Duration),
    /// The connection or the stream ended first.
    Cut(axum::Error),
}

impl Incoming {
    /// `stall`: how long to wait for more of the body.
    pub(super) fn new(body: Body, stall: Duration) -> Self {
        Self { body, stall, waited: Duration::ZERO, received: 0 }
    }

    /// The next piece, `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            let started = Instant::now();
            let frame = tokio::time::timeout(self.stall, self.body.frame()).await;
            // Only the time spent waiting for the client: a slow disk is not its fault.
            self.waited += started.elapsed();
            let Ok(frame) = frame else { return Err(self.stalled()) };
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(Broken::Cut(error)),
                Some(Ok(frame)) => {
                    // Trailers mean nothing here.
                    let Ok(data) = frame.into_data() else { continue };
                    self.received += data.len() as u64;
                    let seconds = self.waited.as_secs_f64();
                    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more")]
                    if self.waited > self.stall && (self.received as f64) < seconds * LEAST_RATE {
                        return Err(self.stalled());
                    }
                    return Ok(Some(data));
                }
            }
        }
    }

    /// Nobody waits for the rest.
    fn stalled(&mut self) -> Broken {
        self.body = Body::empty();
        Broken::Stalled(self.stall)
    }

    /// Reads what is left, up to `most` bytes and for `time`: a connection that is closed on a client that still sends can
    /// take the answer with it.
    pub(super) async fn drain(mut self, most: u64, time: Duration) {
        let read = async {
            let mut left = most;
            while let Ok(Some(data)) = self.next().await {
                match left.checked_sub(data.len() as u64) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        let _ = tokio::time::timeout(time, read).await;
    }
}

impl Broken {
    /// The answer to a body that ended early; `code` is what the specification calls it for this kind of content.
    pub(super) fn answer(self, code: Code) -> ApiError {
        match self {
            Self::Stalled(stall) => {
                let message = format!(
                    "the request's body stalled: at least {LEAST_RATE} bytes a second are expected over {} seconds",
                    stall.as_secs_f64()
                );
                ApiError::new(StatusCode::REQUEST_TIMEOUT, code, message)
                    .with_header(header::CONNECTION, HeaderValue::from_static("close"))
            }
            Self::Cut(error) => {
                ApiError::bad_request(code, format!("the request's body ended early: {error}"))
            }
        }
    }
}
