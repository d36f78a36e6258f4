//! What the policy of a tag allows: moving, immutable, newest.

use super::*;

#[test]
fn a_tag_that_holds_an_image_becomes_a_list_unless_it_is_immutable() {
    let mut target = target(&["linux/amd64"]);
    let mut observed = unpublished(&target);
    let ObservedImage::Found(image) = &observed.images[0] else { panic!() };
    observed.places[0].tags = vec![ObservedTag::Image(image.descriptor.clone())];
    assert_eq!(diff(&target, &observed), ["+ linux/amd64", "~ :1.0 image → list"]);
    target.tags[0].policy = TagPolicy::Immutable;
    assert_eq!(
        diff(&target, &observed),
        [
            "+ linux/amd64",
            "! :1.0",
            "error: registry.test/team/app:1.0 is immutable and serves a plain image, not a list"
        ]
    );
}

#[test]
fn an_immutable_tag_is_never_rewritten() {
    let mut target = target(&["linux/amd64"]);
    target.tags[0].policy = TagPolicy::Immutable;
    let mut observed = published(&target);
    assert_eq!(diff(&target, &observed), ["= linux/amd64", "= :1.0"]);
    observed.images[0] = ObservedImage::Found(found(&target.images[0], "another build"));
    assert_eq!(
        diff(&target, &observed),
        [
            "~ linux/amd64 (digest)",
            "! :1.0",
            "error: registry.test/team/app:1.0 is immutable and serves another list than the one declared"
        ]
    );
}

#[test]
fn newest_moves_to_the_highest_release_only() {
    let mut target = target(&["linux/amd64"]);
    target.tags.push(Tag { name: "latest".to_owned(), policy: TagPolicy::Newest });
    let mut observed = unpublished(&target);
    for (version, released, expected) in [
        ("1.2.0", &[][..], "+ :latest"),
        ("1.2.0", &["1.1.9", "1.2.0"], "+ :latest"),
        ("1.2.0", &["1.10.0"], "  :latest (1.10.0 is released and newer than 1.2.0)"),
        ("1.2.0", &["2.0.0-rc.1"], "+ :latest"),
        ("1.3.0-rc.1", &[], "  :latest (1.3.0-rc.1 is a prerelease)"),
    ] {
        target.version = Some(version.parse().unwrap());
        observed.places[0].released =
            Released::Versions(released.iter().map(|text| text.parse().unwrap()).collect());
        assert_eq!(diff(&target, &observed)[2], expected, "{version} {released:?}");
    }
}

#[test]
fn the_list_at_a_newest_tag_says_its_version() {
    let mut target = target(&["linux/amd64", "linux/arm64"]);
    target.tags = vec![Tag { name: "latest".to_owned(), policy: TagPolicy::Newest }];
    target.version = Some("2.0.0".parse().unwrap());
    target.annotations.insert(VERSION.to_owned(), "2.0.0".to_owned());
    let annotated = published(&target);
    target.annotations.clear();
    let mut bare = published(&target);

    // Only `latest` exists, and it is of version 2.
    target.version = Some("1.9.1".parse().unwrap());
    let mut observed = unpublished(&target);
    observed.places[0].tags = annotated.places[0].tags.clone();
    let stays = "  :latest (2.0.0 is released and newer than 1.9.1)";
    assert_eq!(diff(&target, &observed), ["+ linux/amd64", "+ linux/arm64", stays]);

    // Without an annotation its images say it, when they agree.
    let ObservedTag::List(list) = &mut bare.places[0].tags[0] else { panic!() };
    for (entry, version) in list.list.entries.iter().zip(["2.0.0", "2.0.0"]) {
        let labels = BTreeMap::from([(VERSION.to_owned(), version.to_owned())]);
        list.configs.insert(entry.digest.clone(), ImageConfig { labels, ..ImageConfig::default() });
    }
    observed.places[0].tags = bare.places[0].tags.clone();
    observed.images[0] = ObservedImage::Found(found(&target.images[0], "another build"));
    assert_eq!(diff(&target, &observed).last().unwrap(), stays);
    let ObservedTag::List(list) = &mut observed.places[0].tags[0] else { panic!() };
    list.configs.values_mut().next().unwrap().labels.insert(VERSION.to_owned(), "3.19.1".to_owned());
    assert_eq!(diff(&target, &observed).last().unwrap(), "~ :latest");
    let notes = plan(&target, &observed, Options::default()).notes;
    assert!(notes[0].contains("app:latest does not say its version"), "{notes:?}");
}

