//! Where ours does better, each with what Docker does beside it. `docs/docker-manifest.md` lists them.

use manifests::embedded::{Options, Server};
use serde_json::json;

use crate::content::{Kind, Registry};
use crate::sides::{Ended, Side, Sides};

/// Both ended well.
fn both_done(sides: &Sides, args: &str) -> [Ended; 2] {
    let ended = sides.both(args);
    assert!(ended.iter().all(|ended| ended.code == Some(0)), "{args}: {ended:#?}");
    ended
}

/// Docker's side took what ours refused, with `why` on stderr.
fn only_ours_refuses(sides: &Sides, args: &str, why: &str) {
    let [docker, ours] = sides.both(args);
    assert_eq!((docker.code, ours.code), (Some(0), Some(1)), "{args}: {docker:#?} {ours:#?}");
    assert!(ours.stdout.is_empty() && ours.stderr.contains(why), "{args}: {ours:#?}");
}

/// Ours did what Docker's side refused, with `why` on stderr.
fn only_docker_refuses(sides: &Sides, args: &str, why: &str) {
    let [docker, ours] = sides.both(args);
    assert_eq!((docker.code, ours.code), (Some(1), Some(0)), "{args}: {docker:#?} {ours:#?}");
    assert!(docker.stderr.contains(why), "{args}: {docker:#?}");
}

#[test]
fn amend_refreshes_what_has_been_pushed_since() {
    let sides = Sides::new();
    both_done(&sides, "create --insecure R/list:1 R/amd64:1 R/arm64:1");
    let new = [Side::Docker, Side::Ours].map(|side| {
        let name = format!("{}/amd64", side.namespace());
        let config = json!({ "architecture": "amd64", "os": "linux" });
        sides.registry.image((&name, "1"), Kind::Docker, &config, "pushed again")["digest"].clone()
    });
    both_done(&sides, "create --insecure --amend R/list:1 R/amd64:1");
    both_done(&sides, "push --insecure R/list:1");
    let digest = |side| sides.entries(side, "R/list:1")[0]["digest"].clone();
    assert_ne!(digest(Side::Docker), new[0], "Docker keeps the entry that it has");
    assert_eq!(digest(Side::Ours), new[1]);
}

#[test]
fn a_failed_create_leaves_nothing_behind() {
    let sides = Sides::new();
    let [docker, ours] = sides.both("create --insecure R/list:1 R/amd64:1 R/none:1");
    assert_eq!((docker.code, ours.code), (Some(1), Some(1)));
    assert!(!sides.project.path().join("manifests.toml").exists());
    // Docker publishes the half; ours has nothing to publish.
    let [docker, ours] = sides.both("push --insecure R/list:1");
    assert_eq!((docker.code, ours.code), (Some(0), Some(1)));
    assert_eq!(sides.architectures(Side::Docker, "R/list:1"), ["amd64"]);
    assert!(sides.published(Side::Ours, "R/list:1").is_none());
}

#[test]
fn an_index_of_one_image_and_its_attestations_is_a_source() {
    let sides = Sides::new();
    only_docker_refuses(
        &sides,
        "create --insecure R/list:1 R/lists:attested R/arm64:1",
        "is a manifest list",
    );
    let pushed = sides.run(Side::Ours, "push R/list:1");
    assert_eq!(pushed.code, Some(0), "{pushed:#?}");
    assert_eq!(sides.architectures(Side::Ours, "R/list:1"), ["amd64", "unknown", "arm64"]);
    let several = sides.run(Side::Ours, "create R/list:2 R/lists:oci");
    assert_eq!(several.code, Some(1));
    assert!(several.stderr.contains("name each by its digest: linux/amd64 R/lists@sha256:"), "{several:#?}");
}

#[test]
fn annotate_takes_only_what_can_be_published() {
    let sides = Sides::new();
    both_done(&sides, "create --insecure R/list:1 R/amd64:1 R/arm:1 R/arm64:1");
    for (args, why) in [
        ("annotate R/list:1 R/amd64:1", "nothing to set for R/amd64:1 in R/list:1"),
        ("annotate R/list:1 R/amd64:1 --os", "nothing to set"),
        ("annotate R/list:1 R/arm:1 --variant v99", "unknown variant `v99` of arm; known are v5, v6, v7, v8"),
        ("annotate R/list:1 R/amd64:1 --arch arm64", "R/arm64:1 is already"),
    ] {
        let args = if args.ends_with("--os") { format!("{args}=") } else { args.to_owned() };
        only_ours_refuses(&sides, &args, why);
    }
    // Docker publishes two entries for one platform now.
    both_done(&sides, "push --insecure R/list:1");
    let mut listed = sides.architectures(Side::Docker, "R/list:1");
    listed.sort();
    assert_eq!(listed, ["arm", "arm64", "arm64"]);
    assert_eq!(sides.architectures(Side::Ours, "R/list:1"), ["amd64", "arm", "arm64"]);
}

