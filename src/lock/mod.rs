//! `manifests.lock`: what was published. Pure; `workspace::lock_file` reads and writes it.
//!
//! An output: a missing one only means that nothing is known to be fresh. It is written for review: sorted, one fact a
//! line, the same for the same facts.

mod checks;
mod model;
mod record;
mod text;

pub use checks::{Check, Checks, Outstanding};
pub use model::{Lock, LockedImage, LockedList, LockedTarget};
pub use record::{ImageRecord, Origin};
pub use text::{LockError, VERSION};

pub use crate::config::LOCK_NAME as FILE_NAME;
