//! `manifests.lock`: what was published. The model and its text are pure; [`read`] and [`write()`] are the edge.
//!
//! An output: a missing one only means that nothing is known to be fresh. It is written for review: sorted, one fact a
//! line, the same for the same facts.

mod checks;
mod file;
mod model;
mod text;
mod update;

pub use checks::{Check, Checks, Outstanding};
pub use file::{Written, read, write};
pub use model::{Lock, LockedImage, LockedList, LockedTarget};
pub use text::{LockError, VERSION};
pub use update::{ImageRecord, Origin};

/// What the file is called; it lies beside `manifests.toml`.
pub const FILE_NAME: &str = "manifests.lock";
