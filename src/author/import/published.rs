//! A published list.

use crate::author::edit::{NewPlatform, NewTarget};
use crate::config::template::literal;
use crate::model::manifest::{ListKind, Role};
use crate::model::media;
use crate::observe::Inspected;

use super::{Imported, name_of};

/// The target whose list is the one that was looked at: every image by its digest, so that publishing it again changes
/// nothing.
///
/// # Errors
///
/// Why it cannot be declared, in words.
pub(crate) fn published(inspected: &Inspected) -> Result<Imported, String> {
    let reference = &inspected.reference;
    let Some(tag) = &reference.tag else {
        return Err(format!("{reference} names a digest; a target publishes tags"));
    };
    let Some(list) = &inspected.list else {
        return Err(format!("{reference} is an image, no list"));
    };
    let mut notes = Vec::new();
    let mut platforms: Vec<NewPlatform> = Vec::new();
    let mut left = 0;
    for entry in &list.entries {
        let digest = &entry.digest;
        let platform = match entry.role() {
            Role::Image(platform) => platform,
            Role::Attestation(_) => continue,
            Role::Other => {
                notes.push(format!("{digest} has no platform, so it cannot be declared; it is kept"));
                left += 1;
                continue;
            }
        };
        if let Some(problem) = platform.problem().or_else(|| digest.unverifiable()) {
            notes.push(format!("{digest} is for {platform}: {problem}; it cannot be declared and is kept"));
            left += 1;
            continue;
        }
        if let Some(other) = platforms.iter().find(|other| other.platform.same_as(&platform)) {
            return Err(format!(
                "{reference} lists several images for {platform}: {digest} and {}",
                other.image.as_deref().unwrap_or_default()
            ));
        }
        if !entry.urls.is_empty() || !entry.other.is_empty() {
            notes.push(format!("the entry of {platform} has fields that are not declared; they are kept"));
        }
        platforms.push(NewPlatform {
            platform,
            image: Some(reference.repository.digest(digest).to_string()),
            annotations: literal_values(&entry.annotations),
        });
    }
    if platforms.is_empty() {
        let notes = notes.iter().map(|note| format!("; {note}")).collect::<String>();
        return Err(format!("{reference} lists no image of a known platform{notes}"));
    }
    if !list.other.is_empty() {
        let keys: Vec<&str> = list.other.keys().map(String::as_str).collect();
        notes.push(format!("not declared, but kept while the list stays as it is: {}", keys.join(", ")));
    }
    let docker_images = list.entries.iter().all(|entry| entry.media_type == media::DOCKER_IMAGE);
    let annotated =
        list.entries.iter().any(|entry| !entry.annotations.is_empty()) || !list.annotations.is_empty();
    let by_itself = if docker_images && !annotated { ListKind::Docker } else { ListKind::Oci };
    let format = (list.kind != by_itself).then_some(match list.kind {
        ListKind::Docker => "docker",
        ListKind::Oci => "oci",
    });
    let repository = reference.repository.to_string();
    let target = NewTarget {
        name: name_of(&repository),
        repositories: vec![repository],
        tags: vec![tag.clone()],
        platforms,
        format,
        undeclared: (left > 0).then_some("keep"),
        annotations: literal_values(&list.annotations),
        ..NewTarget::default()
    };
    Ok(Imported { targets: vec![target], notes })
}

type Annotations = std::collections::BTreeMap<String, String>;

fn literal_values(annotations: &Annotations) -> Annotations {
    annotations.iter().map(|(key, value)| (key.clone(), literal(value))).collect()
}
