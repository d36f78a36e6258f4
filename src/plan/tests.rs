//! The planner's behaviour as diffs. Each case builds what is declared, derives what a registry serves after it was
//! published, and changes one side. The first case is the one that changes nothing.

mod interrupted;
mod invariants;
mod members;
mod policies;

use std::collections::BTreeSet;

use super::*;
use crate::config::{BinaryCheck, Image};
use crate::model::manifest::{ImageConfig, PlatformFields, REFERENCE_DIGEST, REFERENCE_TYPE, Role};
use crate::model::platform::Platform;

/// A target with existing images for `platforms` in the list's own repository.
pub(super) fn target(platforms: &[&str]) -> Target {
    let repository: Repository = "registry.test/team/app".parse().unwrap();
    Target {
        name: "app".to_owned(),
        repositories: vec![repository.clone()],
        tags: vec![Tag { name: "1.0".to_owned(), policy: TagPolicy::Moving }],
        images: platforms
            .iter()
            .map(|text| {
                let platform: Platform = text.parse().unwrap();
                Image {
                    reference: repository.tag(&platform.dashed()),
                    platform,
                    build: None,
                    smoke: None,
                    annotations: BTreeMap::new(),
                }
            })
            .collect(),
        undeclared: Undeclared::Known,
        attestations: Attestations::Keep,
        format: Format::Auto,
        annotations: BTreeMap::new(),
        binary_check: BinaryCheck::Error,
        version: Some(semver::Version::new(1, 0, 0)),
    }
}

fn found(image: &Image, content: &str) -> FoundImage {
    FoundImage {
        descriptor: Descriptor::new(media::DOCKER_IMAGE, Digest::of(content.as_bytes()), 700),
        config: ImageConfig { platform: image.platform.normal(), labels: BTreeMap::new() },
        attestations: Vec::new(),
        source: image.reference.repository.clone(),
    }
}

/// Every image found, no tag there.
fn unpublished(target: &Target) -> ObservedTarget {
    let images: Vec<FoundImage> =
        target.images.iter().map(|image| found(image, &image.reference.to_string())).collect();
    let present = images.iter().map(|image| image.descriptor.digest.clone());
    ObservedTarget {
        places: target
            .repositories
            .iter()
            .map(|repository| ObservedPlace {
                repository: repository.clone(),
                tags: target.tags.iter().map(|_| ObservedTag::Absent).collect(),
                present: present.clone().collect(),
                released: Released::default(),
            })
            .collect(),
        images: images.into_iter().map(ObservedImage::Found).collect(),
        known: BTreeSet::new(),
        referrers: Referrers::default(),
        unserved: BTreeMap::new(),
    }
}

fn serve(bytes: &[u8]) -> ObservedTag {
    let crate::model::manifest::Manifest::List(list) = crate::model::manifest::parse(bytes, "").unwrap()
    else {
        panic!("no list")
    };
    ObservedTag::List(Box::new(PublishedList {
        descriptor: Descriptor::new(list.kind.media_type(), Digest::of(bytes), bytes.len() as u64),
        bytes: bytes.to_vec(),
        list,
        configs: BTreeMap::new(),
    }))
}

/// What the registry serves after `target` was released: the plan applied to a registry of values.
fn published(target: &Target) -> ObservedTarget {
    apply(&plan(target, &unpublished(target), Options::default()), unpublished(target))
}

fn apply(plan: &TargetPlan, mut observed: ObservedTarget) -> ObservedTarget {
    assert_eq!(plan.problems, Vec::new());
    for (place, observed) in plan.places.iter().zip(&mut observed.places) {
        let list = place.list.as_ref().expect("nothing pending");
        observed.present.extend(place.copies.iter().map(|copy| copy.manifest.digest.clone()));
        for (tag, state) in place.tags.iter().zip(&mut observed.tags) {
            if tag.action.is_write() {
                *state = serve(&list.bytes);
            }
        }
    }
    observed
}

