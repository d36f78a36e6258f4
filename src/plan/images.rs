//! Declared images against what was found: is each there, is it what it is declared as, what will its entry say.

use super::entries::DeclaredEntry;
use super::{ObservedImage, ObservedTarget, Problem, absent};
use crate::config::{Image, Target};
use crate::model::manifest::{Descriptor, PlatformFields};
use crate::model::platform::Platform;

/// Why the images cannot be listed: those that are not there by name, in one problem, then each other one.
pub(super) fn problems(target: &Target, observed: &ObservedTarget) -> Vec<Problem> {
    let mut problems = Vec::new();
    let absent = absent(target, observed);
    if !absent.is_empty() {
        let names: Vec<String> = absent.iter().map(ToString::to_string).collect();
        problems.push(Problem::new(
            format!(
                "{} of target {} not in the registry: {}",
                plural(absent.len(), "image"),
                target.name,
                names.join(", ")
            ),
            "push them first, or declare how they are built with `build`",
        ));
    }
    for (image, observed) in target.images.iter().zip(&observed.images) {
        match observed {
            ObservedImage::Unusable(why) => problems.push(Problem { message: why.clone(), hint: None }),
            ObservedImage::Found(found) => {
                if let Some(why) = disagreement(&image.platform, &found.config.platform) {
                    problems.push(Problem::new(
                        format!("{} is declared as {}, but {why}", image.reference, image.platform),
                        "correct the platform in the declaration, or push the image of this platform",
                    ));
                }
            }
            ObservedImage::Pending | ObservedImage::Absent => {}
        }
    }
    problems
}

/// "1 image" or "3 images".
fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// How an image's configuration contradicts the platform that it is declared for, or `None`: system and architecture
/// must be equal; variant and os.version equal or absent on one side, and a declared os.version may be a prefix.
pub fn disagreement(declared: &Platform, config: &Platform) -> Option<String> {
    let (want, have) = (declared.normal(), config.normal());
    if want.os != have.os || want.arch != have.arch {
        return Some(format!("its configuration says {config}"));
    }
    if let (Some(_), Some(found)) = (&declared.variant, &config.variant)
        && want.variant != have.variant
    {
        return Some(format!("its configuration says variant {found}"));
    }
    if let (Some(wanted), Some(found)) = (&declared.os_version, &config.os_version) {
        let prefix =
            found.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if !prefix {
            return Some(format!("its configuration says os.version {found}"));
        }
    }
    None
}

/// What each declared image's entry will say, or that it is not known yet.
pub(super) fn declared_entries(target: &Target, observed: &ObservedTarget) -> Vec<DeclaredEntry> {
    target
        .images
        .iter()
        .zip(&observed.images)
        .map(|(image, observed)| declared_entry(image, observed))
        .collect()
}

fn declared_entry(image: &Image, observed: &ObservedImage) -> DeclaredEntry {
    let mut platform = image.platform.clone();
    let ObservedImage::Found(found) = observed else {
        return DeclaredEntry { platform, descriptor: None };
    };
    if platform.normal().os == "windows" && platform.os_version.is_none() {
        platform.os_version = found.config.platform.os_version.clone();
    }
    let mut descriptor = found.descriptor.clone();
    descriptor.platform = Some(PlatformFields::from(&platform.canonical()));
    descriptor.annotations = image.annotations.clone();
    DeclaredEntry { platform, descriptor: Some(descriptor) }
}

/// The entry that a declared image has in its list; `None` while it is not known what it is.
pub fn entry(image: &Image, observed: &ObservedImage) -> Option<Descriptor> {
    declared_entry(image, observed).descriptor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_agrees_or_says_what_it_is() {
        for (declared, config, expected) in [
            ("linux/amd64", "linux/amd64", None),
            ("linux/arm64", "linux/arm64/v8", None),
            ("linux/arm/v7", "linux/arm", None),
            ("linux/arm", "linux/arm/v6", None),
            ("linux/arm/v7", "linux/arm/v6", Some("its configuration says variant v6")),
            ("linux/arm64", "linux/amd64", Some("its configuration says linux/amd64")),
            ("linux/amd64", "windows/amd64", Some("its configuration says windows/amd64")),
            ("windows(10.0.17763)/amd64", "windows(10.0.17763.5)/amd64", None),
            (
                "windows(10.0.1)/amd64",
                "windows(10.0.17)/amd64",
                Some("its configuration says os.version 10.0.17"),
            ),
            ("linux(ubuntu22.04)/amd64", "linux/amd64", None),
        ] {
            let (declared, config) = (declared.parse().unwrap(), config.parse().unwrap());
            assert_eq!(disagreement(&declared, &config).as_deref(), expected, "{declared} {config}");
        }
    }
}
