//! What we say that a build reaches of its context is what the engine puts into the image.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use manifests::build::fingerprint::{Input, gather};
use manifests::config::Build;

use crate::support::docker;

/// `.dockerignore` and the instructions after `FROM scratch`.
const CASES: &[(&str, &str)] = &[
    ("", "COPY . /"),
    ("", "COPY a /x/"),
    ("a", "COPY . /"),
    ("*", "COPY . /"),
    ("*\n!a", "COPY . /"),
    ("*\n!a/b", "COPY . /"),
    ("*\n!**/*.txt", "COPY . /"),
    ("a/b\n!a/b/deep", "COPY . /"),
    ("**/*.txt\n!one.txt", "COPY . /"),
    ("**/deep", "COPY . /"),
    ("a/**\n", "COPY . /"),
    ("/a/b\n./dotted/\n# one.txt\n", "COPY . /"),
    ("a/?.txt\n[o-p]ne.txt", "COPY . /"),
    ("  one.txt  \n\n!  one.txt", "COPY . /"),
    ("a\\*b", "COPY . /"),
    ("", "COPY *.txt /x/"),
    ("", "COPY a/d*/de* /x/"),
    ("", "COPY a/[x-z].txt one.txt /x/"),
    ("", "COPY ./a/../dotted/ /x/"),
    ("", "COPY to-file /x/"),
    ("", "COPY to-folder/deep /x/"),
    ("", "ADD a/b /x/"),
    ("", "ARG TARGETARCH\nCOPY bin/$TARGETARCH /x/"),
    ("", "ENV D=a/b\nCOPY ${D:-none}/deep ${E:-one.txt} /x/"),
];

fn project(root: &Path) {
    // Every file says another thing, so that its content tells which one arrived.
    for path in [
        "one.txt",
        "two.txt",
        "a/x.txt",
        "a/y.txt",
        "a/w.md",
        "a/b/deep",
        "a/b/c/deep",
        "a/d/deep",
        "dotted/.hidden",
        "bin/arm64/app",
        "bin/amd64/app",
        "a*b",
        "axb",
    ] {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), path).unwrap();
    }
    fs::create_dir_all(root.join("a/empty")).unwrap();
    fs::set_permissions(root.join("two.txt"), Permissions::from_mode(0o4750)).unwrap();
    fs::set_permissions(root.join("a/d"), Permissions::from_mode(0o711)).unwrap();
    symlink("a/x.txt", root.join("to-file")).unwrap();
    symlink("a/b", root.join("to-folder")).unwrap();
    symlink("nowhere", root.join("a/dangling")).unwrap();
}

/// What the engine puts into the image: path and state, as fingerprints say it.
fn arrived(root: &Path) -> BTreeMap<String, String> {
    let output = Command::new(docker())
        .env("DOCKER_BUILDKIT", "1")
        .args(["build", "--quiet", "--platform", "linux/arm64", "--output", "type=tar,dest=-"])
        .arg("--file")
        .arg(root.join("../Dockerfile"))
        .arg(root)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut arrived = BTreeMap::new();
    for entry in tar::Archive::new(&output.stdout[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().trim_matches('/').to_owned();
        let mode = entry.header().mode().unwrap() & 0o7777;
        let state = match entry.header().entry_type() {
            tar::EntryType::Directory => format!("folder {mode:o}"),
            tar::EntryType::Symlink => format!("link {}", entry.link_name().unwrap().unwrap().display()),
            _ => {
                let mut content = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
                format!("file {mode:o} {}", manifests::model::digest::Digest::of(&content).hex())
            }
        };
        arrived.insert(path, state);
    }
    arrived
}

/// What we say.
fn reached(root: &Path) -> BTreeMap<String, String> {
    let build = Build {
        context: root.to_owned(),
        dockerfile: Some(root.parent().unwrap().join("Dockerfile")),
        ..Build::default()
    };
    let gathered = gather(&[(&build, &"linux/arm64".parse().unwrap())]).remove(0);
    assert_eq!(gathered.undecided(), [] as [&str; 0]);
    let inputs = gathered.with_bases(&BTreeMap::new());
    let paths = inputs.iter().filter_map(|(input, state)| match input {
        // Where clients send it or not, it counts apart for each of them; the one here sends it.
        Input::Path(path) => {
            let state = state.strip_suffix(" of older clients").unwrap_or(state);
            Some((path.clone(), state.to_owned()))
        }
        _ => None,
    });
    paths.collect()
}

#[test]
fn what_is_reached_is_what_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("context");
    project(&root);
    for (ignore, instructions) in CASES {
        fs::write(root.join(".dockerignore"), ignore).unwrap();
        fs::write(folder.path().join("Dockerfile"), format!("FROM scratch\n{instructions}\n")).unwrap();
        let (mut arrived, mut reached) = (arrived(&root), reached(&root));
        if *instructions != "COPY . /" {
            // They arrive elsewhere, in folders of the engine's making, with links resolved.
            let files = |states: &BTreeMap<String, String>| {
                let files = states.values().filter(|state| state.starts_with("file "));
                files.map(|state| (state.clone(), state.clone())).collect()
            };
            (arrived, reached) = (files(&arrived), files(&reached));
        }
        // Engines differ in whether they look into an ignored folder for what a pattern takes after all: the older ones
        // do not. What we say holds for both.
        if ignore.contains("!**") {
            reached.retain(|path, _| arrived.contains_key(path));
        }
        assert_eq!(reached, arrived, "{ignore:?} and {instructions:?}");
    }
}

#[test]
fn links_that_lead_to_each_other_and_deep_folders_are_read_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("context");
    let deep = "d/".repeat(1500);
    fs::create_dir_all(root.join(&deep)).unwrap();
    fs::write(root.join(&deep).join("file"), "deep").unwrap();
    for (name, target) in [("l1", "l?/a"), ("l2", "l?/b"), ("loop", "loop")] {
        symlink(target, root.join(name)).unwrap();
    }
    for (source, reached, undecided) in [
        (".", true, None),
        ("d", true, None),
        ("loop", false, None),
        // Two ways at each of 40 links.
        ("l1/x", false, Some("`l1/x` leads to more than 1000000 places in ")),
    ] {
        fs::write(root.join("Dockerfile"), format!("FROM scratch\nCOPY {source} /\n")).unwrap();
        let build = Build { context: root.clone(), ..Build::default() };
        let platform = "linux/amd64".parse().unwrap();
        let gathered = gather(&[(&build, &platform)]).remove(0);
        let why = gathered.undecided().join(", ");
        assert!(why.starts_with(undecided.unwrap_or_default()), "{source}: {why}");
        assert_eq!(why.is_empty(), undecided.is_none(), "{source}: {why}");
        let file = Input::Path(format!("{deep}file"));
        assert_eq!(
            gathered.with_bases(&BTreeMap::new()).iter().any(|(input, _)| *input == file),
            reached,
            "{source}"
        );
    }
}
