//! Any declared list against any published one, over the wire: one run publishes what is declared, and the next has
//! nothing to do.

use std::collections::BTreeMap;

use manifests::config::Undeclared;
use manifests::error::render;
use manifests::model::manifest::{List, ListKind, Manifest, Role, parse};
use manifests::model::platform::Platform;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::TestRunner;

use crate::content::{Content, attested, image};
use crate::fault::Fault;
use crate::scenarios::{Scenario, scenario};
use crate::world::{RETRY_POLICY, Template, World};

const PLATFORMS: [&str; 6] = [
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v6",
    "linux/arm/v7",
    "windows(10.0.1)/amd64",
    "windows(10.0.2)/amd64",
];

/// Each case starts a registry; the many are for the planner's own tests.
const CASES: u32 = 48;

#[derive(Clone, Debug)]
struct Published {
    kind: ListKind,
    /// Platform, whether its image is the declared one, whether it says more than anybody knows.
    entries: Vec<(&'static str, bool, bool)>,
    annotated: bool,
    /// An entry without a platform.
    artifact: bool,
}

#[derive(Clone, Debug)]
struct Declared {
    platforms: Vec<&'static str>,
    /// Which of the images are pushed as an index with an attestation.
    attested: Vec<bool>,
    versions: Vec<bool>,
    undeclared: Undeclared,
    annotated: bool,
    format: &'static str,
    keeps_attestations: bool,
}

#[derive(Clone, Debug)]
enum Tag {
    Absent,
    Image,
    List,
}

fn published() -> impl Strategy<Value = Published> {
    let entries =
        (subsequence(PLATFORMS.to_vec(), 1..=PLATFORMS.len()).prop_shuffle(), vec(any::<(bool, bool)>(), 6));
    let kind = select(vec![ListKind::Docker, ListKind::Oci]);
    (kind, entries, any::<bool>(), any::<bool>()).prop_map(
        |(kind, (platforms, more), annotated, artifact)| {
            let entries =
                platforms.into_iter().zip(more).map(|(platform, (same, more))| (platform, same, more));
            Published { kind, entries: entries.collect(), annotated, artifact }
        },
    )
}

fn declared() -> impl Strategy<Value = Declared> {
    let platforms = subsequence(PLATFORMS.to_vec(), 1..=PLATFORMS.len()).prop_shuffle();
    let undeclared = select(vec![Undeclared::Keep, Undeclared::Remove, Undeclared::Error]);
    let format = select(vec!["auto", "docker", "oci"]);
    let each = (vec(any::<bool>(), 6), vec(any::<bool>(), 6));
    (platforms, each, undeclared, any::<bool>(), format, any::<bool>()).prop_map(
        |(platforms, (attested, versions), undeclared, annotated, format, keeps_attestations)| Declared {
            platforms,
            attested,
            versions,
            undeclared,
            // The other is an error of the declaration.
            annotated: annotated && format != "docker",
            format,
            keeps_attestations,
        },
    )
}

impl Declared {
    fn text(&self) -> String {
        let undeclared = match self.undeclared {
            Undeclared::Keep => "keep",
            Undeclared::Remove => "remove",
            _ => "error",
        };
        let attestations = if self.keeps_attestations { "keep" } else { "drop" };
        let mut text = format!(
            "[target.app]\nrepository = \"{{0}}/team/app\"\ntags = [\"1.0\", \"edge\"]\nformat = {:?}\n\
             undeclared = \"{undeclared}\"\nattestations = \"{attestations}\"\n",
            self.format
        );
        if self.annotated {
            text.push_str("annotations = { \"org.example.list\" = \"declared\" }\n");
        }
        for (platform, version) in self.platforms.iter().zip(&self.versions) {
            let tag = tag(platform);
            text.push_str(&format!(
                "[target.app.platform.{platform:?}]\nimage = \"{{0}}/team/images:{tag}\"\n"
            ));
            if self.annotated {
                text.push_str("annotations = { \"org.example.entry\" = \"declared\" }\n");
            }
            if *version && platform.starts_with("linux") {
                text.push_str("os-version = \"22.04\"\n");
            }
        }
        text
    }

