//! A random key of this machine, for fingerprints of what may be a secret. I/O.
//!
//! It lies where everything may be deleted: then such an image is built once more. Another machine has another key, and
//! cannot tell whether a secret has changed.

use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::model::digest::hex;
use crate::model::secret::Secret;

const NAME: &str = "fingerprint.key";
const BYTES: usize = 32;

/// The key, as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key(Secret);

impl Key {
    /// The key in `folder`, which is made where there is none.
    ///
    /// # Errors
    ///
    /// It cannot be read or written, or is none that this wrote.
    pub(crate) fn of(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let what = || format!("could not keep {}", path.display());
        match std::fs::read_to_string(&path) {
            Ok(text) => return Self::read(&text).with_context(what),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(what),
        }
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other).with_context(what)?;
        std::fs::create_dir_all(folder).with_context(what)?;
        // Nobody else on the machine may read it: tempfile makes files for their owner alone.
        let mut file = tempfile::NamedTempFile::new_in(folder).with_context(what)?;
        file.write_all(hex(&bytes).as_bytes()).with_context(what)?;
        match file.persist_noclobber(&path) {
            Ok(_) => {}
            // Of two runs the first one's key is that of both.
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.error).with_context(what),
        }
        Self::read(&std::fs::read_to_string(&path).with_context(what)?).with_context(what)
    }

    fn read(text: &str) -> Result<Self> {
        let is_key = text.len() == 2 * BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        anyhow::ensure!(is_key, "it is not {} hexadecimal digits", 2 * BYTES);
        Ok(Self(Secret::new(text)))
    }

    pub(super) fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_and_is_unlike_others() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = folder.path().join("below");
        let key = Key::of(&folder).unwrap();
        assert_eq!(Key::of(&folder).unwrap(), key);
        assert_ne!(Key::of(other.path()).unwrap(), key);
        assert!(!format!("{key:?}").contains(key.reveal()));
        std::fs::write(folder.join(NAME), "short").unwrap();
        assert!(Key::of(&folder).is_err(), "what is not understood is not replaced");
    }
}
