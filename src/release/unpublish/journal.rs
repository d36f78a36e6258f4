//! What an `unpublish` deletes, kept in one file from before the first deletion until nothing remains: the next run
//! finishes an interrupted one, and writes again what turned out to be needed.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::model::digest::Digest;
use crate::model::reference::Repository;
use crate::plan::Kept;
use crate::workspace::rewrite;

const FILE: &str = "unpublish.json";
const FORMAT: u32 = 1;

/// The journal of one folder. Runs of one workspace take turns, so that nobody else writes it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    targets: Mutex<Targets>,
}

/// By target and repository.
type Targets = BTreeMap<String, BTreeMap<String, Vec<Entry>>>;

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    targets: Targets,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Entry {
    digest: Digest,
    what: String,
    media_type: String,
    companions: Vec<String>,
    /// In base64: a manifest's bytes count, whatever they are.
    bytes: String,
}

impl Journal {
    /// The journal in `folder`; an empty one when there is none.
    ///
    /// # Errors
    ///
    /// The file is there, and cannot be read or understood.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let targets = match std::fs::read_to_string(&path) {
            Ok(text) => parse(&text).map_err(|why| {
                Failure::new(format!("{} is not what an interrupted `unpublish` left: {why}", path.display()))
                    .hint("remove the file; what is left is then found by the lock alone")
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => Targets::new(),
            Err(error) => return Err(error).with_context(|| format!("could not read {}", path.display())),
        };
        Ok(Self { path, targets: Mutex::new(targets) })
    }

    /// What was to be deleted of `target` in `repository` when the last run ended early.
    pub(super) fn kept(&self, target: &str, repository: &Repository) -> Vec<Kept> {
        let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = targets.get(target).and_then(|places| places.get(&repository.to_string()));
        entries.into_iter().flatten().filter_map(Entry::kept).collect()
    }

    /// Keeps what is to be deleted of `target`, beside what is kept of others.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(super) fn keep(&self, target: &str, places: &BTreeMap<Repository, Vec<Kept>>) -> Result<()> {
        let entries = places.iter().map(|(repository, kept)| {
            (repository.to_string(), kept.iter().map(Entry::of).collect::<Vec<_>>())
        });
        self.change(|targets| targets.entry(target.to_owned()).or_default().extend(entries))
    }

    /// Forgets a target of which nothing remains.
    ///
    /// # Errors
    ///
    /// The file cannot be written or removed.
    pub(super) fn remove(&self, target: &str) -> Result<()> {
        self.change(|targets| drop(targets.remove(target)))
    }

    fn change(&self, change: impl FnOnce(&mut Targets)) -> Result<()> {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut targets);
        save(&self.path, &targets).with_context(|| format!("could not write {}", self.path.display()))
    }
}

impl Entry {
    fn of(kept: &Kept) -> Self {
        Self {
            digest: kept.digest.clone(),
            what: kept.what.clone(),
            media_type: kept.media_type.clone(),
            companions: kept.companions.clone(),
            bytes: STANDARD.encode(&kept.bytes),
        }
    }

    /// `None` when the bytes are not what they were: [`parse`] refuses such a file.
    fn kept(&self) -> Option<Kept> {
        let bytes = STANDARD.decode(&self.bytes).ok().filter(|bytes| self.digest.matches(bytes))?;
        Some(Kept {
            digest: self.digest.clone(),
            what: self.what.clone(),
            media_type: self.media_type.clone(),
            companions: self.companions.clone(),
            bytes,
        })
    }
}

fn parse(text: &str) -> Result<Targets, String> {
    let document: Document = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if document.version != FORMAT {
        return Err(format!("it is of version {}, and this program knows {FORMAT}", document.version));
    }
    let mut entries = document.targets.values().flat_map(BTreeMap::values).flatten();
    match entries.find(|entry| entry.kept().is_none()) {
        Some(entry) => Err(format!("the bytes of {} have another digest", entry.digest)),
        None => Ok(document.targets),
    }
}

/// Writes a whole file or nothing of it, also when the machine stops; without targets there is no file.
fn save(path: &Path, targets: &Targets) -> Result<()> {
    if targets.is_empty() {
        return match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        };
    }
    std::fs::create_dir_all(rewrite::folder_of(path))?;
    let text = serde_json::to_string(&Document { version: FORMAT, targets: targets.clone() })?;
    let file = rewrite::beside(path, &text)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The name is as lasting as the bytes only once the folder is written, too.
    std::fs::File::open(rewrite::folder_of(path))?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_again_and_a_damaged_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("below");
        let repository: Repository = "registry.test/app".parse().unwrap();
        let open = || Journal::open(&below).unwrap();
        assert!(open().kept("app", &repository).is_empty());
        let bytes = b"\xff{}\n".to_vec();
        let kept = Kept {
            digest: Digest::of(&bytes),
            what: "list".to_owned(),
            media_type: "x/y".to_owned(),
            bytes,
            companions: vec!["sha256-00.sig".to_owned()],
        };
        let journal = open();
        for target in ["app", "other"] {
            journal.keep(target, &BTreeMap::from([(repository.clone(), vec![kept.clone()])])).unwrap();
        }
        assert_eq!(open().kept("app", &repository), std::slice::from_ref(&kept));
        let journal = open();
        journal.remove("app").unwrap();
        assert_eq!((open().kept("app", &repository).len(), open().kept("other", &repository).len()), (0, 1));
        let text = std::fs::read_to_string(&journal.path).unwrap();
        journal.remove("other").unwrap();
        assert!(!journal.path.exists());

        for (text, why) in [
            ("{".to_owned(), "EOF while parsing"),
            (text.replace("\"version\":1", "\"version\":2"), "it is of version 2, and this program knows 1"),
            (text.replace("/3t9Cg==", "/3t9"), "have another digest"),
        ] {
            std::fs::write(&journal.path, text).unwrap();
            let error = Journal::open(&below).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
