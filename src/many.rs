//! Work on many targets at a time, yet not on all of them: what one needs is kept from its first request to its last.
//!
//! The pieces of work are collected before the first of them begins: what makes them would be kept across every wait
//! otherwise, and the whole could not move between threads.

use anyhow::Result;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

/// Targets that are worked on at a time. Enough to keep a registry's connections busy: a target of one image asks for
/// two things at once, and a registry takes 32 requests at once unless it is declared otherwise.
const AT_A_TIME: usize = 64;

/// All results in order.
pub(crate) async fn each<F: Future>(work: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let work: Vec<F> = work.into_iter().collect();
    stream::iter(work).buffered(AT_A_TIME).collect().await
}

/// All results in order, or the first failure; what has not begun by then is left.
///
/// # Errors
///
/// That of the first piece of work that fails.
pub(crate) async fn try_each<T, F>(work: impl IntoIterator<Item = F>) -> Result<Vec<T>>
where
    F: Future<Output = Result<T>>,
{
    let work: Vec<F> = work.into_iter().collect();
    stream::iter(work).buffered(AT_A_TIME).try_collect().await
}
