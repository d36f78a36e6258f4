//! What images are built on: bases that move, copies of them that engines hold, and what they leave to be run.

use crate::project::{NO_ENGINE, PLATFORMS, Project};
use crate::support::{BaseImage, ImageGuard, busybox_base, busybox_base_of, docker_ok};

const ON_A_BASE: &str = "FROM HOST/busybox-base\nARG TARGETARCH\nCOPY text/$TARGETARCH /text\n";

/// One image for each of [`PLATFORMS`], of these versions.
fn versions(versions: [&str; 2]) -> [BaseImage<'_>; 2] {
    [0, 1].map(|index| BaseImage {
        platform: PLATFORMS[index],
        version: Some(versions[index]),
        ..BaseImage::default()
    })
}

fn plan(project: &Project) -> String {
    let plan = project.run(&["plan"]);
    String::from_utf8_lossy(&plan.stdout).into_owned()
}

fn is_fresh(project: &Project) {
    project.said(&[&["release", "--locked"][..], &NO_ENGINE].concat());
}

/// The version of the base that the built image for amd64 has.
fn version(project: &Project, name: &str) -> String {
    let image = format!("{}/{name}-amd64:1", project.registry.host());
    docker_ok(&["run", "--rm", &image, "cat", "/version"])
}

fn recorded(project: &Project) -> usize {
    project.lock().matches("fingerprint = ").count()
}

#[test]
fn a_base_that_moved_makes_its_images_stale() {
    let project = Project::new("based", ON_A_BASE);
    let host = project.registry.host();
    busybox_base_of(&host, &versions(["1", "1"]));
    project.said(&["release"]);
    let lock = project.lock();
    assert!(lock.contains("/busybox-base:latest\" = \"sha256:"), "{lock}");
    project.said(&[&["release"][..], &NO_ENGINE].concat());

    // Another image in the list is no other base.
    let more = BaseImage { platform: "linux/arm/v7", ..BaseImage::default() };
    busybox_base_of(&host, &[&versions(["1", "1"])[..], &[more]].concat());
    is_fresh(&project);
    assert_eq!(project.lock(), lock);

    busybox_base_of(&host, &versions(["2", "1"]));
    let said = plan(&project);
    assert_eq!(said.matches("/busybox-base:latest has moved)").count(), 1, "{said}");
    assert!(said.contains("= linux/arm64"), "{said}");
    let said = project.said(&["release"]);
    assert!(said.contains("linux/amd64: building") && !said.contains("linux/arm64: building"), "{said}");
    assert_eq!(version(&project, "based"), "2");
    is_fresh(&project);

    // The list that was locked need not be there any more to be compared with, where it was read before.
    let lock = project.lock();
    busybox_base_of(&host, &versions(["3", "3"]));
    let said = plan(&project);
    assert_eq!(said.matches("/busybox-base:latest has moved)").count(), 2, "{said}");
    project.said(&["release"]);
    assert_ne!(project.lock(), lock);
    is_fresh(&project);
}

#[test]
fn a_list_that_moved_is_another_base_where_the_platform_is_not_known() {
    let project = Project::new(
        "elsewhere",
        "FROM --platform=$BUILDPLATFORM HOST/busybox-base AS tools\nFROM scratch\nCOPY --from=tools /version /version\n",
    );
    let host = project.registry.host();
    busybox_base_of(&host, &versions(["1", "1"]));
    project.said(&["release"]);
    is_fresh(&project);
    busybox_base_of(&host, &versions(["2", "1"]));
    let said = plan(&project);
    assert_eq!(said.matches("/busybox-base:latest has moved)").count(), 2, "{said}");
}

