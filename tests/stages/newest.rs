//! The tag policy `newest`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::response::Response;
use manifests::model::digest::Digest;
use serde_json::{Value, json};

use crate::fixture::{Client, OCI_IMAGE, OCI_INDEX, Ruled, Say, run};
use crate::support::Workspace;

fn declaration(app: &str, version: &str) -> String {
    format!(
        "[target.app]\nrepository = \"{app}\"\nplatforms = [\"linux/amd64\"]\nimage = \"{app}:{{arch}}\"\n\
         tags = [\"{version}\", {{ name = \"1.1\", policy = \"newest\" }}, {{ name = \"latest\", policy = \"newest\" }}]\n\
         undeclared = \"remove\"\n"
    )
}

fn skipped(account: &Value, tag: usize) -> Option<&str> {
    account["targets"][0]["repositories"][0]["tags"][tag]["skipped"].as_str()
}

#[test]
fn a_patch_of_an_older_line_moves_its_own_tag_alone() {
    let registry = Ruled::start();
    let client = Client::new();
    let app = format!("{}/app", registry.host());
    client.push_image(&app, "amd64", &json!({}));
    let workspace = Workspace::new(&[("manifests.toml", &declaration(&app, "1.1.0"))]);
    run(&workspace, &["reconcile"]).ends(0, &[]);
    let first = client.served(&app, "latest").unwrap();
    assert_eq!(client.served(&app, "1.1"), Some(first.clone()));

    // Version 1.2.0 comes from elsewhere; then 1.1.1 with another image.
    client.put(&app, "1.2.0", OCI_INDEX, &client.get(&app, "latest"));
    client.push_image(&app, "amd64", &json!({ "patched": "yes" }));
    workspace.write("manifests.toml", &declaration(&app, "1.1.1"));
    let ran = run(&workspace, &["reconcile", "--format", "json"]);
    ran.ends(0, &[]);
    let account = ran.json();
    assert_eq!(skipped(&account, 1), None);
    assert_eq!(skipped(&account, 2), Some("1.2.0 is released and newer than 1.1.1"));
    assert_eq!(client.served(&app, "latest"), Some(first.clone()));
    assert_eq!(client.served(&app, "1.1"), client.served(&app, "1.1.1"));
    assert_ne!(client.served(&app, "1.1"), Some(first));

    // A prerelease moves neither.
    workspace.write("manifests.toml", &declaration(&app, "1.3.0-rc.1"));
    let ran = run(&workspace, &["reconcile", "--format", "json"]);
    ran.ends(0, &[]);
    assert_eq!(skipped(&ran.json(), 2), Some("1.3.0-rc.1 is a prerelease"));
}

#[test]
fn where_only_latest_exists_its_images_say_its_version() {
    let registry = Ruled::start();
    let client = Client::new();
    let app = format!("{}/app", registry.host());
    let labels = json!({ "org.opencontainers.image.version": "2.0.0" });
    let image = client.push_image(&app, "amd64", &labels);
    let size = client.get(&app, "amd64").len();
    let list = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{ "mediaType": OCI_IMAGE,
        "digest": image, "size": size, "platform": { "os": "linux", "architecture": "amd64" } }] });
    let latest = client.put(&app, "latest", OCI_INDEX, list.to_string().as_bytes());
    client.push_image(&app, "amd64", &json!({ "org.opencontainers.image.version": "1.1.5" }));

    let workspace = Workspace::new(&[("manifests.toml", &declaration(&app, "1.1.5"))]);
    let ran = run(&workspace, &["reconcile", "--format", "json"]);
    ran.ends(0, &[]);
    assert_eq!(skipped(&ran.json(), 2), Some("2.0.0 is released and newer than 1.1.5"));
    assert_eq!(client.served(&app, "latest"), Some(latest));
    assert!(client.served(&app, "1.1.5").is_some());
}

#[test]
fn a_newer_version_that_appears_in_between_keeps_the_tag() {
    let registry = Ruled::start();
    let client = Client::new();
    let app = format!("{}/app", registry.host());
    client.push_image(&app, "amd64", &json!({}));
    let workspace = Workspace::new(&[("manifests.toml", &declaration(&app, "1.1.0"))]);
    // The plan sees the tags as they are; by the time the tags are written somebody has released 1.2.0.
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    registry.rule(move |request| {
        let lists = request.uri().path().ends_with("/tags/list");
        (lists && count.fetch_add(1, Ordering::SeqCst) > 0).then(|| {
            let page = json!({ "name": "app", "tags": ["1.2.0", "amd64"] }).to_string();
            Say::Answer(Response::new(Body::from(page)))
        })
    });
    let ran = run(&workspace, &["reconcile", "--format", "json"]);
    ran.ends(0, &["+ :latest"]);
    assert_eq!(skipped(&ran.json(), 2), Some("1.2.0 is released and newer than 1.1.0"));
    assert!(asked.load(Ordering::SeqCst) > 1, "the tags are read again before one is written");
    registry.heal();
    assert_eq!(client.served(&app, "latest"), None);
    let published: Option<Digest> = client.served(&app, "1.1.0");
    assert_eq!(client.served(&app, "1.1"), published);
}