#[test]
fn a_platform_that_the_image_contradicts_is_not_published() {
    let sides = Sides::new();
    both_done(&sides, "create --insecure R/list:1 R/amd64:1");
    both_done(&sides, "annotate R/list:1 R/amd64:1 --arch arm64");
    only_ours_refuses(
        &sides,
        "push --insecure R/list:1",
        "is declared as linux/arm64, but its configuration says",
    );
}

#[test]
fn platforms_that_came_since_are_known() {
    let sides = Sides::new();
    both_done(&sides, "create --insecure R/list:1 R/loong64:1");
    only_docker_refuses(
        &sides,
        "annotate R/list:1 R/loong64:1 --os-version 1",
        "unsupported os/arch combination",
    );
}

#[test]
fn images_that_say_no_platform_or_an_unknown_one_are_refused_at_once() {
    let sides = Sides::new();
    only_ours_refuses(&sides, "create --insecure R/list:1 R/nothing:1", "does not say its platform");
    only_ours_refuses(
        &sides,
        "create --insecure R/list:2 R/sparc:1",
        "unknown architecture `sparc` for linux",
    );
    let docker = sides.run(Side::Docker, "push --insecure R/list:1");
    assert_eq!(docker.code, Some(1), "Docker says so when it is pushed");
    let docker = sides.run(Side::Docker, "push --insecure R/list:2");
    assert_eq!(docker.code, Some(0), "Docker publishes a platform that no engine asks for");
}

#[test]
fn two_images_of_one_platform_are_refused() {
    let sides = Sides::new();
    only_ours_refuses(&sides, "create --insecure R/list:1 R/amd64:1 R/app:amd64", "are both for linux/amd64");
    assert_eq!(sides.run(Side::Docker, "push --insecure R/list:1").code, Some(0));
    assert_eq!(sides.architectures(Side::Docker, "R/list:1"), ["amd64", "amd64"]);
}

