//! What walks over manifests in a registry may take. Anybody who may write there decides how long, how deep and how wide
//! these are, so that every step is paid for before it is made.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;

use crate::error::Failure;
use crate::model::manifest::Descriptor;
use crate::registry::LARGEST_MANIFEST;

/// How deep indexes may be nested in each other. Images are one deep, build caches and bundles two or three.
pub const DEEPEST: usize = 16;
/// How many manifests one index may list, with those that its inner indexes list.
pub const MOST_PARTS: usize = 10_000;
/// How many manifests may hang on one manifest, with what hangs on these.
pub const MOST_REFERRERS: usize = 1_000;
/// How many manifests may hang on all manifests that are copied together.
pub const MOST_REFERRERS_TOGETHER: usize = 20_000;
/// How many bytes the manifests of one walk may have together: they are held at once when they are copied.
pub const MOST_BYTES: u64 = 64 << 20;
/// How many manifests and entries of lists one repository may show to `unpublish`.
pub const MOST_CONTENTS: usize = 500_000;
/// How long one walk may take.
pub const LONGEST_WALK: Duration = Duration::from_secs(15 * 60);

/// What is left of a budget. Walks that go on side by side may share one.
pub(super) struct Budget {
    /// The way out when it does not suffice; may be empty.
    hint: &'static str,
    most_manifests: usize,
    left: Mutex<Left>,
}

struct Left {
    manifests: usize,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(most_manifests: usize, bytes: u64, hint: &'static str) -> Self {
        Self { hint, most_manifests, left: Mutex::new(Left { manifests: most_manifests, bytes }) }
    }

    /// The error that this is too much.
    pub(super) fn exceeded(&self, message: String) -> anyhow::Error {
        Failure::new(message).hint(self.hint).into()
    }

    /// Pays for manifests before they are fetched. One that does not say its size counts as the largest there is: sizes
    /// are compared with what is served, so that none can be larger than it was paid for.
    ///
    /// # Errors
    ///
    /// Not enough is left. `what` begins the sentence.
    pub(super) fn take<'a>(
        &self,
        what: impl FnOnce() -> String,
        manifests: impl IntoIterator<Item = &'a Descriptor>,
    ) -> Result<()> {
        let (mut count, mut bytes) = (0, 0_u64);
        for manifest in manifests {
            count += 1;
            let size = if manifest.size == 0 { LARGEST_MANIFEST as u64 } else { manifest.size };
            bytes = bytes.saturating_add(size);
        }
        self.spend(what, count, bytes)
    }

    /// Pays for so many manifests or entries, whatever their size.
    ///
    /// # Errors
    ///
    /// As [`Budget::take`].
    pub(super) fn count(&self, what: impl FnOnce() -> String, count: usize) -> Result<()> {
        self.spend(what, count, 0)
    }

    fn spend(&self, what: impl FnOnce() -> String, count: usize, bytes: u64) -> Result<()> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(manifests) = left.manifests.checked_sub(count) else {
            return Err(self.exceeded(format!("{} more than {} manifests", what(), self.most_manifests)));
        };
        let Some(bytes) = left.bytes.checked_sub(bytes) else {
            let most = MOST_BYTES >> 20;
            return Err(self.exceeded(format!("{} manifests of more than {most} MiB together", what())));
        };
        *left = Left { manifests, bytes };
        Ok(())
    }

    /// Ends a walk that takes too long.
    ///
    /// # Errors
    ///
    /// Those of the walk, and that it took too long.
    pub(super) async fn in_time<T>(
        &self,
        what: impl FnOnce() -> String,
        walk: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::time::timeout(LONGEST_WALK, walk).await.unwrap_or_else(|_| {
            let minutes = LONGEST_WALK.as_secs() / 60;
            Err(self.exceeded(format!("{} manifests that take more than {minutes} minutes to read", what())))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;

    #[test]
    fn a_budget_is_spent_by_number_and_by_size_and_lies_cost_most() {
        let of = |size| Descriptor::new("", Digest::of(b"x"), size);
        let taken = |budget: &Budget, sizes: &[u64]| {
            let manifests: Vec<_> = sizes.iter().map(|size| of(*size)).collect();
            budget.take(|| "it lists".to_owned(), &manifests).map_err(|error| error.to_string())
        };
        let budget = Budget::new(3, 100, "");
        assert_eq!(taken(&budget, &[]), Ok(()));
        assert_eq!(taken(&budget, &[50, 50]), Ok(()));
        assert_eq!(taken(&budget, &[1]), Err("it lists manifests of more than 64 MiB together".to_owned()));
        assert_eq!(taken(&budget, &[0, 0]), Err("it lists more than 3 manifests".to_owned()));
        assert!(taken(&Budget::new(9, MOST_BYTES, ""), &[u64::MAX, u64::MAX]).is_err());
        assert!(taken(&Budget::new(9, LARGEST_MANIFEST as u64, ""), &[0]).is_ok());
        assert!(taken(&Budget::new(9, LARGEST_MANIFEST as u64 - 1, ""), &[0]).is_err());
    }
}
