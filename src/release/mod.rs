//! The main job: what `release`, `reconcile`, `plan`, `promote`, `verify` and `unpublish` do, apart from the command line.

pub(crate) mod journal;
pub(crate) mod keeper;
mod lock;
pub(crate) mod metadata;
pub mod prepare;
pub(crate) mod promote;
#[cfg(feature = "embedded-registry")]
pub(crate) mod rehearsal;
pub mod unpublish;
pub(crate) mod verify;
