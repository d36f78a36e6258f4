//! Ctrl-C and TERM: every child ends, and the run says what was published and what was not. A registry that is served
//! ends with its last requests.

use std::pin::pin;

use anyhow::Result;

use super::context::{GRACE, Ledger};
use crate::children;
use crate::error::{Exit, Failure};

/// Drives `work` to its end, or until a signal; then ends every child and gives exit code 128 + n.
///
/// A signal is how serving ends, so that `work` goes on to its end then, with its own exit code; a second one ends it at
/// once.
pub(super) async fn until_ended(work: impl Future<Output = Result<Exit>>, ledger: &Ledger) -> Result<Exit> {
    let mut work = pin!(work);
    let signal = tokio::select! {
        result = &mut work => return result,
        signal = received() => signal?,
    };
    if let Some(serving) = ledger.lock().ok().and_then(|ledger| ledger.serving.clone()) {
        serving.notify_one();
        return tokio::select! {
            result = work => result,
            signal = received() => Ok(Exit::Signal(signal?)),
        };
    }
    children::end_all(GRACE);
    let account = ledger.lock().map(|ledger| ledger.clone()).unwrap_or_default();
    let account = match account.published.is_empty() {
        true => "nothing was published".to_owned(),
        false => format!("published so far:\n  {}", account.published.join("\n  ")),
    };
    Err(Failure::new(format!("ended by {}; {account}", name(signal)))
        .hint("run the same command again: it goes on from there")
        .exit(Exit::Signal(signal))
        .into())
}

fn name(signal: u8) -> &'static str {
    if signal == 15 { "SIGTERM" } else { "Ctrl-C" }
}

#[cfg(unix)]
async fn received() -> Result<u8> {
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.map(|()| 2).map_err(Into::into),
        _ = term.recv() => Ok(15),
    }
}

#[cfg(not(unix))]
async fn received() -> Result<u8> {
    tokio::signal::ctrl_c().await?;
    Ok(2)
}
