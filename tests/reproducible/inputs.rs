//! Every input changed in turn changes the fingerprint, every non-input does not.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use manifests::build::fingerprint::{Gathered, Inputs, gather, summary};
use manifests::config::Build;
use manifests::model::digest::Digest;
use manifests::model::platform::Platform;
use manifests::model::reference::Reference;
use tempfile::TempDir;

const DOCKERFILE: &str = "\
# syntax=docker/dockerfile:1
ARG BASE=alpine:3
FROM $BASE AS build
ARG TARGETARCH MODE=fast
COPY src /src
COPY bin/$TARGETARCH /bin/app
COPY *.conf /etc/
ADD more/$MODE /more
RUN --mount=type=bind,source=mounted,target=/m true
FROM other:1 AS unused
COPY unused /
FROM scratch
COPY --from=build /bin/app /
COPY --from=tools:2 /x /
COPY link /l
";

/// A build and the world around it.
struct Project {
    folder: TempDir,
    build: Build,
    platform: Platform,
    bases: BTreeMap<Reference, Digest>,
}

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let mut project = Self {
            build: Build {
                context: root.clone(),
                args: BTreeMap::from([("MODE".to_owned(), "slow".to_owned())]),
                stage: Some("2".to_owned()),
                labels: BTreeMap::from([("declared".to_owned(), "1".to_owned())]),
                added_labels: BTreeMap::from([("added".to_owned(), "1".to_owned())]),
                secrets: vec!["id=token,src=/home/me/token".to_owned()],
                ssh: vec!["default".to_owned()],
                extra_args: vec!["--network=none".to_owned()],
                outputs: vec![root.join("manifests.lock"), root.join("target/manifests")],
                ..Build::default()
            },
            folder,
            platform: "linux/arm64".parse().unwrap(),
            bases: BTreeMap::new(),
        };
        for (path, text) in [
            ("Dockerfile", DOCKERFILE),
            (".dockerignore", "**/*.log\nsrc/tmp\n!src/tmp/kept\n"),
            ("src/main.c", "main"),
            ("src/debug.log", "log"),
            ("src/tmp/kept", "kept"),
            ("src/tmp/gone", "gone"),
            ("bin/arm64/app", "arm64"),
            ("bin/amd64/app", "amd64"),
            ("a.conf", "a"),
            ("more/slow/x", "slow"),
            ("more/fast/x", "fast"),
            ("mounted/x", "mounted"),
            ("unused/x", "unused"),
            ("linked", "linked"),
            ("README.md", "read me"),
        ] {
            project.write(path, text);
        }
        fs::create_dir(project.path("src/empty")).unwrap();
        symlink("main.c", project.path("src/alias")).unwrap();
        symlink("linked", project.path("link")).unwrap();
        for name in ["alpine:3", "tools:2", "docker/dockerfile:1"] {
            project.base(name, "first");
        }
        project
    }

    fn path(&self, path: &str) -> PathBuf {
        self.build.context.join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn base(&mut self, name: &str, content: &str) {
        self.bases.insert(name.parse().unwrap(), Digest::of(content.as_bytes()));
    }

    fn gathered(&self) -> Gathered {
        gather(&[(&self.build, &self.platform)]).remove(0)
    }

    fn inputs(&self) -> Inputs {
        let gathered = self.gathered();
        assert_eq!(gathered.undecided(), [] as [&str; 0]);
        let known: Vec<&Reference> = gathered.images().collect();
        assert!(known.iter().all(|image| self.bases.contains_key(image)), "{known:?}");
        gathered.with_bases(&self.bases)
    }
}

