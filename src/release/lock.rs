//! What a release makes of the lock. Pure.

use std::collections::BTreeMap;

use crate::apply::{Applied, AppliedTag, Outcome};
use crate::config::Target;
use crate::lock::{Checks, ImageRecord, Lock, LockedImage, LockedList, LockedTarget, Origin};
use crate::model::digest::Digest;
use crate::model::manifest::{self, List, Manifest};
use crate::model::platform::Platform;
use crate::plan::{PlacePlan, PlannedList, TargetPlan};

impl Lock {
    /// Takes in what became of `plan`, which is that of `target`: each tag as it was left in each repository. `records`
    /// are what this run has learned of images, by their position; an image that is the same as before keeps what is
    /// locked of it.
    pub fn published(
        &mut self,
        target: &Target,
        plan: &TargetPlan,
        applied: &Applied,
        records: &BTreeMap<usize, ImageRecord>,
        revision: Option<&str>,
    ) {
        let before = self.targets.get(&target.name);
        let Some(mut locked) = locked_target(target, plan, applied, records, before) else { return };
        locked.revision = match before {
            // A commit that changes nothing that is published is none to speak of: the lock would never come to rest.
            Some(before) if published_of(before) == published_of(&locked) => before.revision.clone(),
            _ => revision.map(str::to_owned),
        };
        self.targets.insert(target.name.clone(), locked);
    }
}

/// What of a locked target came out of a commit: a check that was made later is none of its changes.
fn published_of(locked: &LockedTarget) -> LockedTarget {
    let mut published = LockedTarget { revision: None, ..locked.clone() };
    published.images.values_mut().for_each(|image| image.checked = Checks::default());
    published
}

fn locked_target(
    target: &Target,
    plan: &TargetPlan,
    applied: &Applied,
    records: &BTreeMap<usize, ImageRecord>,
    before: Option<&LockedTarget>,
) -> Option<LockedTarget> {
    let mut locked = LockedTarget::default();
    for (place, done) in plan.places.iter().zip(&applied.places) {
        let list = place.list.as_ref()?;
        let repository = place.repository.to_string();
        let earlier = before.and_then(|before| before.repositories.get(&repository));
        let tags: BTreeMap<String, Digest> = done
            .tags
            .iter()
            .filter_map(|tag| Some((tag.name.clone(), served(tag, list, earlier)?)))
            .collect();
        for digest in tags.values() {
            let of_earlier = || before.and_then(|before| before.lists.get(digest)).cloned();
            let of_plan = || LockedList {
                media_type: list.kind.media_type().to_owned(),
                size: list.bytes.len() as u64,
            };
            let list = if *digest == list.digest { Some(of_plan()) } else { of_earlier() };
            locked.lists.extend(list.map(|list| (digest.clone(), list)));
        }
        locked.repositories.insert(repository, tags);
    }
    let first = plan.places.first()?;
    let list = published_list(first)?;
    for (index, (image, entry)) in target.images.iter().zip(&first.entries).enumerate() {
        let entry = entry.change.entry()?;
        let same = before.and_then(|before| before.image(&image.platform));
        let same = same.filter(|before| before.digest == entry.digest);
        let record = records.get(&index).cloned().unwrap_or_default();
        let mut checked = same.map(|same| same.checked.clone()).unwrap_or_default();
        checked.extend(&record.checked);
        // What was not published to its end counts as fresh no sooner than the journal has finished it.
        let origin = record.origin.filter(|_| applied.complete).or_else(|| {
            let same = same.filter(|_| image.build.is_some())?;
            Some(Origin { fingerprint: same.fingerprint.clone()?, bases: same.bases.clone() })
        });
        let (fingerprint, bases) = match origin {
            Some(origin) => (Some(origin.fingerprint), origin.bases),
            None => (None, BTreeMap::new()),
        };
        let attestations =
            list.attestations_of(&entry.digest).into_iter().map(|entry| entry.digest).collect();
        let (digest, size) = (entry.digest.clone(), entry.size);
        let locked_image = LockedImage { digest, size, fingerprint, checked, attestations, bases };
        locked.images.insert(image.platform.to_string(), locked_image);
    }
    // A tag that is still to be written serves what was published before, and what that lists is still ours to remove.
    for (platform, image) in before.iter().filter(|_| !applied.complete).flat_map(|before| &before.images) {
        let same = |known: &Platform| platform.parse().is_ok_and(|platform| known.same_as(&platform));
        if !target.images.iter().any(|declared| same(&declared.platform)) {
            locked.images.insert(platform.clone(), image.clone());
        }
    }
    Some(locked)
}

/// What is known of the digest that a tag serves, as far as this program published it.
fn served(
    tag: &AppliedTag,
    list: &PlannedList,
    earlier: Option<&BTreeMap<String, Digest>>,
) -> Option<Digest> {
    match tag.outcome {
        Outcome::Unchanged | Outcome::Written | Outcome::There => Some(list.digest.clone()),
        Outcome::Pending => earlier?.get(&tag.name).cloned(),
        Outcome::Open | Outcome::Skipped(_) | Outcome::Overtaken => None,
    }
}

fn published_list(place: &PlacePlan) -> Option<List> {
    let list = place.list.as_ref()?;
    match manifest::parse(&list.bytes, list.kind.media_type()) {
        Ok(Manifest::List(list)) => Some(list),
        _ => None,
    }
}
