//! One look at all images of a declaration that are built: what they are made of now, and which of them are fresh.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use super::bases::heads;
use super::records::Records;
use super::{Heads, MadeOf, Stale, bases_unmoved, made_of, moved, unchanged};
use crate::build::bases::Base;
use crate::build::bases::read::{Moved, still_the_same};
use crate::build::fingerprint::{Gathered, Hashes, Key, gather_after};
use crate::config::{Build, Declaration, Image, Target};
use crate::lock::{Lock, LockedImage, Origin};
use crate::model::digest::Digest;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::observe::Known;
use crate::registry::Registry;

/// An image: the target's name and the position in it.
pub(crate) type Place = (String, usize);

/// What a run takes for fresh beyond what it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// What was locked.
    Lock,
    /// The same, but nothing ran that makes inputs: what such a command feeds is not known.
    LockAlone,
    /// Nothing: `--rebuild`.
    Nothing,
}

/// What registries say now of the images that builds use.
#[derive(Debug, Default)]
pub(crate) struct Now {
    heads: Heads,
    /// Bases that are another list than the locked one, and give the same image for a platform.
    same: BTreeSet<Moved>,
}

/// What is known of the images that are built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    images: BTreeMap<Place, Surveyed>,
    hashes: Arc<Hashes>,
    heads: Heads,
    key: Option<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Surveyed {
    build: Build,
    platform: Platform,
    gathered: Gathered,
    locked: Option<LockedImage>,
    /// Where it is when it is fresh, or why it is not.
    state: Result<Known, Stale>,
}

impl Survey {
    /// Looks at the files of all builds of `declaration`. `folder` has the records of this machine.
    ///
    /// # Errors
    ///
    /// None of its own; what cannot be read makes an image stale.
    pub async fn of(declaration: &Declaration, lock: &Lock, folder: &Path, trust: Trust) -> Result<Self> {
        let built: Vec<(&Target, usize, &Image, Build)> = declaration
            .targets
            .iter()
            .flat_map(|target| {
                target.images.iter().enumerate().map(move |(index, image)| (target, index, image))
            })
            .filter_map(|(target, index, image)| Some((target, index, image, image.build.clone()?)))
            .collect();
        let jobs: Vec<(Build, Platform)> =
            built.iter().map(|(_, _, image, build)| (build.clone(), image.platform.clone())).collect();
        let folder = folder.to_owned();
        let ((gathered, hashes), records, key) = tokio::task::spawn_blocking(move || {
            let jobs: Vec<(&Build, &Platform)> =
                jobs.iter().map(|(build, platform)| (build, platform)).collect();
            // Where there is nothing to compare with, nothing is read.
            let gathered = gather_after(&jobs, &Hashes::default());
            let key =
                gathered.0.iter().any(|gathered| gathered.secrets().is_some()).then(|| Key::of(&folder));
            (gathered, Records::read(&folder), key.and_then(Result::ok))
        })
        .await?;
        let images = built.into_iter().zip(gathered).map(|((target, index, image, build), gathered)| {
            let gathered = gathered.keyed(key.as_ref());
            let locked_target = lock.targets.get(&target.name);
            let locked = locked_target.and_then(|locked| locked.image(&image.platform)).cloned();
            let makes_inputs = !build.before.is_empty() || build.cargo.is_some();
            let before = || records.get(&target.name, &image.platform.to_string());
            let explained = |stale| match (stale, &locked) {
                (Stale::NotRecorded(_), Some(locked)) => Stale::NotRecorded(records.unknown(
                    &target.name,
                    &image.platform.to_string(),
                    &locked.digest,
                )),
                (stale, _) => stale,
            };
            let state = match trust {
                Trust::Nothing => Err(Stale::Asked),
                Trust::LockAlone if makes_inputs => Err(Stale::MadeBefore),
                _ => unchanged(&gathered, locked.as_ref(), before).map_err(explained).and_then(|()| {
                    locked
                        .as_ref()
                        .and_then(|locked| whereabouts(target, image, locked, lock))
                        .ok_or(Stale::NotLocked)
                }),
            };
            let platform = image.platform.clone();
            ((target.name.clone(), index), Surveyed { build, platform, gathered, locked, state })
        });
        let images = images.collect();
        Ok(Self { images, hashes: Arc::new(hashes), heads: Heads::new(), key })
    }

    /// What of an image's inputs is not what it was when this survey was made, in a few words. Asked once the image is
    /// built: what was written meanwhile may or may not be in it.
    ///
    /// # Errors
    ///
    /// None of its own: what cannot be read any more has changed.
    pub async fn changed_since(&self, target: &str, index: usize) -> Result<Option<String>> {
        let Some(image) = self.images.get(&(target.to_owned(), index)) else { return Ok(None) };
        let (build, platform) = (image.build.clone(), image.platform.clone());
        let hashes = Arc::clone(&self.hashes);
        let after = tokio::task::spawn_blocking(move || gather_after(&[(&build, &platform)], &hashes));
        let (gathered, hashes) = after.await?;
        let gathered = gathered.into_iter().next().map(|gathered| gathered.keyed(self.key.as_ref()));
        let difference = gathered.and_then(|gathered| gathered.difference(&image.gathered));
        Ok(difference.or_else(|| {
            let written = hashes.rewritten().first()?;
            let written = written.strip_prefix(&image.build.context).unwrap_or(written);
            Some(format!("{} was written", written.display()))
        }))
    }