    fn images(&self) -> Vec<Content> {
        let each = self.platforms.iter().zip(&self.attested);
        each.map(|(platform, is_attested)| {
            let image = image(platform, "declared", 40);
            let content = if *is_attested { attested(platform, image) } else { image };
            Content { tags: vec![tag(platform)], ..content.within(0, "team/images") }
        })
        .collect()
    }
}

fn tag(platform: &str) -> String {
    platform.parse::<Platform>().unwrap().dashed()
}

impl Published {
    fn content(&self) -> Content {
        let mut list = List::new(self.kind);
        let mut children = Vec::new();
        for (platform, same, more) in &self.entries {
            let image = image(platform, if *same { "declared" } else { "another" }, 40);
            let mut entry = image.entry(platform);
            if *more {
                entry.other.insert("data".to_owned(), "YQ==".into());
            }
            list.entries.push(entry);
            children.push(image);
        }
        if self.artifact {
            let artifact = image("linux/amd64", "an artifact", 40);
            let mut entry = artifact.entry("linux/amd64");
            entry.platform = None;
            list.entries.push(entry);
            children.push(artifact);
        }
        if self.annotated {
            list.annotations.insert("org.example.list".to_owned(), "published".to_owned());
        }
        Content { children, ..Content::new(self.kind.media_type(), list.to_bytes().into(), Vec::new()) }
    }
}

#[test]
fn any_list_becomes_any_other_in_one_run() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tags = vec(select(vec![Tag::Absent, Tag::Image, Tag::List, Tag::List]), 2);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let result = runner.run(&(published(), declared(), tags), |(published, declared, tags)| {
        runtime.block_on(converges(&published, &declared, &tags))
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

async fn converges(published: &Published, declared: &Declared, tags: &[Tag]) -> Result<(), TestCaseError> {
    let mut contents = declared.images();
    let mut baseline = None;
    for (name, tag) in ["1.0", "edge"].into_iter().zip(tags) {
        let content = match tag {
            Tag::Absent => continue,
            Tag::Image => image("linux/amd64", "plain", 40),
            Tag::List => {
                baseline = Some(published.content());
                published.content()
            }
        };
        contents.push(content.tagged(name));
    }
    let scenario = Scenario { contents, ..scenario(&declared.text()) };
    let template = Template::fill(&scenario).await;
    let world = World::start(&scenario, &template, Some(Fault::Status500)).await;
    let before = world.served().await;
    if let Err(error) = world.run(RETRY_POLICY).await.result {
        let text = render(&error);
        let documented =
            text.contains("Docker manifest list") || text.contains("which target app does not declare");
        prop_assert!(documented, "{}", text);
        prop_assert_eq!(world.served().await, before);
        return Ok(());
    }
    prop_assert_eq!(world.wrongs().await, Vec::<String>::new());
    prop_assert!(!world.would_change().await.unwrap(), "the next run has something to do");
    let (media_type, bytes) = world.backdoors[0].get("/v2/team/app/manifests/1.0").await.unwrap();
    let (_, same) = world.backdoors[0].get("/v2/team/app/manifests/edge").await.unwrap();
    prop_assert_eq!(&bytes, &same);
    let Ok(Manifest::List(list)) = parse(&bytes, &media_type) else { panic!("no list is served") };
    let baseline = baseline.map(|content| match parse(&content.manifest, content.media_type) {
        Ok(Manifest::List(list)) => list,
        other => panic!("{other:?}"),
    });
    means_what_is_declared(declared, &list, baseline.as_ref())
}

fn means_what_is_declared(
    declared: &Declared,
    list: &List,
    baseline: Option<&List>,
) -> Result<(), TestCaseError> {
    let value = BTreeMap::from([("org.example.list".to_owned(), "declared".to_owned())]);
    prop_assert_eq!(&list.annotations, &if declared.annotated { value } else { BTreeMap::new() });
    let of_platform = |text: &str| {
        let platform: Platform = text.parse().unwrap();
        let is_it = move |found: &Platform| match platform.os.as_str() {
            "windows" => found.same_as(&platform),
            _ => found.base() == platform.base(),
        };
        list.entries.iter().filter(move |entry| matches!(entry.role(), Role::Image(found) if is_it(&found)))
    };
    for ((platform, version), is_attested) in
        declared.platforms.iter().zip(&declared.versions).zip(&declared.attested)
    {
        let fitting: Vec<_> = of_platform(platform).collect();
        prop_assert_eq!(fitting.len(), 1, "{} is listed once", platform);
        let entry = fitting[0];
        prop_assert_eq!(&entry.digest, &image(platform, "declared", 40).digest());
        prop_assert_eq!(entry.annotations.len(), usize::from(declared.annotated));
        let fields = entry.platform.clone().unwrap();
        if platform.starts_with("linux") {
            prop_assert_eq!(fields.os_version, if *version { "22.04" } else { "" });
        }
        if *is_attested && !declared.keeps_attestations {
            prop_assert_eq!(list.attestations_of(&entry.digest), Vec::new());
        }
    }
    for entry in &list.entries {
        let is_declared =
            declared.platforms.iter().any(|platform| of_platform(platform).any(|one| one == entry));
        if !is_declared && !matches!(entry.role(), Role::Attestation(_)) {
            prop_assert_eq!(declared.undeclared, Undeclared::Keep);
            prop_assert!(baseline.is_some_and(|list| list.entries.contains(entry)), "kept as it was");
        }
    }
    Ok(())
}
