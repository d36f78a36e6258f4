//! Which declared checks are still to be made of images that are there, and what an interrupted run knew of them. Pure.

use std::collections::BTreeMap;

use super::Planned;
use crate::build::pipeline::Unchecked;
use crate::config::{Image, Target};
use crate::lock::{Checks, LockedTarget, Origin};
use crate::observe::Source;
use crate::plan::TargetPlan;
use crate::release::journal::Entry;

impl<'a> Planned<'a> {
    /// The images that are there and that the declaration asks to check, which neither this run nor the release that
    /// the lock has did. Smoke runs may be left out.
    pub(crate) fn unchecked(&self, locked: Option<&LockedTarget>, smoke: bool) -> Vec<Unchecked<'a>> {
        let target: &'a Target = self.target;
        let unchecked = |(index, image): (usize, &'a Image)| {
            let digest = &self.plan.places.first()?.entries.get(index)?.change.entry()?.digest;
            let locked = locked.and_then(|locked| locked.image(&image.platform));
            let locked = locked.filter(|locked| locked.digest == *digest);
            let mut checked = locked.map(|locked| locked.checked.clone()).unwrap_or_default();
            checked.extend(self.checked.get(&index).unwrap_or(&Checks::default()));
            let outstanding = checked.outstanding(target, image, smoke);
            let moved = self.plan.references.iter().find(|plan| plan.reference == image.reference);
            let repository = match &self.sources[index] {
                Source::Built => return None,
                Source::At(reference) => &reference.repository,
                Source::Known(_) => moved.map_or(&image.reference.repository, |plan| &plan.from),
                Source::Found(found) => &found.source,
            };
            let at = repository.digest(digest);
            (!outstanding.is_empty()).then_some(Unchecked { target, index, at, outstanding })
        };
        target.images.iter().enumerate().filter_map(unchecked).collect()
    }
}

/// What an interrupted run has checked of its images, by their positions.
pub(super) fn checked_before(entry: &Entry, target: &Target) -> BTreeMap<usize, Checks> {
    let pushed = |platform: String| entry.images.iter().find(move |image| image.platform == platform);
    let images = target.images.iter().enumerate();
    images
        .filter_map(|(index, image)| Some((index, pushed(image.platform.to_string())?.checked.clone())))
        .collect()
}

/// What an interrupted run's images were built from, by their positions: of those that `plan` takes.
pub(super) fn origins_before(entry: &Entry, target: &Target, plan: &TargetPlan) -> BTreeMap<usize, Origin> {
    let Some(place) = plan.places.first() else { return BTreeMap::new() };
    let images = target.images.iter().zip(&place.entries).enumerate();
    images
        .filter_map(|(index, (image, planned))| {
            let pushed = entry.image(&image.platform.to_string())?;
            let is_taken = planned.change.entry()?.digest == pushed.image;
            Some((index, pushed.origin.clone().filter(|_| is_taken)?))
        })
        .collect()
}
