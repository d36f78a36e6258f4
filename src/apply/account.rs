//! What is done and what is pending, per repository: for the result, and for the error of a run that did not finish.

use std::fmt::Write as _;

use super::{Applied, AppliedPlace, AppliedTag, Outcome};
use crate::config::TagPolicy;
use crate::error::{Exit, Failure};
use crate::plan::{PlacePlan, PlannedList, TagAction, TargetPlan};

/// What became of the places of one target so far; one item for each.
pub(super) struct Account<'a> {
    target: &'a str,
    places: Vec<PlaceAccount<'a>>,
}

struct PlaceAccount<'a> {
    plan: &'a PlacePlan,
    list: &'a PlannedList,
    /// The list is there, under its digest.
    staged: bool,
    /// One for each tag.
    tags: Vec<Outcome>,
}

/// The positions of place and tag.
pub(super) type At = (usize, usize);

/// A tag that was written, or found to serve the list just before.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    pub(super) at: At,
    pub(super) place: &'a PlacePlan,
    pub(super) list: &'a PlannedList,
    pub(super) tag: &'a str,
    /// Whether this run wrote it, and it must never serve anything else.
    pub(super) must_stay: bool,
}

impl<'a> Account<'a> {
    /// `None` when an image is still to be built.
    pub(super) fn new(plan: &'a TargetPlan) -> Option<Self> {
        let place = |plan: &'a PlacePlan| {
            let outcome = |action: &TagAction| match action {
                TagAction::Skipped { why, .. } => Outcome::Skipped(why.clone()),
                action if action.is_write() => Outcome::Pending,
                _ => Outcome::Unchanged,
            };
            let tags = plan.tags.iter().map(|tag| outcome(&tag.action)).collect();
            Some(PlaceAccount { plan, list: plan.list.as_ref()?, staged: false, tags })
        };
        let places = plan.places.iter().map(place).collect::<Option<_>>()?;
        Some(Self { target: &plan.target, places })
    }

    /// The places with their lists, in declaration order.
    pub(super) fn places(&self) -> impl Iterator<Item = (&'a PlacePlan, &'a PlannedList)> {
        self.places.iter().map(|place| (place.plan, place.list))
    }

    pub(super) fn staged(&mut self) {
        for place in self.places.iter_mut().filter(|place| place.plan.is_change()) {
            place.staged = true;
        }
    }

    /// Notes what became of a tag.
    pub(super) fn note(&mut self, (place, tag): At, outcome: Outcome) {
        self.places[place].tags[tag] = outcome;
    }

    /// The tags that were written, by place.
    pub(super) fn written(&self) -> impl Iterator<Item = Written<'a>> {
        self.places.iter().enumerate().flat_map(|(index, place)| {
            let tags = place.plan.tags.iter().zip(&place.tags).enumerate();
            let written =
                tags.filter(|(_, (_, outcome))| matches!(outcome, Outcome::Written | Outcome::There));
            written.map(move |(position, (tag, outcome))| Written {
                at: (index, position),
                place: place.plan,
                list: place.list,
                tag: tag.name.as_str(),
                must_stay: *outcome == Outcome::Written && tag.policy == TagPolicy::Immutable,
            })
        })
    }

    /// `error`, with the account of what is done and what is not.
    pub(super) fn failure(&self, error: anyhow::Error) -> anyhow::Error {
        let any =
            |wanted: fn(&Outcome) -> bool| self.places.iter().any(|place| place.tags.iter().any(wanted));
        let mut lines = String::new();
        for place in &self.places {
            let _ = write!(lines, "\n  {}: {}", place.plan.repository, place.line());
        }
        let target = self.target;
        let published = any(Outcome::is_written);
        if published || any(|outcome| *outcome == Outcome::Open) {
            let what = if published { "was" } else { "may have been" };
            Failure::new(format!("target {target} {what} published in part{lines}"))
                .hint("run the same command again to finish")
                .exit(Exit::Partial)
                .because(error)
                .into()
        } else {
            Failure::new(format!("nothing of target {target} was published{lines}")).because(error).into()
        }
    }

    /// What became of the target; whether that is all of it is for the caller to say.
    pub(super) fn applied(self) -> Applied {
        Applied {
            target: self.target.to_owned(),
            complete: false,
            places: self.places.into_iter().map(PlaceAccount::applied).collect(),
        }
    }
}

impl PlaceAccount<'_> {
    /// `done 1.0; pending latest`.
    fn line(&self) -> String {
        let names = |wanted: fn(&Outcome) -> bool| {
            let tags = self.plan.tags.iter().zip(&self.tags);
            let names: Vec<&str> =
                tags.filter(|(_, outcome)| wanted(outcome)).map(|(tag, _)| tag.name.as_str()).collect();
            names.join(", ")
        };
        let mut parts = Vec::new();
        if self.staged && !self.tags.iter().any(Outcome::is_written) {
            parts.push("staged".to_owned());
        }
        for (word, names) in [
            ("done", names(Outcome::serves)),
            ("perhaps done", names(|tag| *tag == Outcome::Open)),
            ("overtaken", names(|tag| *tag == Outcome::Overtaken)),
            ("pending", names(|tag| *tag == Outcome::Pending)),
            ("skipped", names(|tag| matches!(tag, Outcome::Skipped(_)))),
        ] {
            if !names.is_empty() {
                parts.push(format!("{word} {names}"));
            }
        }
        parts.join("; ")
    }

    fn applied(self) -> AppliedPlace {
        let tags = self.plan.tags.iter().zip(self.tags);
        let tags = tags.map(|(tag, outcome)| AppliedTag { name: tag.name.clone(), outcome });
        AppliedPlace {
            repository: self.plan.repository.clone(),
            digest: self.list.digest.clone(),
            copied: self.plan.copies.iter().map(|copy| copy.manifest.digest.clone()).collect(),
            tags: tags.collect(),
        }
    }
}
