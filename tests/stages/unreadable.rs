//! What a tag serves that is not a list as we write it: read as Go's programs read it, or refused; never replaced.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use manifests::model::digest::Digest;
use serde_json::{Value, json};

use crate::fixture::{Client, OCI_IMAGE, OCI_INDEX, Ruled, Say, run};
use crate::support::Workspace;

/// Answers whoever reads the tag `1.0` with these bytes.
fn serves(media_type: &'static str, bytes: String) -> impl FnMut(&Request) -> Option<Say> + Send + 'static {
    move |request| {
        let reads = ["GET", "HEAD"].contains(&request.method().as_str());
        if !reads || !request.uri().path().ends_with("/manifests/1.0") {
            return None;
        }
        let response = Response::builder()
            .header("content-type", media_type)
            .header("docker-content-digest", Digest::of(bytes.as_bytes()).to_string())
            .header("content-length", bytes.len());
        let body = if request.method() == "HEAD" { Body::empty() } else { Body::from(bytes.clone()) };
        Some(Say::Answer(response.body(body).unwrap()))
    }
}

#[test]
fn nothing_that_a_tag_serves_is_lost_for_not_being_understood() {
    let registry = Ruled::start();
    let client = Client::new();
    let app = format!("{}/app", registry.host());
    let declaration = format!(
        "[target.app]\nrepository = \"{app}\"\nplatforms = [\"linux/amd64\"]\nimage = \"{app}:{{arch}}\"\n\
         tags = [\"1.0\"]\nundeclared = \"error\"\n"
    );
    let workspace = Workspace::new(&[("manifests.toml", &declaration)]);
    let image = client.push_image(&app, "amd64", &json!({}));
    let size = client.get(&app, "amd64").len();
    let entry = |digest: &str, arch: &str| {
        json!({ "mediaType": OCI_IMAGE, "digest": digest, "size": size,
            "platform": { "os": "linux", "architecture": arch } })
    };
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [entry(image.as_str(), "amd64"), entry(Digest::of(b"arm64").as_str(), "arm64")] });
    let with = |pointer: &str, member: &str, value: Value| {
        let mut changed = index.clone();
        changed.pointer_mut(pointer).unwrap()[member] = value;
        changed.to_string()
    };
    let artifact = json!({ "schemaVersion": 2, "mediaType": OCI_IMAGE, "artifactType": "application/vnd.example.chart",
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::of(b"{}"), "size": 2 },
        "layers": [] });
    let both = "also lists linux/arm64";
    for (media_type, bytes, word) in [
        (OCI_INDEX, index.to_string(), both),
        (OCI_INDEX, with("/manifests/1/platform", "os.features", Value::Null), both),
        (OCI_INDEX, with("/manifests/1", "annotations", json!({ "a": null })), both),
        (OCI_INDEX, with("/manifests/0", "annotations", Value::Null), both),
        (OCI_INDEX, with("/manifests/1", "digest", "blake3:af1349b9f5f9a1a6".into()), both),
        (OCI_INDEX, index.to_string().replace("\"manifests\"", "\"Manifests\""), both),
        (OCI_INDEX, with("/manifests/1", "digest", Value::Null), "1.0 serves what is not a valid"),
        (OCI_INDEX, with("/manifests/1", "digest", "none".into()), "manifests[1]"),
        (OCI_INDEX, with("/manifests/1", "size", "5".into()), "1.0 serves what is not a valid"),
        (OCI_INDEX, with("", "layers", json!([])), "1.0 serves a manifest that is ambiguous"),
        (OCI_IMAGE, index.to_string(), "1.0 serves a manifest that is ambiguous"),
        (OCI_INDEX, "<html>".to_owned(), "1.0 serves what is not a valid"),
        (
            "application/x-unknown+json",
            "{}".to_owned(),
            "\"application/x-unknown+json\", neither an image nor a list",
        ),
        (OCI_IMAGE, artifact.to_string(), "1.0 serves an artifact of type \"application/vnd.example.chart\""),
    ] {
        registry.rule(serves(media_type, bytes.clone()));
        let ran = run(&workspace, &["reconcile"]);
        ran.ends(1, &[word, "hint: "]);
        let written = registry
            .log()
            .into_iter()
            .find(|request| request.starts_with("PUT") && request.contains("/manifests/1.0"));
        assert_eq!(written, None, "{bytes}");
    }
}

#[test]
fn promote_replaces_no_artifact() {
    let registry = Ruled::start();
    let client = Client::new();
    let app = format!("{}/app", registry.host());
    let declaration = format!(
        "[target.app]\nrepository = \"{app}\"\nplatforms = [\"linux/amd64\"]\nimage = \"{app}:{{arch}}\"\ntags = [\"1.0\"]\n"
    );
    let workspace = Workspace::new(&[("manifests.toml", &declaration), ("empty", "{}")]);
    client.push_image(&app, "amd64", &json!({}));
    run(&workspace, &["reconcile"]).ends(0, &[]);
    client.upload(&app, &workspace.path().join("empty"), b"{}");
    let empty =
        json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::of(b"{}"), "size": 2 });
    let chart = json!({ "schemaVersion": 2, "mediaType": OCI_IMAGE, "artifactType": "application/vnd.example.chart",
        "config": empty, "layers": [empty] });
    let chart = client.put(&app, "stable", OCI_IMAGE, chart.to_string().as_bytes());
    let ran = run(&workspace, &["promote", "--from", "1.0", "--tag", "stable"]);
    ran.ends(1, &["stable serves an artifact of type \"application/vnd.example.chart\"", "hint: "]);
    assert_eq!(client.served(&app, "stable"), Some(chart));
    run(&workspace, &["promote", "--from", "1.0", "--tag", "amd64"]).ends(0, &[]);
    assert_eq!(client.served(&app, "amd64"), client.served(&app, "1.0"));
}
