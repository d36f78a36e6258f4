//! Any declaration against anything that may be published converges in one apply, and the next run changes nothing.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

const PLATFORMS: [&str; 7] = [
    "linux/amd64",
    "linux/amd64/v3",
    "linux/arm64",
    "linux/arm/v7",
    "linux/arm/v6",
    "windows(10.0.1)/amd64",
    "windows(10.0.2)/amd64",
];

/// A target with everything that a declaration can say about a list of existing images.
fn declared() -> impl Strategy<Value = Target> {
    let platforms = subsequence(PLATFORMS.to_vec(), 1..=PLATFORMS.len()).prop_shuffle();
    let entry = (option::of(select(vec!["a", "b"])), option::of(select(vec!["22.04", "24.04"])));
    let entries = vec(entry, PLATFORMS.len());
    let annotation = option::of(select(vec!["x", "y"]));
    let undeclared = select(vec![Undeclared::Keep, Undeclared::Remove]);
    let attestations = select(vec![Attestations::Keep, Attestations::Drop]);
    let format = select(vec![Format::Auto, Format::Docker, Format::Oci]);
    (platforms, entries, annotation, undeclared, attestations, format, 1usize..4).prop_map(
        |(platforms, entries, annotation, undeclared, attestations, format, tags)| {
            let mut target = target(&platforms);
            for (image, (annotation, version)) in target.images.iter_mut().zip(entries) {
                image.annotations.extend(annotation.map(|value| ("entry".to_owned(), value.to_owned())));
                if image.platform.os == "linux" {
                    image.platform.os_version = version.map(str::to_owned);
                }
            }
            target.annotations.extend(annotation.map(|value| ("list".to_owned(), value.to_owned())));
            let tag = |index| Tag { name: format!("t{index}"), policy: TagPolicy::Moving };
            target.tags = (0..tags).map(tag).collect();
            Target { undeclared, attestations, format, ..target }
        },
    )
}

/// What another tool, or another declaration, may have left under one tag.
fn published_list() -> impl Strategy<Value = List> {
    let entry = (any::<bool>(), option::of(select(vec!["a", "b"])), option::of(select(vec!["22.04", "1.2"])));
    let entries =
        (subsequence(PLATFORMS.to_vec(), 0..=PLATFORMS.len()).prop_shuffle(), vec(entry, PLATFORMS.len()));
    let kind = select(vec![ListKind::Docker, ListKind::Oci]);
    (kind, entries, any::<bool>(), any::<bool>(), option::of(select(vec!["x", "z"]))).prop_map(
        |(kind, (platforms, entries), attested, artifact, annotation)| {
            let mut list = List::new(kind);
            list.annotations.extend(annotation.map(|value| ("list".to_owned(), value.to_owned())));
            for (text, (same, annotation, version)) in platforms.into_iter().zip(entries) {
                let mut image = target(&[text]).images.remove(0);
                let content = if same { image.reference.to_string() } else { format!("another {text}") };
                if image.platform.os == "linux" {
                    image.platform.os_version = version.map(str::to_owned);
                }
                let mut entry = found(&image, &content).descriptor;
                entry.platform = Some(PlatformFields::from(&image.platform));
                entry.annotations.extend(annotation.map(|value| ("entry".to_owned(), value.to_owned())));
                // Members that nothing declares.
                entry.other.insert("data".to_owned(), text.into());
                entry.platform.iter_mut().for_each(|fields| {
                    fields.other.insert("features".to_owned(), text.into());
                });
                let attestation = attestation(&entry);
                list.entries.push(entry);
                if attested && kind == ListKind::Oci {
                    list.entries.push(attestation);
                }
            }
            if artifact {
                list.other.insert("artifactType".to_owned(), "a/b".into());
                list.other.insert("x".to_owned(), true.into());
                list.entries.push(Descriptor::new(media::OCI_IMAGE, Digest::of(b"an artifact"), 11));
            }
            list
        },
    )
}

fn attestation(image: &Descriptor) -> Descriptor {
    let content = format!("attestation of {}", image.digest);
    let mut entry = Descriptor::new(media::OCI_IMAGE, Digest::of(content.as_bytes()), content.len() as u64);
    entry.platform = Some(PlatformFields::from(&Platform::new("unknown", "unknown")));
    entry.annotations = BTreeMap::from([
        (REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned()),
        (REFERENCE_DIGEST.to_owned(), image.digest.to_string()),
    ]);
    entry
}

fn tag_state() -> impl Strategy<Value = ObservedTag> {
    let image = Descriptor::new(media::DOCKER_IMAGE, Digest::of(b"a plain image"), 13);
    prop_oneof![
        1 => Just(ObservedTag::Absent),
        1 => Just(ObservedTag::Image(image)),
        4 => published_list().prop_map(|list| serve(&list.to_bytes())),
    ]
}

