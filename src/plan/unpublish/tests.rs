use super::*;
use crate::model::manifest::{PlatformFields, REFERENCE_DIGEST, REFERENCE_TYPE};
use crate::plan::tests::target;

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

/// Entries named like platforms are images, `a-…` attestations, others lists.
fn entry(name: &str) -> Descriptor {
    let media_type = if name.contains('/') { media::OCI_IMAGE } else { media::OCI_INDEX };
    let mut entry = Descriptor::new(media_type, digest(name), 1);
    if let Ok(platform) = name.parse::<crate::model::platform::Platform>() {
        entry.platform = Some(PlatformFields::from(&platform));
    }
    if let Some(subject) = name.strip_prefix("a-") {
        entry.annotations.insert(REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned());
        entry.annotations.insert(REFERENCE_DIGEST.to_owned(), digest(subject).to_string());
    }
    entry
}

fn contents(tags: &[(&str, &str)], lists: &[(&str, &[&str])]) -> Contents {
    let tag = |(name, serves): &(&str, &str)| ((*name).to_owned(), digest(serves));
    let list =
        |(name, entries): &(&str, &[&str])| (digest(name), entries.iter().map(|name| entry(name)).collect());
    Contents {
        tags: tags.iter().map(tag).collect(),
        lists: lists.iter().map(list).collect(),
        ..Contents::empty(&"registry.test/team/app".parse().unwrap())
    }
}

/// Manifests of unknown types with what they name.
fn named(mut contents: Contents, named: &[(&str, &[&str])]) -> Contents {
    for (name, names) in named {
        contents.named.insert(digest(name), names.iter().map(|name| digest(name)).collect());
    }
    contents
}

/// The plan for one repository where nothing was kept.
fn alone(target: &Target, contents: &Contents) -> UnpublishPlan {
    unpublish(target, std::slice::from_ref(contents), &[Vec::new()])
}

#[test]
fn what_refers_to_a_manifest_goes_and_stays_with_it() {
    let target = target(&["linux/amd64"]);
    let lists: &[(&str, &[&str])] = &[("L", &["linux/amd64", "linux/arm64"])];
    let mut contents = contents(&[("1.0", "L"), ("2.0", "linux/amd64")], lists);
    for (subject, referrer) in [("L", "sbom"), ("sbom", "its signature"), ("linux/amd64", "kept")] {
        contents.referrers.insert(digest(subject), vec![entry(referrer)]);
    }
    let plan = alone(&target, &contents);
    let gone = |name: &str| {
        let mut found = plan.places[0].manifests.iter().filter(|manifest| manifest.digest == digest(name));
        found.next().unwrap().held_by.is_none()
    };
    for (name, expected) in
        [("L", true), ("sbom", true), ("its signature", true), ("linux/amd64", false), ("kept", false)]
    {
        assert_eq!(gone(name), expected, "{name}");
    }
}

/// A tag of its own keeps what it serves, and not what that refers to.
#[test]
fn a_referrer_does_not_keep_its_subject() {
    let target = target(&["linux/amd64"]);
    let lists: &[(&str, &[&str])] = &[("L", &["linux/amd64", "linux/arm64"])];
    let mut contents = contents(&[("1.0", "L"), ("sbom-1.0", "sbom")], lists);
    contents.referrers.insert(digest("linux/amd64"), vec![entry("sbom")]);
    let plan = alone(&target, &contents);
    let kept = plan.places[0].manifests.iter().filter(|manifest| manifest.held_by.is_some());
    let kept: Vec<_> = kept.map(|manifest| (manifest.what.as_str(), manifest.held_by.clone())).collect();
    assert_eq!(kept, [("referrer", Some(Holder::Tag("sbom-1.0".to_owned())))]);
    assert_eq!(plan.places[0].names(), ["1.0"]);
}

