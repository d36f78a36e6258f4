//! The time that an image gets follows from its inputs.

use crate::project::Project;
use crate::support::docker_ok;

/// The times of the commits, in seconds since 1970.
const FIRST: &str = "1577836800";
const SECOND: &str = "1609459200";
const THIRD: &str = "1640995200";

/// A commit of all that has changed, made at `seconds`.
fn commit_at(project: &Project, seconds: &str) {
    project.workspace.git(&["add", "."]);
    let date = format!("--date=@{seconds} +0000");
    project.workspace.git(&["commit", "--quiet", "--allow-empty", "--message=Dated", &date]);
    project.workspace.git(&["rebase", "--quiet", "--committer-date-is-author-date", "--root"]);
}

#[test]
fn an_image_has_the_time_of_the_last_commit_that_touches_its_inputs() {
    let project = Project::new(
        "dated",
        "FROM scratch\nARG TARGETARCH SOURCE_DATE_EPOCH\nLABEL epoch=$SOURCE_DATE_EPOCH\n\
         COPY text/$TARGETARCH /text\n",
    );
    project.workspace.git(&["commit", "--quiet", "--amend", "--no-edit", &format!("--date=@{FIRST} +0000")]);
    project.workspace.git(&["rebase", "--quiet", "--committer-date-is-author-date", "--root"]);
    project.workspace.write("text/arm64", "other");
    commit_at(&project, SECOND);
    project.workspace.write("README.md", "no input");
    commit_at(&project, THIRD);
    assert_eq!(project.workspace.git(&["log", "-3", "--format=%ct"]), [THIRD, SECOND, FIRST].join("\n"));

    project.said(&["release"]);
    for (arch, expected) in [("amd64", FIRST), ("arm64", SECOND)] {
        let image = format!("{}/dated-{arch}:1", project.registry.host());
        let epoch = docker_ok(&["inspect", "--format", "{{ .Config.Labels.epoch }}", &image]);
        assert_eq!(epoch.trim_end(), expected, "{arch}");
    }

    // A later commit of the same files gives no image another time: it is no input.
    project.workspace.git(&["commit", "--quiet", "--amend", "--no-edit", "--date=@1700000000 +0000"]);
    project.workspace.git(&["rebase", "--quiet", "--committer-date-is-author-date", "--root"]);
    project.said(&["release", "--locked", "--engine", "/nowhere/docker"]);
}
