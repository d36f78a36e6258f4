//! The journal of a release: the images that it publishes, kept from before the first write to a list's repository until
//! everything is confirmed. The next run finishes an interrupted one with the same digests, and builds nothing again.
//!
//! Reads and writes one file; what a registry holds is for others to find out.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::config::{Declaration, Target};
use crate::lock::{Checks, Origin};
use crate::model::digest::Digest;
use crate::model::reference::Reference;
use crate::workspace::facts;

const FILE: &str = "journal.json";
const ASIDE: &str = "journal.aside.json";
const FORMAT: u32 = 1;

/// What a release is made from: only a run from the same may finish it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// The commit checked out.
    pub revision: String,
    /// What differs from that commit, as [`facts::tree`] gives it.
    pub tree: Digest,
    /// The checked declaration of the target.
    pub declaration: Digest,
    /// Whether smoke runs were not skipped.
    pub tried: bool,
}

impl Inputs {
    /// Those of a run that releases `target` now; `None` when commit or tree are not known, as nothing shows then that
    /// another run has the same.
    pub fn of(target: &Target, revision: Option<&str>, tree: Option<&Digest>, tried: bool) -> Option<Self> {
        Some(Self {
            revision: revision?.to_owned(),
            tree: tree?.clone(),
            // It shows every field, and is compared with no other program's.
            declaration: Digest::of(format!("{target:?}").as_bytes()),
            tried,
        })
    }

    /// Those of a run that releases all targets of `declaration` now, by target.
    ///
    /// # Errors
    ///
    /// Git cannot say what differs from the commit, or such a file cannot be read.
    pub fn of_run(declaration: &Declaration, tried: bool) -> Result<BTreeMap<String, Self>> {
        let revision = declaration.revision.as_deref();
        let tree = match revision {
            Some(_) => facts::tree(&declaration.root, &declaration.root.join("manifests.lock"))?,
            None => None,
        };
        let of = |target: &Target| Self::of(target, revision, tree.as_ref(), tried);
        let targets = declaration.targets.iter();
        Ok(targets.filter_map(|target| Some((target.name.clone(), of(target)?))).collect())
    }

    /// Why what was made from these inputs is not what `now` would make of `target`.
    fn difference(&self, now: &Self, target: &Target) -> Option<String> {
        let smokes = target.images.iter().any(|image| image.smoke.is_some());
        if self.revision != now.revision {
            Some(format!("it was of revision {}, this is {}", self.revision, now.revision))
        } else if self.declaration != now.declaration {
            Some("its declaration was another one".to_owned())
        } else if self.tree != now.tree {
            Some("the files here have changed since".to_owned())
        } else if now.tried && !self.tried && smokes {
            Some("its images were pushed without a smoke run".to_owned())
        } else {
            None
        }
    }
}

/// What is kept of one target's release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it was made from.
    pub inputs: Inputs,
    /// The images that it built.
    pub images: Vec<Pushed>,
    /// For each repository the digest of the list that goes there.
    pub lists: BTreeMap<String, Digest>,
}

/// An image that was built and pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// The declared platform.
    pub platform: String,
    /// Where it was pushed to, by the digest that the push reported.
    #[serde(with = "text")]
    pub reference: Reference,
    /// The image itself: what was pushed may be an index around it.
    pub image: Digest,
    /// What was checked of it.
    #[serde(default)]
    pub checked: Checks,
    /// What it was built from, as the run that built it knew: a run that finishes it may find that a base has moved since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

impl Entry {
    /// The image of a platform.
    pub fn image(&self, platform: &str) -> Option<&Pushed> {
        self.images.iter().find(|image| image.platform == platform)
    }

    /// The images themselves.
    pub fn digests(&self) -> BTreeSet<Digest> {
        self.images.iter().map(|image| image.image.clone()).collect()
    }
}

/// The journal of one folder. Runs of one workspace take turns, so that nobody else writes it.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    entries: Mutex<BTreeMap<String, Entry>>,
    unreadable: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    targets: BTreeMap<String, Entry>,
}

/// The entries of a journal, told apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sorted {
    /// By target, what this run may finish.
    pub usable: BTreeMap<String, Entry>,
    /// By target, why this run may not finish it.
    pub stale: BTreeMap<String, String>,
}