type Change = (&'static str, fn(&mut Project));

/// What changes the image, by the words in which the difference is told.
const INPUTS: &[Change] = &[
    ("the Dockerfile has changed", |project| {
        project.write("Dockerfile", &DOCKERFILE.replace("type=bind", "readwrite,type=bind"));
    }),
    ("src/main.c has changed", |project| project.write("src/main.c", "other")),
    ("src/new is new", |project| project.write("src/new", "")),
    ("src/main.c is gone", |project| fs::remove_file(project.path("src/main.c")).unwrap()),
    ("src/main.c has changed", |project| {
        fs::set_permissions(project.path("src/main.c"), Permissions::from_mode(0o755)).unwrap();
    }),
    ("src/empty has changed", |project| {
        fs::set_permissions(project.path("src/empty"), Permissions::from_mode(0o700)).unwrap();
    }),
    ("src/empty is gone", |project| fs::remove_dir(project.path("src/empty")).unwrap()),
    ("src/alias has changed", |project| {
        fs::remove_file(project.path("src/alias")).unwrap();
        symlink("tmp/kept", project.path("src/alias")).unwrap();
    }),
    ("linked has changed", |project| project.write("linked", "other")),
    ("src/tmp/kept has changed", |project| project.write("src/tmp/kept", "other")),
    ("src/debug.log is new, src/tmp has changed, src/tmp/gone is new", |project| {
        project.write(".dockerignore", "")
    }),
    ("src/main.c is gone", |project| {
        project.write("Dockerfile.dockerignore", "**/*.log\nsrc/tmp\n!src/tmp/kept\nsrc/main.c");
    }),
    ("bin/arm64/app has changed", |project| project.write("bin/arm64/app", "other")),
    ("b.conf is new", |project| project.write("b.conf", "b")),
    ("more/slow/x has changed", |project| project.write("more/slow/x", "other")),
    ("mounted/x has changed", |project| project.write("mounted/x", "other")),
    ("more/fast is new, more/fast/x is new, argument MODE has changed and 2 more", |project| {
        project.build.args.insert("MODE".to_owned(), "fast".to_owned());
    }),
    ("bin/other is new, argument TARGETARCH is new, bin/arm64 is gone and 1 more", |project| {
        project.write("bin/other", "other");
        project.build.args.insert("TARGETARCH".to_owned(), "other".to_owned());
    }),
    ("argument SOURCE_DATE_EPOCH is new", |project| {
        project.build.args.insert("SOURCE_DATE_EPOCH".to_owned(), "1".to_owned());
    }),
    ("src/main.c has changed", |project| {
        fs::remove_file(project.path("src/main.c")).unwrap();
        let status = std::process::Command::new("mkfifo").arg(project.path("src/main.c")).status().unwrap();
        assert!(status.success());
    }),
    ("src/main.c has changed", |project| {
        fs::remove_file(project.path("src/main.c")).unwrap();
        std::os::unix::net::UnixListener::bind(project.path("src/main.c")).unwrap();
    }),
    ("src has changed, src/main.c has changed", |project| {
        for path in ["src", "src/main.c"] {
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(project.path(path), "user.some", b"thing", flags).unwrap();
        }
    }),
    ("src/debug.log is new, src/tmp has changed, src/tmp/gone is new", |project| {
        // Clients do not agree on ignore files that are links.
        fs::remove_file(project.path(".dockerignore")).unwrap();
        symlink("../ignore", project.path(".dockerignore")).unwrap();
    }),
    ("label declared has changed", |project| {
        project.build.labels.insert("declared".to_owned(), "2".to_owned());
    }),
    ("`build.stage` is gone", |project| project.build.stage = None),
    ("secret other is new", |project| project.build.secrets.push("id=other".to_owned())),
    ("secret default is gone", |project| project.build.ssh.clear()),
    ("`build.extra-args` has changed", |project| project.build.extra_args.push("--add-host=a:b".to_owned())),
    ("base docker.io/library/alpine:3 has moved", |project| project.base("alpine:3", "second")),
    ("base docker.io/library/tools:2 has moved", |project| project.base("tools:2", "second")),
    ("base docker.io/docker/dockerfile:1 has moved", |project| project.base("docker/dockerfile:1", "second")),
    (
        "argument BASE is new, base docker.io/library/debian:12 is new, base docker.io/library/alpine:3 is gone",
        |project| {
            project.build.args.insert("BASE".to_owned(), "debian:12".to_owned());
            project.base("debian:12", "first");
        },
    ),
    ("bin/amd64 is new, bin/amd64/app is new, the platform has changed and 2 more", |project| {
        project.platform = "linux/amd64".parse().unwrap();
    }),
];

/// What does not.
const NON_INPUTS: &[Change] = &[
    ("nothing", |_| {}),
    ("an argument that nothing declares", |project| {
        project.build.args.insert("NEW".to_owned(), "new".to_owned());
    }),
    ("a hard link to a file", |project| {
        fs::hard_link(project.path("src/main.c"), project.path("another")).unwrap();
    }),
    ("file times", |project| {
        let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        for path in ["src/main.c", "Dockerfile", "src", "a.conf"] {
            File::open(project.path(path)).unwrap().set_modified(past).unwrap();
        }
    }),
    ("owners", |project| chown(project.path("src/main.c"), Some(12345), Some(12345)).unwrap()),
    ("an ignored file", |project| project.write("src/debug.log", "other")),
    ("a file in an ignored folder", |project| project.write("src/tmp/gone", "other")),
    ("a file that nothing copies", |project| project.write("README.md", "other")),
    ("a file of another platform", |project| project.write("bin/amd64/app", "other")),
    ("a file of another argument", |project| project.write("more/fast/x", "other")),
    ("a file of a stage that is not needed", |project| project.write("unused/x", "other")),
    ("a stage that is not needed", |project| {
        project.write("Dockerfile", &DOCKERFILE.replace("other:1", "other:2"));
    }),
    ("a comment", |project| {
        project.write("Dockerfile", &DOCKERFILE.replace("FROM scratch", "# The last one.\n\nFROM scratch"));
    }),
    ("an empty ignore file's line", |project| {
        project.write(".dockerignore", "# none\n**/*.log\nsrc/tmp\n\n!src/tmp/kept\n");
    }),
    ("the added labels", |project| {
        project.build.added_labels.insert("added".to_owned(), "2".to_owned());
    }),
    ("where a secret comes from", |project| project.build.secrets = vec!["id=token,env=TOKEN".to_owned()]),
    ("where an agent's keys are", |project| project.build.ssh = vec!["default=/tmp/agent".to_owned()]),
    ("caches", |project| {
        project.build.cache_from = vec!["a".to_owned()];
        project.build.cache_to = vec!["b".to_owned()];
        project.build.no_cache = true;
        project.build.pull = true;
    }),
    ("how the platform is written", |project| project.platform = "linux/aarch64/v8".parse().unwrap()),
    ("another folder", |project| {
        let folder = tempfile::tempdir().unwrap();
        copy(&project.build.context, &folder.path().join("clone"));
        project.build.context = folder.path().join("clone");
        project.folder = folder;
    }),
];

#[test]
fn every_input_changes_the_fingerprint() {
    for (told, change) in INPUTS {
        let mut project = Project::new();
        let before = project.inputs();
        change(&mut project);
        let after = project.inputs();
        assert_ne!(after.fingerprint(), before.fingerprint(), "{told}");
        assert_eq!(summary(&after.since(&before)), *told);
    }
}

#[test]
fn nothing_else_does() {
    for (what, change) in NON_INPUTS {
        let mut project = Project::new();
        let before = project.inputs();
        change(&mut project);
        let after = project.inputs();
        assert_eq!(summary(&after.since(&before)), "", "{what}");
        assert_eq!(after.fingerprint(), before.fingerprint(), "{what}");
    }
}

#[test]
fn what_releases_write_does_not_count_unless_it_is_named() {
    let mut project = Project::new();
    project.build.stage = None;
    for (copies, told) in
        [("COPY . /", ""), ("COPY . manifests.lock /", "manifests.lock has changed"), ("COPY target /", "")]
    {
        project.write("Dockerfile", &format!("FROM scratch\n{copies}\n"));
        project.write("target/manifests/registry/blob", "before");
        project.write("manifests.lock", "before");
        let before = project.inputs();
        project.write("target/manifests/registry/blob", "after");
        project.write("target/manifests/inputs.json", "new");
        project.write("manifests.lock", "after");
        assert_eq!(summary(&project.inputs().since(&before)), told, "{copies}");
    }
}

#[test]
fn a_clone_by_somebody_else_gives_the_same() {
    let project = Project::new();
    let root = &project.build.context;
    let git = |folder: &Path, arguments: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"];
        let status = std::process::Command::new("git")
            .args([&identity[..], arguments].concat())
            .current_dir(folder)
            .status()
            .unwrap();
        assert!(status.success(), "git {arguments:?}");
    };
    // git keeps no empty folder.
    fs::remove_dir(root.join("src/empty")).unwrap();
    git(root, &["init", "--quiet"]);
    git(root, &["add", "--force", "."]);
    git(root, &["commit", "--quiet", "--message=first"]);
    let before = project.inputs();

    let elsewhere = tempfile::tempdir().unwrap();
    git(elsewhere.path(), &["clone", "--quiet", root.to_str().unwrap(), "clone"]);
    let clone = elsewhere.path().join("clone");
    for path in ["src/main.c", "bin/arm64/app", "a.conf"] {
        chown(clone.join(path), Some(1000), Some(1000)).unwrap();
    }
    let mut other = Project::new();
    other.build.context = clone;
    assert_eq!(summary(&other.inputs().since(&before)), "");
    assert_eq!(other.inputs().fingerprint(), before.fingerprint());
}