#[test]
fn a_stale_copy_of_a_base_in_the_engine_is_not_taken_for_the_registrys() {
    let project = Project::new("stale", ON_A_BASE);
    let host = project.registry.host();
    let base = busybox_base_of(&host, &versions(["1", "1"]));
    let _copy = ImageGuard::new(&base);
    docker_ok(&["pull", "--quiet", &base]);
    project.said(&["release"]);
    assert_eq!((version(&project, "stale").as_str(), recorded(&project)), ("1", 2));

    // The engine's copy is the registry's older one: the build takes the newer one.
    busybox_base_of(&host, &versions(["2", "2"]));
    let said = project.said(&["release"]);
    assert!(!said.contains("is not recorded"), "{said}");
    assert_eq!((version(&project, "stale").as_str(), recorded(&project)), ("2", 2));
    is_fresh(&project);

    // One that exists in the engine alone is built on, and not taken for the registry's.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("version"), "own").unwrap();
    let dockerfile = format!("FROM {base}\nCOPY version /version\n");
    std::fs::write(folder.path().join("Dockerfile"), dockerfile).unwrap();
    docker_ok(&["build", "--quiet", "--pull", "--tag", &base, folder.path().to_str().unwrap()]);
    let said = project.said(&["release", "--rebuild"]);
    let why = format!("the engine holds another {base} than the registry serves, and may have built on it");
    assert!(said.contains(&why), "{said}");
    // The other platform's came out as it is locked, whose origin is known.
    assert_eq!((version(&project, "stale").as_str(), recorded(&project)), ("own", 1));
    let said = plan(&project);
    assert!(said.contains("? linux/amd64") && said.contains("= linux/arm64"), "{said}");
    let told = format!("(the lock does not say what it was built from: {why}");
    assert_eq!(said.matches(&told).count(), 1, "{said}");

    // Who declares `pull` gets the registry's.
    let declaration = project.workspace.read("manifests.toml").replace("build = {}", "build.pull = true");
    project.workspace.write("manifests.toml", &declaration);
    project.commit();
    project.said(&["release"]);
    assert_eq!((version(&project, "stale").as_str(), recorded(&project)), ("2", 2));
    is_fresh(&project);
}

#[test]
fn a_base_that_is_only_in_the_engine_is_built_on_and_not_recorded() {
    let project = Project::new("local", "FROM HOST/only-here:1\nCOPY text/amd64 /text\n");
    let base = format!("{}/only-here:1", project.registry.host());
    let _copy = ImageGuard::new(&base);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /x\n").unwrap();
    docker_ok(&["build", "--quiet", "--tag", &base, folder.path().to_str().unwrap()]);
    let declaration = project
        .workspace
        .read("manifests.toml")
        .replace("\"linux/amd64\", \"linux/arm64\"", "\"linux/amd64\"");
    project.workspace.write("manifests.toml", &declaration);
    project.commit();
    project.said(&["release"]);
    assert_eq!(recorded(&project), 0);
}

#[test]
fn a_base_that_leaves_something_to_be_run_is_never_fresh() {
    let project = Project::new("triggered", ON_A_BASE);
    let host = project.registry.host();
    let images = PLATFORMS.map(|platform| BaseImage {
        platform,
        on_build: if platform == "linux/amd64" { &["COPY text/ /triggered/"][..] } else { &[] },
        ..BaseImage::default()
    });
    busybox_base_of(&host, &images);
    let said = project.said(&["release"]);
    let why = format!("base {host}/busybox-base:latest has ONBUILD instructions, which are not looked at");
    assert_eq!(said.matches(&why).count(), 1, "{said}");
    assert_eq!(recorded(&project), 1, "{}", project.lock());
    // What it copies is no input that could be named: only that of the other platform is fresh.
    project.workspace.write("text/more", "more");
    project.commit();
    let said = plan(&project);
    assert!(said.contains("= linux/arm64") && !said.contains("= linux/amd64"), "{said}");
    assert!(said.contains(&format!("(the lock does not say what it was built from: {why})")), "{said}");

    busybox_base(&host, &PLATFORMS);
    project.said(&["release"]);
    assert_eq!(recorded(&project), 2, "{}", project.lock());
    is_fresh(&project);
}
