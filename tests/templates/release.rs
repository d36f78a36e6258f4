//! A tag: each platform is pushed by a machine of its own, one puts the list together, and the lock is proposed.

use serde_json::{Value, json};

use crate::forge::TOKEN;
use crate::github::Run;
use crate::gitlab;
use crate::job::Outcome::{Failure, Skipped, Success};
use crate::job::{Job, Variables};
use crate::project::{PASSWORD, Project, TAG};

/// What `cargo xtask ARGUMENTS` says on a job's machine, with the login that the job made.
fn asked(job: &mut Job, arguments: &str) -> (bool, String) {
    let before = job.output.len();
    let succeeded = job.run(&format!("cargo xtask {arguments}"), &["-e"], &Variables::new());
    (succeeded, job.output[before..].to_owned())
}

/// Both platforms are in the list, for who is logged in.
fn assert_published(project: &Project, job: &mut Job, name: &str) {
    let inspect = format!("inspect {}/acme/{name}:latest", project.registry.host());
    let (succeeded, said) = asked(job, &inspect);
    assert!(succeeded && said.contains("linux/amd64") && said.contains("linux/arm64"), "{said}");
    let mut stranger = Job::new(project);
    let (succeeded, said) = asked(&mut stranger, &inspect);
    assert!(!succeeded && said.contains("401"), "{said}");
}

/// The branch has the lock that the job left, and nothing else; the default branch is as it was.
fn assert_locked(project: &Project, job: &Job) {
    let branch = format!("manifests-lock/{TAG}");
    let lock = std::fs::read_to_string(job.checkout().join("manifests.lock")).unwrap();
    assert_eq!(project.forge.git(&["show", &format!("{branch}:manifests.lock")]), lock);
    assert_eq!(project.forge.git(&["diff", "--name-only", "main", &branch]), "manifests.lock\n");
    assert_eq!(
        project.forge.git(&["rev-parse", "main"]).trim(),
        project.workspace.git(&["rev-parse", "main"])
    );
}

fn requests(project: &Project) -> Vec<Value> {
    project.forge.contents(|contents| contents.requests.clone())
}

#[test]
fn github_releases_a_tag_and_proposes_the_lock() {
    let project = Project::new("github-release", None);
    let mut run = Run::of_tag(&project).all();
    let outcomes: Vec<_> = run.outcomes.iter().map(|(name, outcome)| (name.as_str(), *outcome)).collect();
    let expected = [
        ("comment", Skipped),
        ("lock", Success),
        ("plan", Skipped),
        ("push (linux/amd64)", Success),
        ("push (linux/arm64)", Success),
        ("reconcile", Success),
    ];
    assert_eq!(outcomes, expected, "{}", run.output);
    assert!(run.summary.contains("| published |"), "{}", run.summary);
    for secret in [TOKEN, PASSWORD] {
        assert!(!run.output.contains(secret), "{}", run.output);
    }
    let reconcile = run.jobs.get_mut("reconcile").unwrap();
    assert_published(&project, reconcile, "github-release");
    assert_locked(&project, reconcile);
    let proposed = requests(&project);
    assert_eq!(proposed.len(), 1, "{proposed:?}");
    let body = proposed[0]["body"].clone();
    let expected = json!({ "title": "Lock what v1.0 published", "head": "manifests-lock/v1.0", "base": "main", "body": body });
    assert_eq!(proposed[0], expected);

    // Run again, the request is the same; once it is merged there is none to make.
    let again = Run::of_tag(&project).all();
    assert_eq!(again.outcomes["lock"], Success, "{}", again.output);
    assert_eq!(requests(&project).len(), 1);
    project.forge.git(&["update-ref", "refs/heads/main", "refs/heads/manifests-lock/v1.0"]);
    project.forge.contents(|contents| contents.requests.clear());
    let merged = Run::of_tag(&project).all();
    assert_eq!(merged.outcomes["lock"], Success, "{}", merged.output);
    assert!(
        merged.output.contains("manifests.lock of main says already what v1.0 published"),
        "{}",
        merged.output
    );
    assert_eq!(requests(&project), [] as [Value; 0]);
}

#[test]
fn github_publishes_no_list_when_a_platform_failed() {
    let project = Project::new("github-broken", None);
    let declaration = project.workspace.read("manifests.toml");
    let broken = "\n[target.app.platform.\"linux/arm64\"]\nbuild.dockerfile = \"image/Broken\"\n";
    let files =
        [("manifests.toml", &*(declaration + broken)), ("image/Broken", "FROM scratch\nCOPY nowhere /\n")];
    project.publish(TAG, &files);
    let mut run = Run::of_tag(&project).all();
    let outcome = |job: &str| run.outcomes[job];
    assert_eq!(
        [outcome("push (linux/amd64)"), outcome("push (linux/arm64)")],
        [Success, Failure],
        "{}",
        run.output
    );
    assert_eq!([outcome("reconcile"), outcome("lock")], [Skipped, Skipped], "{}", run.output);
    let tags = format!("tags {}/acme/github-broken", project.registry.host());
    let (succeeded, said) = asked(run.jobs.get_mut("push (linux/amd64)").unwrap(), &tags);
    assert!(succeeded && said.contains("1.0-linux-amd64") && !said.contains("latest"), "{said}");
}

#[test]
fn gitlab_releases_a_tag_and_proposes_the_lock() {
    let project = Project::new("gitlab-release", Some("ci/manifests"));
    let mut pipeline = gitlab::of_tag(&project);
    let outcomes: Vec<_> =
        pipeline.outcomes.iter().map(|(name, outcome)| (name.as_str(), *outcome)).collect();
    let expected = [
        ("manifests-lock", Success),
        ("manifests-push: [linux/amd64]", Success),
        ("manifests-push: [linux/arm64]", Success),
        ("manifests-reconcile", Success),
    ];
    assert_eq!(outcomes, expected, "{}", pipeline.output);
    for secret in [TOKEN, PASSWORD] {
        assert!(!pipeline.output.contains(secret), "{}", pipeline.output);
    }
    let reconcile = pipeline.jobs.get_mut("manifests-reconcile").unwrap();
    assert_published(&project, reconcile, "gitlab-release");
    assert_locked(&project, reconcile);
    let proposed = requests(&project);
    assert_eq!(proposed.len(), 1, "{proposed:?}");
    assert_eq!(proposed[0]["source_branch"], "manifests-lock/v1.0");
    assert_eq!(proposed[0]["target_branch"], "main");

    let again = gitlab::of_tag(&project);
    assert_eq!(again.outcomes["manifests-lock"], Success, "{}", again.output);
    assert_eq!(requests(&project).len(), 1);
}
