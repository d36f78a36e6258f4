//! `verify` against registries that lost or changed what was published, or do not say.

use std::collections::BTreeSet;
use std::fs;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use manifests::model::digest::Digest;
use serde_json::{Value, json};

use crate::fixture::{Client, OCI_IMAGE, OCI_INDEX, Ruled, Say, run};
use crate::support::Workspace;

/// A change of a registry, undone by the next [`Ruled::heal`] and by writing the file again.
enum Damage {
    None,
    /// The bytes are gone from the disk.
    Lost(Digest),
    /// GET of a manifest answers with these bytes and this type; HEAD is as before.
    Serves(String, &'static str, Vec<u8>),
    /// Requests with this in their path are refused.
    Refuses(String, u16),
}

fn rule(damage: &Damage) -> Option<impl FnMut(&Request) -> Option<Say> + Send + 'static> {
    let (end, answer) = match damage {
        Damage::None | Damage::Lost(_) => return None,
        Damage::Serves(lookup, media_type, bytes) => {
            (format!("/manifests/{lookup}"), Ok((*media_type, bytes.clone())))
        }
        Damage::Refuses(end, status) => (end.clone(), Err(*status)),
    };
    Some(move |request: &Request| {
        if !request.uri().path().ends_with(&end) {
            return None;
        }
        match &answer {
            Err(status) => Some(Say::Status(*status)),
            Ok(_) if request.method() == "HEAD" => None,
            Ok((media_type, bytes)) => {
                let response = Response::builder().header("content-type", *media_type);
                Some(Say::Answer(response.body(Body::from(bytes.clone())).unwrap()))
            }
        }
    })
}

#[test]
fn what_is_served_is_read() {
    let registry = Ruled::start();
    let client = Client::new();
    let app = format!("{}/app", registry.host());
    let declaration = format!(
        "[target.app]\nrepository = \"{app}\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
         image = \"{app}:{{arch}}\"\ntags = [\"1.0\", \"latest\"]\n"
    );
    let workspace = Workspace::new(&[("manifests.toml", &declaration)]);
    let amd64 = client.push_image(&app, "amd64", &json!({}));
    client.push_image(&app, "arm64", &json!({}));
    run(&workspace, &["reconcile"]).ends(0, &[]);
    let list = client.served(&app, "1.0").unwrap();
    let (list_bytes, image_bytes) = (client.get(&app, list.as_str()), client.get(&app, amd64.as_str()));
    let image: Value = serde_json::from_slice(&image_bytes).unwrap();
    let blob =
        |pointer: &str| -> Digest { image.pointer(pointer).unwrap().as_str().unwrap().parse().unwrap() };
    let (config, layer) = (blob("/config/digest"), blob("/layers/0/digest"));
    let other = || b"{\"schemaVersion\":2}".to_vec();

    for (damage, code, expected) in [
        (Damage::None, 0, vec![]),
        (Damage::Lost(layer.clone()), 3, vec![format!("- {app}@{layer} (layer of linux/amd64)")]),
        (Damage::Lost(config.clone()), 3, vec![format!("- {app}@{config} (configuration of linux/amd64)")]),
        (Damage::Lost(amd64.clone()), 3, vec![format!("- {app}@{amd64} (linux/amd64)")]),
        (
            Damage::Serves(amd64.to_string(), OCI_IMAGE, other()),
            3,
            vec![format!("+ {app}@{amd64} (linux/amd64): the 19 bytes served have the digest")],
        ),
        (
            Damage::Serves(list.to_string(), OCI_INDEX, other()),
            3,
            vec![format!("+ {app}@{list} (list): the 19 bytes served have the digest")],
        ),
        (
            Damage::Serves("latest".to_owned(), OCI_INDEX, other()),
            3,
            vec![format!("- {app}:latest {list}\n+ {app}:latest {}", Digest::of(&other()))],
        ),
        (
            Damage::Serves("1.0".to_owned(), OCI_IMAGE, list_bytes.clone()),
            3,
            vec![format!("- {app}:1.0 (tag of {list}) {OCI_INDEX}\n+ {app}:1.0 (tag of {list}) {OCI_IMAGE}")],
        ),
        (
            Damage::Serves(amd64.to_string(), OCI_INDEX, image_bytes.clone()),
            3,
            vec![format!("+ {app}@{amd64} (linux/amd64) {OCI_INDEX}")],
        ),
        (Damage::Refuses("/manifests/1.0".to_owned(), 403), 1, vec![]),
        (Damage::Refuses(format!("/manifests/{amd64}"), 403), 1, vec![]),
        (Damage::Refuses(format!("/blobs/{layer}"), 403), 1, vec![]),
    ] {
        let lost = match &damage {
            Damage::Lost(digest) => {
                Some((registry.stored(digest), fs::read(registry.stored(digest)).unwrap()))
            }
            _ => None,
        };
        if let Some((path, _)) = &lost {
            fs::remove_file(path).unwrap();
        }
        if let Some(rule) = rule(&damage) {
            registry.rule(rule);
        }
        let before = registry.log().len();
        let ran = run(&workspace, &["verify"]);
        let asked = registry.log().split_off(before);
        registry.heal();
        if let Some((path, bytes)) = lost {
            fs::write(path, bytes).unwrap();
        }
        assert_eq!(ran.code, Some(code), "{expected:?}: {}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.stderr.contains("served as locked"), code == 0, "{}", ran.stderr);
        assert_eq!(ran.stdout.is_empty(), code != 3, "{}", ran.stdout);
        for expected in expected {
            assert!(ran.stdout.contains(&expected), "{expected}\nis not in\n{}", ran.stdout);
        }
        if code == 0 {
            // Two tags, a list, two images; a configuration and a layer of each.
            assert_eq!(asked.iter().filter(|line| line.starts_with("GET")).count(), 5, "{asked:?}");
            assert_eq!(asked.iter().filter(|line| line.starts_with("HEAD")).count(), 4, "{asked:?}");
            assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), 9, "each once: {asked:?}");
        }
    }
}
