//! The files of a workspace and what git and cargo say of it: find, read and replace; folders that are ours.

pub(crate) mod bounded;
pub(crate) mod facts;
pub(crate) mod hash;
pub mod load;
pub(crate) mod lock_file;
pub(crate) mod own_folder;
pub(crate) mod rewrite;
pub(crate) mod working_folder;
