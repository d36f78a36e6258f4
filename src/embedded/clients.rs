//! The clients that are connected: how many, which of them wait for nothing, and whom to part with.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, Id};

/// A connection without a request for less than this may still be sending the end of an answer.
const JUST_NOW: Duration = Duration::from_millis(100);

/// The connections of a server, at most so many.
pub(super) struct Clients {
    limit: usize,
    connected: HashMap<Id, (AbortHandle, Arc<Activity>)>,
}

/// What a connection does.
pub(super) struct Activity {
    opened: Instant,
    requests: AtomicUsize,
    /// When the last request ended, in milliseconds after `opened`.
    idle_since: AtomicU64,
    /// Bounds the requests of all connections: one with HTTP/2 has many, and each may hold a file open.
    permits: Arc<Semaphore>,
}

impl Clients {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), connected: HashMap::new() }
    }

    pub(super) fn add(&mut self, task: AbortHandle, activity: Arc<Activity>) {
        self.connected.insert(task.id(), (task, activity));
    }

    pub(super) fn remove(&mut self, task: Id) {
        self.connected.remove(&task);
    }

    pub(super) fn is_full(&self) -> bool {
        self.connected.len() >= self.limit
    }

    /// Parts with the connection that has been without a request for longest: whoever comes new wants something, whoever
    /// is silent may come again. With a request under way on each, there is none.
    pub(super) fn make_room(&self) {
        let idle = |(task, activity): &'_ (AbortHandle, Arc<Activity>)| {
            activity.idle().filter(|idle| *idle >= JUST_NOW && !task.is_finished())
        };
        let longest = self.connected.values().max_by_key(|client| idle(client));
        if let Some(client) = longest.filter(|client| idle(client).is_some()) {
            client.0.abort();
        }
    }

    /// Parts with all that have been without a request for `limit`.
    pub(super) fn end_idle(&self, limit: Duration) {
        for (task, activity) in self.connected.values() {
            if activity.idle().is_some_and(|idle| idle >= limit.max(JUST_NOW)) {
                task.abort();
            }
        }
    }
}

impl Activity {
    pub(super) fn new(permits: Arc<Semaphore>) -> Arc<Self> {
        let opened = Instant::now();
        Arc::new(Self { opened, requests: AtomicUsize::new(0), idle_since: AtomicU64::new(0), permits })
    }

    /// How long no request has been under way; `None` while one is. A request is one from when its head is whole until
    /// its answer has been handed to the connection.
    fn idle(&self) -> Option<Duration> {
        let idle_since = Duration::from_millis(self.idle_since.load(Ordering::Acquire));
        (self.requests.load(Ordering::Acquire) == 0).then(|| self.opened.elapsed().saturating_sub(idle_since))
    }
}

/// A request under way.
struct Busy(Arc<Activity>);

impl Busy {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.requests.fetch_add(1, Ordering::AcqRel);
        Self(activity.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.idle_since.store(now, Ordering::Release);
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A middleware that counts a connection's requests, until their answers have been sent.
pub(super) async fn count(State(activity): State<Arc<Activity>>, request: Request, next: Next) -> Response {
    let busy = Busy::new(&activity);
    // Nobody closes the semaphore.
    let permit = activity.permits.clone().acquire_owned().await;
    let response = next.run(request).await;
    let held = (busy, permit);
    response.map(|body| {
        Body::new(body.inspect_frame(move |_| {
            let _ = &held;
        }))
    })
}
