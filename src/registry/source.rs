//! The bytes of a transfer: where they come from, and the check that they are the right ones.

use std::io::SeekFrom;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use reqwest::header::{HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};
use sha2::{Digest as _, Sha256, Sha512};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::blobs::{address, pull};
use super::error::{Kind, RegistryError, Task};
use super::retry::Wait;
use super::transport::{Call, Lane, Wanted};
use super::wire::Wire;
use crate::model::digest::{Digest, hex};
use crate::model::reference::Repository;

/// Enough for the disk and for TLS records to be worth their while.
const CHUNK: usize = 256 << 10;

/// Bytes that come one chunk at a time.
pub(crate) enum Source {
    File(File, Task),
    Download(Box<Download>),
}

impl Source {
    pub(crate) async fn file(task: &Task, path: &Path, offset: u64) -> Result<Self, RegistryError> {
        let opened = async {
            let mut file = File::open(path).await?;
            file.seek(SeekFrom::Start(offset)).await?;
            Ok(file)
        };
        let file: std::io::Result<File> = opened.await;
        let file =
            file.map_err(|e| task.error(Kind::Local, format!("cannot read {}: {e}", path.display())))?;
        Ok(Self::File(file, task.clone()))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        match self {
            Self::File(file, task) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                let read = file.take(CHUNK as u64).read_to_end(&mut chunk).await;
                read.map_err(|error| task.error(Kind::Local, format!("cannot read the file: {error}")))?;
                Ok((!chunk.is_empty()).then(|| chunk.into()))
            }
            Self::Download(download) => download.next().await,
        }
    }
}

/// Bytes in a second. Who sends less for as long as [`RetryPolicy::silence`] might as well be silent.
const SLOWEST: f64 = 1024.0;

/// A blob being read, taken up again where the connection broke.
pub(crate) struct Download {
    lane: Lane,
    call: Call,
    size: u64,
    offset: u64,
    response: Option<Response>,
    /// Bytes still to be passed over: the server began at the beginning.
    skip: u64,
    /// How often the connection broke since `offset` was at `failed_at`.
    failures: usize,
    failed_at: u64,
    pace: Pace,
}

/// How fast bytes come, while somebody waits for them.
#[derive(Default)]
struct Pace {
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// Takes in some bytes. False when for as long as the silence allowed hardly any came.
    fn keeps_up(&mut self, waited: Duration, bytes: usize, silence: Duration) -> bool {
        self.waited += waited;
        self.bytes += bytes as u64;
        if self.waited < silence {
            return true;
        }
        let over = std::mem::take(self);
        over.bytes as f64 >= over.waited.as_secs_f64() * SLOWEST
    }
}

/// So many bytes more than at the last failure are progress, after which retries are counted anew. It bounds how often a
/// transfer of a known size can break off.
pub(crate) const PROGRESS: u64 = 1 << 20;

