//! What `docker manifest` does to its local lists, as changes of the declaration. Pure.
//!
//! A *list* is one name: a repository and a tag. It is declared by the target that publishes it.

use super::{Change, EditError, NewPlatform, NewTarget, free_name};
use crate::config::{Declaration, Image, Target};
use crate::error::Failure;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::plan::disagreement;

/// The target that publishes `list`.
pub(crate) fn target_of<'a>(declaration: &'a Declaration, list: &Reference) -> Option<&'a Target> {
    let tag = list.tag.as_deref().filter(|_| list.digest.is_none())?;
    declaration.targets.iter().find(|target| {
        target.repositories.contains(&list.repository) && target.tags.iter().any(|own| own.name == tag)
    })
}

/// The failure about a list that is not declared, in Docker's words.
pub(crate) fn no_such_list(declaration: &Declaration, list: &Reference) -> Failure {
    let declared: Vec<String> = lists(declaration).map(|list| list.to_string()).collect();
    let failure = Failure::new(format!("No such manifest: {list}"));
    match &declared[..] {
        [] => failure.hint("no list is declared; `manifest create` declares one"),
        _ => failure.hint(format!("declared are {}", declared.join(", "))),
    }
}

/// Every list that is declared.
pub(crate) fn lists(declaration: &Declaration) -> impl Iterator<Item = Reference> {
    declaration.targets.iter().flat_map(|target| {
        let repositories = target.repositories.iter();
        repositories.flat_map(|repository| target.tags.iter().map(|tag| repository.tag(&tag.name)))
    })
}

/// An image as it was found in its registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// As asked for.
    pub reference: Reference,
    /// What its configuration says.
    pub platform: Platform,
}

/// `create`: a new target for `list`, or, when there is one and `amend` was asked for, its images one by one.
///
/// # Errors
///
/// A list that is declared already, unless `amend`; two images of one platform; an image that is declared for another
/// platform than its own.
pub(crate) fn create(
    declaration: &Declaration,
    text: &str,
    list: &Reference,
    images: &[Found],
    amend: bool,
) -> anyhow::Result<Vec<Change>> {
    for (index, image) in images.iter().enumerate() {
        if let Some(other) = images[..index].iter().find(|other| other.platform.same_as(&image.platform)) {
            return Err(Failure::new(format!(
                "{} and {} are both for {}, which a list has once",
                other.reference, image.reference, image.platform
            ))
            .into());
        }
    }
    match target_of(declaration, list) {
        None => {
            let name = name(text, list)?;
            Ok(vec![Change::AddTarget(new_target(name, list, images))])
        }
        Some(_) if !amend => {
            Err(Failure::new("refusing to amend an existing manifest list with no --amend flag")
                .hint(format!("{list} is declared already; `--amend` replaces and adds images of it"))
                .into())
        }
        Some(target) => {
            let changes = images.iter().map(|image| amended(target, list, image));
            Ok(changes.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        }
    }
}

/// A name after the repository's last part, with the tag where another target has it.
fn name(text: &str, list: &Reference) -> Result<String, EditError> {
    let path = &list.repository.path;
    let last = path.rsplit('/').next().unwrap_or(path);
    let with_tag = format!("{last}-{}", list.tag.as_deref().unwrap_or("latest"));
    free_name(text, &[], &[last, &with_tag])
}

fn new_target(name: String, list: &Reference, images: &[Found]) -> NewTarget {
    NewTarget {
        name,
        repositories: vec![list.repository.to_string()],
        tags: list.tag.iter().cloned().collect(),
        platforms: images.iter().map(Found::declared).collect(),
        ..NewTarget::default()
    }
}

impl Found {
    fn declared(&self) -> NewPlatform {
        NewPlatform {
            platform: self.platform.clone(),
            image: Some(self.reference.to_string()),
            ..NewPlatform::default()
        }
    }
}

/// The change that makes `image` the one of its platform; none when it is already.
fn amended(target: &Target, list: &Reference, image: &Found) -> Result<Option<Change>, Failure> {
    let same = |declared: &&Image| {
        declared.platform.base() == image.platform.base()
            && disagreement(&declared.platform, &image.platform).is_none()
    };
    let declared = target.images.iter().find(same);
    if let Some(other) = target.images.iter().find(|other| other.reference == image.reference) {
        return match declared {
            Some(declared) if declared.platform == other.platform => Ok(None),
            _ => Err(Failure::new(format!(
                "{list} declares {} for {}, but its configuration says {}",
                image.reference, other.platform, image.platform
            ))
            .hint("`manifest annotate` changes the platform that is declared")),
        };
    }
    let built = target.images.iter().any(|image| image.build.is_some());
    let new = match declared {
        Some(declared) => NewPlatform { platform: declared.platform.clone(), ..image.declared() },
        None => image.declared(),
    };
    let built = declared.map_or(built, |declared| declared.build.is_some());
    Ok(Some(Change::SetImage { target: target.name.clone(), image: new, built }))
}

/// What `annotate` sets; what is not given stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Annotations {
    /// `--os`.
    pub os: Option<String>,
    /// `--arch`.
    pub arch: Option<String>,
    /// `--variant`.
    pub variant: Option<String>,
    /// `--os-version`.
    pub os_version: Option<String>,
    /// `--os-features`, each appended unless it is there.
    pub os_features: Vec<String>,
}

