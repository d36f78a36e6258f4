//! `unpublish` against the embedded registry, which deletes tags, and against Debian's, which deletes digests only.

use serde_json::{Value, json};

use crate::fixture::{Client, OCI_IMAGE, OCI_INDEX, Ruled, Say, run};
use crate::support::{DebianRegistry, Workspace};

/// A target published in `HOST/app` from images in `HOST/images`.
struct Published {
    client: Client,
    workspace: Workspace,
    app: String,
    list: String,
    children: Vec<String>,
}

impl Published {
    fn on(host: &str) -> Self {
        let client = Client::new();
        let (images, app) = (format!("{host}/images"), format!("{host}/app"));
        for arch in ["amd64", "arm64"] {
            client.push_image(&images, arch, &json!({}));
        }
        let workspace = Workspace::new(&[(
            "manifests.toml",
            &format!(
                "[target.app]\nrepository = \"{app}\"\ntags = [\"1.0\", \"latest\"]\nimage = \"{images}:{{arch}}\"\n\
                 platforms = [\"linux/amd64\", \"linux/arm64\"]\n"
            ),
        )]);
        run(&workspace, &["reconcile"]).ends(0, &[]);
        let list = client.served(&app, "1.0").unwrap().to_string();
        let bytes: Value = serde_json::from_slice(&client.get(&app, "1.0")).unwrap();
        let entries = bytes["manifests"].as_array().unwrap();
        let children = entries.iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect();
        Self { client, workspace, app, list, children }
    }

    /// Adds a manifest that refers to the list, as signing tools do: under a tag where the registry does not find it.
    fn add_referrer(&self) -> String {
        let (client, app) = (&self.client, self.app.as_str());
        let mut image: Value = serde_json::from_slice(&client.get(app, &self.children[0])).unwrap();
        let size = client.get(app, &self.list).len();
        image["subject"] = json!({ "mediaType": OCI_INDEX, "digest": self.list, "size": size });
        let bytes = image.to_string();
        let digest = manifests::model::digest::Digest::of(bytes.as_bytes());
        client.put(app, digest.as_str(), OCI_IMAGE, bytes.as_bytes());
        if !client.finds_referrers(app, &self.list) {
            let referrers = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests":
                [{ "mediaType": OCI_IMAGE, "digest": digest, "size": bytes.len() }] });
            client.put(app, &self.list.replace(':', "-"), OCI_INDEX, referrers.to_string().as_bytes());
        }
        assert!(client.finds_referrers(app, &self.list));
        digest.to_string()
    }

    fn serves(&self, lookup: &str) -> bool {
        self.client.served(&self.app, lookup).is_some()
    }

    fn serves_all(&self) -> bool {
        let children = self.children.iter().map(String::as_str);
        ["1.0", "latest", &self.list].into_iter().chain(children).all(|lookup| self.serves(lookup))
    }
}

#[test]
fn without_yes_it_shows_what_would_go() {
    let registry = Ruled::start();
    let published = Published::on(&registry.host());
    let ran = run(&published.workspace, &["unpublish", "app"]);
    ran.ends(2, &["nothing was deleted", "`manifests unpublish app --yes`"]);
    for line in ["- :1.0", "- :latest", "- list", "- linux/amd64", "- linux/arm64"] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    let json = run(&published.workspace, &["unpublish", "app", "--format", "json"]);
    let place = &json.json()["repositories"][0];
    assert_eq!(place["tags"][1], json!({ "name": "latest", "digest": published.list }));
    assert_eq!(place["manifests"][1]["delete"], true);
    assert!(published.serves_all());
    run(&published.workspace, &["unpublish"]).ends(2, &["<TARGET>"]);
    run(&published.workspace, &["unpublish", "ap", "--yes"]).ends(2, &["did you mean `app`?"]);
}

