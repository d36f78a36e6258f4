//! One list in several registries, one of which fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::fixture::{Client, Ruled, Say, run};
use crate::support::Workspace;

fn declaration(one: &str, other: &str, images: &str) -> String {
    format!(
        "[target.app]\nrepository = [\"{one}\", \"{other}\"]\n\
         tags = [{{ name = \"1.0\", policy = \"immutable\" }}, \"latest\"]\n\
         image = \"{images}:{{arch}}\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n"
    )
}

/// The second registry refuses its first write, in the next round its second one, and so on, until a run needs no more.
#[test]
fn the_second_registry_fails_at_each_write_in_turn() {
    let (first, second) = (Ruled::start(), Ruled::start());
    let client = Client::new();
    let (mut untagged, mut partly) = (0, 0);
    for round in 0.. {
        let [one, other] = [&first, &second].map(|registry| format!("{}/app-{round}", registry.host()));
        let images = format!("{}/images-{round}", first.host());
        for arch in ["amd64", "arm64"] {
            client.push_image(&images, arch, &json!({}));
        }
        let workspace = Workspace::new(&[("manifests.toml", &declaration(&one, &other, &images))]);
        let writes = Arc::new(AtomicUsize::new(0));
        let seen = writes.clone();
        second.rule(move |request| {
            // Whether it takes conditions is asked by a write of what is there, which changes nothing.
            let asks = request.uri().path().contains("/manifests/sha256:")
                && request.headers().contains_key("if-none-match");
            let write = !asks && !matches!(request.method().as_str(), "GET" | "HEAD");
            (write && seen.fetch_add(1, Ordering::SeqCst) == round).then_some(Say::Status(403))
        });
        let ran = run(&workspace, &["reconcile", "--format", "json"]);
        second.heal();
        let tags = |repository: &str| ["1.0", "latest"].map(|tag| client.served(repository, tag));

        if writes.load(Ordering::SeqCst) <= round {
            ran.ends(0, &[]);
            assert_eq!(tags(&one), tags(&other));
            assert!(tags(&one).iter().all(Option::is_some));
            break;
        }
        // Nothing is tagged before everything is everywhere; what is tagged then is the whole list.
        if ran.code == Some(4) {
            partly += 1;
            assert!(tags(&one)[0].is_some());
            ran.ends(4, &["published in part", &format!("{one}: done 1.0"), &format!("{other}: ")]);
        } else {
            untagged += 1;
            ran.ends(1, &["nothing of target app was published", &format!("{one}: "), "pending 1.0, latest"]);
            assert_eq!((tags(&one), tags(&other)), ([None, None], [None, None]), "round {round}");
        }
        ran.ends(ran.code.unwrap(), &["403 Forbidden"]);
        let again = run(&workspace, &["reconcile", "--format", "json"]);
        again.ends(0, &[]);
        let digest = &again.json()["targets"][0]["repositories"][0]["digest"];
        for served in tags(&one).into_iter().chain(tags(&other)) {
            assert_eq!(served.unwrap().to_string(), digest.as_str().unwrap());
        }
    }
    // Two images with two blobs each, the list, and one tag after the other.
    assert!(untagged >= 7, "{untagged}");
    assert_eq!(partly, 2);
}

#[test]
fn one_repository_takes_no_more_rounds_than_it_must() {
    let registry = Ruled::start();
    let client = Client::new();
    let app = format!("{}/app", registry.host());
    for arch in ["amd64", "arm64"] {
        client.push_image(&app, arch, &json!({}));
    }
    let one = declaration(&app, "x", &app).replace(", \"x\"", "");
    let workspace = Workspace::new(&[("manifests.toml", &one)]);
    let before = registry.log().len();
    run(&workspace, &["reconcile"]).ends(0, &["tagged"]);
    let log = registry.log().split_off(before);
    // Beside the last lookups it is found out, once a run, whether the registry takes conditions.
    let is_kept = |line: &&str| line.contains("/v2/app/manifests/") && !line.ends_with(" 412");
    let manifests: Vec<&str> = log.iter().map(String::as_str).filter(is_kept).collect();
    let position = |start: &str, end: &str| {
        let found = |line: &&str| line.starts_with(start) && line.ends_with(end);
        manifests.iter().position(found).unwrap_or_else(|| panic!("no {start} … {end} in {manifests:?}"))
    };
    // The tag that moves is looked up while the one before it is written, and no list goes out twice.
    let puts = manifests.iter().filter(|line| line.starts_with("PUT")).count();
    assert_eq!(puts, 2, "{manifests:?}");
    assert!(position("HEAD", "/1.0 404") < position("PUT", "/1.0 201"));
    assert!(position("HEAD", "/latest 404") < position("PUT", "/latest 201"));
    assert!(position("PUT", "/1.0 201") < position("PUT", "/latest 201"), "moving tags last");
    // Afterwards both tags and both images are looked at once each.
    let confirmed = &manifests[position("PUT", "/latest 201") + 1..];
    assert_eq!(confirmed.len(), 4, "{confirmed:?}");
    assert!(confirmed.iter().all(|line| line.starts_with("HEAD") && line.ends_with("200")), "{confirmed:?}");
}