impl Annotations {
    /// The platform that `platform` becomes.
    fn of(&self, platform: &Platform) -> Platform {
        let mut to = platform.clone();
        for (new, old) in [(&self.os, &mut to.os), (&self.arch, &mut to.arch)] {
            if let Some(new) = new {
                old.clone_from(new);
            }
        }
        for (new, old) in [(&self.variant, &mut to.variant), (&self.os_version, &mut to.os_version)] {
            if new.is_some() {
                old.clone_from(new);
            }
        }
        for feature in &self.os_features {
            if !to.os_features.contains(feature) {
                to.os_features.push(feature.clone());
            }
        }
        to
    }
}

/// `annotate`: another platform for an image of `list`; `None` when it has that platform already.
///
/// # Errors
///
/// Nothing to set, a list or image that is not declared, a platform that does not exist or that another image has.
pub(crate) fn annotate(
    declaration: &Declaration,
    list: &Reference,
    image: &Reference,
    annotations: &Annotations,
) -> Result<Option<Change>, Failure> {
    let missing = || Failure::new(format!("manifest for image {image} does not exist in {list}"));
    let Some(target) = target_of(declaration, list) else {
        let declared: Vec<String> = lists(declaration).map(|list| list.to_string()).collect();
        let declared = if declared.is_empty() { "none".to_owned() } else { declared.join(", ") };
        return Err(missing().hint(format!("{list} is not declared; declared are {declared}")));
    };
    let Some(index) = target.images.iter().position(|declared| declared.reference == *image) else {
        let declared: Vec<String> =
            target.images.iter().map(|declared| declared.reference.to_string()).collect();
        return Err(missing().hint(format!("declared are {}", declared.join(", "))));
    };
    if *annotations == Annotations::default() {
        return Err(Failure::new(format!("nothing to set for {image} in {list}"))
            .hint("give one of --os, --arch, --variant, --os-version, --os-features"));
    }
    let from = &target.images[index].platform;
    let to = annotations.of(from);
    if let Some(problem) = to.problem() {
        return Err(Failure::new(format!(
            "manifest entry for image has unsupported os/arch combination: {}/{}: {problem}",
            to.os, to.arch
        )));
    }
    let others = target.images.iter().enumerate().filter(|(other, _)| *other != index);
    for (_, other) in others {
        if other.platform.same_as(&to) {
            return Err(Failure::new(format!(
                "{image} cannot be for {to} in {list}: {} is already",
                other.reference
            ))
            .hint("give the other one another platform first"));
        }
    }
    Ok((*from != to).then(|| Change::SetPlatform {
        target: target.name.clone(),
        from: from.clone(),
        to,
        reference: image.to_string(),
    }))
}

/// `rm`: the declaration of one list. A target with other names too only loses this one.
///
/// # Errors
///
/// A list that is not declared, and one whose target has several repositories and several tags, where no single name
/// can be taken out.
pub(crate) fn remove(declaration: &Declaration, list: &Reference) -> Result<Change, Failure> {
    let target = target_of(declaration, list).ok_or_else(|| no_such_list(declaration, list))?;
    let name = target.name.clone();
    let tag = target.tags.iter().position(|tag| Some(&tag.name) == list.tag.as_ref());
    let repository = target.repositories.iter().position(|repository| *repository == list.repository);
    match (target.repositories.len(), target.tags.len(), repository, tag) {
        (1, 1, ..) => Ok(Change::RemoveTarget { target: name }),
        (1, _, _, Some(index)) => Ok(Change::RemoveTag { target: name, index }),
        (_, 1, Some(index), _) => Ok(Change::RemoveRepository { target: name, index }),
        _ => Err(Failure::new(format!(
            "{list} cannot be removed alone: target {name} publishes {} tags in each of {} repositories",
            target.tags.len(),
            target.repositories.len()
        ))
        .hint("take the tag or the repository out of the file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Facts, Strictness, read};

    fn declared(repositories: &str, tags: &str) -> Declaration {
        let text = format!(
            "[target.app]\nrepository = {repositories}\ntags = {tags}\nplatforms = [\"linux/amd64\"]\n"
        );
        let document = read(std::path::Path::new("/p/manifests.toml"), &text).unwrap();
        document.resolve(&Facts::default(), Strictness::Check).unwrap()
    }

    #[test]
    fn only_the_name_that_was_asked_for_goes() {
        let app = || "app".to_owned();
        let one = "\"docker.io/a/app\"";
        let two = "[\"docker.io/a/app\", \"ghcr.io/a/app\"]";
        for (repositories, tags, list, expected) in [
            (one, "[\"1\"]", "a/app:1", Ok(Change::RemoveTarget { target: app() })),
            (one, "[\"1\", \"2\"]", "a/app:2", Ok(Change::RemoveTag { target: app(), index: 1 })),
            (two, "[\"1\"]", "ghcr.io/a/app:1", Ok(Change::RemoveRepository { target: app(), index: 1 })),
            (two, "[\"1\", \"2\"]", "a/app:1", Err("docker.io/a/app:1 cannot be removed alone")),
            (one, "[\"1\"]", "a/app:2", Err("No such manifest: docker.io/a/app:2")),
            (one, "[\"1\"]", "a/other:1", Err("No such manifest: docker.io/a/other:1")),
        ] {
            match (remove(&declared(repositories, tags), &list.parse().unwrap()), expected) {
                (Ok(change), Ok(expected)) => assert_eq!(change, expected),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (done, expected) => panic!("{list}: {done:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn a_target_is_named_after_its_repository_and_tag() {
        let list: Reference = "ghcr.io/acme/deep/app:v1".parse().unwrap();
        for (text, expected) in
            [("", "app"), ("[target.app]\n", "app-v1"), ("[target.app]\n[target.app-v1]\n", "app-v1-2")]
        {
            assert_eq!(name(text, &list).unwrap(), expected);
        }
    }
}
