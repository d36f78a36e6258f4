//! The lock at the end of a run: what was applied goes in, tag by tag.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::apply::Applied;
use crate::author::declared_file::DeclarationFile;
use crate::build::freshness::Place;
use crate::config::Declaration;
use crate::error::{Exit, Failure, exit_of};
use crate::lock::{self, ImageRecord, Lock, Outstanding};
use crate::plan::PlacePlan;
use crate::release::prepare::{Carried, Planned};
use crate::workspace::lock_file::{self, Written};

/// What becomes of the lock.
pub(crate) struct Keeper<'a> {
    pub(crate) file: &'a Path,
    pub(crate) lock: &'a Lock,
    pub(crate) declaration: &'a Declaration,
    /// Whether the run is about all targets: then others are declared no more.
    pub(crate) all: bool,
}

impl Keeper<'_> {
    fn next<'a>(
        &self,
        settled: impl IntoIterator<Item = (&'a Planned<'a>, &'a Applied)>,
        records: &BTreeMap<Place, ImageRecord>,
    ) -> Lock {
        let mut lock = self.lock.clone();
        let declared = |name: &String| self.declaration.targets.iter().any(|target| target.name == *name);
        lock.targets.retain(|name, _| !self.all || declared(name));
        for (planned, applied) in settled {
            let name = &planned.target.name;
            let of_target = records.iter().filter(|((target, _), _)| target == name);
            let of_target = of_target.map(|((_, index), record)| (*index, record.clone())).collect();
            let revision = self.declaration.revision.as_deref();
            lock.published(planned.target, &planned.plan, applied, &of_target, revision);
        }
        lock
    }

    /// Why a release, with smoke runs or without, would not leave everything as it is.
    pub(crate) fn differs(&self, planned: &[Planned<'_>], smoke: bool) -> Option<String> {
        if let Some(planned) = planned.iter().find(|planned| planned.to_build().next().is_some()) {
            return Some(format!("{} has images that are not fresh", planned.target.name));
        }
        if let Some(planned) = planned.iter().find(|planned| planned.plan.is_change()) {
            let list = planned.plan.places.iter().any(PlacePlan::is_change);
            let what = if list { "the list" } else { "a reference to an image" };
            return Some(format!("{what} of {} would change", planned.target.name));
        }
        for planned in planned {
            let unchecked = planned.unchecked(self.lock.targets.get(&planned.target.name), smoke);
            // What this machine may not be able to do changes nothing for certain.
            let certain = |outstanding: &&Outstanding| !outstanding.optional;
            if let Some(outstanding) = unchecked.iter().flat_map(|one| &one.outstanding).find(certain) {
                let (check, target) = (&outstanding.check, &planned.target.name);
                return Some(format!("the {check} of an image of {target} is not recorded as passed"));
            }
        }
        let unchanged: Vec<_> = planned
            .iter()
            .filter_map(|planned| Some((planned, Applied::without_change(&planned.plan)?)))
            .collect();
        let next =
            self.next(unchanged.iter().map(|(planned, applied)| (*planned, applied)), &BTreeMap::new());
        (next != *self.lock).then(|| format!("{} would change", shown(self.file)))
    }

    /// Takes in what became of each tag: of the targets that were confirmed, and of those of which a tag was written.
    ///
    /// # Errors
    ///
    /// As [`lock_file::write`].
    pub(crate) fn write(
        &self,
        planned: &[Planned<'_>],
        applied: &[Applied],
        records: &BTreeMap<Place, ImageRecord>,
    ) -> Result<Written> {
        let of = |applied: &Applied| planned.iter().find(|planned| planned.target.name == applied.target);
        let settled = applied.iter().filter(|applied| applied.complete || applied.is_written());
        let mut settled = settled.filter_map(|applied| Some((of(applied)?, applied))).peekable();
        if settled.peek().is_none() {
            return Ok(Written::Unchanged);
        }
        lock_file::write(self.file, &self.next(settled, records))
    }

    /// As [`Self::write`], once plans were carried out: the lock is on disk before anything is said of the result. Gives
    /// what was applied, with the failure that the run ends with when anything went wrong, and what became of the lock;
    /// `None` when it could not be written.
    pub(crate) fn settle(
        &self,
        planned: &[Planned<'_>],
        carried: Carried,
        records: &BTreeMap<Place, ImageRecord>,
    ) -> (Carried, Option<Written>) {
        let not_kept = match self.write(planned, &carried.applied, records) {
            Ok(written) => return (carried, Some(written)),
            Err(error) => error,
        };
        let failure = match carried.failure {
            None => {
                let done = format!("everything is published, and {} does not say so", shown(self.file));
                after_publishing(done, not_kept)
            }
            Some(failure) => {
                let exit = exit_of(&failure);
                Failure::of_several("two steps failed", &[failure, not_kept]).exit(exit)
            }
        };
        (Carried { failure: Some(failure.into()), ..carried }, None)
    }
}

/// A failure when everything is published: what is left to do does not publish anything again.
pub(crate) fn after_publishing(message: String, error: anyhow::Error) -> Failure {
    Failure::new(message)
        .because(error)
        .hint("run the same command again once that is mended: nothing is published twice")
        .exit(Exit::Partial)
}

/// Takes out of the lock what is declared no more: a later declaration of the same name is another one.
///
/// # Errors
///
/// As [`lock_file::read`], [`lock_file::write`] and [`DeclarationFile::read`].
pub(crate) fn forget_undeclared(declared: &DeclarationFile) -> Result<()> {
    let declaration = declared.read()?;
    let (file, mut lock) = read_lock(declared)?;
    let before = lock.targets.len();
    lock.targets.retain(|name, _| declaration.targets.iter().any(|target| target.name == *name));
    if lock.targets.len() < before {
        lock_file::write(&file, &lock)?;
    }
    Ok(())
}

/// The lock beside a declaration, and its path.
///
/// # Errors
///
/// As [`lock_file::read`] and [`DeclarationFile::read`].
pub(crate) fn read_lock(declared: &DeclarationFile) -> Result<(PathBuf, Lock)> {
    let file = declared.read()?.root.join(lock::FILE_NAME);
    let lock = lock_file::read(&file)?;
    Ok((file, lock))
}

/// `path` as seen from the current folder, if it is below it.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
