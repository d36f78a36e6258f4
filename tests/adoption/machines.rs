//! What programs read: JSON by its reference, events, the metadata file, annotations and the summary of a CI step.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;

use serde_json::Value;

use crate::support::{DebianRegistry, ImageGuard, Workspace, docker, last_json};

/// An image of one file, for two platforms, without a run.
fn declaration(host: &str) -> String {
    format!(
        "[target.app]\nrepository = \"{host}/acme/app\"\ntags = [\"1.0\", \"latest\"]\n\
         platforms = [\"linux/amd64\", \"linux/arm64\"]\nbuild.context = \".\"\n"
    )
}

fn workspace(host: &str) -> Workspace {
    Workspace::new(&[
        ("manifests.toml", &declaration(host)),
        ("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n"),
    ])
}

fn run(workspace: &Workspace, arguments: &[&str]) -> Output {
    let engine = docker().to_str().unwrap();
    workspace.manifests(&[arguments, &["--engine", engine]].concat()).output().unwrap()
}

fn guard(host: &str) -> ImageGuard {
    let image = |arch: &str| format!("{host}/acme/app:1.0-linux-{arch}");
    let mut guard = ImageGuard::new(image("amd64"));
    guard.add(image("arm64"));
    guard
}

/// The section of what is written into registries.
const RECONCILED: &str = "`reconcile`, `promote`, `manifest push`";

/// The fields that a section of the reference lists.
fn documented(section: &str) -> BTreeSet<String> {
    let text = include_str!("../../docs/reference/json.md");
    let heading = format!("## {section}\n");
    let (_, after) = text.split_once(&heading).unwrap_or_else(|| panic!("no section {section}"));
    let rows = after.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// The fields of a value, as the reference writes them.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields_of) => {
            for (name, value) in fields_of {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                fields(value, &path, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, &format!("{path}[]"), found)),
        Value::Null => {}
        _ => drop(found.insert(path.to_owned())),
    }
}

fn assert_documented(value: &Value, sections: &[&str]) {
    assert_eq!(value["version"], 1, "{value}");
    let known: BTreeSet<String> = sections.iter().flat_map(|section| documented(section)).collect();
    let mut found = BTreeSet::new();
    fields(value, "", &mut found);
    found.remove("version");
    assert!(!found.is_empty(), "{value}");
    for field in found {
        let within = |known: &String| known.strip_suffix('*').is_some_and(|start| field.starts_with(start));
        assert!(
            known.contains(&field) || known.iter().any(within),
            "`{field}` is not in {sections:?} of json.md"
        );
    }
}

