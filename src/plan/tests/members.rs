//! What a published list says besides what is declared: it stays, or goes by name.

use serde_json::{Map, Value, json};

use super::*;

fn members(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else { panic!("no object") };
    members
}

/// A released index of two images, with members that nothing declares, and its target.
fn foreign() -> (Target, ObservedTarget) {
    let mut target = target(&["linux/amd64", "linux/arm64"]);
    target.format = Format::Oci;
    let mut observed = published(&target);
    let mut list = observed.places[0].tags[0].list().unwrap().list.clone();
    list.other = members(
        json!({ "artifactType": "a/b", "subject": { "digest": "sha256:x" }, "x-list": { "a": [1, null] } }),
    );
    for entry in &mut list.entries {
        entry.other = members(json!({ "data": "YQ==", "artifactType": "c/d", "x-entry": 1 }));
        entry.urls = vec!["https://elsewhere.test".to_owned()];
        entry.platform.as_mut().unwrap().other = members(json!({ "features": ["sse4"], "x-platform": true }));
    }
    observed.places[0].tags[0] = serve(&list.to_bytes());
    (target, observed)
}

fn served(observed: &ObservedTarget) -> List {
    observed.places[0].tags[0].list().unwrap().list.clone()
}

fn rebuilt(observed: &mut ObservedTarget, index: usize) {
    let ObservedImage::Found(image) = &mut observed.images[index] else { panic!() };
    image.descriptor.digest = Digest::of(b"rebuilt");
}

#[test]
fn a_foreign_list_that_means_the_same_stays() {
    let (target, observed) = foreign();
    assert_eq!(diff(&target, &observed), ["= linux/amd64", "= linux/arm64", "= :1.0"]);
}

#[test]
fn when_an_image_changes_only_what_was_about_it_goes_and_is_named() {
    let (target, mut observed) = foreign();
    let before = served(&observed);
    rebuilt(&mut observed, 0);
    let gone = ["`urls`", "`artifactType`", "`data`", "`x-entry`"]
        .map(|name| format!("{name} is dropped, which was about the old image"))
        .join(", ");
    let expected =
        [format!("~ linux/amd64 (digest, {gone})"), "= linux/arm64".to_owned(), "~ :1.0".to_owned()];
    assert_eq!(diff(&target, &observed), expected);
    let after = served(&observed_after(&target, &observed));
    assert_eq!(after.other, before.other);
    assert_eq!(after.entries[1], before.entries[1]);
    let (old, new) = (&before.entries[0], &after.entries[0]);
    assert_eq!(new.platform, old.platform);
    assert!(new.other.is_empty() && new.urls.is_empty());
}

#[test]
fn when_only_the_declaration_changes_everything_else_stays() {
    let (mut target, observed) = foreign();
    let before = served(&observed);
    target.images[0].annotations.insert("k".to_owned(), "v".to_owned());
    assert_eq!(diff(&target, &observed)[0], "~ linux/amd64 (annotation k none → \"v\")");
    let mut expected = before.clone();
    expected.entries[0].annotations.insert("k".to_owned(), "v".to_owned());
    assert_eq!(served(&observed_after(&target, &observed)), expected);
}

#[test]
fn another_type_of_list_drops_what_it_has_no_place_for_by_name() {
    let (mut target, mut observed) = foreign();
    let mut list = served(&observed);
    for about in [list.entries[0].digest.clone(), Digest::of(b"not listed")] {
        let mut attestation = Descriptor::new(media::OCI_IMAGE, Digest::of(about.as_str().as_bytes()), 1);
        attestation.annotations = BTreeMap::from([
            (REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned()),
            (REFERENCE_DIGEST.to_owned(), about.to_string()),
        ]);
        list.entries.push(attestation);
    }
    observed.places[0].tags[0] = serve(&list.to_bytes());
    assert_eq!(diff(&target, &observed).len(), 3, "attestations alone change nothing");
    target.format = Format::Docker;
    let short = |index: usize| list.entries[index].digest.short();
    let stray = Digest::of(b"not listed").short();
    assert_eq!(
        diff(&target, &observed)[2..],
        [
            "~ list: type image index → manifest list".to_owned(),
            "~ list: `artifactType` is dropped: a manifest list does not have it".to_owned(),
            "~ list: `subject` is dropped: a manifest list does not have it".to_owned(),
            format!("~ list: attestation {} is dropped: a manifest list cannot hold it", short(2)),
            format!("~ list: attestation {} is dropped: it is about {stray}, which is not listed", short(3)),
            "~ :1.0".to_owned(),
        ]
    );
    let after = served(&observed_after(&target, &observed));
    assert_eq!(after.other.keys().collect::<Vec<_>>(), ["x-list"]);
    assert_eq!(after.entries[..], list.entries[..2]);
}

#[test]
fn before_a_build_the_plan_says_what_goes_with_the_old_image() {
    let (target, mut observed) = foreign();
    observed.images[0] = ObservedImage::Pending;
    let plan = plan(&target, &observed, Options::default());
    assert_eq!(
        plan.notes,
        [
            "the entry for linux/amd64 in registry.test/team/app has `urls`, `artifactType`, `data`, `x-entry`, which is \
          dropped if its image changes"
        ]
    );
}
