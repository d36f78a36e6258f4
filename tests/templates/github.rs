//! Runs a workflow of GitHub Actions as its runner does, as far as the templates go: jobs by `needs` and `if`, a matrix,
//! steps with their shell and environment, composite actions, artifacts. An expression that is not known fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::forge::TOKEN;
use crate::job::{Job, Outcome, Variables, copy};
use crate::project::{PASSWORD, Project, TAG, USER, here, yaml};

/// The action, as workflows name it.
const ACTION: &str = "OWNER/manifests@";

/// A run of a workflow for one event.
pub(crate) struct Run<'a> {
    project: &'a Project,
    workflow: Value,
    contexts: Variables,
    reference: String,
    artifacts: TempDir,
    /// How each job ended; one of a matrix is named `push (linux/arm64)`.
    pub(crate) outcomes: BTreeMap<String, Outcome>,
    /// What was said in all jobs, and what the summaries of their steps got.
    pub(crate) output: String,
    pub(crate) summary: String,
    /// The last checkouts, by job.
    pub(crate) jobs: BTreeMap<String, Job>,
}

impl<'a> Run<'a> {
    /// A pull request of `branch`, from the repository `from`.
    pub(crate) fn of_pull_request(project: &'a Project, branch: &str, from: &str) -> Self {
        let event = [
            ("github.event_name", "pull_request"),
            ("github.event.pull_request.number", "7"),
            ("github.event.pull_request.head.repo.full_name", from),
        ];
        Self::new(project, branch, &event)
    }

    /// A tag that was pushed.
    pub(crate) fn of_tag(project: &'a Project) -> Self {
        let event = [
            ("github.event_name", "push"),
            ("github.event.pull_request.number", ""),
            ("github.event.pull_request.head.repo.full_name", ""),
        ];
        Self::new(project, TAG, &event)
    }

    fn new(project: &'a Project, reference: &str, event: &[(&str, &str)]) -> Self {
        let always = [
            ("github.actor", USER),
            ("github.repository", "acme/app"),
            ("github.token", TOKEN),
            ("github.event.repository.default_branch", "main"),
        ];
        let contexts =
            event.iter().chain(&always).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        // What the head of the file says to change: the registry. The login has a password of its own here.
        let text = fs::read_to_string(here("ci/github.yml")).unwrap();
        let text = text.replace("REGISTRY: ghcr.io", &format!("REGISTRY: {}", project.registry.host()));
        let text =
            text.replace("REGISTRY_TOKEN: ${{ github.token }}", &format!("REGISTRY_TOKEN: {PASSWORD}"));
        Self {
            project,
            workflow: yaml(&text),
            contexts: contexts.collect(),
            reference: reference.to_owned(),
            artifacts: tempfile::tempdir().unwrap(),
            outcomes: BTreeMap::new(),
            output: String::new(),
            summary: String::new(),
            jobs: BTreeMap::new(),
        }
    }

    /// The same with another command where a job gives one to the action.
    pub(crate) fn with_command(mut self, job: &str, command: &str) -> Self {
        let steps = self.workflow["jobs"][job]["steps"].as_array_mut().unwrap();
        steps.iter_mut().filter(|step| step["with"]["command"].is_string()).for_each(|step| {
            step["with"]["command"] = command.into();
        });
        self
    }

    /// Runs all jobs; the file has each behind those that it needs.
    pub(crate) fn all(mut self) -> Self {
        assert_eq!(self.workflow["permissions"], serde_json::json!({}), "nothing is allowed but by a job");
        let jobs = self.workflow["jobs"].as_object().unwrap().clone();
        // As the file has them, and not by name.
        let text = fs::read_to_string(here("ci/github.yml")).unwrap();
        let mut names: Vec<&String> = jobs.keys().collect();
        names.sort_by_key(|name| text.find(&format!("\n  {name}:\n")).unwrap());
        for name in names {
            let job = &jobs[name];
            let needed = job["needs"].as_str().is_none_or(|needed| self.ended(needed));
            if !truth(job.get("if"), needed, &self.contexts) {
                self.outcomes.insert(name.clone(), Outcome::Skipped);
                continue;
            }
            match job["strategy"]["matrix"]["include"].as_array() {
                None => self.job(name, job, &Variables::new()),
                Some(matrix) => {
                    for values in matrix {
                        let values = values.as_object().unwrap();
                        let values: Variables = values
                            .iter()
                            .map(|(name, value)| {
                                (format!("matrix.{name}"), value.as_str().unwrap().to_owned())
                            })
                            .collect();
                        self.job(&format!("{name} ({})", values["matrix.platform"]), job, &values);
                    }
                }
            }
        }
        self
    }

