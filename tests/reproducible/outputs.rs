//! What releases write themselves is neither in images nor an input of them.

use crate::project::Project;
use crate::support::docker_ok;

/// The paths in an image.
fn paths(image: &str) -> Vec<String> {
    let container = docker_ok(&["create", image, "none"]);
    let folder = tempfile::tempdir().unwrap();
    let tar = folder.path().join("tar");
    docker_ok(&["export", container.trim(), "--output", tar.to_str().unwrap()]);
    docker_ok(&["rm", container.trim()]);
    let mut archive = tar::Archive::new(std::fs::File::open(tar).unwrap());
    archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
}

#[test]
fn the_lock_and_the_folder_of_rehearsals_stay_out_of_an_image_that_copies_everything() {
    let project = Project::new("outputs", "FROM scratch\nCOPY . /\n");
    project.workspace.write(".dockerignore", ".git\nbin\n");
    project.commit();
    project.said(&["release", "--rehearse"]);
    project.said(&["release"]);
    project.commit();
    project.said(&["release", "--rehearse"]);
    // Nothing has changed: no engine is needed.
    project.said(&["release", "--locked", "--engine", "/nowhere/docker"]);
    project.said(&["release", "--rebuild"]);
    let paths = paths(&format!("{}/outputs-amd64:1", project.registry.host()));
    assert!(paths.iter().any(|path| path == "text/amd64"), "{paths:?}");
    let ours = ["manifests.lock", "target/manifests"];
    assert!(
        !paths.iter().any(|path| ours.iter().any(|own| path.trim_end_matches('/').starts_with(own))),
        "{paths:?}"
    );
}