    /// The images that the one at this place uses, with the digests that registries had for them; `None` when not all are
    /// known, or they do not decide what comes out: then it is not recorded what it is made of.
    pub(crate) fn uses(&self, target: &str, index: usize) -> Option<Vec<Base>> {
        let image = self.images.get(&(target.to_owned(), index))?;
        let bases = self.made_of(target, index)?.bases.into_iter().map(|(reference, digest)| Base {
            platform: image.gathered.is_for_platform(&reference).then(|| image.platform.clone()),
            is_below: image.gathered.base() == Some(&reference),
            is_frontend: image.gathered.syntax() == Some(&reference),
            reference,
            digest,
        });
        Some(bases.collect())
    }

    /// The image at this place and where it may be; `None` when it has to be built.
    pub fn fresh(&self, target: &str, index: usize) -> Option<&Known> {
        self.images.get(&(target.to_owned(), index))?.state.as_ref().ok()
    }

    /// Why the images of `target` have to be built, by their position.
    pub fn stale(&self, target: &str) -> BTreeMap<usize, String> {
        let of_target = self.images.iter().filter(|((name, _), _)| name == target);
        of_target
            .filter_map(|((_, index), image)| Some((*index, image.state.as_ref().err()?.to_string())))
            .collect()
    }

    /// What registries say now of the images that builds use.
    pub(crate) async fn look_up(&self, registry: &Registry) -> Now {
        let images = || self.images.values();
        let heads = heads(registry, images().flat_map(|image| image.gathered.images()).collect()).await;
        let fresh = images().filter(|image| image.state.is_ok());
        let moved =
            fresh.flat_map(|image| moved(&image.gathered, image.locked.as_ref(), &image.platform, &heads));
        let same = still_the_same(registry, moved.collect()).await;
        Now { heads, same: same.into_iter().collect() }
    }

    /// Takes in what registries say: whatever was made of something else is not fresh. Whether anything changed.
    pub(crate) fn confirm(&mut self, now: Now) -> bool {
        self.heads = now.heads;
        let mut changed = false;
        for image in self.images.values_mut().filter(|image| image.state.is_ok()) {
            let Some(locked) = &image.locked else { continue };
            let same = |moved: &Moved| now.same.contains(moved);
            if let Err(stale) = bases_unmoved(&image.gathered, locked, &image.platform, &self.heads, same) {
                image.state = Err(stale);
                changed = true;
            }
        }
        changed
    }

    /// Takes in that fresh images are not where they should be.
    pub fn gone(&mut self, target: &str, indices: &BTreeSet<usize>) {
        for index in indices {
            if let Some(image) = self.images.get_mut(&(target.to_owned(), *index))
                && let Ok(known) = &image.state
                && let Some(reference) = known.at.first()
            {
                image.state = Err(Stale::Gone(reference.clone()));
            }
        }
    }

    /// What the image at this place is made of, as far as that decides it.
    pub fn made_of(&self, target: &str, index: usize) -> Option<MadeOf> {
        made_of(&self.images.get(&(target.to_owned(), index))?.gathered, &self.heads)
    }

    /// What the lock says of images that were built in this run. Those that use an image that has moved meanwhile may be
    /// built from either, and are left out.
    pub async fn origins(&self, registry: &Registry, built: &BTreeSet<Place>) -> BTreeMap<Place, Origin> {
        let used = self.images.iter().filter(|(place, _)| built.contains(place));
        let now = heads(registry, used.flat_map(|(_, image)| image.gathered.images()).collect()).await;
        let unmoved = |made: &MadeOf| {
            now.iter()
                .all(|(base, head)| made.bases.get(base).is_none_or(|digest| head.as_ref() == Ok(digest)))
        };
        built
            .iter()
            .filter_map(|place| {
                let made = self.made_of(&place.0, place.1).filter(unmoved)?;
                let bases = made.bases.into_iter().map(|(base, digest)| (base.to_string(), digest)).collect();
                Some((place.clone(), Origin { fingerprint: made.fingerprint, bases }))
            })
            .collect()
    }

    /// Notes on this machine what images were made of, those of `places`, and why that is not known of others, by the
    /// digest that they were pushed as.
    ///
    /// # Errors
    ///
    /// The notes cannot be written.
    pub fn note(
        &self,
        declaration: &Declaration,
        places: &BTreeSet<Place>,
        unknown: &BTreeMap<Place, (Digest, String)>,
        folder: &Path,
    ) -> Result<()> {
        let mut records = Records::read(folder);
        for target in &declaration.targets {
            for (index, image) in target.images.iter().enumerate() {
                let made = self.made_of(&target.name, index);
                if let Some(made) = made.filter(|_| places.contains(&(target.name.clone(), index))) {
                    records.set(&target.name, &image.platform.to_string(), &made.inputs);
                }
                if let Some((digest, why)) = unknown.get(&(target.name.clone(), index)) {
                    records.set_unknown(&target.name, &image.platform.to_string(), digest, why);
                }
            }
        }
        records.write(folder)
    }
}

/// Where a locked image may be: in its own repository and in those of the list or, when attestations came with it, in a
/// list that names them.
fn whereabouts(target: &Target, image: &Image, locked: &LockedImage, lock: &Lock) -> Option<Known> {
    let locked_target = lock.targets.get(&target.name)?;
    let own = locked.attestations.is_empty().then_some(&image.reference.repository);
    let repositories = own.into_iter().chain(&target.repositories);
    let mut at: Vec<Reference> = Vec::new();
    for repository in repositories {
        let digest = match locked.attestations.is_empty() {
            true => Some(&locked.digest),
            // A rehearsal's registry has another name every time.
            false => {
                let tags = locked_target.repositories.get(&repository.to_string());
                let served = tags.and_then(|tags| tags.values().next());
                served.or_else(|| locked_target.lists.keys().next())
            }
        };
        let reference = repository.digest(digest?);
        if !at.contains(&reference) {
            at.push(reference);
        }
    }
    let attested = !locked.attestations.is_empty();
    (!at.is_empty()).then(|| Known { digest: locked.digest.clone(), attested, at })
}
