//! What is written into `manifests.toml`, and published from there, means the text itself.

use std::fs;
use std::path::Path;

use manifests::config::{self, Declaration, Facts, Strictness};

use crate::hostile::{MARKER, SECRET, each};
use crate::output::{problem_of_file, problem_of_text};
use crate::support::Workspace;
use crate::world::{Mood, World, run};

/// What the file means where the variable that texts name is set.
fn declared(workspace: &Workspace) -> Declaration {
    let text = workspace.read("manifests.toml");
    assert_eq!(problem_of_file(&text), None, "{text}");
    let facts = Facts { env: [("SECRET".to_owned(), SECRET.to_owned())].into(), ..Facts::default() };
    let document = config::read(Path::new("/project/manifests.toml"), &text);
    let resolved = document.and_then(|document| document.resolve(&facts, Strictness::Check));
    resolved.unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

#[test]
fn an_imported_list_is_declared_and_published_as_it_is() {
    for pieces in each().chunks(9) {
        let text = pieces.concat();
        let world = World::start();
        world.publish("app", &text);
        world.says(Mood::Serving, &text);
        let workspace = Workspace::new(&[]);
        let list = format!("{}/app:1", world.host);
        let imported = run(&workspace, &["import", &list]);
        assert_eq!(imported.code, Some(0), "{}", imported.stderr);
        let target = &declared(&workspace).targets[0];
        assert_eq!(target.annotations["title"], text);
        for image in &target.images {
            assert_eq!(image.annotations["note"], text);
            assert_eq!(image.annotations[&text], text);
        }
        assert_eq!(target.images[1].platform.os_features, vec![text.clone()]);
        // It is what is published, so that there is nothing to do.
        let plan = run(&workspace, &["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{}{}", plan.stdout, plan.stderr);
    }
}

#[test]
fn what_manifest_annotate_is_given_is_declared_as_it_is() {
    let world = World::start();
    world.publish("app", "plain");
    let (list, image) = (format!("{}/app:new", world.host), format!("{}/app:1-linux-hostile", world.host));
    for text in each().into_iter().map(|text| text.replace(['\0', ','], "")) {
        let workspace = Workspace::new(&[]);
        let created = run(&workspace, &["manifest", "create", &list, &image]);
        assert_eq!(created.code, Some(0), "{}", created.stderr);
        let features = format!("--os-features={text}");
        let version = format!("--os-version={text}");
        let annotated = run(&workspace, &["manifest", "annotate", &list, &image, &features, &version]);
        assert_eq!(annotated.code, Some(0), "{text:?}: {}", annotated.stderr);
        let platform = &declared(&workspace).targets[0].images[0].platform;
        assert_eq!(platform.os_features, vec![text.clone()]);
        assert_eq!(platform.os_version.as_deref(), Some(&*text));
    }
}

/// Folders, bake files and GoReleaser's are somebody else's words.
#[test]
fn a_first_file_takes_names_and_values_as_they_are() {
    for text in each() {
        let name: String = text.replace(['\0', '/'], "");
        let workspace = Workspace::new(&[]);
        workspace
            .write(&format!("{name}/Dockerfile"), &format!("FROM scratch\nARG {name}\nLABEL a=\"{text}\"\n"));
        let ran = run(&workspace, &["init"]);
        assert_eq!(problem_of_text(&ran.stderr), None, "{text:?}: {}", ran.stderr);
        assert_eq!(problem_of_text(&ran.stdout), None, "{text:?}: {}", ran.stdout);
        if ran.code == Some(0) {
            let build = declared(&workspace).targets[0].images[0].build.clone().unwrap();
            assert!(
                build.context.ends_with(&name),
                "{:?}\n{}",
                build.context,
                workspace.read("manifests.toml")
            );
        }

        fs::remove_file(workspace.path().join("manifests.toml")).ok();
        let bake = serde_json::json!({ "target": { "app": {
            "tags": ["r.test/app:1"], "args": { "WORDS": text }, "labels": { &text: text }, "context": ".",
        } } });
        workspace.write("docker-bake.json", &bake.to_string());
        let ran = run(&workspace, &["init"]);
        assert_eq!(ran.code, Some(0), "{text:?}: {}", ran.stderr);
        assert_eq!(problem_of_text(&ran.stderr), None, "{text:?}: {}", ran.stderr);
        let build = declared(&workspace).targets[0].images[0].build.clone().unwrap();
        assert_eq!(build.args["WORDS"], text);
        assert_eq!(build.labels[&text], text);
        assert!(workspace.read("manifests.toml").contains(MARKER));
    }
}
