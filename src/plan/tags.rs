//! What each tag will serve, by its policy and what it serves now.

use super::newest::{Release, version_of};
use super::{ObservedPlace, ObservedTag, Options, PlacePlan, PlannedList, Problem};
use crate::config::{Tag, TagPolicy, Target};
use crate::digest::Digest;

/// What happens to one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPlan {
    /// Its name.
    pub name: String,
    /// Its policy; moving tags are written last.
    pub policy: TagPolicy,
    /// What happens.
    pub action: TagAction,
    /// With the policy `newest`, the release that must still be the highest when the tag is written.
    pub release: Option<Release>,
}

/// The changes a tag can see, each with what applying and reporting need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagAction {
    /// `=`: it serves the list already.
    Unchanged {
        /// The digest served.
        digest: Digest,
    },
    /// `+`: it does not exist yet.
    Create {
        /// The registry does not say so; `--first-publish` does.
        unseen: bool,
    },
    /// `~`: it serves another list.
    Replace {
        /// The digest served now.
        from: Digest,
    },
    /// `~`: it serves a plain image.
    ReplaceImage {
        /// The digest served now.
        from: Digest,
    },
    /// It stays as it is, on purpose.
    Skipped {
        /// The digest served now, if any.
        from: Option<Digest>,
        /// Why.
        why: String,
    },
    /// `?`: an image is still to be built.
    Pending {
        /// The digest served now, if any.
        from: Option<Digest>,
    },
    /// It would have to change and may not; the plan names the problem.
    Blocked {
        /// The digest served now, if any.
        from: Option<Digest>,
    },
}

impl TagAction {
    /// Whether the tag is to be written.
    pub fn is_write(&self) -> bool {
        matches!(self, Self::Create { .. } | Self::Replace { .. } | Self::ReplaceImage { .. })
    }

    /// The digest that the tag served when it was observed.
    pub fn observed(&self) -> Option<&Digest> {
        match self {
            Self::Unchanged { digest: from } | Self::Replace { from } | Self::ReplaceImage { from } => {
                Some(from)
            }
            Self::Create { .. } => None,
            Self::Skipped { from, .. } | Self::Pending { from } | Self::Blocked { from } => from.as_ref(),
        }
    }
}

/// One plan for each declared tag; what is not allowed becomes a problem.
pub(super) fn plan_tags(
    target: &Target,
    place: &ObservedPlace,
    list: Option<&PlannedList>,
    options: Options,
    problems: &mut Vec<Problem>,
) -> Vec<TagPlan> {
    target
        .tags
        .iter()
        .zip(&place.tags)
        .map(|(tag, observed)| TagPlan {
            name: tag.name.clone(),
            policy: tag.policy,
            action: action(target, place, tag, observed, list, options).unwrap_or_else(|problem| {
                problems.push(problem);
                TagAction::Blocked { from: observed.digest().cloned() }
            }),
            release: Release::of(target).filter(|_| tag.policy == TagPolicy::Newest),
        })
        .collect()
}

fn action(
    target: &Target,
    place: &ObservedPlace,
    tag: &Tag,
    observed: &ObservedTag,
    list: Option<&PlannedList>,
    options: Options,
) -> Result<TagAction, Problem> {
    let reference = place.repository.tag(&tag.name);
    let from = observed.digest().cloned();
    if let ObservedTag::Unreadable(answer) = observed
        && !options.first_publish
    {
        return Err(Problem::new(
            format!("{reference} cannot be read: {answer}"),
            "some registries answer so for a repository that does not exist yet: create it there, \
             or say `--first-publish` if nothing was published before",
        ));
    }
    if let (Some(from), Some(list)) = (&from, list)
        && *from == list.digest
    {
        return Ok(TagAction::Unchanged { digest: from.clone() });
    }
    if let Some(why) = stays(target, place, tag, observed) {
        return Ok(TagAction::Skipped { from, why });
    }
    if let ObservedTag::Other { what, .. } = observed {
        return Err(Problem::new(
            format!("{reference} serves {what}, which a list would replace"),
            "choose another tag for the list, or delete this one in the registry first if it is not needed",
        ));
    }
    if tag.policy == TagPolicy::Immutable {
        match observed {
            ObservedTag::Image(_) => {
                return Err(Problem::new(
                    format!("{reference} is immutable and serves a plain image, not a list"),
                    "choose another tag, or declare it as `{ name, policy = \"moving\" }`",
                ));
            }
            ObservedTag::List(_) if list.is_some() => {
                return Err(Problem::new(
                    format!("{reference} is immutable and serves another list than the one declared"),
                    "raise the version, or declare the tag as `{ name, policy = \"moving\" }`",
                ));
            }
            _ => {}
        }
    }
    Ok(match (list, observed, from) {
        (None, _, from) => TagAction::Pending { from },
        (Some(_), ObservedTag::Image(_), Some(from)) => TagAction::ReplaceImage { from },
        (Some(_), _, Some(from)) => TagAction::Replace { from },
        (Some(_), _, None) => TagAction::Create { unseen: matches!(observed, ObservedTag::Unreadable(_)) },
    })
}

/// What a reviewer should know of the tags: which move although nothing says what they would be compared with.
pub(super) fn notes(plan: &PlacePlan, place: &ObservedPlace) -> Vec<String> {
    let unknown = plan.tags.iter().zip(&place.tags).filter(|(tag, observed)| {
        tag.policy == TagPolicy::Newest
            && tag.action.is_write()
            && observed.list().is_some_and(|list| version_of(list).is_none())
    });
    unknown
        .map(|(tag, _)| {
            let reference = place.repository.tag(&tag.name);
            format!(
                "the list at {reference} does not say its version: only the repository's tags were compared"
            )
        })
        .collect()
}

/// Why a tag stays where it is on purpose, whatever the list: it has the policy `newest` and is not to move to this
/// version. What counts as released is what the repository's tags name and what the tag itself serves.
pub(super) fn stays(
    target: &Target,
    place: &ObservedPlace,
    tag: &Tag,
    observed: &ObservedTag,
) -> Option<String> {
    if tag.policy != TagPolicy::Newest {
        return None;
    }
    let Some(release) = Release::of(target) else {
        return Some("the version of this release is not known".to_owned());
    };
    let mut released = place.released.clone();
    released.extend(observed.list().and_then(version_of));
    release.why_not(&tag.name, &released)
}
