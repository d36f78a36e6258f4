//! Extended attributes, which builders copy with their files. I/O.

use std::io;
use std::path::Path;

/// The hexadecimal digest of names and values, in order; empty without any, and where there are no such attributes.
/// SELinux labels (the machine's, not the project's) and Apple's own (fsutil does not send them) do not count.
///
/// # Errors
///
/// They cannot be read.
#[cfg(any(target_os = "linux", target_os = "macos"))]
pub(super) fn digest(path: &Path) -> io::Result<String> {
    use rustix::fs::{lgetxattr, llistxattr, llistxattr_query};
    use rustix::io::Errno;
    use sha2::{Digest as _, Sha256};

    /// As large as Linux lets names together, and one value, be.
    const LARGEST: usize = 64 * 1024;

    let length = match llistxattr_query(path) {
        Ok(length) => length,
        Err(Errno::NOTSUP | Errno::NOSYS) => 0,
        Err(error) => return Err(error.into()),
    };
    if length == 0 {
        return Ok(String::new());
    }
    let mut listed = vec![0_u8; LARGEST];
    let length = llistxattr(path, &mut listed[..])?;
    let counts =
        |name: &&[u8]| !name.is_empty() && !name.starts_with(b"com.apple.") && *name != b"security.selinux";
    let mut names: Vec<&[u8]> = listed[..length].split(|byte| *byte == 0).filter(counts).collect();
    names.sort_unstable();
    let mut hasher = Sha256::new();
    let mut value = vec![0_u8; LARGEST];
    for name in &names {
        let length = lgetxattr(path, *name, &mut value[..])?;
        for part in [name, &value[..length]] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    Ok(if names.is_empty() { String::new() } else { crate::model::digest::hex(&hasher.finalize()) })
}

/// Nothing is known of any here.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(super) fn digest(_: &Path) -> io::Result<String> {
    Ok(String::new())
}
