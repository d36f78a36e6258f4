use std::path::Path;

use super::*;
use crate::config::{Facts, Strictness, read};

const TEXT: &str = "[target.app]\nrepository = \"ghcr.io/acme/app\"\ntags = [\"1\"]\n\
                    platforms = [\"linux/amd64\", \"linux/arm64\"]\nbuild = {}\n";

fn declaration() -> Declaration {
    let facts = Facts { git_sha: Ok("abc".to_owned()), ..Facts::default() };
    read(Path::new("/src/manifests.toml"), TEXT).unwrap().resolve(&facts, Strictness::Release).unwrap()
}

fn pushed(platform: &str) -> PushedImage {
    PushedImage {
        target: "app".to_owned(),
        platform: platform.to_owned(),
        reference: format!("ghcr.io/acme/app:1-{}", platform.replace('/', "-")),
        digest: Digest::of(platform.as_bytes()),
        fingerprint: None,
        checked: Checks::default(),
        bases: BTreeMap::new(),
    }
}

fn file(name: &str, platforms: &[&str]) -> (String, Metadata) {
    let images = platforms.iter().map(|platform| pushed(platform)).collect();
    (name.to_owned(), Metadata::new(Some("abc".to_owned()), TEXT, images))
}

#[test]
fn every_image_comes_from_one_file() {
    let files = [file("a.json", &["linux/amd64"]), file("b.json", &["linux/arm64"])];
    let images = together(&declaration(), TEXT, &files, |_| true).unwrap();
    assert_eq!(images[&("app".to_owned(), 1)], pushed("linux/arm64"));
    assert_eq!(images.len(), 2);
    for (name, metadata) in &files {
        assert_eq!(Metadata::parse(name, &metadata.to_text()).as_ref(), Ok(metadata));
    }
}

/// One machine pushes everything, and one target is wanted of it.
#[test]
fn images_of_targets_that_are_not_wanted_may_be_in_the_files() {
    let text = format!("{TEXT}{}", TEXT.replace("app", "other"));
    let facts = Facts { git_sha: Ok("abc".to_owned()), ..Facts::default() };
    let document = read(Path::new("/src/manifests.toml"), &text).unwrap();
    let declaration = document.resolve(&facts, Strictness::Release).unwrap();
    let of = |target: &str, platform: &str| PushedImage {
        target: target.to_owned(),
        reference: pushed(platform).reference.replace("app", target),
        ..pushed(platform)
    };
    let file = |targets: &[&str]| {
        let images = targets.iter().flat_map(|target| ["linux/amd64", "linux/arm64"].map(|p| of(target, p)));
        ("all.json".to_owned(), Metadata::new(Some("abc".to_owned()), &text, images.collect()))
    };
    for (targets, wanted, expected) in [
        (&["app", "other"][..], &["app", "other"][..], Ok(4)),
        (&["app", "other"], &["app"], Ok(2)),
        (&["other", "app"], &["other"], Ok(2)),
        (&["app"], &["app"], Ok(2)),
        (&["app"], &["other"], Err("none of all.json has other for linux/amd64")),
        (&["app"], &["app", "other"], Err("none of all.json has other for linux/amd64")),
        (
            &["app", "nobody"],
            &["app"],
            Err("all.json has nobody for linux/amd64, which is not declared as built"),
        ),
    ] {
        let is_wanted = |target: &str| wanted.contains(&target);
        let found = together(&declaration, &text, &[file(targets)], is_wanted);
        let found = found.map(|found| found.len()).map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned), "{targets:?} for {wanted:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused_by_the_name_of_its_file() {
    let other_revision = |(name, metadata): (String, Metadata)| {
        (name, Metadata { revision: Some("def".to_owned()), ..metadata })
    };
    let mut elsewhere = file("b.json", &["linux/arm64"]);
    elsewhere.1.images[0].reference = "ghcr.io/acme/other:1".to_owned();
    for (files, message) in [
        (vec![file("a.json", &["linux/amd64"])], "none of a.json has app for linux/arm64"),
        (
            vec![file("a.json", &["linux/amd64"]), file("b.json", &["linux/arm64", "linux/amd64"])],
            "b.json has app for linux/amd64, which a.json has already",
        ),
        (
            vec![file("a.json", &["linux/386"])],
            "a.json has app for linux/386, which is not declared as built",
        ),
        (vec![elsewhere], "b.json has app for linux/arm64, which is not declared as built"),
        (vec![other_revision(file("a.json", &["linux/amd64"]))], "a.json is of revision def, expected abc"),
    ] {
        assert_eq!(together(&declaration(), TEXT, &files, |_| true).unwrap_err().to_string(), message);
    }
    let files = [file("a.json", &["linux/amd64", "linux/arm64"])];
    let error = together(&declaration(), &format!("{TEXT}# changed\n"), &files, |_| true).unwrap_err();
    assert_eq!(error.to_string(), "a.json was made with another declaration than the one here");
    let error = Metadata::parse("a.json", "{}").unwrap_err().to_string();
    assert!(error.starts_with("a.json is not what `push --metadata-file` writes: missing field"), "{error}");
    let newer = files[0].1.to_text().replace("\"version\": 1", "\"version\": 2");
    assert!(Metadata::parse("a.json", &newer).unwrap_err().to_string().contains("version 2"));
}
