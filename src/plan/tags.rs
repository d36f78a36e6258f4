//! What each tag will serve, by its policy and what it serves now.

use super::newest::{Release, Said, version_of};
use super::{ObservedPlace, ObservedTag, Options, PlacePlan, PlannedList, Problem, Released};
use crate::config::{Tag, TagPolicy, Target};
use crate::invocation::program;
use crate::model::digest::Digest;
use crate::model::reference::Reference;

/// What happens to one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPlan {
    /// Its name.
    pub name: String,
    /// Its policy; moving tags are written last.
    pub policy: TagPolicy,
    /// What happens.
    pub action: TagAction,
    /// With the policy `newest`, the release that must still be the highest when the tag is written. `None` also where
    /// the registry does not list its tags: what this tag serves was compared then, and must still be there.
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
            release: Release::of(target).filter(|_| {
                tag.policy == TagPolicy::Newest && matches!(place.released, Released::Versions(_))
            }),
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
        let otherwise = match options.takes_first_publish {
            true => "say `--first-publish`".to_owned(),
            false => format!("run `{} reconcile {} --first-publish`", program(), target.name),
        };
        return Err(Problem::new(
            format!("{reference} cannot be read: {answer}"),
            format!(
                "some registries answer so for a repository that does not exist yet: create it there, or {otherwise} if \
                 nothing was published before"
            ),
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
    if let Some(answer) = unlisted(place, tag)
        && published_version(observed).is_none()
        && !(options.first_publish && from.is_none())
    {
        return Err(incomparable(&reference, answer, observed));
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

/// Why the tags are not known that a tag with the policy `newest` is compared with, if they are not.
fn unlisted<'a>(place: &'a ObservedPlace, tag: &Tag) -> Option<&'a str> {
    match &place.released {
        Released::Unlisted(answer) if tag.policy == TagPolicy::Newest => Some(answer),
        _ => None,
    }
}

/// Neither the repository's tags nor what the tag serves says which version is the newest one.
fn incomparable(reference: &Reference, answer: &str, observed: &ObservedTag) -> Problem {
    let (serves, hint) = match observed {
        ObservedTag::Absent | ObservedTag::Unreadable(_) => (
            "serves nothing that could be read",
            "let this account list the repository's tags, or say `--first-publish` if nothing was published before",
        ),
        ObservedTag::Image(_) | ObservedTag::Other { .. } | ObservedTag::List(_) => (
            "serves something that does not say its version",
            "let this account list the repository's tags, or declare the tag as `{ name, policy = \"moving\" }`",
        ),
    };
    let repository = &reference.repository;
    Problem::new(
        format!(
            "whether this version is the newest one is not known: the tags of {repository} are not listed ({answer}), \
             and {reference} {serves}"
        ),
        hint,
    )
}

/// What a reviewer should know of the tags: which were compared with less than all released versions.
pub(super) fn notes(plan: &PlacePlan, place: &ObservedPlace) -> Vec<String> {
    let tags = plan.tags.iter().zip(&place.tags).filter(|(tag, _)| tag.policy == TagPolicy::Newest);
    let note = |(tag, observed): (&TagPlan, &ObservedTag)| {
        let reference = place.repository.tag(&tag.name);
        let version = published_version(observed);
        match (&place.released, version) {
            (Released::Unlisted(_), _) if matches!(tag.action, TagAction::Unchanged { .. }) => None,
            (Released::Unlisted(answer), Some(Said::Version(version))) => Some(format!(
                "the tags of {} are not listed ({answer}): {reference} was compared with the version that it serves, \
                 {version}",
                place.repository
            )),
            (Released::Unlisted(answer), None) if tag.action.is_write() => Some(format!(
                "the tags of {} are not listed ({answer}), and nothing is at {reference} to compare with",
                place.repository
            )),
            (Released::Versions(_), None) if tag.action.is_write() && observed.list().is_some() => {
                Some(format!(
                    "the list at {reference} does not say its version: only the repository's tags were compared"
                ))
            }
            _ => None,
        }
    };
    tags.filter_map(note).collect()
}

/// What the list that a tag serves says of its version.
fn published_version(observed: &ObservedTag) -> Option<Said> {
    observed.list().and_then(version_of)
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
    let released = match &place.released {
        Released::Versions(versions) => &versions[..],
        Released::Unlisted(_) => &[],
    };
    let why_not = release.why_not(&tag.name, released);
    why_not.or_else(|| release.why_not_from(&tag.name, &published_version(observed)?))
}
