//! Runs a pipeline of GitLab CI as its runner does, as far as the template goes: `extends`, `rules`, a matrix, `needs` with
//! artifacts, `before_script` and `script`. A condition that is not known fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::forge::TOKEN;
use crate::job::{Job, Outcome, Variables, copy};
use crate::project::{PASSWORD, Project, TAG, USER, here, yaml};

/// The stages that a pipeline has when it names none.
const STAGES: [&str; 3] = ["build", "test", "deploy"];

/// A pipeline that has ended.
pub(crate) struct Pipeline {
    /// How each job ended; one of a matrix is named `manifests-push: [linux/arm64]`. Those without a place in this
    /// pipeline are not there.
    pub(crate) outcomes: BTreeMap<String, Outcome>,
    /// What was said in all jobs.
    pub(crate) output: String,
    /// The jobs' machines.
    pub(crate) jobs: BTreeMap<String, Job>,
}

/// The pipeline of a merge request of `branch`, from the project with the number `from`.
pub(crate) fn of_merge_request(project: &Project, branch: &str, from: &str) -> Pipeline {
    let event = [
        ("CI_PIPELINE_SOURCE", "merge_request_event"),
        ("CI_MERGE_REQUEST_IID", "7"),
        ("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", from),
        ("MANIFESTS_COMMENT_TOKEN", TOKEN),
    ];
    // What a token may is up to who makes it: one for comments here.
    run(project, branch, &event, "pull-requests: write")
}

/// The pipeline of a tag.
pub(crate) fn of_tag(project: &Project) -> Pipeline {
    let event = [
        ("CI_PIPELINE_SOURCE", "push"),
        ("CI_COMMIT_TAG", TAG),
        ("MANIFESTS_LOCK_TOKEN", TOKEN),
        ("GITLAB_USER_NAME", "Somebody"),
        ("GITLAB_USER_EMAIL", "somebody@example.com"),
    ];
    run(project, TAG, &event, "contents: write, pull-requests: write")
}

fn run(project: &Project, reference: &str, event: &[(&str, &str)], allowed: &str) -> Pipeline {
    let allowed: BTreeSet<String> = allowed.split(", ").map(str::to_owned).collect();
    project.forge.contents(|contents| contents.allowed = allowed);
    let (url, host) = (&project.forge.url, project.registry.host());
    let api = format!("{url}/api");
    let always = [
        ("CI", "true"),
        ("GITLAB_CI", "true"),
        ("CI_PROJECT_ID", "5"),
        ("CI_PROJECT_PATH", "acme/app"),
        ("CI_DEFAULT_BRANCH", "main"),
        ("CI_SERVER_URL", url),
        ("CI_API_V4_URL", &api),
        ("CI_REGISTRY", &host),
        ("CI_REGISTRY_USER", USER),
        ("CI_REGISTRY_PASSWORD", PASSWORD),
    ];
    let given: Variables =
        event.iter().chain(&always).map(|(name, value)| ((*name).into(), (*value).into())).collect();

    let file = yaml(&fs::read_to_string(here("ci/gitlab.yml")).unwrap());
    let file = file.as_object().unwrap();
    let artifacts = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline { outcomes: BTreeMap::new(), output: String::new(), jobs: BTreeMap::new() };
    let mut waiting: Vec<(&String, Value)> = file
        .keys()
        .filter(|name| !name.starts_with('.'))
        .map(|name| (name, extended(file, name)))
        .filter(|(_, job)| place(job, &given).is_some())
        .collect();
    let names: BTreeSet<&str> = waiting.iter().map(|(name, _)| name.as_str()).collect();
    for (name, job) in &waiting {
        assert!(STAGES.contains(&job["stage"].as_str().unwrap()), "the stage of {name}");
        for needed in needs(job) {
            assert!(names.contains(needed), "{name} needs {needed}, which is not in this pipeline");
        }
    }
    while !waiting.is_empty() {
        let ready =
            |(_, job): &(&String, Value)| needs(job).iter().all(|name| ended(&pipeline, name).is_some());
        let next = waiting.iter().position(ready).unwrap();
        let (name, job) = waiting.remove(next);
        pipeline.job(project, reference, &artifacts, name, &job, &given);
    }
    pipeline
}