/// A declaration and what its registries hold. Tags serve one of two states, so that some serve the same.
fn case() -> impl Strategy<Value = (Target, ObservedTarget)> {
    let states = (tag_state(), tag_state(), vec(any::<bool>(), 3));
    (declared(), states, vec(any::<bool>(), PLATFORMS.len()), any::<bool>()).prop_map(
        |(target, (one, other, which), attested, is_present)| {
            let mut observed = unpublished(&target);
            for (image, attested) in observed.images.iter_mut().zip(attested) {
                let ObservedImage::Found(found) = image else { continue };
                if attested {
                    found.attestations = vec![attestation(&found.descriptor)];
                }
            }
            let place = &mut observed.places[0];
            for (state, first) in place.tags.iter_mut().zip(which) {
                *state = if first { one.clone() } else { other.clone() };
            }
            if !is_present {
                place.present.clear();
            }
            (target, observed)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn one_apply_converges((target, observed) in case()) {
        let first = plan(&target, &observed, Options::default());
        prop_assert_eq!(&first, &plan(&target, &observed, Options::default()), "the same values, the same plan");
        if !first.problems.is_empty() {
            for problem in &first.problems {
                prop_assert!(problem.message.contains("Docker manifest list"), "{}", problem.message);
            }
            prop_assert!(first.places.iter().all(|place| place.list.is_none() && place.copies.is_empty()));
            return Ok(());
        }
        let after = apply(&first, observed.clone());
        let served = after.places[0].baseline(&target).unwrap();
        for tag in &after.places[0].tags {
            prop_assert_eq!(tag.digest(), Some(&served.descriptor.digest), "all tags serve one list");
        }
        means_what_is_declared(&target, &observed, &served.list)?;
        what_is_lost_is_named(&target, &observed, &first.places[0], &served.list)?;

        let second = plan(&target, &after, Options::default());
        prop_assert_eq!(&second.problems, &Vec::new());
        prop_assert!(!second.is_change(), "{:?}", diff(&target, &after));
    }
}

/// The declared entries, each once, as declared; of the others those that stay, with all that they said.
fn means_what_is_declared(
    target: &Target,
    before: &ObservedTarget,
    list: &List,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(&list.annotations, &target.annotations);
    let mut declared = Vec::new();
    for (image, observed) in target.images.iter().zip(&before.images) {
        let ObservedImage::Found(found) = observed else { unreachable!("all were found") };
        let fitting: Vec<&Descriptor> = list
            .entries
            .iter()
            .filter(
                |entry| matches!(entry.role(), Role::Image(platform) if platform.same_as(&image.platform)),
            )
            .collect();
        prop_assert_eq!(fitting.len(), 1, "{} is listed once", &image.platform);
        prop_assert_eq!(&fitting[0].digest, &found.descriptor.digest);
        prop_assert_eq!(&fitting[0].annotations, &image.annotations);
        declared.push(fitting[0].clone());
    }
    let published =
        before.places[0].baseline(target).map(|published| published.list.entries.clone()).unwrap_or_default();
    for entry in &list.entries {
        match entry.role() {
            Role::Attestation(of) => {
                prop_assert!(
                    list.entries.iter().any(|image| image.digest == of),
                    "an attestation of nothing"
                );
            }
            _ if declared.contains(entry) => {}
            _ => {
                prop_assert_eq!(target.undeclared, Undeclared::Keep);
                prop_assert!(published.contains(entry), "kept as it was, with fields that nobody here knows");
            }
        }
    }
    Ok(())
}

/// Members that nothing declares stay, unless the plan says that they go.
fn what_is_lost_is_named(
    target: &Target,
    before: &ObservedTarget,
    place: &PlacePlan,
    list: &List,
) -> Result<(), TestCaseError> {
    let Some(published) = before.places[0].baseline(target) else { return Ok(()) };
    let named = |name: &str, said: &[String]| {
        said.iter().any(|line| line.starts_with(&format!("`{name}` is dropped")))
    };
    for (name, value) in &published.list.other {
        let kept = list.other.get(name) == Some(value);
        prop_assert!(kept != named(name, &place.list_changes), "{} {:?}", name, &place.list_changes);
    }
    for entry in &place.entries {
        if let EntryChange::Replace { from, entry, why } = &entry.change {
            let platform = |entry: &Descriptor| entry.platform.as_ref().map(|fields| fields.other.clone());
            prop_assert_eq!(platform(from), platform(entry));
            for (name, value) in &from.other {
                prop_assert!(
                    (entry.other.get(name) == Some(value)) != named(name, why),
                    "{} {:?}",
                    name,
                    why
                );
            }
        }
    }
    Ok(())
}

proptest! {
    /// What is written anew has its declared entries first and in the order of the declaration.
    #[test]
    fn entries_come_in_the_order_of_the_declaration(target in declared()) {
        let observed = unpublished(&target);
        let plan = plan(&target, &observed, Options::default());
        prop_assume!(plan.problems.is_empty());
        let after = apply(&plan, observed);
        let list = &after.places[0].baseline(&target).unwrap().list;
        let platforms: Vec<Platform> = list
            .entries
            .iter()
            .filter_map(|entry| match entry.role() {
                Role::Image(platform) => Some(platform.normal()),
                _ => None,
            })
            .collect();
        let wanted: Vec<Platform> = target.images.iter().map(|image| image.platform.normal()).collect();
        prop_assert_eq!(platforms, wanted);
        prop_assert_eq!(list.to_bytes(), list.to_bytes());
    }
}