#[test]
fn a_newest_tag_never_moves_to_an_older_version_than_it_serves() {
    let mut target = target(&["linux/amd64"]);
    target.tags = vec![Tag { name: "latest".to_owned(), policy: TagPolicy::Newest }];
    let incomparable = |served: &str| {
        format!("  :latest (it serves the version \"{served}\", which cannot be compared with 1.9.5)")
    };
    let newer = |served: &str| format!("  :latest ({served} is released and newer than 1.9.5)");
    for (served, expected) in [
        ("1.9.5", "~ :latest".to_owned()),
        ("1.9", "~ :latest".to_owned()),
        ("2.0", newer("2.0")),
        ("V2.0.0", newer("2.0.0")),
        ("2.0.0.1", newer("2.0.0.1")),
        ("2.0.0_build1", newer("2.0.0_build1")),
        ("2.0.0-alpine", newer("2.0.0-alpine")),
        ("99999999999999999999.0.0", newer("99999999999999999999.0.0")),
        ("release-2.0.0", incomparable("release-2.0.0")),
        ("nightly", incomparable("nightly")),
    ] {
        target.annotations.insert(VERSION.to_owned(), served.to_owned());
        // Somebody else's release of whatever version.
        target.tags[0].policy = TagPolicy::Moving;
        let latest = published(&target).places[0].tags[0].clone();
        target.annotations.insert(VERSION.to_owned(), "1.9.5".to_owned());
        let mut observed = published(&target);
        target.tags[0].policy = TagPolicy::Newest;
        observed.images[0] = ObservedImage::Found(found(&target.images[0], "another build"));
        observed.places[0].tags[0] = latest;
        assert_eq!(diff(&target, &observed).last(), Some(&expected), "{served}");
    }
    target.annotations.insert(VERSION.to_owned(), "nightly".to_owned());
    let unknown = "  :latest (the version of this release is not known)";
    assert_eq!(diff(&target, &unpublished(&target)).last().unwrap(), unknown);
}

#[test]
fn without_the_list_of_tags_a_newest_tag_is_compared_with_what_it_serves_or_the_run_stops() {
    let mut target = target(&["linux/amd64"]);
    target.tags = vec![Tag { name: "latest".to_owned(), policy: TagPolicy::Newest }];
    let declared = target.clone();
    let at = |version: &str| {
        let mut target = declared.clone();
        if !version.is_empty() {
            target.annotations.insert(VERSION.to_owned(), version.to_owned());
        }
        published(&target).places[0].tags[0].clone()
    };
    let image = found(&target.images[0], "a plain image").descriptor;
    let unreadable = || ObservedTag::Unreadable("403 Forbidden".to_owned());
    target.version = Some("1.1.5".parse().unwrap());
    for (served, first_publish, expected, note) in [
        (
            at("2.0.0"),
            false,
            "  :latest (2.0.0 is released and newer than 1.1.5)",
            "version that it serves, 2.0.0",
        ),
        (at("1.1.4"), false, "~ :latest", "version that it serves, 1.1.4"),
        (at(""), false, "! :latest", ""),
        (at(""), true, "! :latest", ""),
        (ObservedTag::Image(image), true, "! :latest", ""),
        (ObservedTag::Absent, false, "! :latest", ""),
        (ObservedTag::Absent, true, "+ :latest", "nothing is at"),
        (unreadable(), false, "! :latest", ""),
        (unreadable(), true, "+ :latest", "nothing is at"),
    ] {
        let mut observed = unpublished(&target);
        observed.places[0].released = Released::Unlisted("403 Forbidden".to_owned());
        observed.places[0].tags[0] = served;
        // To be built, or found: nothing is built before it is known whether it may be published.
        for built in [false, true] {
            observed.images[0] = match built {
                true => ObservedImage::Pending,
                false => ObservedImage::Found(found(&target.images[0], "another build")),
            };
            let plan = plan(&target, &observed, Options { first_publish, ..Options::default() });
            let context = format!("{expected} {first_publish} {built}: {:?} {:?}", plan.problems, plan.notes);
            assert_eq!(plan.problems.is_empty(), !expected.starts_with('!'), "{context}");
            let tag = &plan.places[0].tags[0];
            assert!(tag.release.is_none(), "{context}");
            match (&tag.action, built) {
                (TagAction::Blocked { .. }, _) => assert!(expected.starts_with('!'), "{context}"),
                (TagAction::Skipped { .. }, _) => assert!(expected.starts_with(' '), "{context}"),
                (TagAction::Pending { .. }, true) => assert!(expected.starts_with(['~', '+']), "{context}"),
                (TagAction::Replace { .. }, false) => assert!(expected.starts_with('~'), "{context}"),
                (TagAction::Create { .. }, false) => assert!(expected.starts_with('+'), "{context}"),
                _ => panic!("{context}"),
            }
            // What is still to be built is not written yet.
            if !note.is_empty() && (!built || note.starts_with("version")) {
                assert!(plan.notes.iter().any(|said| said.contains(note)), "{context}");
            }
        }
    }
}