#[test]
fn tags_go_and_what_only_they_held() {
    let (embedded, debian) = (Ruled::start(), DebianRegistry::start());
    for host in [embedded.host(), debian.host()] {
        let published = Published::on(&host);
        let referrer = published.add_referrer();
        let ran = run(&published.workspace, &["unpublish", "app", "--yes", "--format", "json"]);
        ran.ends(0, &["- referrer"]);
        let account = ran.json();
        let place = &account["repositories"][0];
        let tags = place["tags"].as_array().unwrap();
        assert_eq!(tags[..2], ["1.0", "latest"], "{host}");
        // Without an API for referrers, a tag and the list at it lead to them.
        let by_tag = usize::from(host == debian.host());
        assert_eq!(
            (tags.len(), place["manifests"].as_array().unwrap().len()),
            (2 + by_tag, 4 + by_tag),
            "{host}"
        );
        assert!(!published.serves(&referrer), "{host}");
        for lookup in
            ["1.0", "latest", &published.list].into_iter().chain(published.children.iter().map(|c| &**c))
        {
            assert!(!published.serves(lookup), "{host}: {lookup}");
        }
        let images = published.app.replace("/app", "/images");
        assert!(published.client.served(&images, "amd64").is_some(), "other repositories are left alone");

        let again = run(&published.workspace, &["unpublish", "app", "--yes"]);
        again.ends(0, &[]);
        assert!(again.stdout.contains("nothing was there to delete"), "{}", again.stdout);
        run(&published.workspace, &["reconcile"]).ends(0, &[]);
        assert!(published.serves_all(), "it can be published again");
    }
}

#[test]
fn a_list_that_another_tag_serves_stays() {
    let embedded = Ruled::start();
    let published = Published::on(&embedded.host());
    published.client.put(&published.app, "stable", OCI_INDEX, &published.client.get(&published.app, "1.0"));
    let ran = run(&published.workspace, &["unpublish", "app", "--yes"]);
    ran.ends(0, &["= list", ":stable serves it"]);
    assert!(!published.serves("1.0") && !published.serves("latest") && published.serves("stable"));
    assert!(published.children.iter().all(|child| published.serves(child)));

    // Where tags can only be deleted with their digest, nothing is.
    let debian = DebianRegistry::start();
    let published = Published::on(&debian.host());
    published.client.put(&published.app, "stable", OCI_INDEX, &published.client.get(&published.app, "1.0"));
    let ran = run(&published.workspace, &["unpublish", "app", "--yes"]);
    ran.ends(1, &[&debian.host(), "deletes no tags", "the tag stable serves it too", "hint:"]);
    assert!(published.serves_all() && published.serves("stable"));
}

#[test]
fn an_image_that_another_list_or_tag_holds_stays() {
    let (embedded, debian) = (Ruled::start(), DebianRegistry::start());
    for host in [embedded.host(), debian.host()] {
        let published = Published::on(&host);
        let Published { client, app, .. } = &published;
        let mut other: Value = serde_json::from_slice(&client.get(app, "1.0")).unwrap();
        other["manifests"].as_array_mut().unwrap().truncate(1);
        client.put(app, "other", OCI_INDEX, other.to_string().as_bytes());
        let ran = run(&published.workspace, &["unpublish", "app", "--yes"]);
        ran.ends(0, &["= linux/amd64", "the list at :other holds it", "- linux/arm64"]);
        assert!(!published.serves("1.0") && !published.serves(&published.list), "{host}");
        assert!(published.serves("other") && published.serves(&published.children[0]), "{host}");
        assert!(!published.serves(&published.children[1]), "{host}");
    }
}

#[test]
fn a_registry_that_deletes_nothing_is_named() {
    let debian = DebianRegistry::start_without_delete();
    let published = Published::on(&debian.host());
    let ran = run(&published.workspace, &["unpublish", "app", "--yes"]);
    ran.ends(1, &[&format!("{} deletes nothing", debian.host()), "switched deletion off"]);
    assert!(published.serves_all());

    // Another registry of the same target is gone through all the same.
    let embedded = Ruled::start();
    let other = format!("{}/app", embedded.host());
    let text = published.workspace.read("manifests.toml");
    let both =
        text.replace(&format!("\"{}\"", published.app), &format!("[\"{}\", \"{other}\"]", published.app));
    published.workspace.write("manifests.toml", &both);
    run(&published.workspace, &["reconcile"]).ends(0, &[]);
    assert!(published.client.served(&other, "1.0").is_some());
    let ran = run(&published.workspace, &["unpublish", "app", "--yes"]);
    ran.ends(4, &[&format!("{}: deleted nothing", published.app), &format!("deleted {other}:1.0")]);
    assert!(published.serves_all() && published.client.served(&other, "1.0").is_none());
}

