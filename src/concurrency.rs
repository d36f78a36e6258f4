//! Work on many targets at a time, yet not on all of them: what one needs is kept from its first request to its last.
//!
//! The pieces of work are collected before the first of them begins: what makes them would be kept across every wait
//! otherwise, and the whole could not move between threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use futures_util::future::try_join_all;
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

/// All results in order, or the first failure. In contrast to [`try_each`] only the work under way takes memory: for
/// layers and entries, of which there may be any number.
///
/// # Errors
///
/// That of the first piece of work that fails.
pub(crate) async fn try_over<'a, I, T, F>(items: &'a [I], work: impl Fn(&'a I) -> F) -> Result<Vec<T>>
where
    F: Future<Output = Result<T>>,
{
    let (next, work) = (&AtomicUsize::new(0), &work);
    let workers = (0..items.len().min(AT_A_TIME)).map(|_| async move {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return anyhow::Ok(done) };
            done.push((index, work(item).await?));
        }
    });
    let mut done: Vec<(usize, T)> = try_join_all(workers).await?.into_iter().flatten().collect();
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}