#[test]
fn what_nothing_else_holds_goes_with_the_tags() {
    let target = target(&["linux/amd64"]);
    let list: (&str, &[&str]) = ("L", &["linux/amd64", "linux/arm64", "a-linux/amd64"]);
    type Row<'a> = (&'a str, Contents, &'a [&'a str]);
    let table: &[Row<'_>] = &[
        ("no tag", contents(&[("2.0", "M")], &[("M", &["linux/amd64"])]), &["absent :1.0"]),
        (
            "alone",
            contents(&[("1.0", "L")], &[list]),
            &["- :1.0", "- list", "- linux/amd64", "- linux/arm64", "- attestation"],
        ),
        (
            "another tag serves the list",
            contents(&[("1.0", "L"), ("stable", "L")], &[list]),
            &[
                "- :1.0",
                "= list (:stable)",
                "= linux/amd64 (list :stable)",
                "= linux/arm64 (list :stable)",
                "= attestation (list :stable)",
            ],
        ),
        (
            "another list and another tag hold an image each",
            contents(
                &[("1.0", "L"), ("2.0", "M"), ("build", "linux/arm64")],
                &[list, ("M", &["linux/amd64"])],
            ),
            &["- :1.0", "- list", "= linux/amd64 (list :2.0)", "= linux/arm64 (:build)", "- attestation"],
        ),
        (
            "a list within another one",
            contents(&[("1.0", "L"), ("all", "M")], &[("M", &["L"]), ("L", &["linux/amd64"])]),
            &["- :1.0", "= list (list :all)", "= linux/amd64 (list :all)"],
        ),
        (
            "a signature, and one of what stays",
            contents(
                &[
                    ("1.0", "L"),
                    (&format!("sha256-{}.sig", digest("L").hex()), "signature"),
                    (&format!("sha256-{}", digest("linux/amd64").hex()), "referrers"),
                    ("2.0", "linux/amd64"),
                ],
                &[("L", &["linux/amd64"]), ("referrers", &["s/bom"])],
            ),
            &["- :1.0", "- :sha256-….sig", "- list", "= linux/amd64 (:2.0)", "- image"],
        ),
        ("a plain image", contents(&[("1.0", "linux/amd64")], &[]), &["- :1.0", "- image"]),
        (
            "a manifest of an unknown type names an image, and a list within a list it",
            named(
                contents(&[("1.0", "L"), ("bundle", "B")], &[list, ("M", &["linux/arm64"])]),
                &[("B", &["linux/amd64", "M", "a blob"])],
            ),
            &[
                "- :1.0",
                "- list",
                "= linux/amd64 (list :bundle)",
                "= linux/arm64 (list :bundle)",
                "- attestation",
            ],
        ),
        (
            "what goes itself takes nothing along that it only names",
            named(contents(&[("1.0", "B")], &[]), &[("B", &["linux/amd64"])]),
            &["- :1.0", "- image"],
        ),
    ];
    for (name, contents, expected) in table {
        let plan = alone(&target, contents);
        let place = &plan.places[0];
        let mut lines: Vec<String> = Vec::new();
        for tag in &place.tags {
            let sign = if tag.serves.is_some() { "-" } else { "absent" };
            lines.push(format!("{sign} :{}", tag.name.replace(digest("L").hex(), "…")));
        }
        for manifest in &place.manifests {
            lines.push(match &manifest.held_by {
                None => format!("- {}", manifest.what),
                Some(Holder::Tag(tag)) => format!("= {} (:{tag})", manifest.what),
                Some(Holder::ListAt(tag)) => format!("= {} (list :{tag})", manifest.what),
            });
        }
        assert_eq!(lines, *expected, "{name}");
        assert_eq!(plan.is_change(), place.tags[0].serves.is_some(), "{name}");
    }
}

/// What a run left that deleted the tags is found again, and goes after what it holds.
#[test]
fn what_an_earlier_run_left_goes() {
    let target = target(&["linux/amd64"]);
    let lists: &[(&str, &[&str])] = &[("L", &["linux/amd64", "M"]), ("M", &["linux/amd64", "linux/arm64"])];
    for (tags, remains, expected) in [
        (&[][..], &[][..], &[][..]),
        (&[], &["L"], &["linux/arm64", "linux/amd64", "list", "list"]),
        (&[], &["M", "linux/amd64"], &["linux/amd64", "linux/arm64", "list"]),
        (&[("2.0", "M")], &["L"], &["list"]),
        (&[("2.0", "L")], &["L", "linux/amd64"], &[]),
    ] {
        let mut contents = contents(tags, lists);
        contents.remains = remains.iter().map(|name| digest(name)).collect();
        let plan = alone(&target, &contents);
        let mut going: Vec<&str> = plan.places[0].going().map(|manifest| &*manifest.what).collect();
        for what in &mut going {
            // Without a list that names it, an image that is left is just an image.
            *what = if *what == "image" { "linux/amd64" } else { what };
        }
        assert_eq!(going, expected, "{tags:?} {remains:?}");
        assert_eq!(plan.is_change(), !expected.is_empty());
    }
}

mod restores {
    use super::*;
    use crate::model::manifest::{List, ListKind};

    fn image(name: &str, subject: Option<&Kept>) -> Kept {
        let subject = subject.map(|subject| {
            serde_json::json!({ "mediaType": subject.media_type, "digest": subject.digest, "size": 1 })
        });
        let config = serde_json::json!({ "digest": digest("config"), "size": 1 });
        let annotations = serde_json::json!({ "name": name });
        let value = serde_json::json!({ "config": config, "annotations": annotations, "subject": subject });
        kept(name, media::OCI_IMAGE, value.to_string().into_bytes())
    }

    fn list(name: &str, entries: &[&Kept]) -> Kept {
        let mut list = List::new(ListKind::Oci);
        let entry = |kept: &&Kept| Descriptor::new(&kept.media_type, kept.digest.clone(), 1);
        list.entries = entries.iter().map(entry).collect();
        kept(name, media::OCI_INDEX, list.to_bytes())
    }

