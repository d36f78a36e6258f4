//! Where releases of a workspace keep what they need between runs: `target/manifests` beside the declaration. Everything
//! in it may be deleted.

use std::io;
use std::path::{Path, PathBuf};

/// The folder of the workspace at `root`; it need not exist.
pub(crate) fn of(root: &Path) -> PathBuf {
    root.join("target").join("manifests")
}

/// Makes the folder, for git to ignore: where there is no Cargo, nothing else does, and releases would find the tree
/// changed by the one before.
pub(crate) fn create(root: &Path) -> io::Result<()> {
    let folder = of(root);
    std::fs::create_dir_all(&folder)?;
    let ignore = folder.join(".gitignore");
    if !ignore.exists() {
        std::fs::write(&ignore, "*\n")?;
    }
    Ok(())
}
