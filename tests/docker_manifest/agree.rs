//! Where both do the same.

use serde_json::Value;

use crate::sides::{Ended, Side, Sides};

/// How far the two are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    /// Exit code, which streams are written to, stdout byte for byte, and Docker's sentence on stderr in ours.
    All,
    /// Exit code and streams: what a person is told about a wrong command line is each program's own.
    Usage,
    /// As `All`, but for the last line of stdout: the list's digest, which differs as the layout of its JSON does.
    Push,
}

use Compare::{All, Push, Usage};

/// What is done in a row, and the lists to compare in the registry afterwards.
struct Sequence {
    name: &'static str,
    commands: &'static [(Compare, &'static str)],
    published: &'static [&'static str],
}

const SEQUENCES: &[Sequence] = &[
    Sequence {
        name: "a list of images in repositories of their own",
        commands: &[
            (All, "create --insecure R/list:1 R/amd64:1 R/arm:1 R/arm64:1"),
            (All, "inspect R/list:1"),
            (All, "inspect -v R/list:1"),
            (All, "inspect --verbose R/list:1"),
            (All, "inspect R/list:1 R/arm:1"),
            (All, "inspect -v R/list:1 R/arm:1"),
            (Push, "push --insecure R/list:1"),
            (All, "inspect --insecure R/list:1"),
            (All, "rm R/list:1"),
            (All, "inspect --insecure R/list:1"),
            (All, "inspect --insecure -v R/list:1"),
            (All, "inspect --insecure R/list:1 R/arm:1"),
        ],
        published: &["R/list:1"],
    },
    Sequence {
        name: "OCI images",
        commands: &[
            (All, "create --insecure R/list:oci R/oci-amd64:1 R/oci-arm64:1"),
            (All, "inspect R/list:oci"),
            (All, "inspect -v R/list:oci"),
            (All, "inspect -v R/list:oci R/oci-arm64:1"),
            (Push, "push --insecure R/list:oci"),
            (All, "rm R/list:oci"),
            (All, "inspect -v --insecure R/list:oci"),
        ],
        published: &["R/list:oci"],
    },
    Sequence {
        name: "images in the list's repository bring no line",
        commands: &[
            (All, "create --insecure R/app:1 R/app:amd64 R/app:s390x"),
            (Push, "push --insecure R/app:1"),
            (Push, "push R/app:1"),
        ],
        published: &["R/app:1"],
    },
    Sequence {
        name: "latest is meant where no tag is given",
        commands: &[
            (All, "create --insecure R/list R/app:amd64 R/app:s390x"),
            (All, "inspect R/list:latest"),
            (Push, "push --insecure R/list:latest"),
        ],
        published: &["R/list:latest"],
    },
    Sequence {
        name: "amend adds",
        commands: &[
            (All, "create --insecure R/list:amended R/amd64:1"),
            (All, "create --insecure R/list:amended R/arm:1"),
            (All, "create --insecure --amend R/list:amended R/arm:1"),
            (All, "create -a --insecure R/list:amended R/arm64v8:1 R/amd64:1"),
            (All, "create R/list:new --insecure -a R/arm:1"),
            (All, "inspect -v R/list:amended"),
            (Push, "push --insecure R/list:amended"),
            (Push, "push --insecure R/list:new"),
        ],
        published: &["R/list:amended", "R/list:new"],
    },
    Sequence {
        name: "annotate sets each field",
        commands: &[
            (All, "create --insecure R/list:annotated R/amd64:1 R/arm64:1"),
            (All, "annotate R/list:annotated R/arm64:1 --variant v8"),
            (All, "annotate --os-version ubuntu22.04 R/list:annotated R/amd64:1"),
            (All, "annotate R/list:annotated R/amd64:1 --os-features a,b"),
            (All, "annotate R/list:annotated R/amd64:1 --os-features=c --os-features a"),
            (All, "annotate R/list:annotated R/arm64:1 --os linux --arch arm64"),
            (All, "annotate R/list:annotated R/arm64:1 --os linux --arch arm64 --variant v8 --os-version 1"),
            (All, "inspect R/list:annotated"),
            (All, "inspect -v R/list:annotated R/amd64:1"),
            (Push, "push --insecure R/list:annotated"),
            (All, "annotate R/list:annotated R/amd64:1 --os-version ubuntu24.04"),
            (Push, "push --insecure R/list:annotated"),
        ],
        published: &["R/list:annotated"],
    },
    Sequence {
        name: "two versions of Windows",
        commands: &[
            (All, "create --insecure R/list:win R/amd64:1 R/win:2019 R/win:2022"),
            (All, "annotate R/list:win R/win:2022 --os-features more"),
            (All, "inspect R/list:win"),
            (Push, "push --insecure R/list:win"),
        ],
        published: &["R/list:win"],
    },
    Sequence {
        name: "purge forgets once it is pushed",
        commands: &[
            (All, "create --insecure R/list:purged R/amd64:1 R/arm64:1"),
            (Push, "push --insecure --purge R/list:purged"),
            (All, "push --insecure --purge R/list:purged"),
            (All, "inspect --insecure R/list:purged"),
            (All, "create --insecure R/list:purged R/amd64:1 R/arm64:1"),
            (All, "push --insecure -p R/list:other"),
            (All, "inspect R/list:purged R/amd64:1"),
        ],
        published: &["R/list:purged"],
    },
    Sequence {
        name: "rm goes on behind what it cannot remove",
        commands: &[
            (All, "create --insecure R/list:a R/amd64:1"),
            (All, "create --insecure R/list:b R/amd64:1"),
            (All, "create --insecure R/list:c R/amd64:1"),
            (All, "rm R/list:a R/list:none R/list:b R/other:1"),
            (All, "inspect --insecure R/list:a"),
            (All, "inspect --insecure R/list:b"),
            (All, "inspect R/list:c"),
            (All, "rm R/list:c"),
            (All, "rm R/list:c"),
        ],
        published: &[],
    },
    Sequence {
        name: "images by digest",
        commands: &[
            (All, "create --insecure R/list:digests R/amd64@AMD64 R/arm64:1@ARM64"),
            (All, "inspect -v R/list:digests"),
            (All, "annotate R/list:digests R/arm64:1@ARM64 --variant v8"),
            (Push, "push --insecure R/list:digests"),
            (All, "create --insecure R/list:digests2 R/amd64@ARM64"),
            (All, "inspect --insecure R/amd64@AMD64"),
            (All, "inspect --insecure -v R/amd64@AMD64"),
        ],
        published: &["R/list:digests"],
    },
    Sequence {
        name: "what is published is shown as Docker shows it",
        commands: &[
            (All, "inspect --insecure R/amd64:1"),
            (All, "inspect --insecure -v R/amd64:1"),
            (All, "inspect --insecure R/oci-arm64:1"),
            (All, "inspect --insecure -v R/oci-arm64:1"),
            (All, "inspect --insecure -v R/win:2019"),
            (All, "inspect --insecure -v R/nothing:1"),
            (All, "inspect --insecure R/lists:attested"),
            (All, "inspect --insecure -v R/lists:attested"),
            (All, "inspect --insecure R/lists:oci"),
            (All, "inspect --insecure -v R/lists:oci"),
            (All, "inspect --insecure R/lists:docker-first"),
            (All, "inspect --insecure R/lists:docker"),
            (All, "inspect --insecure -v R/lists:docker"),
            (All, "inspect --insecure R/lists:untyped"),
            (All, "inspect --insecure R/amd64:none"),
            (All, "inspect --insecure -v R/none:1"),
        ],
        published: &[],
    },
    Sequence {
        name: "what is not there",
        commands: &[
            (All, "create --insecure R/list:failed R/none:1"),
            (All, "push --insecure R/list:failed"),
            (All, "inspect --insecure R/list:failed"),
            (All, "inspect R/list:failed R/amd64:1"),
            (All, "rm R/list:failed"),
            (All, "create --insecure R/list:there R/amd64:1"),
            (All, "inspect R/list:there R/arm:1"),
            (All, "create --insecure -a R/list:there R/none:1"),
            (All, "inspect R/list:there"),
            (All, "annotate R/list:there R/arm:1 --os linux"),
            (All, "annotate R/list:failed R/arm:1 --os linux"),
            (Usage, "annotate R/list:there R/amd64:1 --arch sparc"),
            (Usage, "annotate R/list:there R/amd64:1 --os plan10"),
            (All, "inspect R/list:there"),
        ],
        published: &[],
    },
    Sequence {
        name: "flags with a value",
        commands: &[
            (All, "create --insecure=true --amend=false R/list:flags R/amd64:1 R/arm:1"),
            (All, "create --insecure=1 --amend=0 R/list:flags R/arm64:1"),
            (All, "create --insecure=T --amend --amend=false R/list:flags R/arm64:1"),
            (All, "create --insecure -a=f -a=t R/list:flags R/arm64:1"),
            (All, "create --insecure=TRUE --amend=True --amend R/list:flags R/arm64:1"),
            (All, "inspect --verbose=true R/list:flags"),
            (All, "inspect -v=true R/list:flags R/arm64:1"),
            (All, "inspect -v --verbose=false R/list:flags"),
            (Usage, "inspect --verbose=yes R/list:flags"),
            (Usage, "create --amend=maybe R/list:flags R/arm64:1"),
            (Usage, "create --amend= R/list:flags R/arm64:1"),
            (Usage, "push -p=2 R/list:flags"),
            (Push, "push --insecure=true --purge=false R/list:flags"),
            (All, "inspect R/list:flags"),
            (Push, "push --insecure -p=true R/list:flags"),
            (All, "inspect --insecure R/list:flags"),
        ],
        published: &["R/list:flags"],
    },
    Sequence {
        name: "wrong command lines",
        commands: &[
            (Usage, ""),
            (Usage, "--help"),
            (Usage, "create --help"),
            (Usage, "nonsense"),
            (Usage, "create"),
            (Usage, "create R/list:1"),
            (Usage, "create --nonsense R/list:1 R/amd64:1"),
            (Usage, "create -x R/list:1 R/amd64:1"),
            (Usage, "create R/List:1 R/amd64:1"),
            (Usage, "create R/list:1 R/Amd64:1"),
            (Usage, "create https://a/b R/amd64:1"),
            (Usage, "annotate R/list:1"),
            (Usage, "annotate R/list:1 R/amd64:1 R/arm:1"),
            (Usage, "annotate --nonsense R/list:1 R/amd64:1"),
            (Usage, "annotate R/list:1 R/amd64:1 --os"),
            (Usage, "inspect"),
            (Usage, "inspect R/a R/b R/c"),
            (Usage, "inspect R/A"),
            (Usage, "inspect --nonsense R/a"),
            (Usage, "push"),
            (Usage, "push R/a R/b"),
            (Usage, "push --nonsense R/a"),
            (Usage, "rm"),
            (Usage, "rm --nonsense R/a"),
            (Usage, "rm R/A:1"),
        ],
        published: &[],
    },
];

