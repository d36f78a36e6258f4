//! Whether a change did what it is for, and nothing else, by what the file means before and after it. Pure.

use super::{Change, NewPlatform};
use crate::config::{Declaration, Image, Target};
use crate::model::reference::{Reference, Repository};

impl Change {
    /// The target that it is about.
    pub(crate) fn target(&self) -> &str {
        match self {
            Self::AddTarget(new) => &new.name,
            Self::SetImage { target, .. }
            | Self::SetPlatform { target, .. }
            | Self::PinImages { target }
            | Self::RemoveTarget { target }
            | Self::RemoveTag { target, .. }
            | Self::RemoveRepository { target, .. } => target,
        }
    }

    /// What is wrong with a file that meant `before` and, changed in this way, means `after`; `None` when it is right.
    pub(crate) fn went_wrong(&self, before: &Declaration, after: &Declaration) -> Option<String> {
        let name = self.target();
        let others = |declaration: &Declaration| {
            declaration.targets.iter().filter(|target| target.name != name).cloned().collect::<Vec<_>>()
        };
        if others(before) != others(after) || before.registries != after.registries {
            return Some(format!("more than target {name} would change"));
        }
        let find = |declaration: &'_ Declaration| {
            declaration.targets.iter().find(|target| target.name == name).cloned()
        };
        let (old, new) = (find(before), find(after));
        let done = match (self, old, new) {
            (Self::RemoveTarget { .. }, _, new) => new.is_none(),
            (_, _, None) => false,
            (Self::AddTarget(wanted), _, Some(new)) => {
                let built = !wanted.build.is_empty();
                let tags = new.tags.iter().map(|tag| tag.name.clone());
                let repositories = new.repositories.iter().map(ToString::to_string);
                says(&wanted.tags, tags)
                    && says(&wanted.repositories, repositories)
                    && new.images.len() == wanted.platforms.len()
                    && wanted
                        .platforms
                        .iter()
                        .zip(&new.images)
                        .all(|(wanted, image)| is(image, wanted) && image.build.is_some() == built)
            }
            (Self::SetImage { image: wanted, .. }, Some(old), Some(new)) => {
                let of_platform = |image: &&Image| is(image, wanted);
                new.images.iter().any(|image| of_platform(&image) && image.build.is_none())
                    && rest_is_same(&old, &new, |image| is_for(image, wanted))
            }
            (Self::SetPlatform { from, to, reference, .. }, Some(old), Some(new)) => {
                let wanted =
                    |image: &&Image| image.platform == *to && image.reference.to_string() == *reference;
                new.images.iter().any(|image| wanted(&image))
                    && rest_is_same(&old, &new, |image| image.platform == *from || image.platform == *to)
            }
            (Self::RemoveTag { index, .. }, Some(mut old), Some(new)) => {
                old.tags.remove(*index);
                return surplus(&old, &new);
            }
            (Self::RemoveRepository { index, .. }, Some(mut old), Some(new)) => {
                old.repositories.remove(*index);
                return surplus(&old, &new);
            }
            (Self::PinImages { .. }, Some(old), Some(new)) => return surplus(&old, &new),
            (_, None, Some(_)) => false,
        };
        (!done).then(|| format!("target {name} would not say what was asked for"))
    }
}

/// What is different between the targets, which are to be the same.
fn surplus(wanted: &Target, found: &Target) -> Option<String> {
    let name = &wanted.name;
    let mut images = wanted.images.iter().zip(&found.images);
    if wanted.images.len() == found.images.len()
        && let Some((wanted, found)) = images.find(|(wanted, found)| wanted.reference != found.reference)
    {
        return Some(format!(
            "the image of target {name} for {} would be {} then, and is {}; declare `image` first",
            wanted.platform, found.reference, wanted.reference
        ));
    }
    (wanted != found).then(|| format!("more of target {name} would change than was asked for"))
}

fn is_for(image: &Image, wanted: &NewPlatform) -> bool {
    image.platform.base() == wanted.platform.base()
        && (image.platform.os_version == wanted.platform.os_version || image.platform.os != "windows")
}

/// Whether the texts resolve to what was found, as far as they are no templates.
fn says(wanted: &[String], found: impl ExactSizeIterator<Item = String>) -> bool {
    let is_same = |(wanted, found): (&String, String)| {
        let repository = wanted.parse::<Repository>().map(|repository| repository.to_string());
        wanted.contains('{') || *wanted == found || repository.is_ok_and(|wanted| wanted == found)
    };
    wanted.len() == found.len() && wanted.iter().zip(found).all(is_same)
}

/// Whether the image is the one asked for, as far as that is no template.
fn is(image: &Image, wanted: &NewPlatform) -> bool {
    let literal = wanted.image.as_ref().filter(|text| !text.contains('{'));
    is_for(image, wanted)
        && literal.is_none_or(|text| text.parse().is_ok_and(|wanted: Reference| wanted == image.reference))
}

/// Whether the targets are the same but for the images that were meant to change.
fn rest_is_same(old: &Target, new: &Target, changed: impl Fn(&Image) -> bool) -> bool {
    let rest = |target: &Target| {
        let mut rest = target.clone();
        rest.images.retain(|image| !changed(image));
        rest
    };
    rest(old) == rest(new)
}