#[test]
fn one_tag_that_cannot_be_read_stops_it() {
    let registry = Ruled::start();
    let published = Published::on(&registry.host());
    published.client.put(&published.app, "odd", OCI_INDEX, &published.client.get(&published.app, "1.0"));
    registry.rule(|request| request.uri().path().ends_with("/manifests/odd").then_some(Say::Status(403)));
    let ran = run(&published.workspace, &["unpublish", "app", "--yes"]);
    registry.heal();
    ran.ends(1, &["nothing was deleted", "app:odd holds cannot be read", "403 Forbidden"]);
    assert!(published.serves_all() && published.serves("odd"));
}

/// The manifests of a registry that serves them as they are, by lookup: type and bytes.
type Served = Vec<(String, &'static str, String)>;

impl Published {
    /// Forms of a list of the children: what `2.0` serves, and what is found by digest below it.
    fn forms(&self) -> Vec<(&'static str, Served)> {
        let child = |digest: &String| json!({ "mediaType": OCI_IMAGE, "digest": digest, "size": 1 });
        let children: Vec<Value> = self.children.iter().map(child).collect();
        let list = |media_type: &str| json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": children, "annotations": { "v": "2" } });
        let alone = |served: &'static str, value: Value| vec![("2.0".to_owned(), served, value.to_string())];
        let nested = |entry_type: Value| {
            let inner = list(OCI_INDEX).to_string();
            let digest = manifests::model::digest::Digest::of(inner.as_bytes()).to_string();
            let entry = json!({ "mediaType": entry_type, "digest": digest, "size": inner.len() });
            let outer = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry] });
            vec![("2.0".to_owned(), OCI_INDEX, outer.to_string()), (digest, OCI_INDEX, inner)]
        };
        let with_charset = "application/vnd.oci.image.index.v1+json; charset=utf-8";
        let names = self.children.iter().map(|digest| format!("{}@{digest}", self.app));
        let bundle =
            json!({ "mediaType": "application/vnd.example.bundle", "images": names.collect::<Vec<_>>() });
        vec![
            ("another list", alone(OCI_INDEX, list(OCI_INDEX))),
            ("an empty type", alone(OCI_INDEX, list(""))),
            ("another type", alone(OCI_INDEX, list("application/json"))),
            ("a type with parameters", alone(OCI_INDEX, list(with_charset))),
            ("an index of its own type", alone("a/index", list("a/index"))),
            ("something that names images", alone("application/vnd.example.bundle", bundle)),
            ("a list within a list", nested(json!(OCI_INDEX))),
            ("its entry has no type", nested(json!(null))),
            ("its entry has an image's type", nested(json!(OCI_IMAGE))),
            ("its entry's type has parameters", nested(json!(with_charset))),
        ]
    }
}

