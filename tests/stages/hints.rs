//! Hints of whole commands, followed.

use axum::body::Body;
use axum::response::Response;
use manifests::model::digest::Digest;
use serde_json::json;

use crate::account::declaration;
use crate::fixture::{Ruled, Say, run};
use crate::support::Workspace;

/// Every flag that a hint names is one that the command takes which printed it.
#[test]
fn hints_of_a_registry_that_hides_what_is_not_there_can_be_followed() {
    let registry = Ruled::start();
    let app = format!("{}/app", registry.host());
    let workspace = Workspace::new(&[("manifests.toml", &declaration(&app, "1.0.0"))]);
    let digest = Digest::of(b"list");
    let lock = format!(
        "version = 1\n[target.app.repository.\"{app}\"]\n\"1.0.0\" = \"{digest}\"\n\
         [target.app.list.\"{digest}\"]\nmedia-type = \"application/vnd.oci.image.index.v1+json\"\nsize = 3\n"
    );
    workspace.write("manifests.lock", &lock);
    let auths = json!({ "auths": { registry.host(): { "username": "me", "password": "secret" } } });
    std::fs::write(workspace.docker_config().join("config.json"), auths.to_string()).unwrap();
    registry.rule(|request| {
        let known = request.headers().contains_key("authorization");
        let challenge = Response::builder().status(401).header("www-authenticate", "Basic realm=\"r\"");
        Some(match known {
            true => Say::Status(403),
            false => Say::Answer(challenge.body(Body::empty()).unwrap()),
        })
    });
    let (tag, image) = (format!("{app}:1.0.0"), format!("{app}:amd64"));
    let mut followed = 0;
    for args in [
        &["plan"][..],
        &["release", "--allow-dirty"],
        &["reconcile"],
        &["verify"],
        &["promote", "--from", "1.0.0", "--tag", "x"],
        &["promote", "--to", "localhost:1"],
        &["unpublish", "app", "--yes"],
        &["inspect", &tag],
        &["tags", &app],
        &["import", &image],
        &["manifest", "push", &tag],
        &["manifest", "inspect", &tag],
        &["manifest", "create", "--amend", &tag, &image],
    ] {
        let ran = run(&workspace, args);
        assert!(matches!(ran.code, Some(1)), "{args:?}: {:?} {}", ran.code, ran.stderr);
        let hints = ran
            .stderr
            .lines()
            .filter(|line| line.contains("hint: "))
            .flat_map(|line| line.split('`').skip(1).step_by(2));
        for hint in hints.filter(|hint| hint.contains("--")) {
            // With `--help` a command line is read, and nothing is done.
            let typed: Vec<&str> = match hint.strip_prefix("manifests ") {
                Some(whole) => whole.split(' ').chain(["--help"]).collect(),
                None => args.iter().copied().chain(hint.split(' ')).chain(["--help"]).collect(),
            };
            run(&workspace, &typed).ends(0, &[]);
            followed += 1;
        }
    }
    assert!(followed >= 4, "{followed}");
}
