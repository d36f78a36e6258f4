//! The files themselves: scripts that stand in YAML, where `shellcheck` does not find them by itself. The files by their
//! schemas, and the scripts in `ci/`, are checked by `cargo xtask ci`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::github::Run;
use crate::project::{Project, here, yaml};

/// The scripts in what a key of these names has: one text, or lines of one script.
fn scripts(value: &Value, found: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        match (name.as_str(), value) {
            ("run" | "script" | "before_script", Value::String(text)) => found.push(text.clone()),
            ("script" | "before_script", Value::Array(lines)) => {
                found.push(lines.iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n"));
            }
            _ => scripts(value, found),
        }
    }
    value.as_array().into_iter().flatten().for_each(|value| scripts(value, found));
}

#[test]
fn every_script_in_yaml_passes_shellcheck() {
    for (file, expected) in
        [("action.yml", 6), ("ci/github.yml", 3), ("ci/gitlab.yml", 7), (".github/workflows/release.yml", 6)]
    {
        let mut found = Vec::new();
        scripts(&yaml(&std::fs::read_to_string(here(file)).unwrap()), &mut found);
        assert_eq!(found.len(), expected, "scripts in {file}");
        for script in found {
            assert!(!script.contains("${{"), "{file} puts something into a script: {script}");
            let mut check = Command::new("shellcheck")
                .args(["--shell=bash", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("shellcheck starts; hint: `cargo xtask ci` installs it");
            check.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
            let ended = check.wait_with_output().unwrap();
            assert!(ended.status.success(), "{file}: {}", String::from_utf8_lossy(&ended.stdout));
        }
    }
}

#[test]
fn an_unknown_command_of_the_action_is_an_error() {
    let project = Project::new("github-unknown", None);
    let run = Run::of_pull_request(&project, "main", "acme/app").with_command("plan", "paln").all();
    assert!(
        run.output.contains("::error::manifests: unknown command 'paln', expected plan, comment, "),
        "{}",
        run.output
    );
    assert!(!run.output.contains("Rehearsed"), "{}", run.output);
}