    fn kept(what: &str, media_type: &str, bytes: Vec<u8>) -> Kept {
        Kept {
            digest: Digest::of(&bytes),
            what: what.to_owned(),
            media_type: media_type.to_owned(),
            bytes,
            companions: Vec::new(),
        }
    }

    #[test]
    fn what_other_tags_need_is_written_again_after_what_it_holds() {
        let (amd64, arm64) = (image("amd64", None), image("arm64", None));
        let inner = list("inner", &[&arm64]);
        let all = list("all", &[&amd64, &inner]);
        let sbom = image("sbom", Some(&amd64));
        let mut signature = image("signature", None);
        let tag = format!("sha256-{}.sig", amd64.digest.hex());
        signature.companions.push(tag.clone());
        let other = digest("other list");
        let everything = vec![all.clone(), amd64.clone(), arm64, inner.clone(), sbom, signature.clone()];
        let there_all: Vec<&Kept> = everything.iter().collect();
        type Row<'a> = (&'a str, &'a [(&'a str, &'a Digest)], &'a [&'a Kept], &'a [&'a str]);
        let table: &[Row<'_>] = &[
            ("nothing needs it", &[], &[], &[]),
            ("only what is deleted itself", &[("1.0", &all.digest)], &[], &[]),
            ("an image", &[("2.0", &amd64.digest)], &[&amd64], &["signature :sig", "sbom"]),
            ("another list", &[("2.0", &other)], &[], &["signature :sig", "sbom", "amd64"]),
            (
                "the list itself",
                &[("2.0", &all.digest)],
                &[],
                &["signature :sig", "sbom", "arm64", "inner", "amd64"],
            ),
            ("a list in a list, half of it there", &[("2.0", &inner.digest)], &[&inner], &["arm64"]),
            ("only a tag is lost", &[("2.0", &amd64.digest)], &there_all, &["signature :sig"]),
            ("nothing is lost", &[("2.0", &amd64.digest), (&tag, &signature.digest)], &there_all, &[]),
        ];
        for (name, tags, there, expected) in table {
            let mut contents = contents(&[], &[]);
            contents.tags = tags.iter().map(|(tag, digest)| ((*tag).to_owned(), (*digest).clone())).collect();
            contents
                .lists
                .insert(other.clone(), vec![Descriptor::new(media::OCI_IMAGE, amd64.digest.clone(), 1)]);
            contents.remains = there.iter().map(|kept| kept.digest.clone()).collect();
            let restores = kept::restores(&contents, &["1.0"], &everything);
            let shown = restores.iter().map(|restore| match &restore.tags[..] {
                [] => restore.kept.what.clone(),
                _ => format!("{} :sig", restore.kept.what),
            });
            assert_eq!(shown.collect::<Vec<_>>(), *expected, "{name}");
            for restore in &restores {
                let holder = restore.needed_by.to_string();
                assert!(holder.contains("2.0"), "{name}: {holder}");
            }
        }
    }
}

#[test]
fn lists_that_hold_each_other_have_an_end() {
    let target = target(&["linux/amd64"]);
    let contents = contents(&[("1.0", "L")], &[("L", &["M"]), ("M", &["L"])]);
    let plan = alone(&target, &contents);
    assert_eq!(plan.places[0].manifests.len(), 2);
}

mod invariants {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is deleted, everything that another tag leads to stays.
        #[test]
        fn what_other_tags_lead_to_stays(
            served in proptest::collection::vec(0usize..6, 1..6),
            lists in proptest::collection::vec(proptest::collection::vec(0usize..6, 0..4), 6),
        ) {
            let name = |index: usize| format!("m{index}");
            let names = ["1.0", "a", "b", "c", "d"];
            let lists: BTreeMap<Digest, Vec<Descriptor>> = lists
                .iter()
                .enumerate()
                .map(|(index, entries)| {
                    (digest(&name(index)), entries.iter().map(|index| entry(&name(*index))).collect())
                })
                .collect();
            let tags = names.iter().zip(&served);
            let contents = Contents {
                tags: tags.map(|(tag, index)| ((*tag).to_owned(), digest(&name(*index)))).collect(),
                lists,
                ..contents(&[], &[])
            };
            let plan = alone(&target(&["linux/amd64"]), &contents);
            let gone: BTreeSet<&Digest> = plan.places[0]
                .manifests
                .iter()
                .filter(|manifest| manifest.held_by.is_none())
                .map(|manifest| &manifest.digest)
                .collect();
            for (tag, digest) in &contents.tags {
                if tag != "1.0" {
                    prop_assert!(!gone.contains(digest));
                    prop_assert!(contents.below(&[digest]).iter().all(|(inner, _)| !gone.contains(inner)));
                }
            }
        }
    }
}