impl Download {
    pub(crate) fn new(
        lane: Lane,
        task: Task,
        from: &Repository,
        digest: &Digest,
        size: u64,
        offset: u64,
    ) -> Self {
        let mut call = Call::new(task, Method::GET, address(from, digest), pull(from));
        call.answer = Wanted::Stream;
        Self {
            lane,
            call,
            size,
            offset,
            response: None,
            skip: 0,
            failures: 0,
            failed_at: offset,
            pace: Pace::default(),
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        loop {
            if self.response.is_none() {
                if self.offset == self.size {
                    return Ok(None);
                }
                self.open().await?;
            }
            let wire = self.lane.wire();
            let Some(response) = &mut self.response else { continue };
            let asked = Instant::now();
            let chunk = wire.in_time(&self.call.task, response.chunk()).await;
            let chunk = chunk.and_then(|chunk| chunk.map_err(|e| self.call.task.broken(&Method::GET, &e)));
            let silence = wire.setup.retry_policy.silence;
            match chunk {
                // What is sent on more slowly than it comes is not the sender's fault: only waiting for it counts.
                Ok(Some(chunk)) if !self.pace.keeps_up(asked.elapsed(), chunk.len(), silence) => {
                    let detail = format!("hardly anything came within {:.0} s", silence.as_secs_f32());
                    self.pause(self.call.task.error(Kind::Timeout, detail)).await?;
                }
                Ok(Some(mut chunk)) => {
                    let over = usize::try_from(self.skip).unwrap_or(usize::MAX).min(chunk.len());
                    let _ = chunk.split_to(over);
                    self.skip -= over as u64;
                    if !chunk.is_empty() {
                        self.offset += chunk.len() as u64;
                        return Ok(Some(chunk));
                    }
                }
                Ok(None) if self.offset >= self.size => return Ok(None),
                Ok(None) => {
                    let detail = format!("the blob ended after {} of {} bytes", self.offset, self.size);
                    self.pause(self.call.task.error(Kind::Interrupted, detail)).await?;
                }
                Err(error) if error.is_temporary() => self.pause(error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits before the blob is asked for again, or gives up.
    async fn pause(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        self.response = None;
        self.pace = Pace::default();
        let setup = self.lane.wire().setup.clone();
        if self.offset >= self.failed_at + PROGRESS {
            self.failures = 0;
            self.failed_at = self.offset;
        }
        if self.failures == setup.retry_policy.retries {
            return Err(error);
        }
        let doubled = 1u32.checked_shl(self.failures.try_into().unwrap_or(u32::MAX)).unwrap_or(u32::MAX);
        let delay = setup.retry_policy.delay.saturating_mul(doubled).min(setup.retry_policy.longest);
        self.failures += 1;
        (setup.waits)(&Wait { host: error.host().to_owned(), reason: error.to_string(), delay });
        tokio::time::sleep(delay).await;
        Ok(())
    }

    async fn open(&mut self) -> Result<(), RegistryError> {
        if self.offset > 0 {
            let range = HeaderValue::from_str(&format!("bytes={}-", self.offset));
            self.call.headers = range.ok().map(|range| (RANGE, range)).into_iter().collect();
        }
        let mut reply = self.lane.call(&self.call).await?;
        let begins = reply.header("content-range").and_then(begin_of);
        let served_other = reply.status == StatusCode::PARTIAL_CONTENT && begins != Some(self.offset);
        if (served_other || reply.status == StatusCode::RANGE_NOT_SATISFIABLE) && self.offset > 0 {
            // Ranges do not work here: from the beginning, then.
            drop(reply);
            self.call.headers.remove(RANGE);
            reply = self.lane.call(&self.call).await?;
        }
        self.skip = match reply.status {
            StatusCode::OK => self.offset,
            StatusCode::PARTIAL_CONTENT
                if reply.header("content-range").and_then(begin_of) == Some(self.offset) =>
            {
                0
            }
            StatusCode::PARTIAL_CONTENT => {
                return Err(self.call.task.error(Kind::Protocol, "another range than asked for was served"));
            }
            _ => return Err(reply.error(&self.call)),
        };
        self.response = reply.stream;
        Ok(())
    }
}

/// The first byte's position in `bytes FIRST-LAST/SIZE` (RFC 9110, 14.4).
fn begin_of(range: &str) -> Option<u64> {
    range.trim().strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

/// What has been hashed so far, over all attempts of one transfer.
pub(crate) struct Checked {
    expected: Digest,
    hasher: Hasher,
    hashed: u64,
}

enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Checked {
    pub(crate) fn new(expected: &Digest) -> Self {
        let hasher = match expected.algorithm() {
            "sha512" => Hasher::Sha512(Sha512::new()),
            _ => Hasher::Sha256(Sha256::new()),
        };
        Self { expected: expected.clone(), hasher, hashed: 0 }
    }

    /// Takes in the bytes that stand at `offset`; those that an earlier attempt brought count once.
    fn take(&mut self, offset: u64, bytes: &[u8]) {
        let known = usize::try_from(self.hashed.saturating_sub(offset)).unwrap_or(usize::MAX);
        let new = bytes.get(known..).unwrap_or_default();
        match &mut self.hasher {
            Hasher::Sha256(hasher) => hasher.update(new),
            Hasher::Sha512(hasher) => hasher.update(new),
        }
        self.hashed += new.len() as u64;
    }

    /// The digest so far, if it is not the expected one.
    fn difference(&self) -> Option<String> {
        let found = match &self.hasher {
            Hasher::Sha256(hasher) => hex(&hasher.clone().finalize()),
            Hasher::Sha512(hasher) => hex(&hasher.clone().finalize()),
        };
        (found != self.expected.hex()).then(|| format!("{}:{found}", self.expected.algorithm()))
    }
}

/// What is known of a stream while somebody else reads it.
#[derive(Clone)]
pub(crate) struct Watch {
    passed: Arc<AtomicU64>,
    failure: Arc<Mutex<Option<RegistryError>>>,
}

impl Watch {
    /// What ended the stream before its time.
    pub(crate) fn failure(&self) -> Option<RegistryError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for the answer to an upload as long as bytes go out; after the last one, longer: the registry checks them
    /// all and may move them to another store before it answers.
    pub(crate) async fn until_answered<T>(
        &self,
        wire: &Wire,
        task: &Task,
        answer: impl Future<Output = T>,
    ) -> Result<T, RegistryError> {
        const SILENT_ROUNDS: u32 = 10;
        let mut answer = std::pin::pin!(answer);
        let (mut passed, mut silent) = (0, 0);
        loop {
            match wire.in_time(task, &mut answer).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    let now = self.passed.load(Ordering::Relaxed);
                    silent = if now == passed { silent + 1 } else { 0 };
                    passed = now;
                    if silent == SILENT_ROUNDS {
                        return Err(error);
                    }
                }
            }
        }
    }
}

/// The bytes of one attempt of a transfer, in pieces if need be.
pub(crate) struct Feed {
    source: Source,
    /// Where the next byte stands in the blob.
    offset: u64,
    size: u64,
    /// What was read beyond the end of a piece.
    kept: Bytes,
    /// What the bytes of all attempts add up to.
    checked: Arc<Mutex<Checked>>,
    passed: Arc<AtomicU64>,
}

impl Feed {
    pub(crate) fn new(source: Source, offset: u64, size: u64, checked: Arc<Mutex<Checked>>) -> Self {
        Self { source, offset, size, kept: Bytes::new(), checked, passed: Arc::default() }
    }

    /// The next bytes, none beyond `end`; `None` there. The chunk that completes the blob comes only if the whole has
    /// the right digest and length, so that a registry never completes an upload of wrong bytes.
    async fn next(&mut self, end: u64) -> Result<Option<Bytes>, RegistryError> {
        if self.offset == end {
            return Ok(None);
        }
        let wrong = |feed: &Self, why: String| feed.source.task().error(Kind::Corrupt, why);
        let mut chunk = std::mem::take(&mut self.kept);
        if chunk.is_empty() {
            let Some(next) = self.source.next().await? else {
                return Err(wrong(self, format!("it ends after {} of {} bytes", self.offset, self.size)));
            };
            chunk = next;
            if chunk.len() as u64 > self.size - self.offset {
                return Err(wrong(self, format!("it is longer than the {} bytes declared", self.size)));
            }
        }
        let length = usize::try_from(end - self.offset).unwrap_or(usize::MAX).min(chunk.len());
        self.kept = chunk.split_off(length);
        let difference = {
            let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
            checked.take(self.offset, &chunk);
            self.offset += length as u64;
            if self.offset == self.size { checked.difference() } else { None }
        };
        if let Some(found) = difference {
            return Err(wrong(self, format!("its bytes have the digest {found}")));
        }
        self.passed.fetch_add(length as u64, Ordering::Relaxed);
        Ok(Some(chunk))
    }
}

/// The bytes that `feed` has before `end`, as a request's body. The body ends with the last owner of `feed`: a connection
/// that nobody waits for any more must not hold the source, and with it a place at a registry.
pub(crate) async fn stream(
    feed: &Arc<tokio::sync::Mutex<Feed>>,
    end: u64,
) -> (impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static, Watch) {
    let watch = Watch { passed: feed.lock().await.passed.clone(), failure: Arc::default() };
    let state = Some((Arc::downgrade(feed), watch.clone()));
    let stream = unfold(state, move |state| async move {
        let (weak, watch) = state?;
        let Some(feed) = weak.upgrade() else {
            return Some((Err(std::io::Error::other("the transfer was given up")), None));
        };
        let next = feed.lock().await.next(end).await;
        match next {
            Ok(None) => None,
            Ok(Some(chunk)) => Some((Ok(chunk), Some((weak, watch)))),
            Err(error) => {
                let broken = std::io::Error::other(error.to_string());
                *watch.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Some((Err(broken), None))
            }
        }
    });
    (stream, watch)
}

impl Source {
    fn task(&self) -> &Task {
        match self {
            Self::File(_, task) => task,
            Self::Download(download) => &download.call.task,
        }
    }
}
