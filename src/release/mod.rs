//! The main job: what `release`, `reconcile`, `plan`, `promote`, `verify` and `unpublish` do, apart from the command line.

pub(crate) mod clean;
pub(crate) mod journal;
pub(crate) mod keeper;
mod lock;
pub(crate) mod metadata;
pub mod prepare;
pub(crate) mod promote;
pub(crate) mod pushed;
#[cfg(feature = "embedded-registry")]
pub(crate) mod rehearsal;
pub(crate) mod run;
pub(crate) mod turn;
pub mod unpublish;
pub(crate) mod verify;