#[test]
fn a_patch_for_an_older_release_is_not_compared_with_the_newest() {
    // The newest release has one platform more, which is no reason to ask what becomes of it.
    let mut newest = target(&["linux/amd64", "linux/riscv64"]);
    newest.annotations.insert(VERSION.to_owned(), "2.0.0".to_owned());
    let latest = published(&newest).places[0].tags[0].clone();
    let mut patch = target(&["linux/amd64"]);
    patch.version = Some("1.9.1".parse().unwrap());
    patch.tags = vec![
        Tag { name: "1.9.1".to_owned(), policy: TagPolicy::Immutable },
        Tag { name: "latest".to_owned(), policy: TagPolicy::Newest },
    ];
    let mut observed = unpublished(&patch);
    observed.places[0].tags[1] = latest;
    assert_eq!(
        diff(&patch, &observed),
        ["+ linux/amd64", "+ :1.9.1", "  :latest (2.0.0 is released and newer than 1.9.1)"]
    );
}

#[test]
fn a_registry_that_does_not_say_whether_a_tag_exists_stops_the_run() {
    let target = target(&["linux/amd64"]);
    let mut observed = unpublished(&target);
    observed.places[0].tags = vec![ObservedTag::Unreadable("403 Forbidden".to_owned())];
    assert_eq!(
        diff(&target, &observed),
        ["+ linux/amd64", "! :1.0", "error: registry.test/team/app:1.0 cannot be read: 403 Forbidden"]
    );
    let first = plan(&target, &observed, Options { first_publish: true, ..Options::default() });
    assert_eq!(
        (first.problems.len(), &first.places[0].tags[0].action),
        (0, &TagAction::Create { unseen: true })
    );
}

#[test]
fn an_immutable_tag_pins_the_images_of_its_revision() {
    let mut target = target(&["linux/amd64"]);
    target.tags[0].policy = TagPolicy::Immutable;
    target.images[0].build = Some(crate::config::Build::default());
    let nothing = BTreeSet::new();
    let of = |revision| Evidence { revision, recorded: &nothing };
    assert_eq!(pin(&target, &unpublished(&target), of(Some("abc"))), Pin::Free);

    let mut observed = published(&target);
    let conflict = |observed: &ObservedTarget, evidence: Evidence<'_>| match pin(&target, observed, evidence)
    {
        Pin::Conflict(problem) => problem.message,
        other => panic!("{other:?}"),
    };
    assert!(conflict(&observed, of(Some("abc"))).ends_with("the image for linux/amd64 cannot be read"));
    let ObservedTag::List(list) = &mut observed.places[0].tags[0] else { panic!() };
    let digest = list.list.entries[0].digest.clone();
    let config = ImageConfig { platform: Platform::new("linux", "amd64"), labels: BTreeMap::new() };
    list.configs.insert(digest.clone(), config);
    let mut labelled = observed.clone();
    let ObservedTag::List(list) = &mut labelled.places[0].tags[0] else { panic!() };
    let labels = BTreeMap::from([("org.opencontainers.image.revision".to_owned(), "abc".to_owned())]);
    list.configs.get_mut(&digest).unwrap().labels = labels;

    // By its label.
    assert!(conflict(&labelled, of(Some("def"))).ends_with("is of revision abc, this is def"));
    assert!(conflict(&labelled, of(None)).ends_with("the revision of this checkout is not known"));
    let digests = |pin: Pin| match pin {
        Pin::Pinned(images) => {
            images.into_iter().map(|image| image.map(|image| image.descriptor.digest)).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(digests(pin(&target, &labelled, of(Some("abc")))), [Some(digest.clone())]);

    // By what an earlier run recorded.
    assert!(conflict(&observed, of(Some("abc"))).ends_with("does not say its revision"));
    let recorded = BTreeSet::from([digest.clone()]);
    let earlier = Evidence { revision: Some("abc"), recorded: &recorded };
    assert_eq!(digests(pin(&target, &observed, earlier)), [Some(digest.clone())]);

    // Every declared platform must be listed; an image that is not built stays as declared.
    let mut more = target.clone();
    let arm64: Platform = "linux/arm64".parse().unwrap();
    more.images.push(Image { platform: arm64, ..more.images[0].clone() });
    assert!(matches!(pin(&more, &observed, earlier), Pin::Conflict(_)));
    let mut existing = target.clone();
    existing.images.push(Image { build: None, ..existing.images[0].clone() });
    assert_eq!(digests(pin(&existing, &observed, earlier)), [Some(digest), None]);
}

#[test]
fn what_is_neither_an_image_nor_a_list_is_never_replaced() {
    let target = target(&["linux/amd64"]);
    for policy in [TagPolicy::Moving, TagPolicy::Immutable, TagPolicy::Newest] {
        let mut target = target.clone();
        target.tags[0].policy = policy;
        let mut observed = unpublished(&target);
        observed.places[0].tags[0] = ObservedTag::Other {
            descriptor: Descriptor::new(media::OCI_IMAGE, Digest::of(b"a chart"), 7),
            what: "an artifact of type \"a/b\"".to_owned(),
        };
        let plan = plan(&target, &observed, Options::default());
        assert_eq!(
            plan.problems[0].message,
            "registry.test/team/app:1.0 serves an artifact of type \"a/b\", which a list would replace"
        );
        assert!(plan.places[0].list.is_none() && !plan.places[0].tags[0].action.is_write());
    }
}