impl Journal {
    /// The journal in `folder`; an empty one when there is none.
    ///
    /// # Errors
    ///
    /// The file is there and cannot be read. That it is damaged, or of a later program, is no error: see
    /// [`Journal::unreadable`].
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let read = match std::fs::read(&path) {
            Ok(bytes) => parse(&bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => return Err(error).with_context(|| format!("could not read {}", path.display())),
        };
        let (entries, unreadable) = match read {
            Ok(entries) => (entries, None),
            Err(why) => (BTreeMap::new(), Some(why)),
        };
        Ok(Self { folder: folder.to_owned(), entries: Mutex::new(entries), unreadable })
    }

    /// Why the file says nothing to this program.
    pub(crate) fn unreadable(&self) -> Option<&str> {
        self.unreadable.as_deref()
    }

    /// Whether nothing is left to finish.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// The file.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Which of `targets` an earlier run left unfinished, and whether this one, made from `inputs`, may finish them.
    pub(crate) fn sort<'a>(
        &self,
        targets: impl IntoIterator<Item = &'a Target>,
        inputs: impl Fn(&Target) -> Option<Inputs>,
    ) -> Sorted {
        let entries = self.entries();
        let mut sorted = Sorted::default();
        for target in targets {
            let Some(entry) = entries.get(&target.name) else { continue };
            let difference = match inputs(target) {
                Some(now) => entry.inputs.difference(&now, target),
                None => Some("it is not known whether the files here are the same".to_owned()),
            };
            match difference {
                Some(why) => drop(sorted.stale.insert(target.name.clone(), why)),
                None => drop(sorted.usable.insert(target.name.clone(), entry.clone())),
            }
        }
        sorted
    }

    /// Keeps `entries`, by target, beside those of other targets.
    ///
    /// # Errors
    ///
    /// The file cannot be written; then it is as it was.
    pub(crate) fn keep(&self, added: BTreeMap<String, Entry>) -> Result<()> {
        if added.is_empty() {
            return Ok(());
        }
        let mut entries = self.entries();
        entries.extend(added);
        save(&self.folder, FILE, &entries)
    }

    /// Forgets a target whose release was confirmed.
    ///
    /// # Errors
    ///
    /// The file cannot be written or removed.
    pub(crate) fn remove(&self, target: &str) -> Result<()> {
        let mut entries = self.entries();
        if entries.remove(target).is_none() {
            return Ok(());
        }
        save(&self.folder, FILE, &entries)
    }

    /// Moves a target's entry, or the whole file when it is unreadable, to the file that is returned, where people may
    /// look it up.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub(crate) fn put_aside(&self, target: Option<&str>) -> Result<PathBuf> {
        let aside = self.folder.join(ASIDE);
        let Some(target) = target else {
            let moved = std::fs::rename(self.path(), &aside);
            moved.with_context(|| format!("could not rename {}", self.path().display()))?;
            return Ok(aside);
        };
        let mut entries = self.entries();
        if let Some(entry) = entries.remove(target) {
            let kept = std::fs::read(&aside).ok().and_then(|bytes| parse(&bytes).ok());
            let mut kept = kept.unwrap_or_default();
            kept.insert(target.to_owned(), entry);
            save(&self.folder, ASIDE, &kept)?;
            save(&self.folder, FILE, &entries)?;
        }
        Ok(aside)
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(bytes: &[u8]) -> Result<BTreeMap<String, Entry>, String> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let Version { version } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if version != FORMAT {
        return Err(format!("it is of version {version}, and this program knows {FORMAT}"));
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    Ok(document.targets)
}

/// Writes a whole file or nothing of it, also when the machine stops; without entries there is no file.
fn save(folder: &Path, name: &str, entries: &BTreeMap<String, Entry>) -> Result<()> {
    let path = folder.join(name);
    let write = || -> Result<()> {
        if entries.is_empty() {
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
                _ => Ok(()),
            };
        }
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        let document = Document { version: FORMAT, targets: entries.clone() };
        serde_json::to_writer_pretty(&mut file, &document)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        // The name is as lasting as the bytes only once the folder is written, too.
        #[cfg(unix)]
        std::fs::File::open(folder)?.sync_all()?;
        Ok(())
    };
    write().with_context(|| format!("could not write {}", path.display()))
}

/// References as people write them.
mod text {
    use super::{Deserialize, Reference};

    pub(crate) fn serialize<S: serde::Serializer>(
        reference: &Reference,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(reference)
    }

    pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Reference, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(revision: &str) -> Entry {
        let digest = Digest::of(revision.as_bytes());
        let inputs = Inputs {
            revision: revision.to_owned(),
            tree: digest.clone(),
            declaration: digest.clone(),
            tried: true,
        };
        let reference = format!("registry.test/app@{digest}").parse().unwrap();
        let pushed = Pushed {
            platform: "linux/amd64".to_owned(),
            reference,
            image: digest.clone(),
            checked: Checks::default(),
            origin: Some(Origin {
                fingerprint: digest.as_str().parse().unwrap(),
                bases: BTreeMap::from([("registry.test/base:1".to_owned(), digest.clone())]),
            }),
        };
        Entry {
            inputs,
            images: vec![pushed],
            lists: BTreeMap::from([("registry.test/app".to_owned(), digest)]),
        }
    }

    fn names(journal: &Journal) -> Vec<String> {
        journal.entries().keys().cloned().collect()
    }

    #[test]
    fn entries_come_and_go_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Journal::open(&folder.path().join("below")).unwrap();
        assert!(names(&open()).is_empty());
        let journal = open();
        journal.keep(BTreeMap::new()).unwrap();
        assert!(!journal.path().exists(), "nothing to keep");
        journal.keep(BTreeMap::from([("a".to_owned(), entry("1"))])).unwrap();
        journal.keep(BTreeMap::from([("b".to_owned(), entry("2"))])).unwrap();
        assert_eq!(*open().entries(), BTreeMap::from([("a".into(), entry("1")), ("b".into(), entry("2"))]));

        let aside = open().put_aside(Some("a")).unwrap();
        assert_eq!(names(&open()), ["b"]);
        assert_eq!(
            parse(&std::fs::read(aside).unwrap()).unwrap(),
            BTreeMap::from([("a".into(), entry("1"))])
        );
        let journal = open();
        journal.remove("unknown").unwrap();
        journal.remove("b").unwrap();
        assert!(!journal.path().exists(), "everything is confirmed");
    }

    #[test]
    fn what_cannot_be_understood_is_put_aside_whole() {
        let folder = tempfile::tempdir().unwrap();
        for (text, why) in [
            ("{", "EOF while parsing"),
            (r#"{"version":2,"targets":[]}"#, "it is of version 2, and this program knows 1"),
            (r#"{"version":1}"#, "missing field `targets`"),
        ] {
            std::fs::write(folder.path().join(FILE), text).unwrap();
            let journal = Journal::open(folder.path()).unwrap();
            assert!(journal.unreadable().unwrap().contains(why), "{:?}", journal.unreadable());
            assert_eq!(std::fs::read_to_string(journal.put_aside(None).unwrap()).unwrap(), text);
            assert!(!journal.path().exists());
        }
    }

    #[test]
    fn only_a_run_from_the_same_may_finish() {
        let text = "[target.app]\nrepository = \"r.test/app\"\ntags = [\"1\"]\nplatforms = [\"linux/amd64\"]\n\
                    smoke = { command = [\"x\"] }\n";
        let document = crate::config::read(Path::new("/manifests.toml"), text).unwrap();
        let facts = crate::config::Facts::default();
        let declaration =
            document.resolve_with(&facts, crate::config::Strictness::Check, &|_, _| true).unwrap();
        let target = &declaration.targets[0];
        let tree = Digest::of(b"");
        let now = |revision: &str, tree: &Digest, tried| {
            Inputs::of(target, Some(revision), Some(tree), tried).unwrap()
        };
        let same = now("abc", &tree, true);
        let other_declaration = Inputs { declaration: Digest::of(b"x"), ..same.clone() };
        for (then, now, why) in [
            (&same, &same, None),
            (&same, &now("def", &tree, true), Some("it was of revision abc, this is def")),
            (&same, &now("abc", &Digest::of(b"x"), true), Some("the files here have changed since")),
            (&other_declaration, &same, Some("its declaration was another one")),
            (&same, &now("abc", &tree, false), None),
            (&now("abc", &tree, false), &same, Some("its images were pushed without a smoke run")),
        ] {
            assert_eq!(then.difference(now, target).as_deref(), why);
        }
        assert_eq!(Inputs::of(target, None, Some(&tree), true), None);
        assert_eq!(Inputs::of(target, Some("abc"), None, true), None);
    }
}
