//! When a request is sent again, and how long it waits before: exponential with jitter, bounded, and as the registry
//! asks in `Retry-After` up to a limit.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backon::{ExponentialBuilder, Retryable as _};
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::error::{Kind, RegistryError};

/// How long registries are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The first delay before a request is sent again; it doubles each time, with jitter.
    pub delay: Duration,
    /// How often a request is sent again.
    pub retries: usize,
    /// The longest that one request waits in all before it is sent again. A registry that asks for more in `Retry-After`
    /// is not waited for.
    pub longest: Duration,
    /// How long a registry may be silent. A request that met silence is sent once more, not as often as others.
    pub silence: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(250),
            retries: 5,
            longest: Duration::from_secs(60),
            silence: Duration::from_secs(60),
        }
    }
}

/// A request waits before it is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The registry, as declared.
    pub host: String,
    /// What was tried and what came back.
    pub reason: String,
    /// How long.
    pub delay: Duration,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; trying again in {:.1} s", self.reason, self.delay.as_secs_f32())
    }
}

/// Hears of every wait.
pub type Waits = Arc<dyn Fn(&Wait) + Send + Sync>;

/// Runs `attempt` until it succeeds, fails in a way that `may_repeat` does not let pass, or the retries are used up.
pub(crate) async fn retrying<T, F, A>(
    retry_policy: &RetryPolicy,
    waits: &Waits,
    may_repeat: fn(&RegistryError) -> bool,
    attempt: A,
) -> Result<T, RegistryError>
where
    F: Future<Output = Result<T, RegistryError>>,
    A: FnMut() -> F,
{
    let backoff = ExponentialBuilder::default()
        .with_min_delay(retry_policy.delay)
        .with_max_delay(retry_policy.longest)
        .with_max_times(retry_policy.retries)
        .with_jitter();
    let (mut left, mut was_silent) = (retry_policy.longest, false);
    attempt
        .retry(backoff)
        .when(may_repeat)
        .adjust(move |error: &RegistryError, delay| {
            if error.kind() == Kind::Timeout && std::mem::replace(&mut was_silent, true) {
                return None;
            }
            let delay = match error.retry_after() {
                Some(asked) if asked > left => return None,
                // What is asked for is the least; the jitter keeps many clients from coming back at one moment.
                Some(asked) => asked.max(delay?.min(asked.saturating_add(Duration::from_secs(1)))),
                None => delay?,
            };
            left = left.saturating_sub(delay);
            (!left.is_zero()).then_some(delay)
        })
        .notify(|error: &RegistryError, delay| {
            waits(&Wait { host: error.host().to_owned(), reason: error.to_string(), delay });
        })
        .await
}

/// What `Retry-After` asks for: seconds, or a date (RFC 9110, 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than fits is longer than anybody waits all the same.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (text, wait) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Thu, 06 Nov 2994 08:49:37 GMT", Some(31_556_995_200)),
            ("Sun Nov  6 08:50:07 1994", Some(30)),
            ("18446744073709551615", Some(u64::MAX)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("soon", None),
            ("-3", None),
            ("+3", None),
            ("1.5", None),
            ("120s", None),
            ("", None),
            ("Sun, 99 Nov 1994 08:50:07 GMT", None),
            ("1994-11-06T08:50:07Z", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), wait.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
