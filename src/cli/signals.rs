//! Ctrl-C and TERM: every child ends, and the run says what was published and what was not.

use anyhow::Result;

use super::context::{GRACE, Ledger};
use crate::children;
use crate::error::{Exit, Failure};

/// Drives `work` to its end, or until a signal; then ends every child and gives exit code 128 + n.
pub(super) async fn until_ended(work: impl Future<Output = Result<Exit>>, ledger: &Ledger) -> Result<Exit> {
    let signal = tokio::select! {
        result = work => return result,
        signal = received() => signal?,
    };
    children::end_all(GRACE);
    let account = ledger.lock().map(|ledger| ledger.clone()).unwrap_or_default();
    if account.serving {
        return Ok(Exit::Done);
    }
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
