//! Promoting to a registry that takes no manifest before the one that it refers to (GitLab), stopped in between.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use manifests::model::digest::Digest;
use serde_json::json;

use crate::fixture::{Client, OCI_IMAGE, OCI_INDEX, Ruled, Say, run};
use crate::support::Workspace;

/// Pushes something that refers to the manifest `subject`, and gives its digest.
fn refer(client: &Client, repository: &str, media_type: &str, subject: &Digest) -> Digest {
    let folder = tempfile::tempdir().unwrap();
    let blob = folder.path().join("blob");
    std::fs::write(&blob, "{}").unwrap();
    client.upload(repository, &blob, b"{}");
    let size = client.get(repository, subject.as_str()).len();
    let manifest = json!({ "schemaVersion": 2, "mediaType": OCI_IMAGE, "artifactType": "application/vnd.example.note",
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::of(b"{}"), "size": 2 },
        "layers": [], "subject": { "mediaType": media_type, "digest": subject, "size": size } })
    .to_string();
    let digest = Digest::of(manifest.as_bytes());
    client.put(repository, digest.as_str(), OCI_IMAGE, manifest.as_bytes())
}

/// Refuses `referrer` until `subject` was written, and with `stops` after that, too.
fn late(
    subject: &Digest,
    referrer: &Digest,
    stops: bool,
) -> impl FnMut(&Request) -> Option<Say> + Send + 'static {
    let (subject, referrer, mut there) = (subject.to_string(), referrer.to_string(), false);
    move |request| {
        if request.method() != "PUT" {
            return None;
        }
        there |= request.uri().path().ends_with(&subject);
        if !request.uri().path().ends_with(&referrer) {
            return None;
        }
        let unknown = r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}"#;
        let answer = Response::builder().status(404).header("content-type", "application/json");
        match (there, stops) {
            (false, _) => Some(Say::Answer(answer.body(Body::from(unknown)).unwrap())),
            (true, true) => Some(Say::Status(403)),
            (true, false) => None,
        }
    }
}

#[test]
fn what_refers_to_something_comes_with_the_next_run() {
    for (name, of_list, stops) in [
        ("nothing stops it", false, false),
        ("stopped after the image", false, true),
        ("nothing stops it, of a list", true, false),
        ("stopped after the list", true, true),
    ] {
        let (from, to, client) = (Ruled::start(), Ruled::start(), Client::new());
        let (app, there) = (format!("{}/app", from.host()), format!("{}/app", to.host()));
        let declaration = format!(
            "[target.app]\nrepository = \"{app}\"\nplatforms = [\"linux/amd64\"]\nimage = \"{app}:{{arch}}\"\n\
             tags = [\"1.0\"]\n"
        );
        let workspace = Workspace::new(&[("manifests.toml", &declaration)]);
        let image = client.push_image(&app, "amd64", &json!({}));
        run(&workspace, &["reconcile"]).ends(0, &[]);
        let list = client.served(&app, "1.0").unwrap();
        let (subject, media_type) = if of_list { (list.clone(), OCI_INDEX) } else { (image, OCI_IMAGE) };
        let referrer = refer(&client, &app, media_type, &subject);

        to.rule(late(&subject, &referrer, stops));
        let promoted = run(&workspace, &["promote", "--to", &to.host()]);
        assert_eq!(promoted.code, Some(i32::from(stops)), "{name}: {}", promoted.stderr);
        assert_eq!(client.served(&there, "1.0").is_some(), !stops, "{name}: no tag before all is there");
        to.heal();
        if stops {
            assert!(client.served(&there, subject.as_str()).is_some(), "{name}: it was stopped in between");
            assert!(!client.finds_referrers(&there, subject.as_str()), "{name}");
            run(&workspace, &["promote", "--to", &to.host()]).ends(0, &[]);
        }
        assert!(client.finds_referrers(&there, subject.as_str()), "{name}");
        assert_eq!(client.served(&there, "1.0").as_ref(), Some(&list), "{name}");
        let before = to.log().len();
        run(&workspace, &["promote", "--to", &to.host()]).ends(0, &[]);
        let again = to.log().split_off(before);
        assert!(
            !again.iter().any(|line| line.starts_with("PUT") || line.starts_with("POST")),
            "{name}: {again:?}"
        );
    }
}
