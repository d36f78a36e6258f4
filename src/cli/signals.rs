//! What ends a run from outside: Ctrl-C, TERM, QUIT, and HUP of a terminal that goes away. Every child ends, and the run
//! says what was published and what was not. A registry that is served ends with its last requests.

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
    let first = ended()?;
    let (signal, name) = tokio::select! {
        result = &mut work => return result,
        signal = first => signal,
    };
    if let Some(serving) = ledger.lock().ok().and_then(|ledger| ledger.serving.clone()) {
        let second = ended()?;
        serving.notify_one();
        return tokio::select! {
            result = work => result,
            (signal, _) = second => Ok(Exit::Signal(signal)),
        };
    }
    children::end_all(GRACE);
    let account = ledger.lock().map(|ledger| ledger.clone()).unwrap_or_default();
    Err(Failure::new(format!("ended by {name}; {account}"))
        .hint("run the same command again: it goes on from there")
        .exit(Exit::Signal(signal))
        .into())
}

/// The number and the name of the first signal that ends the run. They are listened for from now on.
#[cfg(unix)]
fn ended() -> Result<impl Future<Output = (u8, &'static str)>> {
    use futures_util::future::{FutureExt as _, select_all};
    use tokio::signal::unix::{SignalKind, signal};

    let signals = [(2, "Ctrl-C"), (15, "SIGTERM"), (1, "SIGHUP"), (3, "SIGQUIT")];
    let mut received = Vec::new();
    for (number, name) in signals {
        // As `nohup` has it: the run outlives its terminal.
        if matches!(number, 1 | 3) && is_ignored(number) {
            continue;
        }
        let mut stream = signal(SignalKind::from_raw(i32::from(number)))?;
        received.push(
            async move {
                stream.recv().await;
                (number, name)
            }
            .boxed(),
        );
    }
    Ok(select_all(received).map(|(first, _, _)| first))
}

/// Whether whoever started this process had it ignore a signal. Known on Linux only.
#[cfg(unix)]
fn is_ignored(signal: u8) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask & (1 << (signal - 1)) != 0
}

#[cfg(not(unix))]
fn ended() -> Result<impl Future<Output = (u8, &'static str)>> {
    Ok(async {
        match tokio::signal::ctrl_c().await {
            Ok(()) => (2, "Ctrl-C"),
            Err(_) => std::future::pending().await,
        }
    })
}