    /// Whether a job, with a matrix each of its jobs, was run and succeeded.
    fn ended(&self, name: &str) -> bool {
        let mut outcomes = self.outcomes.iter().filter(|(job, _)| job.split(' ').next() == Some(name));
        outcomes.all(|(_, outcome)| *outcome == Outcome::Success)
    }

    fn job(&mut self, name: &str, job: &Value, matrix: &Variables) {
        let permissions = job["permissions"].as_object().unwrap();
        let allowed = permissions.iter().map(|(name, value)| format!("{name}: {}", value.as_str().unwrap()));
        let allowed: BTreeSet<String> = allowed.collect();
        self.project.forge.contents(|contents| contents.allowed.clone_from(&allowed));
        let mut scope = Scope {
            job: Job::new(self.project),
            contexts: self.contexts.clone().into_iter().chain(matrix.clone()).collect(),
            environment: variables(&self.workflow["env"]),
            succeeded: true,
        };
        for (variable, value) in [
            ("CI", "true"),
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REPOSITORY", "acme/app"),
            ("GITHUB_REF_NAME", &self.reference),
            ("GITHUB_SERVER_URL", &self.project.forge.url),
            ("GITHUB_API_URL", &format!("{}/api", self.project.forge.url)),
            ("GITHUB_WORKSPACE", scope.job.checkout().to_str().unwrap()),
        ] {
            scope.environment.insert(variable.to_owned(), value.to_owned());
        }
        self.steps(&job["steps"], &mut scope);
        self.project.guard_rehearsal(&scope.job.checkout());
        self.output.push_str(&format!("== {name}\n{}", scope.job.output));
        self.outcomes.insert(name.to_owned(), Outcome::of(scope.succeeded));
        self.jobs.insert(name.to_owned(), scope.job);
    }

    fn steps(&mut self, steps: &Value, scope: &mut Scope) {
        for step in steps.as_array().unwrap() {
            if truth(step.get("if"), scope.succeeded, &scope.contexts) && !self.step(step, scope) {
                scope.succeeded = false;
            }
        }
    }

    fn step(&mut self, step: &Value, scope: &mut Scope) -> bool {
        let with = fill(&step["with"], &scope.contexts);
        let (uses, checkout) = (step["uses"].as_str(), scope.job.checkout());
        let name = with.get("name").map(String::as_str);
        match uses.map(|uses| uses.split('@').next().unwrap()) {
            None => self.script(step, scope),
            Some("actions/checkout") => {
                assert_eq!(with["persist-credentials"], "false");
                let may_read =
                    self.project.forge.contents(|contents| contents.allowed.contains("contents: read"));
                assert!(may_read, "a private repository is not given to all");
                scope.job.check_out(self.project, &self.reference);
                true
            }
            Some("actions/upload-artifact") => {
                let path = PathBuf::from(&with["path"]);
                let artifact = self.artifacts.path().join(name.unwrap()).join(path.file_name().unwrap());
                copy(&checkout.join(path), &artifact) || with["if-no-files-found"] != "error"
            }
            Some("actions/download-artifact") => {
                let wanted = |artifact: &str| match (name, with.get("pattern")) {
                    (Some(name), _) => artifact == name,
                    (None, pattern) => artifact.starts_with(pattern.unwrap().strip_suffix('*').unwrap()),
                };
                assert!(name.is_some() || with["merge-multiple"] == "true");
                let all = fs::read_dir(self.artifacts.path()).unwrap().map(|entry| entry.unwrap().path());
                let found = all.filter(|path| wanted(path.file_name().unwrap().to_str().unwrap()));
                let copied = found.map(|path| copy(&path, &checkout.join(&with["path"])));
                copied.fold(false, |any, one| any | one)
            }
            Some(_) => {
                assert!(uses.unwrap().starts_with(ACTION), "no stand-in for {uses:?}");
                self.action(&with, scope)
            }
        }
    }

