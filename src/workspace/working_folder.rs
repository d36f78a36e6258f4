//! Where releases of a workspace keep what they need between runs: `target/manifests` beside the declaration. Everything
//! in it may be deleted.
//!
//! `target` may be a link: people put it on another disk, and cargo follows it too. Everything below it is a real file
//! or folder, made by this program: a link in there came with somebody's checkout, and leads where nobody wants us to
//! write or to remove. A checkout in which `target` itself is such a link gets no more from it than a new folder
//! `manifests` there: what is emptied has our marker ([`own_folder`](crate::workspace::own_folder)).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::workspace::own_folder::{create_below, create_new, refuse_links_in};

/// Makes the folder, for git to ignore: where there is no Cargo, nothing else does, and releases would find the tree
/// changed by the one before.
///
/// # Errors
///
/// [`Refused`](crate::workspace::own_folder::Refused) when it, or something in it, is a link, and what the file system says.
pub(crate) fn create(root: &Path) -> Result<PathBuf> {
    let target = root.join("target");
    std::fs::create_dir_all(&target).with_context(|| format!("could not create {}", target.display()))?;
    let folder = create_below(&target, "manifests")?;
    refuse_links_in(&folder)?;
    create_new(&folder.join(".gitignore"), "*\n")?;
    Ok(folder)
}

/// Makes the folder `below` in [the folder of the workspace](crate::config::working_folder_of), which is made too.
///
/// # Errors
///
/// As [`create`], also of what is in `below`.
pub(crate) fn create_in(root: &Path, below: impl AsRef<Path>) -> Result<PathBuf> {
    let folder = create_below(&create(root)?, below)?;
    refuse_links_in(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::config::working_folder_of;
    use crate::workspace::own_folder::Refused;

    #[test]
    fn nothing_below_target_is_a_link() {
        let other = tempfile::tempdir().unwrap();
        // Which link a checkout has, and whether the folder is made then.
        for (link, made) in [
            (None, true),
            (Some("target"), true),
            (Some("target/manifests"), false),
            (Some("target/manifests/.gitignore"), false),
            (Some("target/manifests/rehearsal"), false),
            (Some("target/manifests/rehearsal/registry"), false),
        ] {
            let root = tempfile::tempdir().unwrap();
            if let Some(link) = link {
                let link = root.path().join(link);
                fs::create_dir_all(link.parent().unwrap()).unwrap();
                symlink(other.path(), link).unwrap();
            }
            let created = create_in(root.path(), "rehearsal");
            assert_eq!(created.is_ok(), made, "{link:?}");
            if let Err(error) = created {
                assert!(error.is::<Refused>(), "{error:#}");
            }
            let ignored = fs::read(working_folder_of(root.path()).join(".gitignore")).ok();
            assert!(!made || ignored.as_deref() == Some(b"*\n"), "{link:?}");
        }
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1, "only `manifests`, through `target`");
    }
}
