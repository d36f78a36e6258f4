//! What `push` says for another machine: which images it pushed, of which revision and declaration. `reconcile` puts the
//! files of several machines together. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{Declaration, Target};
use crate::lock::Checks;
use crate::model::digest::Digest;
use crate::model::fingerprint::Fingerprint;
use crate::model::platform::Platform;
use crate::model::reference::Reference;

/// The version of the format.
const VERSION: u64 = 1;

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Metadata {
    version: u64,
    /// The commit that the images were built from, when it was known.
    pub revision: Option<String>,
    /// The digest of the declaration's text.
    pub declaration: Digest,
    /// What was pushed.
    pub images: Vec<PushedImage>,
}

/// An image that was pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct PushedImage {
    /// The target's name.
    pub target: String,
    /// The platform.
    pub platform: String,
    /// Where it was pushed to.
    pub reference: String,
    /// The digest that the push reported.
    pub digest: Digest,
    /// What it was built from, when that decides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// What was checked of it.
    #[serde(default, skip_serializing_if = "Checks::is_empty")]
    pub checked: Checks,
    /// The images that it was built from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bases: BTreeMap<String, Digest>,
}

/// Why files cannot be put together; each names the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MetadataError {
    /// It is not one of these files.
    #[error("{file} is not what `push --metadata-file` writes: {why}")]
    Malformed {
        /// The file.
        file: String,
        /// What the parser says.
        why: String,
    },
    /// Its images are of another commit.
    #[error("{file} is of revision {found}, expected {expected}")]
    Revision {
        /// The file.
        file: String,
        /// Its revision.
        found: String,
        /// That of this checkout.
        expected: String,
    },
    /// Its images were declared otherwise.
    #[error("{file} was made with another declaration than the one here")]
    Declaration {
        /// The file.
        file: String,
    },
    /// It has an image that is not declared.
    #[error("{file} has {target} for {platform}, which is not declared as built")]
    Undeclared {
        /// The file.
        file: String,
        /// The target.
        target: String,
        /// The platform.
        platform: String,
    },
    /// Two files have the same image.
    #[error("{second} has {target} for {platform}, which {first} has already")]
    Doubled {
        /// The file that was read first.
        first: String,
        /// The other.
        second: String,
        /// The target.
        target: String,
        /// The platform.
        platform: String,
    },
    /// No file has it.
    #[error("none of {files} has {target} for {platform}")]
    Missing {
        /// All files.
        files: String,
        /// The target.
        target: String,
        /// The platform.
        platform: String,
    },
}

impl Metadata {
    /// What was pushed of a declaration with the text `declaration`.
    pub(crate) fn new(revision: Option<String>, declaration: &str, images: Vec<PushedImage>) -> Self {
        Self { version: VERSION, revision, declaration: Digest::of(declaration.as_bytes()), images }
    }

    /// The file's text.
    pub(crate) fn to_text(&self) -> String {
        format!("{}\n", serde_json::to_string_pretty(self).unwrap_or_default())
    }

    /// Reads the text of the file called `file`.
    ///
    /// # Errors
    ///
    /// It is not such a file, or one of another version.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, MetadataError> {
        let malformed = |why: String| MetadataError::Malformed { file: file.to_owned(), why };
        let metadata: Self = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        match metadata.version {
            VERSION => Ok(metadata),
            other => Err(malformed(format!("version {other}, and this program knows version {VERSION}"))),
        }
    }
}

/// The pushed image of each built image of the targets that `is_wanted` names, by target and position. `declaration` is
/// the whole one and `text` its text: the files, which are given with their names, may have images of all its targets.
///
/// # Errors
///
/// The first thing that does not fit.
pub(crate) fn together(
    declaration: &Declaration,
    text: &str,
    files: &[(String, Metadata)],
    is_wanted: impl Fn(&str) -> bool,
) -> Result<BTreeMap<(String, usize), PushedImage>, MetadataError> {
    let expected = Digest::of(text.as_bytes());
    let mut found: BTreeMap<(String, usize), (&String, &PushedImage)> = BTreeMap::new();
    for (file, metadata) in files {
        if metadata.revision != declaration.revision {
            let shown = |revision: &Option<String>| revision.clone().unwrap_or_else(|| "none".to_owned());
            let (found, expected) = (shown(&metadata.revision), shown(&declaration.revision));
            return Err(MetadataError::Revision { file: file.clone(), found, expected });
        }
        if metadata.declaration != expected {
            return Err(MetadataError::Declaration { file: file.clone() });
        }
        for image in &metadata.images {
            let (target, platform) = (image.target.clone(), image.platform.clone());
            let Some(index) = position(declaration, image) else {
                return Err(MetadataError::Undeclared { file: file.clone(), target, platform });
            };
            if let Some((first, _)) = found.insert((target.clone(), index), (file, image)) {
                let (first, second) = (first.clone(), file.clone());
                return Err(MetadataError::Doubled { first, second, target, platform });
            }
        }
    }
    found.retain(|(target, _), _| is_wanted(target));
    for target in declaration.targets.iter().filter(|target| is_wanted(&target.name)) {
        for (index, image) in target.images.iter().enumerate().filter(|(_, image)| image.build.is_some()) {
            if !found.contains_key(&(target.name.clone(), index)) {
                let files = files.iter().map(|(file, _)| file.as_str()).collect::<Vec<_>>().join(", ");
                let (target, platform) = (target.name.clone(), image.platform.to_string());
                return Err(MetadataError::Missing { files, target, platform });
            }
        }
    }
    Ok(found.into_iter().map(|(place, (_, image))| (place, image.clone())).collect())
}

/// Which image of which target is meant, if its reference is the declared one.
fn position(declaration: &Declaration, image: &PushedImage) -> Option<usize> {
    let named = |target: &&Target| target.name == image.target;
    let target = declaration.targets.iter().find(named)?;
    let platform: Platform = image.platform.parse().ok()?;
    let reference: Reference = image.reference.parse().ok()?;
    target.images.iter().position(|declared| {
        declared.build.is_some()
            && declared.platform.to_string() == platform.to_string()
            && declared.reference == reference
    })
}

#[cfg(test)]
mod tests;