#[test]
fn the_same_commands_come_to_the_same() {
    let mut sides = Sides::new();
    for sequence in SEQUENCES {
        sides.forget();
        for (compare, args) in sequence.commands {
            let args = with_digests(&sides, args);
            let [docker, ours] = sides.both(&args);
            let at = format!("{}: manifest {args}\ndocker: {docker:#?}\nours: {ours:#?}", sequence.name);
            assert_eq!(docker.code, ours.code, "{at}");
            assert_eq!(docker.stdout.is_empty(), ours.stdout.is_empty(), "{at}");
            assert_eq!(docker.stderr.is_empty(), without_notes(&ours).is_empty(), "{at}");
            match compare {
                All => {
                    assert_eq!(docker.stdout, ours.stdout, "{at}");
                    for line in docker.stderr.lines() {
                        assert!(ours.stderr.contains(line), "{at}");
                    }
                }
                Push => compare_pushes(&sides, &args, [&docker, &ours], &at),
                Usage => {}
            }
        }
        for list in sequence.published {
            let lists = [Side::Docker, Side::Ours].map(|side| sides.published(side, list).unwrap().0);
            assert_eq!(entries(&lists[0]), entries(&lists[1]), "{}: {list}", sequence.name);
            assert_eq!(lists[0]["mediaType"], lists[1]["mediaType"], "{}: {list}", sequence.name);
        }
    }
}

