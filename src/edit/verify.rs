//! Whether a change did what it is for, and nothing else, by what the file means before and after it. Pure.

use super::{Change, NewPlatform};
use crate::config::{Declaration, Image, Target};

impl Change {
    /// The target that it is about.
    pub(crate) fn target(&self) -> &str {
        match self {
            Self::AddTarget(new) => &new.name,
            Self::SetImage { target, .. }
            | Self::SetPlatform { target, .. }
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
                new.images.len() == wanted.platforms.len()
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
                old.tags == new.tags && old.repositories == new.repositories
            }
            (Self::RemoveRepository { index, .. }, Some(mut old), Some(new)) => {
                old.repositories.remove(*index);
                old.tags == new.tags && old.repositories == new.repositories
            }
            (_, None, Some(_)) => false,
        };
        (!done).then(|| format!("target {name} would not say what was asked for"))
    }
}

fn is_for(image: &Image, wanted: &NewPlatform) -> bool {
    image.platform.base() == wanted.platform.base()
        && (image.platform.os_version == wanted.platform.os_version || image.platform.os != "windows")
}

/// Whether the image is the one asked for, as far as that is no template.
fn is(image: &Image, wanted: &NewPlatform) -> bool {
    let literal = wanted.image.as_ref().filter(|text| !text.contains('{'));
    is_for(image, wanted) && literal.is_none_or(|text| image.reference.to_string() == *text)
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
