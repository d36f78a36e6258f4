//! Files that others wrote, read up to a limit. I/O.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// How long a Dockerfile or an ignore file may be, in bytes.
pub(crate) const LONGEST_TEXT: u64 = 4 * 1024 * 1024;

/// The text of the file at `path`, of at most [`LONGEST_TEXT`]. What is no regular file, such as a FIFO or a link to a
/// device, may have no end and is not opened.
///
/// # Errors
///
/// It cannot be read, is no regular file, too long, or not UTF-8.
pub(crate) fn text(path: &Path) -> Result<String> {
    String::from_utf8(bytes(path)?).with_context(|| format!("could not read {}", path.display()))
}

/// As [`text`], whatever its encoding.
///
/// # Errors
///
/// As [`text`].
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>> {
    let what = || format!("could not read {}", path.display());
    let metadata = path.metadata().with_context(what)?;
    if !metadata.is_file() {
        bail!("could not read {}: it is not a regular file", path.display());
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST_TEXT + 1).read_to_end(&mut bytes))
        .with_context(what)?;
    if bytes.len() as u64 > LONGEST_TEXT {
        bail!("could not read {}: it is longer than {LONGEST_TEXT} bytes", path.display());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_or_is_too_long_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Dockerfile");
        let longest = usize::try_from(LONGEST_TEXT).unwrap();
        for (content, read) in
            [(Vec::new(), true), (vec![b'a'; longest], true), (vec![b'a'; longest + 1], false)]
        {
            std::fs::write(&path, &content).unwrap();
            assert_eq!(text(&path).ok().map(String::into_bytes), read.then_some(content));
        }
        std::fs::write(&path, [0xff]).unwrap();
        assert!(text(&path).is_err());
        assert!(text(folder.path()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn devices_and_fifos_are_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        let fifo = folder.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for path in [link, fifo] {
            let error = text(&path).unwrap_err().to_string();
            assert!(error.ends_with("it is not a regular file"), "{error}");
        }
    }
}