/// Lists the tags 1.0, 2.0 and latest, whatever was deleted, and serves `served`; the first `absent` times not.
fn serve(registry: &Ruled, served: Served, mut absent: usize) {
    registry.rule(move |request| {
        let path = request.uri().path();
        let answer = |media_type: &str, text: &str| {
            let response = axum::response::Response::builder()
                .header("content-type", media_type)
                .header("content-length", text.len())
                .header(
                    "docker-content-digest",
                    manifests::model::digest::Digest::of(text.as_bytes()).as_str(),
                );
            Some(Say::Answer(response.body(axum::body::Body::from(text.to_owned())).unwrap()))
        };
        if path.ends_with("/app/tags/list") {
            return answer("application/json", r#"{"name":"app","tags":["1.0","2.0","latest"]}"#);
        }
        let found = served.iter().find(|(lookup, ..)| path.ends_with(&format!("/app/manifests/{lookup}")));
        let (lookup, media_type, text) = found?;
        if lookup == "2.0" && absent > 0 {
            absent -= 1;
            return Some(Say::Status(404));
        }
        answer(media_type, text)
    });
}

#[test]
fn what_another_tag_leads_to_stays_whatever_its_types_say() {
    let registry = Ruled::start();
    let published = Published::on(&registry.host());
    for (form, served) in published.forms() {
        serve(&registry, served, 0);
        let ran = run(&published.workspace, &["unpublish", "app", "--yes"]);
        registry.heal();
        assert_eq!(ran.code, Some(0), "{form}: {}", ran.stderr);
        assert!(!published.serves("1.0") && !published.serves(&published.list), "{form}");
        let stays = |child: &String| published.serves(child);
        assert!(published.children.iter().all(stays), "{form}: {}", ran.stderr);
        run(&published.workspace, &["reconcile"]).ends(0, &[]);
    }
    // Not understood at all: what it holds is not known.
    for text in ["{}", r#"{"errors":[{"code":"UNKNOWN"}]}"#, "<html>", r#"{"mediaType":"a/b"}"#] {
        serve(&registry, vec![("2.0".to_owned(), "application/json", text.to_owned())], 0);
        let ran = run(&published.workspace, &["unpublish", "app", "--yes"]);
        registry.heal();
        ran.ends(1, &["nothing was deleted", "app:2.0 holds cannot be read"]);
        assert!(published.serves_all(), "{text}");
    }
}

/// Tags and manifests may come from different caches: one 404 for a tag that is listed does not say that it is gone.
#[test]
fn a_tag_that_is_listed_and_not_served_stops_it() {
    let registry = Ruled::start();
    let published = Published::on(&registry.host());
    let (_, served) = published.forms().swap_remove(0);
    serve(&registry, served.clone(), usize::MAX);
    let ran = run(&published.workspace, &["unpublish", "app", "--yes"]);
    registry.heal();
    ran.ends(
        1,
        &[
            "nothing was deleted",
            "app:2.0 holds is not known",
            "lists the tag and does not serve it",
            "hint:",
        ],
    );
    assert!(published.serves_all());

    serve(&registry, served, 1);
    run(&published.workspace, &["unpublish", "app", "--yes"]).ends(0, &["the list at :2.0 holds it"]);
    registry.heal();
    assert!(!published.serves("1.0") && published.children.iter().all(|child| published.serves(child)));
}

#[test]
fn a_tag_that_moves_in_between_is_left_alone() {
    let registry = Ruled::start();
    let published = Published::on(&registry.host());
    let Published { client, app, .. } = &published;
    let mut other: Value = serde_json::from_slice(&client.get(app, "1.0")).unwrap();
    other["annotations"] = json!({ "by": "somebody else" });
    let theirs = other.to_string();
    // The tag is read once for the plan; by the second time it is somebody else's.
    let (mut asked, theirs_digest) = (0, manifests::model::digest::Digest::of(theirs.as_bytes()));
    let answer = (theirs.len(), theirs_digest.to_string());
    registry.rule(move |request| {
        if !request.uri().path().ends_with("/manifests/1.0") || request.method() == "DELETE" {
            return None;
        }
        asked += 1;
        (asked > 1).then(|| {
            let response = axum::response::Response::builder()
                .header("content-type", OCI_INDEX)
                .header("content-length", answer.0)
                .header("docker-content-digest", &answer.1);
            Say::Answer(response.body(axum::body::Body::empty()).unwrap())
        })
    });
    let ran = run(&published.workspace, &["unpublish", "app", "--yes"]);
    registry.heal();
    ran.ends(1, &["app:1.0 was moved by somebody else", theirs_digest.as_str()]);
    assert!(published.serves_all());
}
