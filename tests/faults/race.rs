//! Two writers of one tag, in the worst order: both have looked it up before one of them writes, and the other writes once
//! the first has looked at what came of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::Method;
use axum::response::Response;
use tokio::sync::{Barrier, Notify};

/// A writer that never comes is not waited for any longer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct Race {
    /// `/v2/REPOSITORY/manifests/TAG`
    pub(crate) path: String,
    both_write: Barrier,
    writes: AtomicUsize,
    /// The first write is done, and was looked at.
    looked_at: Notify,
    order: Mutex<Vec<&'static str>>,
}

impl Race {
    pub(crate) fn new(path: String) -> Self {
        Self {
            path,
            both_write: Barrier::new(2),
            writes: AtomicUsize::new(0),
            looked_at: Notify::new(),
            order: Mutex::default(),
        }
    }

    /// What reached the registry, in order.
    pub(crate) fn order(&self) -> Vec<&'static str> {
        self.order.lock().unwrap().clone()
    }

    /// Lets a request for the tag through when its turn comes.
    pub(crate) async fn run(&self, method: Method, answer: impl Future<Output = Response>) -> Response {
        if method != Method::PUT {
            let response = answer.await;
            if self.order().contains(&"first") {
                self.order.lock().unwrap().push("look");
                self.looked_at.notify_one();
            }
            return response;
        }
        let _ = tokio::time::timeout(PATIENCE, self.both_write.wait()).await;
        let is_first = self.writes.fetch_add(1, Ordering::SeqCst) == 0;
        if !is_first {
            let _ = tokio::time::timeout(PATIENCE, self.looked_at.notified()).await;
        }
        let response = answer.await;
        self.order.lock().unwrap().push(if is_first { "first" } else { "second" });
        response
    }
}
