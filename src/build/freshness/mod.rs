//! Whether an image has to be built again: the decision, which is pure, and around it what was built last time
//! ([`records`]) and the digests of images that builds use ([`bases`]).
//!
//! An image is fresh when the lock has its fingerprint, every image that it was built from still is what it was, and the
//! locked digest is still in the registry. What is not known counts as changed.

pub(crate) mod bases;
pub(crate) mod records;

mod survey;

use std::collections::BTreeMap;
use std::fmt;

use crate::build::bases::read::Moved;
use crate::build::fingerprint::{Difference, Gathered, Inputs, SCHEME, summary};
use crate::lock::LockedImage;
use crate::model::digest::Digest;
use crate::model::fingerprint::Fingerprint;
use crate::model::platform::Platform;
use crate::model::reference::Reference;

pub(crate) use survey::{Place, Survey, Trust};

/// What registries say of the images that builds use: a digest, or why there is none.
pub(crate) type Heads = BTreeMap<Reference, Result<Digest, String>>;

/// Why an image has to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    /// `--rebuild`.
    Asked,
    /// The lock does not have it.
    NotLocked,
    /// The lock does not say what it was built from; why, where it was built on this machine.
    NotRecorded(Option<String>),
    /// Another version of this program hashed its inputs, by the scheme of this number.
    HashedOtherwise(u32),
    /// These inputs are not what they were.
    Changed(Vec<Difference>),
    /// The same, and these inputs may be secrets, of which the lock tells nothing to another machine.
    Secret(String),
    /// Some are, and what they were is not known on this machine.
    ChangedSomehow,
    /// The inputs do not decide what comes out.
    Undecided(Vec<String>),
    /// An image that it uses is another now.
    BaseMoved(Reference),
    /// An image that it uses cannot be looked up.
    BaseUnknown(Reference, String),
    /// The registry does not have it any more.
    Gone(Reference),
    /// Its inputs are made by what runs before the build.
    MadeBefore,
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("a rebuild is asked for"),
            Self::NotLocked => f.write_str("the lock does not have it"),
            Self::NotRecorded(why) => {
                f.write_str("the lock does not say what it was built from")?;
                why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
            }
            Self::HashedOtherwise(scheme) => {
                let age = if *scheme < SCHEME { "an older" } else { "a newer" };
                write!(f, "its inputs were hashed by {age} version of manifests")
            }
            Self::Changed(differences) => f.write_str(&summary(differences)),
            Self::Secret(names) => write!(
                f,
                "inputs have changed, or it was built on another machine: whether {names}, which may hold a secret, \
                 has changed is known there alone"
            ),
            Self::ChangedSomehow => f.write_str("inputs have changed since the locked release"),
            Self::Undecided(reasons) => f.write_str(&reasons.join(", ")),
            Self::BaseMoved(base) => write!(f, "base {base} has moved"),
            Self::BaseUnknown(base, why) => write!(f, "base {base} cannot be looked up: {why}"),
            Self::Gone(reference) => write!(f, "{reference} is not in the registry any more"),
            Self::MadeBefore => f.write_str("what runs before the build makes its inputs"),
        }
    }
}

/// Whether what can be seen on this machine is as the lock has it. `before` is what the inputs were when the image was
/// built, if that is known here.
///
/// # Errors
///
/// Why it is not.
pub(crate) fn unchanged(
    gathered: &Gathered,
    locked: Option<&LockedImage>,
    before: impl FnOnce() -> Option<Inputs>,
) -> Result<(), Stale> {
    if !gathered.undecided().is_empty() {
        return Err(Stale::Undecided(gathered.undecided().to_vec()));
    }
    let locked = locked.ok_or(Stale::NotLocked)?;
    let fingerprint = locked.fingerprint.as_ref().ok_or(Stale::NotRecorded(None))?;
    if fingerprint.scheme != SCHEME {
        return Err(Stale::HashedOtherwise(fingerprint.scheme));
    }
    let bases = gathered.images().filter_map(|image| {
        locked.bases.get(&image.to_string()).map(|digest| (image.clone(), digest.clone()))
    });
    let inputs = gathered.with_bases(&bases.collect());
    if inputs.fingerprint() == *fingerprint {
        return Ok(());
    }
    let before = before().filter(|before| before.fingerprint() == *fingerprint);
    match before.map(|before| inputs.since(&before)) {
        Some(differences) => Err(Stale::Changed(differences)),
        None => Err(gathered.secrets().map_or(Stale::ChangedSomehow, Stale::Secret)),
    }
}

/// Whether the images that a build uses are what the lock has. `same` says of one that has moved whether it gives the same
/// image for the platform nevertheless.
///
/// # Errors
///
/// The first that is not, or is not known to be.
pub(crate) fn bases_unmoved(
    gathered: &Gathered,
    locked: &LockedImage,
    platform: &Platform,
    heads: &Heads,
    same: impl Fn(&Moved) -> bool,
) -> Result<(), Stale> {
    for image in gathered.images().filter(|image| image.digest.is_none()) {
        let head = heads.get(image).cloned().unwrap_or_else(|| Err("nobody asked".to_owned()));
        let digest = head.map_err(|why| Stale::BaseUnknown(image.clone(), why))?;
        if locked.bases.get(&image.to_string()) != Some(&digest) {
            let moved = moved_base(gathered, locked, platform, image, &digest);
            if !moved.is_some_and(|moved| same(&moved)) {
                return Err(Stale::BaseMoved(image.clone()));
            }
        }
    }
    Ok(())
}

/// The images that a build uses, and that are others than the lock has: where they are lists, that of the platform may be
/// the same. One that may be used for another platform is not among them.
pub(crate) fn moved(
    gathered: &Gathered,
    locked: Option<&LockedImage>,
    platform: &Platform,
    heads: &Heads,
) -> Vec<Moved> {
    let used = gathered.images().filter(|image| image.digest.is_none());
    used.filter_map(|image| {
        let now = heads.get(image)?.as_ref().ok()?;
        moved_base(gathered, locked?, platform, image, now)
    })
    .collect()
}

fn moved_base(
    gathered: &Gathered,
    locked: &LockedImage,
    platform: &Platform,
    image: &Reference,
    now: &Digest,
) -> Option<Moved> {
    let before = locked.bases.get(&image.to_string()).filter(|before| *before != now)?;
    let platform = gathered.is_for_platform(image).then(|| platform.clone())?;
    Some((image.clone(), before.clone(), now.clone(), platform))
}

/// The fingerprint of what is built now, with the images that it uses; `None` where they are not all known, or do not
/// decide what comes out.
pub(crate) fn made_of(gathered: &Gathered, heads: &Heads) -> Option<MadeOf> {
    if !gathered.undecided().is_empty() {
        return None;
    }
    let mut bases = BTreeMap::new();
    for image in gathered.images() {
        let digest = match &image.digest {
            Some(digest) => digest.clone(),
            None => heads.get(image)?.clone().ok()?,
        };
        bases.insert(image.clone(), digest);
    }
    let inputs = gathered.with_bases(&bases);
    Some(MadeOf { fingerprint: inputs.fingerprint(), bases, inputs })
}

/// What an image was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeOf {
    /// The one digest of all inputs.
    pub fingerprint: Fingerprint,
    /// The images that it uses, with their digests at that time.
    pub bases: BTreeMap<Reference, Digest>,
    /// All inputs.
    pub inputs: Inputs,
}

#[cfg(test)]
mod tests;
