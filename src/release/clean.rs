//! Whether what is released is what is committed.

use anyhow::Result;

use crate::config::Declaration;
use crate::error::Failure;
use crate::lock;
use crate::workspace::facts;

/// A release is made from a commit, so that its revision says what is in it.
///
/// # Errors
///
/// The tree has changes that are not committed, or git does not say.
pub(crate) fn refuse_dirty(declaration: &Declaration) -> Result<()> {
    let changed = facts::dirty(&declaration.root, &declaration.root.join(lock::FILE_NAME));
    let changed = changed.map_err(|error| {
        Failure::new("it is not known whether the git tree has uncommitted changes")
            .because(error)
            .hint("mend what git says, or release the files as they are with `--allow-dirty`")
    })?;
    if changed.is_empty() {
        return Ok(());
    }
    let shown: Vec<&str> = changed.iter().take(5).map(String::as_str).collect();
    let more = if changed.len() > shown.len() { ", …" } else { "" };
    Err(Failure::new(format!("the git tree has uncommitted changes: {}{more}", shown.join(", ")))
        .hint("commit or stash them, or release them as they are with `--allow-dirty`")
        .into())
}