#[test]
fn every_value_is_as_the_reference_has_it() {
    let registry = DebianRegistry::start();
    let host = registry.host();
    let workspace = workspace(&host);
    let _guard = guard(&host);
    let json = |arguments: &[&str], section: &str| {
        let output = run(&workspace, &[arguments, &["--format", "json"]].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_documented(&value, &[section]);
        value
    };
    json(&["check"], "`check`");
    json(&["plan"], "`plan`");
    json(&["build"], "`build`, `smoke`, `push`");
    let pushed = json(&["push"], "`build`, `smoke`, `push`");
    assert_eq!(pushed["images"][1]["pushed"], true);
    json(&["plan"], "`plan`");
    let written = json(&["reconcile"], RECONCILED);
    assert_eq!(written["targets"][0]["repositories"][0]["tags"][0]["written"], true);
    json(&["tags", &format!("{host}/acme/app")], "`tags`");
    json(&["inspect", &format!("{host}/acme/app:1.0")], "`inspect`");
    json(&["inspect", "--verbose", &format!("{host}/acme/app:1.0")], "`inspect`");
    json(&["inspect", "--verbose", pushed["images"][0]["reference"].as_str().unwrap()], "`inspect`");

    let doctor = run(&workspace, &["doctor", "--format", "json"]);
    assert_documented(&serde_json::from_slice(&doctor.stdout).unwrap(), &["`doctor`"]);
    let other = Workspace::new(&[("Dockerfile", "FROM scratch\n")]);
    let init = other.manifests(&["init", "--format", "json"]).output().unwrap();
    assert_documented(&serde_json::from_slice(&init.stdout).unwrap(), &["`init`"]);
}

#[test]
fn what_follows_a_release_is_as_the_reference_has_it() {
    let registry = DebianRegistry::start();
    let host = registry.host();
    let workspace = workspace(&host);
    let _guard = guard(&host);
    let released = run(&workspace, &["release"]);
    assert!(released.status.success(), "{}", String::from_utf8_lossy(&released.stderr));
    let json = |arguments: &[&str], code: i32, section: &str| {
        let output = run(&workspace, &[arguments, &["--format", "json"]].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_documented(&value, &[section]);
        value
    };
    let other = DebianRegistry::start();
    json(&["promote", "--to", &other.host()], 0, RECONCILED);
    json(&["import", &format!("{}/acme/app:1.0", other.host())], 0, "`import`");

    let image = |arch: &str| format!("{host}/acme/app:1.0-linux-{arch}");
    let list = format!("{host}/acme/byhand:1");
    let verbs = "`manifest create`, `manifest annotate`, `manifest rm`";
    json(&["manifest", "create", &list, &image("amd64"), &image("arm64")], 0, verbs);
    json(&["manifest", "annotate", &list, &image("arm64"), "--variant", "v8"], 0, verbs);
    json(&["manifest", "push", &list], 0, RECONCILED);
    json(&["manifest", "rm", &list], 0, verbs);

    // A lock of another release.
    let written = json(&["reconcile"], 0, RECONCILED);
    let digest = written["targets"][0]["repositories"][0]["digest"].as_str().unwrap();
    let lock = workspace.read("manifests.lock").replace(digest, &format!("sha256:{}", "0".repeat(64)));
    workspace.write("manifests.lock", &lock);
    assert_eq!(json(&["verify"], 3, "`verify`")["drift"][0]["drift"], "moved");

    // Nothing is deleted before it was asked for twice, and this registry deletes nothing.
    let planned = json(&["unpublish", "app"], 2, "`unpublish`");
    assert_eq!(planned["repositories"][0]["tags"][0]["name"], "1.0");
}

#[test]
fn a_release_tells_what_happens_and_leaves_its_digests_in_a_file() {
    let registry = DebianRegistry::start();
    let host = registry.host();
    let workspace = workspace(&host);
    let _guard = guard(&host);
    let release = ["release", "--format", "json", "--allow-dirty", "--metadata-file", "target/digests.json"];
    std::fs::create_dir(workspace.path().join("target")).unwrap();
    let output = run(&workspace, &release);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let events: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sections = ["`release`", "`plan`", RECONCILED, "`build`, `smoke`, `push`"];
    for event in &events {
        let mut event = event.clone();
        if event["event"] == "image" {
            // Without the array that `build` has around it.
            event.as_object_mut().unwrap().remove("pushed");
        }
        assert_documented(&event, &sections);
    }
    let named = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    let stages = |event: &str| -> BTreeMap<&str, usize> {
        events.iter().filter(|value| value["event"] == event).fold(BTreeMap::new(), |mut stages, value| {
            *stages.entry(value["stage"].as_str().unwrap()).or_default() += 1;
            stages
        })
    };
    let each_platform = BTreeMap::from([("building", 2), ("looking at programs", 2), ("pushing", 2)]);
    assert_eq!((stages("started"), stages("finished")), (each_platform.clone(), each_platform), "{stdout}");
    assert_eq!((named("planned"), named("image")), (2, 2), "{stdout}");
    assert_eq!((named("published"), named("confirmed"), named("result")), (2, 1, 1), "{stdout}");
    let last = events.last().unwrap();
    assert_eq!(last["event"], "result");

    let metadata: Value = serde_json::from_str(&workspace.read("target/digests.json")).unwrap();
    let digest = &last["targets"][0]["repositories"][0]["digest"];
    assert_eq!(&metadata["app"]["containerimage.digest"], digest);
    assert_eq!(&metadata["app"]["containerimage.descriptor"]["digest"], digest);
    assert_eq!(metadata["app"]["image.name"], format!("{host}/acme/app:1.0,{host}/acme/app:latest"));

    // When nothing is written the file says the same.
    let output = run(&workspace, &release);
    assert_eq!(last_json(&output.stdout)["targets"][0]["repositories"][0]["tags"][0]["written"], false);
    assert_eq!(serde_json::from_str::<Value>(&workspace.read("target/digests.json")).unwrap(), metadata);
}

#[test]
fn a_metadata_file_that_cannot_be_written_is_found_out_first() {
    let workspace = workspace("localhost:1");
    let output = run(&workspace, &["release", "--allow-dirty", "--metadata-file", "no/such/folder.json"]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("could not write the metadata file no/such/folder.json"), "{stderr}");
    let output = run(&workspace, &["push", "--metadata-file", "no/such/folder.json"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(!stderr.contains("building"), "{stderr}");
}

#[test]
fn failures_are_values_and_annotations_too() {
    let workspace = Workspace::new(&[("services/manifests.toml", "[target.app]\nrepositry = \"a.io/b\"\n")]);
    let command = |arguments: &[&str]| {
        workspace
            .manifests(arguments)
            .current_dir(workspace.path().join("services"))
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_WORKSPACE", workspace.path())
    };
    for name in ["check", "release", "plan"] {
        let output = command(&[name, "--format", "json"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let failure = last_json(&output.stdout);
        assert_documented(&failure, &["Failure"]);
        assert_eq!(failure["problems"][0]["line"], 1, "{failure}");
    }
    let output = command(&["check"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let expected = "::error file=services/manifests.toml,line=2,col=1,title=manifests::unknown key `repositry` of a \
                    target%0Adid you mean `repository`?\n";
    assert!(stderr.contains(expected), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    let elsewhere = workspace.manifests(&["check"]).current_dir(workspace.path().join("services"));
    assert!(!String::from_utf8_lossy(&elsewhere.output().unwrap().stderr).contains("::error"));
}

#[test]
fn the_summary_of_a_step_gets_plan_and_result() {
    let workspace = workspace("ghcr.io");
    let summary = workspace.path().join("target/summary.md");
    std::fs::create_dir(workspace.path().join("target")).unwrap();
    std::fs::write(&summary, "before\n").unwrap();
    let with_summary = |arguments: &[&str]| {
        let command = workspace.manifests(arguments).env("GITHUB_STEP_SUMMARY", &summary);
        let output = command.args(["--engine", docker().to_str().unwrap()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let comment = with_summary(&["plan", "--rehearse", "--format", "markdown"]);
    assert!(comment.starts_with("<!-- manifests plan -->\n"), "{comment}");
    assert_eq!(workspace.read("target/summary.md"), format!("before\n{comment}\n"));
    assert_eq!(with_summary(&["plan", "--rehearse", "--format", "markdown"]), comment, "stable");

    with_summary(&["release", "--rehearse"]);
    let port = workspace.read("target/manifests/rehearsal/port");
    let place = format!("127.0.0.1:{}/ghcr.io/acme/app", port.trim());
    let mut images = ImageGuard::new(format!("{place}:1.0-linux-amd64"));
    images.add(format!("{place}:1.0-linux-arm64"));
    let text = workspace.read("target/summary.md");
    let row = format!("| app | `{place}:1.0` | `sha256:");
    let line = text.lines().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("{text}"));
    assert!(line.ends_with("` | published |"), "{line}");
    assert!(text.contains("\n### Rehearsed\n"), "{text}");
}
