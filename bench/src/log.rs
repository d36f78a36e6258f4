//! What the registry was asked while something was measured: how often, how much, and how much of it one after the
//! other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use serde::Serialize;

/// When each request came and was answered.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<(Instant, Instant)>>>);

/// What a run cost the registry and the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Cost {
    /// Requests of any kind.
    pub(crate) requests: usize,
    /// The longest chain of requests each of which can only have been sent when the one before it was answered.
    pub(crate) dependent: usize,
}

impl Log {
    /// Puts the log around a registry.
    pub(crate) fn around(&self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self.clone(), record))
    }

    /// Forgets what was asked so far.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What was asked since, over a distance of `round_trip`.
    pub(crate) fn cost(&self, round_trip: Duration) -> Cost {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        spans.sort_by_key(|(_, answered)| *answered);
        // An answer takes half a round trip to arrive, and what it leads to as long to come back. A tenth is left to
        // timers, which are late but never early by more than that.
        let distance = round_trip.mul_f64(0.9);
        let mut dependent = 0;
        let mut last: Option<Instant> = None;
        for (came, answered) in &spans {
            if last.is_none_or(|last| *came >= last + distance) {
                dependent += 1;
                last = Some(*answered);
            }
        }
        Cost { requests: spans.len(), dependent }
    }
}

async fn record(State(log): State<Log>, request: Request, next: Next) -> Response {
    let came = Instant::now();
    let response = next.run(request).await;
    log.0.lock().unwrap_or_else(PoisonError::into_inner).push((came, Instant::now()));
    response
}
