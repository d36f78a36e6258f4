//! What was asked and how it was answered.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::middleware::{self, Next};
use axum::response::Response;
use http_body_util::BodyExt;

/// How many requests are kept in memory, and how many bytes their paths may have together. A long-running server must not
/// grow with what it was asked.
const KEPT: usize = 65_536;
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// How much is written to the file.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// A request that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method, such as `GET`.
    pub method: String,
    /// The path with the query, as the client sent it.
    pub path: String,
    /// The status of the response.
    pub status: u16,
}

pub(super) struct RequestLog {
    requests: Mutex<Kept>,
    file: Option<Mutex<LogFile>>,
}

/// The latest requests.
#[derive(Default)]
struct Kept {
    requests: VecDeque<Request>,
    bytes: usize,
}

impl Kept {
    fn push(&mut self, request: Request) {
        self.bytes += request.size();
        self.requests.push_back(request);
        while self.requests.len() > KEPT || self.bytes > KEPT_BYTES {
            let Some(oldest) = self.requests.pop_front() else { break };
            self.bytes -= oldest.size();
        }
    }
}

impl Request {
    fn size(&self) -> usize {
        self.method.len() + self.path.len()
    }
}

/// The file of the log, and how much may still be written to it.
struct LogFile {
    file: File,
    left: u64,
}

impl LogFile {
    fn write(&mut self, line: &str) {
        if self.left == 0 {
            return;
        }
        let whole = self.left.checked_sub(line.len() as u64);
        self.left = whole.unwrap_or(0);
        let line = if whole.is_some() { line } else { "the log is full: later requests are not in it\n" };
        // In one write, so that lines stay whole. A full disk shows in the pushes themselves.
        let _ = self.file.write_all(line.as_bytes());
    }
}

impl RequestLog {
    pub(super) fn open(path: Option<&Path>) -> Result<Self> {
        let open = |path: &Path| {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let file = file.with_context(|| format!("cannot open the request log {}", path.display()))?;
            anyhow::Ok(LogFile { file, left: FILE_BYTES })
        };
        let file = path.map(open).transpose()?.map(Mutex::new);
        Ok(Self { requests: Mutex::default(), file })
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).requests.iter().cloned().collect()
    }

    fn keep(&self, request: Request) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }

    fn write(&self, Request { method, path, status }: &Request, bytes_in: u64, bytes_out: u64) {
        if let Some(file) = &self.file {
            let line = format!("{method} {path} {status} {bytes_in} {bytes_out}\n");
            file.lock().unwrap_or_else(PoisonError::into_inner).write(&line);
        }
    }
}

/// Puts the log around everything, so that it shows what clients saw.
pub(super) fn wrap(router: Router, log: Arc<RequestLog>) -> Router {
    router.layer(middleware::from_fn_with_state(log, record))
}

async fn record(State(log): State<Arc<RequestLog>>, request: axum::extract::Request, next: Next) -> Response {
    let method = request.method().to_string();
    let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let bytes_in = Arc::new(AtomicU64::new(0));
    let counter = bytes_in.clone();
    let request = request.map(|body| counted(body, move |count| counter.fetch_add(count, Ordering::Relaxed)));

    let response = next.run(request).await;

    let answered = Request { method, path, status: response.status().as_u16() };
    // Before the client can have the answer: who has it finds the request here.
    log.keep(answered.clone());
    let mut line = Line { log, request: answered, bytes_in, bytes_out: 0 };
    response.map(|body| counted(body, move |count| line.count(count)))
}

/// A body that tells how much passes; `count` is dropped with it.
fn counted<T>(body: Body, mut count: impl FnMut(u64) -> T + Send + 'static) -> Body {
    Body::new(body.inspect_frame(move |frame| {
        count(frame.data_ref().map_or(0, |data| data.len() as u64));
    }))
}

/// A line of the log, written when the response's body has been sent or given up.
struct Line {
    log: Arc<RequestLog>,
    request: Request,
    bytes_in: Arc<AtomicU64>,
    bytes_out: u64,
}

impl Line {
    /// A method, because it makes a closure capture the line as a whole, and drop it with the body.
    fn count(&mut self, bytes_out: u64) {
        self.bytes_out += bytes_out;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.log.write(&self.request, self.bytes_in.load(Ordering::Relaxed), self.bytes_out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_in_number_and_in_bytes() {
        let request = |length| Request { method: "GET".to_owned(), path: "x".repeat(length), status: 200 };
        for (length, pushed) in [(0, 10), (0, KEPT + 10), (65_000, 10), (65_000, 1000)] {
            let mut kept = Kept::default();
            for _ in 0..pushed {
                kept.push(request(length));
            }
            let sum: usize = kept.requests.iter().map(Request::size).sum();
            assert_eq!(kept.bytes, sum);
            assert!(sum <= KEPT_BYTES && kept.requests.len() <= KEPT);
            let fits = pushed <= KEPT && pushed * (length + 3) <= KEPT_BYTES;
            assert_eq!(kept.requests.len() == pushed, fits, "{length} {pushed}");
        }
    }

    #[test]
    fn the_file_is_bounded_and_says_so() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let mut file = LogFile { file: path.reopen().unwrap(), left: 10 };
        for line in ["four\n", "five\n", "six\n", "seven\n"] {
            file.write(line);
        }
        let text = std::fs::read_to_string(path.path()).unwrap();
        assert_eq!(text, "four\nfive\n");
        let mut file = LogFile { file: path.reopen().unwrap(), left: 6 };
        for line in ["four\n", "five\n", "six\n"] {
            file.write(line);
        }
        let text = std::fs::read_to_string(path.path()).unwrap();
        assert_eq!(text, "four\nthe log is full: later requests are not in it\n");
    }
}