#[test]
fn builds_that_are_gathered_together_are_gathered_as_alone() {
    let project = Project::new();
    let other: Platform = "linux/amd64".parse().unwrap();
    let together = gather(&[(&project.build, &project.platform), (&project.build, &other)]);
    assert_eq!(together[0], project.gathered());
    assert_eq!(together[1], gather(&[(&project.build, &other)]).remove(0));
    assert_ne!(together[0], together[1]);
}

#[test]
fn what_comes_from_around_a_build_counts_as_far_as_it_is_passed_on() {
    let mut project = Project::new();
    project.build.stage = None;
    project.build.extra_args = ["--build-arg", "MODE", "--build-arg=NOT_DECLARED"].map(str::to_owned).into();
    project.build.args.clear();
    let config = project.folder.path().join("config");
    fs::create_dir(&config).unwrap();
    let around = |variables: &[(&str, &str)]| {
        let own = [("DOCKER_CONFIG".into(), config.clone().into_os_string())];
        let others = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let around = own.into_iter().chain(others).collect();
        let gathered =
            manifests::build::fingerprint::gather_in(&around, &[(&project.build, &project.platform)])
                .remove(0);
        assert_eq!(gathered.undecided(), [] as [&str; 0]);
        gathered.with_bases(&project.bases)
    };
    let proxy = r#"{"proxies":{"default":{"httpProxy":"http://user:secret@proxy"}}}"#;
    for (declared, config_text, variables, told) in [
        ("", "{}", &[][..], ""),
        ("", "{}", &[("NOT_DECLARED", "x"), ("OTHER", "x")][..], ""),
        ("", "{}", &[("MODE", "fast")], "MODE of the environment is new"),
        ("", "{}", &[("SOURCE_DATE_EPOCH", "1")], "SOURCE_DATE_EPOCH of the environment is new"),
        ("", "{}", &[("BUILDX_GIT_LABELS", "1")], "BUILDX_GIT_LABELS of the environment is new"),
        ("", proxy, &[], ""),
        ("ARG HTTP_PROXY\n", proxy, &[], "proxies of the environment is new"),
        ("RUN echo $http_proxy\n", proxy, &[], "proxies of the environment is new"),
    ] {
        let text = format!("FROM scratch\nARG MODE=fast\n{declared}COPY more/$MODE /\n");
        fs::write(project.path("Dockerfile"), text).unwrap();
        fs::write(config.join("config.json"), "{}").unwrap();
        let before = around(&[]);
        fs::write(config.join("config.json"), config_text).unwrap();
        let after = around(variables);
        assert_eq!(summary(&after.since(&before)), told);
        assert!(after.iter().all(|(_, state)| !state.contains("secret")));
    }
    // Only whether it is empty matters.
    fs::write(project.path("Dockerfile"), "FROM scratch\nARG MODE\nCOPY more/${MODE:+fast} /\n").unwrap();
    for (variables, told) in [
        (&[("MODE", "fast")], ""),
        (&[("MODE", "slow")], ""),
        (&[("MODE", "")], "more is new, more/slow is new, more/slow/x is new and 1 more"),
    ] {
        assert_eq!(summary(&around(variables).since(&around(&[("MODE", "fast")]))), told, "{variables:?}");
    }
    fs::write(project.path("Dockerfile"), "FROM scratch\nARG MODE=fast\nCOPY more/$MODE /\n").unwrap();
    // Not set, it does not empty the default.
    assert!(around(&[]).iter().any(|(input, _)| input.to_string() == "more/fast/x"));
    assert!(around(&[("MODE", "slow")]).iter().any(|(input, _)| input.to_string() == "more/slow/x"));
}

