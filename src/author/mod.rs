//! Writes declarations: `init`, `import`, edits of a `manifests.toml`, and the file itself.

pub(crate) mod declared_file;
pub(crate) mod edit;
pub(crate) mod import;
pub mod init;
mod spelling;