/// The diff in a few characters, for reading in a test.
fn diff(target: &Target, observed: &ObservedTarget) -> Vec<String> {
    let plan = plan(target, observed, Options::default());
    let mut lines = Vec::new();
    for place in &plan.places {
        for entry in &place.entries {
            lines.push(match &entry.change {
                EntryChange::Keep { .. } => format!("= {}", entry.name),
                EntryChange::Add { .. } => format!("+ {}", entry.name),
                EntryChange::Replace { why, .. } => format!("~ {} ({})", entry.name, why.join(", ")),
                EntryChange::Remove { .. } => format!("- {}", entry.name),
                EntryChange::Pending { .. } => format!("? {}", entry.name),
                EntryChange::Undecided { .. } => format!("! {}", entry.name),
            });
        }
        lines.extend(place.list_changes.iter().map(|change| format!("~ list: {change}")));
        for tag in &place.tags {
            lines.push(match &tag.action {
                TagAction::Unchanged { .. } => format!("= :{}", tag.name),
                TagAction::Create { .. } => format!("+ :{}", tag.name),
                TagAction::Replace { .. } => format!("~ :{}", tag.name),
                TagAction::ReplaceImage { .. } => format!("~ :{} image → list", tag.name),
                TagAction::Skipped { why, .. } => format!("  :{} ({why})", tag.name),
                TagAction::Pending { .. } => format!("? :{}", tag.name),
                TagAction::Blocked { .. } => format!("! :{}", tag.name),
            });
        }
    }
    lines.extend(plan.problems.iter().map(|problem| format!("error: {}", problem.message)));
    lines
}

#[test]
fn what_is_published_as_declared_stays() {
    let target = target(&["linux/amd64", "linux/arm64"]);
    let observed = published(&target);
    assert_eq!(diff(&target, &observed), ["= linux/amd64", "= linux/arm64", "= :1.0"]);
    assert!(!plan(&target, &observed, Options::default()).is_change());
}

#[test]
fn what_is_not_published_is_created() {
    let target = target(&["linux/amd64", "linux/arm64"]);
    assert_eq!(diff(&target, &unpublished(&target)), ["+ linux/amd64", "+ linux/arm64", "+ :1.0"]);
}

#[test]
fn a_changed_image_replaces_its_entry_alone() {
    let target = target(&["linux/amd64", "linux/arm64"]);
    let mut observed = published(&target);
    observed.images[1] = ObservedImage::Found(found(&target.images[1], "another build"));
    assert_eq!(diff(&target, &observed), ["= linux/amd64", "~ linux/arm64 (digest)", "~ :1.0"]);
}

#[test]
fn a_platform_comes_and_goes() {
    let two = target(&["linux/amd64", "linux/arm64"]);
    let mut three = target(&["linux/amd64", "linux/arm64", "linux/arm/v7"]);
    let mut observed = unpublished(&three);
    observed.places[0].tags = published(&two).places[0].tags.clone();
    assert_eq!(diff(&three, &observed), ["= linux/amd64", "= linux/arm64", "+ linux/arm/v7", "~ :1.0"]);

    let all = published(&three);
    let mut less = target(&["linux/amd64", "linux/arm64"]);
    let mut observed = unpublished(&less);
    observed.places[0].tags = all.places[0].tags.clone();
    let refused = "error: registry.test/team/app also lists linux/arm/v7, which target app does not declare \
                   and the lock does not say that they were published from here";
    assert_eq!(
        diff(&less, &observed),
        ["= linux/amd64", "= linux/arm64", "! linux/arm/v7", "~ :1.0", refused]
    );
    let mut locked = observed.clone();
    let lists = observed.places[0].tags[0].list().unwrap();
    locked.known = lists.list.entries.iter().map(|entry| entry.digest.clone()).collect();
    assert_eq!(diff(&less, &locked), ["= linux/amd64", "= linux/arm64", "- linux/arm/v7", "~ :1.0"]);
    less.undeclared = Undeclared::Remove;
    assert_eq!(diff(&less, &observed), ["= linux/amd64", "= linux/arm64", "- linux/arm/v7", "~ :1.0"]);
    less.undeclared = Undeclared::Keep;
    assert_eq!(diff(&less, &observed), ["= linux/amd64", "= linux/arm64", "= linux/arm/v7", "= :1.0"]);

    three.images.remove(0);
    three.images[0].platform.os_version = Some("ubuntu22.04".to_owned());
    let mut observed = unpublished(&three);
    observed.places[0].tags = all.places[0].tags.clone();
    three.undeclared = Undeclared::Remove;
    assert_eq!(
        diff(&three, &observed),
        [
            "~ linux(ubuntu22.04)/arm64 (os.version none → ubuntu22.04)",
            "= linux/arm/v7",
            "- linux/amd64",
            "~ :1.0"
        ]
    );
}