#[test]
fn names_that_are_not_utf_8_decide_nothing_unless_their_folder_is_left_out() {
    let project = Project::new();
    let name = |folder: &str| {
        project.path(folder).join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"a\xff"))
    };
    fs::write(name("src/tmp/../.."), "not copied").unwrap();
    fs::write(project.path(".dockerignore"), "src/tmp\n").unwrap();
    fs::write(name("src/tmp"), "left out").unwrap();
    assert_eq!(project.gathered().undecided().len(), 1, "a pattern may mean it");
    fs::remove_file(name("src/tmp/../..")).unwrap();
    assert_eq!(project.gathered().undecided(), [] as [&str; 0]);
    fs::write(name("src"), "copied").unwrap();
    assert!(
        project.gathered().undecided()[0].contains("is not UTF-8"),
        "{:?}",
        project.gathered().undecided()
    );
}

#[test]
fn what_cannot_be_read_decides_nothing() {
    let project = Project::new();
    fs::remove_file(project.path("Dockerfile")).unwrap();
    let gathered = project.gathered();
    assert!(gathered.undecided()[0].contains("could not read"), "{:?}", gathered.undecided());

    let mut project = Project::new();
    project.build.stage = None;
    project.write("Dockerfile", "FROM scratch\nADD https://example.org/x /\n");
    assert_eq!(project.gathered().undecided(), ["https://example.org/x is added without a checksum"]);
}

#[test]
fn large_files_count_to_their_last_byte() {
    let mut project = Project::new();
    project.write("Dockerfile", "FROM scratch\nCOPY large /\n");
    project.build.stage = None;
    let file = File::create(project.path("large")).unwrap();
    file.set_len(17 * 1024 * 1024).unwrap();
    let before = project.inputs();
    std::os::unix::fs::FileExt::write_all_at(&file, b"x", 17 * 1024 * 1024 - 1).unwrap();
    assert_eq!(summary(&project.inputs().since(&before)), "large has changed");
}

/// Copies a folder with its links and modes.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&entry.path(), &place);
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path()).unwrap(), place).unwrap();
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}