    /// The action of this repository, with its own inputs, outputs and path.
    fn action(&mut self, with: &Variables, scope: &mut Scope) -> bool {
        let action = yaml(&fs::read_to_string(here("action.yml")).unwrap());
        let outside = scope.contexts.clone();
        let declared = action["inputs"].as_object().unwrap();
        assert!(with.keys().all(|name| declared.contains_key(name)), "inputs {with:?}");
        for (name, input) in declared {
            let given = with.get(name).cloned();
            let default = || interpolate(input["default"].as_str().unwrap(), &outside);
            scope.contexts.insert(format!("inputs.{name}"), given.unwrap_or_else(default));
        }
        let path = here("").display().to_string();
        scope.environment.insert("GITHUB_ACTION_PATH".to_owned(), path);
        self.steps(&action["runs"]["steps"], scope);
        scope.environment.remove("GITHUB_ACTION_PATH");
        scope.contexts = outside;
        scope.succeeded
    }

    fn script(&mut self, step: &Value, scope: &mut Scope) -> bool {
        let script = step["run"].as_str().unwrap();
        assert!(!script.contains("${{"), "nothing is put into a script: {script}");
        let options: &[&str] = match step["shell"].as_str() {
            None => &["-e"],
            Some("bash") => &["--noprofile", "--norc", "-eo", "pipefail"],
            Some(other) => panic!("no shell {other}"),
        };
        let files = tempfile::tempdir().unwrap();
        let (output, summary) = (files.path().join("output"), files.path().join("summary.md"));
        let mut variables = scope.environment.clone();
        variables.extend(fill(&step["env"], &scope.contexts));
        variables.insert("GITHUB_OUTPUT".to_owned(), output.display().to_string());
        variables.insert("GITHUB_STEP_SUMMARY".to_owned(), summary.display().to_string());
        let succeeded = scope.job.run(script, options, &variables);
        self.summary.push_str(&fs::read_to_string(summary).unwrap_or_default());
        for line in fs::read_to_string(output).unwrap_or_default().lines() {
            let (name, value) = line.split_once('=').unwrap();
            let id = step["id"].as_str().unwrap();
            scope.contexts.insert(format!("steps.{id}.outputs.{name}"), value.to_owned());
        }
        succeeded
    }
}

/// What the steps of one job share.
struct Scope {
    job: Job,
    contexts: Variables,
    environment: Variables,
    succeeded: bool,
}

/// Whether `if` lets something run: without a status function only when what was before `succeeded`.
fn truth(condition: Option<&Value>, succeeded: bool, contexts: &Variables) -> bool {
    let Some(condition) = condition.map(|condition| condition.as_str().unwrap()) else { return succeeded };
    let whole = condition.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
    let terms: Vec<&str> = whole.unwrap_or(condition).split("&&").map(str::trim).collect();
    let value = |operand: &str| match operand.strip_prefix('\'') {
        Some(text) => text.strip_suffix('\'').unwrap().to_owned(),
        None => context(operand, contexts),
    };
    let holds = |term: &&str| match term.split_once(" == ") {
        Some((left, right)) => value(left) == value(right),
        // No run is cancelled here.
        None => *term == "!cancelled()" || panic!("condition {term}"),
    };
    (succeeded || terms.contains(&"!cancelled()")) && terms.iter().all(holds)
}

fn context(name: &str, contexts: &Variables) -> String {
    contexts.get(name).unwrap_or_else(|| panic!("no {name}; there are {:?}", contexts.keys())).clone()
}

fn interpolate(text: &str, contexts: &Variables) -> String {
    let mut parts = text.split("${{");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |filled, part| {
        let (name, rest) = part.split_once("}}").unwrap();
        filled + &context(name.trim(), contexts) + rest
    })
}

/// The texts, numbers and truths of a mapping.
fn variables(mapping: &Value) -> Variables {
    let entries = mapping.as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    entries.map(|(name, value)| (name.clone(), text(value))).collect()
}

fn fill(mapping: &Value, contexts: &Variables) -> Variables {
    variables(mapping).into_iter().map(|(name, text)| (name, interpolate(&text, contexts))).collect()
}
