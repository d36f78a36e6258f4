//! What images were built from when they were built last, input by input: a file of this machine, so that a reason has a
//! name. Without it there are only fewer words. I/O.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::build::fingerprint::{Input, Inputs};
use crate::model::digest::Digest;

/// What is noted of images, by target and platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Records {
    inputs: ByImage<Vec<(Input, String)>>,
    unknown: ByImage<(Digest, String)>,
}

type ByImage<T> = BTreeMap<String, BTreeMap<String, T>>;

impl Records {
    /// Reads what is noted in `folder`. What cannot be read is not known.
    pub(crate) fn read(folder: &Path) -> Self {
        let text = std::fs::read_to_string(file(folder)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Writes them into `folder`, unless they are there.
    ///
    /// # Errors
    ///
    /// They cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        if Self::read(folder) == *self {
            return Ok(());
        }
        let path = file(folder);
        let write = || {
            std::fs::create_dir_all(folder)?;
            let file = tempfile::NamedTempFile::new_in(folder)?;
            let mut writer = std::io::BufWriter::new(&file);
            serde_json::to_writer(&mut writer, self)?;
            // Dropped, it would not tell of a full disk.
            writer.flush()?;
            drop(writer);
            file.persist(&path)?;
            anyhow::Ok(())
        };
        write().with_context(|| format!("could not write {}", path.display()))
    }

    /// The inputs of one image.
    pub(crate) fn get(&self, target: &str, platform: &str) -> Option<Inputs> {
        self.inputs.get(target)?.get(platform).map(|inputs| inputs.iter().cloned().collect())
    }

    /// Notes the inputs of one image.
    pub(crate) fn set(&mut self, target: &str, platform: &str, inputs: &Inputs) {
        let inputs = inputs.iter().map(|(input, state)| (input.clone(), state.clone())).collect();
        self.inputs.entry(target.to_owned()).or_default().insert(platform.to_owned(), inputs);
    }

    /// Why it is not known what the image with this digest was built from.
    pub(crate) fn unknown(&self, target: &str, platform: &str, digest: &Digest) -> Option<String> {
        let (of, why) = self.unknown.get(target)?.get(platform)?;
        (of == digest).then(|| why.clone())
    }

    /// Notes why it is not known what an image was built from.
    pub(crate) fn set_unknown(&mut self, target: &str, platform: &str, digest: &Digest, why: &str) {
        let noted = (digest.clone(), why.to_owned());
        self.unknown.entry(target.to_owned()).or_default().insert(platform.to_owned(), noted);
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("inputs.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_known_and_what_is_not_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("below");
        assert_eq!(Records::read(&folder), Records::default());
        let inputs: Inputs =
            [(Input::Path("a".to_owned()), "1".to_owned()), (Input::Dockerfile, "2".to_owned())]
                .into_iter()
                .collect();
        let mut records = Records::default();
        records.set("app", "linux/amd64", &inputs);
        let [image, other] = [b"image", b"other"].map(|bytes| Digest::of(bytes));
        records.set_unknown("app", "linux/arm64", &image, "why");
        records.write(&folder).unwrap();
        let read = Records::read(&folder);
        assert_eq!(read.get("app", "linux/amd64"), Some(inputs));
        assert_eq!(read.get("app", "linux/arm64"), None);
        assert_eq!(read.unknown("app", "linux/arm64", &image).as_deref(), Some("why"));
        assert_eq!(read.unknown("app", "linux/arm64", &other), None);
        assert_eq!(read.unknown("app", "linux/amd64", &image), None);
        std::fs::write(file(&folder), "no JSON").unwrap();
        assert_eq!(Records::read(&folder), Records::default());
    }
}