impl Pipeline {
    fn job(
        &mut self,
        project: &Project,
        reference: &str,
        artifacts: &TempDir,
        name: &str,
        job: &Value,
        given: &Variables,
    ) {
        let needed = needs(job).iter().all(|needed| ended(self, needed) == Some(true));
        if !needed && place(job, given) != Some("always") {
            self.outcomes.insert(name.to_owned(), Outcome::Skipped);
            return;
        }
        let matrix = job["parallel"]["matrix"].as_array().cloned().unwrap_or_else(|| vec![Value::Null]);
        for own in &matrix {
            let mut variables = given.clone();
            for mapping in [&job["variables"], own] {
                for (name, value) in mapping.as_object().into_iter().flatten() {
                    let value = value.as_str().unwrap();
                    let value = value
                        .strip_prefix('$')
                        .map_or(value, |other| given.get(other).map_or("", |value| value));
                    variables.insert(name.clone(), value.to_owned());
                }
            }
            // The daemon beside the job has another address here.
            variables.retain(|name, _| !name.starts_with("DOCKER_"));
            let name = match own["PLATFORM"].as_str() {
                Some(platform) => format!("{name}: [{platform}]"),
                None => name.to_owned(),
            };
            let mut machine = Job::new(project);
            machine.check_out(project, reference);
            for needed in needs(job) {
                copy(&artifacts.path().join(needed), &machine.checkout());
            }
            let lines = [&job["before_script"], &job["script"]];
            let lines =
                lines.iter().flat_map(|lines| lines.as_array().unwrap()).map(|line| line.as_str().unwrap());
            let script = lines.collect::<Vec<_>>().join("\n");
            let succeeded = machine.run(&script, &["-eo", "pipefail"], &variables);
            project.guard_rehearsal(&machine.checkout());
            if succeeded || job["artifacts"]["when"] == "always" {
                for path in job["artifacts"]["paths"].as_array().into_iter().flatten() {
                    let path = path.as_str().unwrap();
                    copy(&machine.checkout().join(path), &artifacts.path().join(own_name(&name)).join(path));
                }
            }
            self.output.push_str(&format!("== {name}\n{}", machine.output));
            self.outcomes.insert(name.clone(), Outcome::of(succeeded));
            self.jobs.insert(name, machine);
        }
    }
}

/// The name in the file of a job that may be one of a matrix.
fn own_name(name: &str) -> &str {
    name.split(':').next().unwrap()
}

/// Whether a job succeeded, with a matrix each of its jobs; `None` when it was not run yet.
fn ended(pipeline: &Pipeline, name: &str) -> Option<bool> {
    let mut outcomes = pipeline.outcomes.iter().filter(|(job, _)| own_name(job) == name).peekable();
    outcomes.peek()?;
    Some(outcomes.all(|(_, outcome)| *outcome == Outcome::Success))
}

fn needs(job: &Value) -> Vec<&str> {
    job["needs"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap()).collect()
}

/// A job with what it takes from others, mappings merged.
fn extended(file: &serde_json::Map<String, Value>, name: &str) -> Value {
    let job = &file[name];
    let Some(base) = job["extends"].as_str() else { return job.clone() };
    let mut merged = extended(file, base);
    for (key, value) in job.as_object().unwrap() {
        match (merged[key].as_object_mut(), value.as_object()) {
            (Some(below), Some(above)) => below.extend(above.clone()),
            _ => merged[key] = value.clone(),
        }
    }
    merged
}

/// When the job runs in a pipeline with these variables; `None` when not at all.
fn place<'a>(job: &'a Value, variables: &Variables) -> Option<&'a str> {
    let get = |name: &str| variables.get(name.strip_prefix('$').unwrap()).map_or("", |value| value);
    let holds = |term: &str| match (term.split_once(" == "), term.split_once(" =~ ")) {
        (Some((left, right)), _) => match right.strip_prefix('"') {
            Some(text) => get(left) == text.strip_suffix('"').unwrap(),
            None => get(left) == get(right),
        },
        (None, Some((left, pattern))) => {
            let start = pattern.strip_prefix("/^").and_then(|pattern| pattern.strip_suffix('/'));
            get(left).starts_with(start.expect("a pattern of how it begins"))
        }
        (None, None) => !get(term).is_empty(),
    };
    let rules = job["rules"].as_array().unwrap().iter();
    let found = rules.into_iter().find(|rule| rule["if"].as_str().unwrap().split(" && ").all(holds))?;
    Some(found["when"].as_str().unwrap_or("on_success"))
}