#[test]
fn only_what_came_into_the_repository_is_named() {
    let sides = Sides::new();
    both_done(&sides, "create --insecure R/fresh:1 R/amd64:1 R/arm64:1");
    let lines = |ended: &Ended| {
        ended
            .stdout
            .lines()
            .filter(|line| line.starts_with("Pushed ref "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let [docker, ours] = both_done(&sides, "push --insecure R/fresh:1");
    assert_eq!(lines(&docker), lines(&ours));
    assert_eq!(lines(&ours).len(), 2);
    let before = sides.published(Side::Ours, "R/fresh:1").unwrap().1;
    let [docker, ours] = both_done(&sides, "push --insecure R/fresh:1");
    assert_eq!((lines(&docker).len(), ours.stdout), (2, format!("{before}\n")));
}

#[test]
fn the_declared_order_is_the_published_one() {
    let sides = Sides::new();
    both_done(&sides, "create --insecure R/list:1 R/arm64:1 R/amd64:1");
    both_done(&sides, "push --insecure R/list:1");
    assert_eq!(sides.architectures(Side::Docker, "R/list:1"), ["amd64", "arm64"], "by the names of files");
    assert_eq!(sides.architectures(Side::Ours, "R/list:1"), ["arm64", "amd64"]);
}

#[test]
fn images_of_another_registry_are_copied() {
    let sides = Sides::new();
    let root = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start(Options::new(root.path()))).unwrap();
    let host = server.addr().to_string();
    let elsewhere = Registry::new(host.clone());
    let config = json!({ "architecture": "s390x", "os": "linux" });
    elsewhere.image(("far/s390x", "1"), Kind::Docker, &config, "far away");

    both_done(&sides, &format!("create --insecure R/list:1 R/amd64:1 {host}/far/s390x:1"));
    only_docker_refuses(&sides, "push --insecure R/list:1", "different registry than the target image");
    assert_eq!(sides.architectures(Side::Ours, "R/list:1"), ["amd64", "s390x"]);
}

#[test]
fn loopback_needs_no_flag() {
    let sides = Sides::new();
    only_docker_refuses(&sides, "create R/list:1 R/amd64:1", "no such manifest");
    only_docker_refuses(&sides, "inspect R/amd64:1", "no such manifest");
}

#[test]
fn published_platforms_that_are_not_declared_are_not_dropped_silently() {
    let sides = Sides::new();
    both_done(&sides, "create --insecure R/list:1 R/amd64:1 R/arm64:1");
    both_done(&sides, "push --insecure --purge R/list:1");
    both_done(&sides, "create --insecure R/list:1 R/amd64:1");
    only_ours_refuses(&sides, "push --insecure R/list:1", "linux/arm64");
    assert_eq!(sides.architectures(Side::Docker, "R/list:1"), ["amd64"]);
    assert_eq!(sides.architectures(Side::Ours, "R/list:1"), ["amd64", "arm64"]);
}

#[test]
fn a_list_with_an_image_of_each_kind_is_an_index() {
    let sides = Sides::new();
    both_done(&sides, "create --insecure R/list:1 R/amd64:1 R/oci-arm64:1");
    both_done(&sides, "push --insecure R/list:1");
    let media_type = |side| sides.published(side, "R/list:1").unwrap().0["mediaType"].clone();
    assert_eq!(media_type(Side::Docker), crate::content::DOCKER_LIST, "by the first image");
    assert_eq!(media_type(Side::Ours), crate::content::OCI_INDEX);
}

#[test]
fn a_list_is_shown_even_when_it_is_empty_or_an_image_of_it_is_gone() {
    let sides = Sides::new();
    only_docker_refuses(&sides, "inspect --insecure R/lists:empty", "no such manifest");
    both_done(&sides, "create --insecure R/gone:1 R/amd64:1 R/arm64:1");
    both_done(&sides, "push --insecure --purge R/gone:1");
    for side in [Side::Docker, Side::Ours] {
        let entry = &sides.entries(side, "R/gone:1")[1];
        sides.registry.delete(&format!("{}/gone", side.namespace()), entry["digest"].as_str().unwrap());
    }
    only_docker_refuses(&sides, "inspect --insecure R/gone:1", "no such manifest");
    let [docker, ours] = sides.both("inspect --insecure -v R/gone:1");
    assert_eq!((docker.code, ours.code), (Some(1), Some(1)));
    assert!(ours.stderr.contains("which the registry does not hold"), "{ours:#?}");
}

#[test]
fn a_list_is_named_by_a_tag() {
    let sides = Sides::new();
    let digest = sides.entries(Side::Ours, "R/lists:oci")[0]["digest"].as_str().unwrap().to_owned();
    only_ours_refuses(
        &sides,
        &format!("create --insecure R/list@{digest} R/amd64:1"),
        "name the list by a tag",
    );
}

#[test]
fn a_broken_declaration_is_never_rewritten() {
    let sides = Sides::new();
    let broken = "[target.a\nrepository = 1\n";
    sides.project.write("manifests.toml", broken);
    for args in [
        "create R/list:1 R/amd64:1",
        "create --amend R/list:1 R/amd64:1",
        "annotate R/list:1 R/amd64:1 --os linux",
        "inspect R/list:1",
        "push R/list:1",
        "rm R/list:1",
    ] {
        let ours = sides.run(Side::Ours, args);
        assert_eq!(ours.code, Some(2), "{args}: {ours:#?}");
        assert!(ours.stderr.contains("manifests.toml:1:"), "{args}: {ours:#?}");
        assert_eq!(sides.project.read("manifests.toml"), broken, "{args}");
    }
}

#[test]
fn lists_declared_side_by_side_are_all_there() {
    let sides = Sides::new();
    std::thread::scope(|scope| {
        for number in 0..12 {
            let sides = &sides;
            let project = &sides.project;
            let host = sides.host();
            scope.spawn(move || {
                let place = format!("{host}/ours");
                let list = format!("{place}/list:{number}");
                let output = project.manifests(&["manifest", "create", &list, &format!("{place}/amd64:1")]);
                assert!(output.output().unwrap().status.success());
            });
        }
    });
    let text = sides.project.read("manifests.toml");
    assert_eq!(text.matches("[target.list").count(), 2 * 12, "{text}");
    let checked = sides.project.manifests(&["check"]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