/// The entries by platform, with all their fields: which one comes first is compared where lists are shown.
fn entries(list: &Value) -> Vec<String> {
    let mut entries: Vec<String> =
        list["manifests"].as_array().unwrap().iter().map(ToString::to_string).collect();
    entries.sort();
    entries
}

/// `AMD64` and `ARM64` are the digests of these images, which both sides have alike.
fn with_digests(sides: &Sides, args: &str) -> String {
    let digest = |name: &str| {
        let bytes = sides.registry.served(&format!("docker/{name}"), "1").unwrap();
        manifests::model::digest::Digest::of(&bytes).to_string()
    };
    args.replace("AMD64", &digest("amd64")).replace("ARM64", &digest("arm64"))
}

/// Docker has no file to tell about.
fn without_notes(ended: &Ended) -> String {
    ended.stderr.lines().filter(|line| *line != "made manifests.toml").collect()
}

/// The lines about images, and at the end the digest that the registry serves under the list's name.
fn compare_pushes(sides: &Sides, args: &str, ended: [&Ended; 2], at: &str) {
    let list = args.split_whitespace().last().unwrap();
    let [docker, ours] = ended.map(|ended| ended.stdout.trim_end().rsplit_once('\n'));
    let last = |ended: &Ended| ended.stdout.lines().last().unwrap_or_default().to_owned();
    let digests = [Side::Docker, Side::Ours].map(|side| sides.published(side, list).unwrap().1);
    assert_eq!(ended.map(last), digests, "{at}");
    let lines = |rest: Option<(&str, &str)>| rest.map_or(String::new(), |(lines, _)| lines.to_owned());
    // Ours says what came into the repository; a second push brings nothing.
    for line in lines(ours).lines() {
        assert!(lines(docker).lines().any(|other| other == line), "{at}");
    }
}