#[test]
fn nothing_is_made_up_before_a_build() {
    let mut target = target(&["linux/amd64", "linux/arm64"]);
    target.images[0].build = Some(crate::config::Build::default());
    let mut observed = published(&target);
    observed.images[0] = ObservedImage::Pending;
    assert_eq!(diff(&target, &observed), ["? linux/amd64", "= linux/arm64", "? :1.0"]);
    let plan = plan(&target, &observed, Options::default());
    assert!(plan.is_pending() && plan.is_change());
}

#[test]
fn every_missing_and_wrong_image_is_named_and_nothing_is_planned() {
    let target = target(&["linux/amd64", "linux/arm64", "linux/arm/v7"]);
    let mut observed = unpublished(&target);
    observed.images[0] = ObservedImage::Absent;
    observed.images[2] = ObservedImage::Absent;
    let mut wrong = found(&target.images[1], "x");
    wrong.config.platform = "linux/amd64".parse().unwrap();
    observed.images[1] = ObservedImage::Found(wrong);
    let plan = plan(&target, &observed, Options::default());
    let messages: Vec<&str> = plan.problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "2 images of target app not in the registry: registry.test/team/app:linux-amd64, \
             registry.test/team/app:linux-arm-v7",
            "registry.test/team/app:linux-arm64 is declared as linux/arm64, but its configuration says linux/amd64",
        ]
    );
    assert!(plan.places[0].list.is_none() && plan.places[0].copies.is_empty());
}

#[test]
fn a_list_of_another_tool_stays_when_all_tags_serve_it() {
    let mut target = target(&["linux/amd64", "linux/arm64"]);
    target.tags.push(Tag { name: "latest".to_owned(), policy: TagPolicy::Moving });
    let ours = published(&target);
    let mut list = ours.places[0].tags[0].list().unwrap().list.clone();
    list.entries.reverse();
    let theirs = serve(
        &serde_json::to_vec(&serde_json::from_slice::<serde_json::Value>(&list.to_bytes()).unwrap()).unwrap(),
    );

    let mut observed = ours.clone();
    observed.places[0].tags = vec![theirs.clone(), theirs.clone()];
    assert_eq!(diff(&target, &observed), ["= linux/amd64", "= linux/arm64", "= :1.0", "= :latest"]);

    observed.places[0].tags = vec![theirs.clone(), ObservedTag::Absent];
    assert_eq!(diff(&target, &observed), ["= linux/amd64", "= linux/arm64", "~ :1.0", "+ :latest"]);

    target.tags[0].policy = TagPolicy::Immutable;
    assert_eq!(diff(&target, &observed), ["= linux/amd64", "= linux/arm64", "= :1.0", "+ :latest"]);
}

#[test]
fn attestations_follow_their_image_and_alone_change_nothing() {
    let mut target = target(&["linux/amd64"]);
    let mut observed = unpublished(&target);
    let ObservedImage::Found(image) = &mut observed.images[0] else { panic!() };
    image.descriptor.media_type = media::OCI_IMAGE.to_owned();
    let mut attestation = Descriptor::new(media::OCI_IMAGE, Digest::of(b"attestation"), 800);
    attestation.platform = Some(PlatformFields::from(&Platform::new("unknown", "unknown")));
    attestation.annotations = BTreeMap::from([
        (REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned()),
        (REFERENCE_DIGEST.to_owned(), image.descriptor.digest.to_string()),
    ]);
    let bare = observed_after(&target, &observed);
    let ObservedImage::Found(image) = &mut observed.images[0] else { panic!() };
    image.attestations = vec![attestation.clone()];

    let attested = observed_after(&target, &observed);
    let list = attested.places[0].tags[0].list().unwrap();
    assert_eq!(list.list.entries.len(), 2);
    assert_eq!(list.list.entries[1], attestation);
    assert!(attested.places[0].present.contains(&attestation.digest), "it is brought along");

    let mut bare_list = attested.clone();
    bare_list.places[0].tags = bare.places[0].tags.clone();
    assert_eq!(diff(&target, &bare_list), ["= linux/amd64", "= :1.0"], "alone no reason to rewrite");

    target.attestations = Attestations::Drop;
    assert_eq!(observed_after(&target, &observed).places[0].tags[0].list().unwrap().list.entries.len(), 1);
    target.attestations = Attestations::Keep;
    target.format = Format::Docker;
    assert_eq!(plan(&target, &observed, Options::default()).problems.len(), 1);
}

fn observed_after(target: &Target, observed: &ObservedTarget) -> ObservedTarget {
    apply(&plan(target, observed, Options::default()), observed.clone())
}

