//! A pull or merge request: its plan as one comment that is kept up to date, and a rehearsal.

use serde_json::{Value, json};

use crate::github::Run;
use crate::gitlab;
use crate::job::Outcome::{Failure, Skipped, Success};
use crate::project::Project;

const MARKER: &str = "<!-- manifests plan -->\n";

/// More comments than a page has, and one of a person that begins as ours does.
fn others() -> Vec<Value> {
    let comment = |id: u32, body: &str| json!({ "id": id, "body": body, "user": { "type": "User" }, "author": { "id": 1 } });
    (1..=120).map(|id| comment(id, if id == 3 { MARKER } else { "looks good" })).collect()
}

/// The one comment that was added to those of others, which are what they were.
fn added(project: &Project) -> String {
    let comments = project.forge.contents(|contents| contents.comments.clone());
    assert_eq!(comments[..120], others(), "comments of others");
    assert_eq!(comments.len(), 121, "one comment: {:?}", &comments[120..]);
    comments[120]["body"].as_str().unwrap().to_owned()
}

/// The branch of the pull request, with something in the declaration replaced.
fn change(project: &Project, from: &str, to: &str) {
    let declaration = project.workspace.git(&["show", "main:manifests.toml"]);
    project.publish("change", &[("manifests.toml", &format!("{}\n", declaration.replace(from, to)))]);
}

#[test]
fn github_shows_the_plan_of_a_pull_request_in_one_comment() {
    let project = Project::new("github-comment", None);
    project.forge.contents(|contents| contents.comments = others());
    change(&project, "\"1.0\"", "\"1.1\"");
    let run = Run::of_pull_request(&project, "change", "acme/app").all();
    let outcome = |run: &Run<'_>, job: &str| run.outcomes[job];
    let of_both = |run: &Run<'_>| [outcome(run, "plan"), outcome(run, "comment")];
    assert_eq!(of_both(&run), [Success, Success], "{}", run.output);
    for job in ["push", "reconcile", "lock"] {
        assert_eq!(outcome(&run, job), Skipped, "{job}");
    }
    let comment = added(&project);
    assert!(comment.starts_with(MARKER) && comment.contains(":1.1"), "{comment}");
    // Rehearsed, and told in the summary of the run.
    assert!(run.output.contains("Rehearsed"), "{}", run.output);
    assert!(run.summary.contains(&comment) && run.summary.contains("| published |"), "{}", run.summary);
    // The job that may write has nothing of the pull request.
    assert!(!run.jobs["comment"].checkout().join("manifests.toml").exists());

    // The next commit: the same comment.
    change(&project, "\"1.0\"", "\"1.2\"");
    let run = Run::of_pull_request(&project, "change", "acme/app").all();
    assert_eq!(of_both(&run), [Success, Success], "{}", run.output);
    let comment = added(&project);
    assert!(comment.contains(":1.2") && !comment.contains(":1.1"), "{comment}");

    // A mistake: the plan of the commit before does not stay, and the mistake is shown at its line.
    change(&project, "platforms", "platfroms");
    let run = Run::of_pull_request(&project, "change", "acme/app").all();
    assert_eq!(of_both(&run), [Failure, Success], "{}", run.output);
    assert!(run.output.contains("::error file=manifests.toml,line=4,"), "{}", run.output);
    let comment = added(&project);
    assert!(comment.contains("could not be made") && !comment.contains(":1.2"), "{comment}");

    // What comes from a fork may not write.
    let asked = project.forge.contents(|contents| contents.asked.len());
    let run = Run::of_pull_request(&project, "change", "stranger/app").all();
    assert_eq!(of_both(&run), [Failure, Skipped]);
    assert_eq!(project.forge.contents(|contents| contents.asked.len()), asked);
}

#[test]
fn gitlab_shows_the_plan_of_a_merge_request_in_one_comment() {
    let project = Project::new("gitlab-comment", Some("ci/manifests"));
    project.forge.contents(|contents| contents.comments = others());
    change(&project, "\"1.0\"", "\"1.1\"");
    let pipeline = gitlab::of_merge_request(&project, "change", "5");
    let jobs: Vec<_> = pipeline.outcomes.iter().map(|(name, outcome)| (name.as_str(), *outcome)).collect();
    assert_eq!(jobs, [("manifests-comment", Success), ("manifests-plan", Success)], "{}", pipeline.output);
    let comment = added(&project);
    assert!(comment.starts_with(MARKER) && comment.contains(":1.1"), "{comment}");
    assert!(pipeline.output.contains("Rehearsed"), "{}", pipeline.output);

    change(&project, "platforms", "platfroms");
    let pipeline = gitlab::of_merge_request(&project, "change", "5");
    assert_eq!(pipeline.outcomes["manifests-plan"], Failure);
    assert_eq!(pipeline.outcomes["manifests-comment"], Success, "{}", pipeline.output);
    assert!(added(&project).contains("could not be made"));

    let pipeline = gitlab::of_merge_request(&project, "change", "6");
    assert_eq!(pipeline.outcomes.keys().collect::<Vec<_>>(), ["manifests-plan"], "a fork's has no token");
}
