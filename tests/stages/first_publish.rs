//! Registries that answer 401 or 403 for a repository that does not exist yet.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use serde_json::json;

use crate::fixture::{Client, Ruled, Say, run};
use crate::support::Workspace;

const AUTHORIZATION: &str = "authorization";

/// Publishes into a repository that does not exist, on a registry with `rule`: refused with a hint, and done when asked
/// for as a first publication; the next run needs no such thing.
fn publishes_first_when_told(rule: impl Fn(&Request, bool) -> Option<Say> + Send + 'static) {
    let registry = Ruled::start();
    let client = Client::new();
    let (images, app) = (format!("{}/images", registry.host()), format!("{}/app", registry.host()));
    for arch in ["amd64", "arm64"] {
        client.push_image(&images, arch, &json!({}));
    }
    let workspace = Workspace::new(&[(
        "manifests.toml",
        &format!(
            "[target.app]\nrepository = \"{app}\"\ntags = [{{ name = \"1.0\", policy = \"immutable\" }}, \"latest\"]\n\
             image = \"{images}:{{arch}}\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n"
        ),
    )]);
    let auths = json!({ "auths": { registry.host(): { "username": "me", "password": "secret" } } });
    std::fs::write(workspace.docker_config().join("config.json"), auths.to_string()).unwrap();
    let mut exists = false;
    registry.rule(move |request| {
        let path = request.uri().path();
        let said = rule(request, path.starts_with("/v2/app/") && !exists);
        if said.is_none() && path.starts_with("/v2/app/") && !reads(request) {
            exists = true;
        }
        said
    });

    let refused = run(&workspace, &["reconcile"]);
    refused.ends(1, &["app:1.0 cannot be read: 40", "say `--first-publish` if nothing was published before"]);
    assert!(!refused.stderr.contains("secret"));
    run(&workspace, &["reconcile", "--first-publish"]).ends(0, &["+ :1.0"]);
    run(&workspace, &["reconcile"]).ends(0, &["= :1.0"]);
    registry.heal();
    assert!(client.served(&app, "1.0").is_some());
    assert_eq!(client.served(&app, "latest"), client.served(&app, "1.0"));
}

fn reads(request: &Request) -> bool {
    matches!(request.method().as_str(), "GET" | "HEAD")
}

fn challenge(value: String) -> Say {
    Say::Answer(
        Response::builder().status(401).header("www-authenticate", value).body(Body::empty()).unwrap(),
    )
}

/// As Artifactory: whoever has logged in is told 403.
#[test]
fn forbidden_with_a_password() {
    publishes_first_when_told(|request, missing| {
        if !request.headers().contains_key(AUTHORIZATION) {
            return Some(challenge("Basic realm=\"test\"".to_owned()));
        }
        (missing && reads(request)).then_some(Say::Status(403))
    });
}

/// As Quay: a token is given out, and then refused with 401.
#[test]
fn unauthorized_with_a_token() {
    publishes_first_when_told(|request, missing| {
        if request.uri().path() == "/token" {
            let token = json!({ "token": "t" }).to_string();
            return Some(Say::Answer(Response::new(Body::from(token))));
        }
        let host = request.headers().get("host").unwrap().to_str().unwrap();
        let anonymous = !request.headers().contains_key(AUTHORIZATION);
        (anonymous || (missing && reads(request)))
            .then(|| challenge(format!("Bearer realm=\"http://{host}/token\",service=\"{host}\"")))
    });
}