#[test]
fn the_type_follows_the_published_list_then_the_images() {
    let mut target = target(&["linux/amd64"]);
    let mut observed = unpublished(&target);
    let kind = |target: &Target, observed: &ObservedTarget| {
        plan(target, observed, Options::default()).places[0].list.as_ref().map(|list| list.kind)
    };
    assert_eq!(kind(&target, &observed), Some(ListKind::Docker));
    let docker = observed_after(&target, &observed);
    let ObservedImage::Found(image) = &mut observed.images[0] else { panic!() };
    image.descriptor.media_type = media::OCI_IMAGE.to_owned();
    assert_eq!(kind(&target, &observed), Some(ListKind::Oci));
    observed.places[0].tags = docker.places[0].tags.clone();
    assert_eq!(kind(&target, &observed), Some(ListKind::Docker), "the published list's type");
    target.annotations.insert("a".to_owned(), "b".to_owned());
    assert_eq!(kind(&target, &observed), None, "a Docker list has no annotations");
    target.format = Format::Oci;
    assert_eq!(kind(&target, &observed), Some(ListKind::Oci));
    assert_eq!(
        diff(&target, &observed)[1..3],
        ["~ list: type manifest list → image index", "~ list: annotation a none → \"b\""]
    );
}

#[test]
fn images_of_other_repositories_are_copied_once() {
    let mut target = target(&["linux/amd64", "linux/arm64"]);
    target.repositories.push("second.test/app".parse().unwrap());
    let mut observed = unpublished(&target);
    let kept = observed.places[0].present.first().cloned().unwrap();
    observed.places[0].present.retain(|digest| *digest == kept);
    observed.places[1].present.clear();
    let plan = plan(&target, &observed, Options::default());
    let copies: Vec<usize> = plan.places.iter().map(|place| place.copies.len()).collect();
    assert_eq!(copies, [1, 2]);
    assert_eq!(plan.places[0].list, plan.places[1].list, "the same bytes everywhere");
}

#[test]
fn a_declared_reference_that_does_not_serve_its_image_is_written() {
    let target = target(&["linux/amd64"]);
    let mut observed = published(&target);
    let references = |observed: &ObservedTarget| {
        let plan = plan(&target, observed, Options::default());
        assert_eq!(plan.is_change(), !plan.references.is_empty());
        plan.references
    };
    assert_eq!(references(&observed), [], "it serves its image");

    let other = Digest::of(b"other");
    observed.unserved = BTreeMap::from([(0, Unserved { serves: Some(other.clone()), copy: None })]);
    let ObservedImage::Found(image) = &observed.images[0] else { panic!() };
    let image = image.clone();
    let written = references(&observed);
    assert_eq!(
        (written[0].digest(), written[0].media_type()),
        (image.descriptor.digest.clone(), media::DOCKER_IMAGE)
    );
    assert_eq!((written[0].serves.as_ref(), written[0].copies.len()), (Some(&other), 0));

    // From another repository it is copied.
    let from: Repository = "r.test/elsewhere".parse().unwrap();
    let copy = ObservedCopy {
        from: from.clone(),
        to: target.images[0].reference.repository.clone(),
        manifests: vec![image.descriptor.clone()],
        present: BTreeSet::new(),
        referrers: Referrers::default(),
    };
    observed.unserved = BTreeMap::from([(0, Unserved { serves: None, copy: Some(copy) })]);
    let copies = references(&observed)[0].copies.clone();
    assert_eq!(copies.iter().map(|copy| &copy.from).collect::<Vec<_>>(), [&from]);

    // Its attestations stay beside it, in an index that is the same each time.
    let mut attestation = Descriptor::new(media::OCI_IMAGE, Digest::of(b"attestation"), 800);
    attestation.platform = Some(PlatformFields::from(&Platform::new("unknown", "unknown")));
    let ObservedImage::Found(found) = &mut observed.images[0] else { panic!() };
    found.attestations = vec![attestation];
    let mut target = target.clone();
    target.format = Format::Oci;
    let attested = plan(&target, &observed, Options::default()).references;
    assert_eq!(attested, plan(&target, &observed, Options::default()).references);
    assert_eq!(attested[0].media_type(), media::OCI_INDEX);
    assert_ne!(attested[0].digest(), image.descriptor.digest);

    observed.images[0] = ObservedImage::Unusable("it is gone".to_owned());
    assert_eq!(plan(&target, &observed, Options::default()).references, []);
}
