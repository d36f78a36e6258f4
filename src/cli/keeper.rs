//! The lock at the end of a run: what was confirmed goes in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

use crate::apply::Event;
use crate::config::Declaration;
use crate::declared_file::DeclarationFile;
use crate::freshness::Place;
use crate::lock::{self, ImageRecord, Lock, Outstanding, Written};
use crate::plan::PlacePlan;
use crate::publish::Planned;

/// What becomes of the lock.
pub(super) struct Keeper<'a> {
    pub(super) file: &'a Path,
    pub(super) lock: &'a Lock,
    pub(super) declaration: &'a Declaration,
    /// Whether the run is about all targets: then others are declared no more.
    pub(super) all: bool,
}

/// The targets that registries have confirmed, as they are told of.
#[derive(Default)]
pub(super) struct Confirmed(Mutex<BTreeSet<String>>);

impl Confirmed {
    /// Takes in what happened.
    pub(super) fn hear(&self, event: &Event) {
        if let Event::Confirmed(target) = event {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(target.clone());
        }
    }

    fn has(&self, target: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(target)
    }
}

impl Keeper<'_> {
    fn next<'a>(
        &self,
        planned: impl IntoIterator<Item = &'a Planned<'a>>,
        records: &BTreeMap<Place, ImageRecord>,
    ) -> Lock {
        let mut lock = self.lock.clone();
        let declared = |name: &String| self.declaration.targets.iter().any(|target| target.name == *name);
        lock.targets.retain(|name, _| !self.all || declared(name));
        for planned in planned {
            let name = &planned.target.name;
            let of_target = records.iter().filter(|((target, _), _)| target == name);
            let of_target = of_target.map(|((_, index), record)| (*index, record.clone())).collect();
            lock.published(planned.target, &planned.plan, &of_target, self.declaration.revision.as_deref());
        }
        lock
    }

    /// Why a release, with smoke runs or without, would not leave everything as it is.
    pub(super) fn differs(&self, planned: &[Planned<'_>], smoke: bool) -> Option<String> {
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
        let next = self.next(planned, &BTreeMap::new());
        (next != *self.lock).then(|| format!("{} would change", shown(self.file)))
    }

    /// Takes in the targets that were confirmed.
    ///
    /// # Errors
    ///
    /// As [`lock::write`].
    pub(super) fn write(
        &self,
        settled: &[Planned<'_>],
        confirmed: &Confirmed,
        records: &BTreeMap<Place, ImageRecord>,
    ) -> Result<Written> {
        let mut settled = settled.iter().filter(|planned| confirmed.has(&planned.target.name)).peekable();
        if settled.peek().is_none() {
            return Ok(Written::Unchanged);
        }
        lock::write(self.file, &self.next(settled, records))
    }
}

/// Takes out of the lock what is declared no more: a later declaration of the same name is another one.
///
/// # Errors
///
/// As [`lock::read`], [`lock::write`] and [`DeclarationFile::read`].
pub(super) fn forget_undeclared(declared: &DeclarationFile) -> Result<()> {
    let declaration = declared.read()?;
    let file = declaration.root.join(lock::FILE_NAME);
    let mut lock = lock::read(&file)?;
    let before = lock.targets.len();
    lock.targets.retain(|name, _| declaration.targets.iter().any(|target| target.name == *name));
    if lock.targets.len() < before {
        lock::write(&file, &lock)?;
    }
    Ok(())
}

/// `path` as seen from the current folder, if it is below it.
pub(super) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
