//! What a checkout and its environment know: commit, tag, origin, Cargo packages, environment variables. I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cargo_metadata::MetadataCommand;

use crate::children::Program;
use crate::config::{Fact, Facts, Needs, Package};
use crate::model::digest::Digest;
use crate::workspace::hash::hash;
use crate::workspace::rewrite::UNFINISHED;

/// Asks git, cargo and the environment for what is needed, and for nothing else. What cannot be had carries the reason.
pub(crate) fn gather(root: &Path, needs: &Needs) -> Facts {
    // Each is a program that starts, reads and ends: side by side they take as long as the slowest.
    std::thread::scope(|scope| {
        let git = needs.git.then(|| {
            (
                scope.spawn(|| commit(root)),
                scope.spawn(|| tag(root, |name| std::env::var(name).ok())),
                scope.spawn(|| source(root)),
            )
        });
        let packages = needs.packages.then(|| scope.spawn(|| packages(root)));
        let mut facts = Facts {
            env: needs
                .env
                .iter()
                .filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)))
                .collect(),
            ..Facts::default()
        };
        if let Some((sha, tag, source)) = git {
            (facts.git_sha, facts.git_tag, facts.source) = (known(sha), known(tag), known(source));
        }
        if let Some(packages) = packages {
            facts.packages = known(packages);
        }
        facts
    })
}

fn known<T>(asked: std::thread::ScopedJoinHandle<'_, Fact<T>>) -> Fact<T> {
    asked.join().unwrap_or_else(|_| Err("it was given up".to_owned()))
}

/// Where the source of this checkout is read.
fn source(root: &Path) -> Fact<String> {
    let origin = git(root, &["remote", "get-url", "origin"]).map_err(|refused| refused.why)?;
    source_url(&origin).ok_or_else(|| "the origin is not on a server".to_owned())
}

/// The commit checked out.
fn commit(root: &Path) -> Fact<String> {
    // Of a missing commit `--quiet` says nothing and ends with 1; of everything else git speaks, and ends with another code.
    git(root, &["rev-parse", "--verify", "--quiet", "HEAD"]).map_err(|refused| match refused.code {
        Some(1) => "there is no commit yet".to_owned(),
        _ => refused.why,
    })
}

/// The paths that differ from the commit checked out, untracked ones too, but for `ignore` and what a killed run has left.
/// Outside a git repository nothing does.
///
/// # Errors
///
/// Git cannot say.
pub(crate) fn dirty(root: &Path, ignore: &Path) -> anyhow::Result<Vec<String>> {
    Ok(changed(root, ignore)?.iter().map(|path| path.to_string_lossy().into_owned()).collect())
}

/// As [`dirty`]: the paths themselves, relative to the top of the repository.
fn changed(root: &Path, ignore: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let cannot =
        |why: Refused| anyhow::anyhow!("could not ask git whether {} is clean: {}", root.display(), why.why);
    match git(root, &["rev-parse", "--is-inside-work-tree"]) {
        Ok(said) if said == "true" => {}
        Ok(_) => return Ok(Vec::new()),
        // "It is none" and "I may not read it" have the same exit code.
        Err(_) if !has_repository(root) => return Ok(Vec::new()),
        Err(why) => return Err(cannot(why)),
    }
    let ignore = format!(":(exclude,literal){}", ignore.strip_prefix(root).unwrap_or(ignore).display());
    let arguments =
        ["status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", ":/", &ignore];
    let listed = git_bytes(root, &arguments).map_err(cannot)?;
    // Each entry is two letters of status, a space and the path.
    let paths = listed.split(|byte| *byte == 0).filter_map(|entry| entry.get(3..));
    let paths = paths.map(|path| PathBuf::from(OsStr::from_bytes(path)));
    let is_ours = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.as_bytes().starts_with(UNFINISHED.as_bytes()))
    };
    Ok(paths.filter(|path| !is_ours(path)).collect())
}

/// Whether there is a repository that git should have understood.
fn has_repository(root: &Path) -> bool {
    let given = std::env::var_os("GIT_DIR").is_some();
    given || root.ancestors().any(|folder| folder.join(".git").symlink_metadata().is_ok())
}

/// A digest of all that differs from the commit checked out, contents too, but for `ignore`: as long as it is the same,
/// so are the files. `None` when a whole folder differs, such as another repository within. Files that git ignores do
/// not count.
///
/// # Errors
///
/// Git cannot say what differs, or such a file cannot be read.
pub(crate) fn tree(root: &Path, ignore: &Path) -> anyhow::Result<Option<Digest>> {
    let changed = changed(root, ignore)?;
    // Paths are relative to the top of the repository, which may be above.
    let top = match changed.is_empty() {
        true => PathBuf::new(),
        false => {
            let top = git_bytes(root, &["rev-parse", "--show-toplevel"]);
            let top = top.map_err(|refused| anyhow::Error::msg(refused.why))?;
            PathBuf::from(OsStr::from_bytes(top.strip_suffix(b"\n").unwrap_or(&top)))
        }
    };
    let (mut seen, mut files) = (Vec::new(), BTreeMap::new());
    for path in changed {
        let full = top.join(&path);
        let found = match std::fs::symlink_metadata(&full) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                seen.push((path, "gone".to_owned()));
                continue;
            }
            Err(error) => return Err(error).with_context(|| format!("could not read {}", full.display())),
        };
        if found.is_symlink() {
            seen.push((path, format!("link to {:?}", std::fs::read_link(&full)?)));
        } else if found.is_file() {
            files.insert(full, found.len());
            seen.push((path, "file".to_owned()));
        } else {
            return Ok(None);
        }
    }
    // Read piece by piece, on all cores: an untracked file may be of any size.
    let contents: BTreeMap<PathBuf, String> = hash(&files)?.into_iter().collect();
    Ok(Some(Digest::of(format!("{seen:?} {contents:?}").as_bytes())))
}

/// When the last commit was made that touches one of `paths`, or else the last commit, in seconds since 1970; `None`
/// outside a git repository.
pub(crate) fn last_commit(root: &Path, paths: &[PathBuf]) -> Option<String> {
    let of = |paths: &[String]| {
        // Plumbing: no setting of the user's changes what it prints.
        let arguments: Vec<&str> = ["rev-list", "-1", "--timestamp", "HEAD", "--"]
            .into_iter()
            .chain(paths.iter().map(String::as_str))
            .collect();
        git(root, &arguments).ok()?.split_whitespace().next().map(str::to_owned)
    };
    let literal: Vec<String> = paths.iter().map(|path| format!(":(literal){}", path.display())).collect();
    of(&literal).or_else(|| of(&[]))
}

/// Where people read the source that `origin` is cloned from, without any credentials; `None` for a local path.
pub(crate) fn source_url(origin: &str) -> Option<String> {
    let (scheme, rest) = match origin.split_once("://") {
        Some(("http", rest)) => ("http", rest),
        Some(("https" | "ssh" | "git" | "git+ssh", rest)) => ("https", rest),
        Some(_) => return None,
        None => ("https", origin),
    };
    let (authority, path) = if origin.contains("://") {
        rest.split_once('/')?
    } else {
        // git@host:path; a colon after a slash is part of a local path.
        rest.split_once(':').filter(|(host, _)| !host.contains('/') && host.len() > 1)?
    };
    let host = authority.rsplit('@').next()?;
    // The port of ssh is not that of the web.
    let host = if origin.starts_with("http") { host } else { host.split(':').next()? };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (!host.is_empty() && !path.is_empty()).then(|| format!("{scheme}://{host}/{path}"))
}

/// The tag of the commit checked out. When it has several, as a release candidate that became the release does, the one
/// that CI runs for. Git does not know which of them was checked out: its log of `HEAD` has no entry when one is checked
/// out after the other.
///
/// `environment` gives a variable's value.
fn tag(root: &Path, environment: impl Fn(&str) -> Option<String>) -> Fact<String> {
    commit(root)?;
    // The highest version first, prereleases below it.
    let arguments = [
        "-c",
        "versionsort.suffix=-",
        "for-each-ref",
        "--points-at=HEAD",
        "--sort=-version:refname",
        "--format=%(refname:strip=2)",
        "refs/tags",
    ];
    let listed = git(root, &arguments).map_err(|refused| refused.why)?;
    let tags: Vec<&str> = listed.lines().collect();
    let highest = match tags[..] {
        [] => return Err("the commit checked out has no tag".to_owned()),
        [tag] => return Ok(tag.to_owned()),
        [highest, ..] => highest,
    };
    let values: Vec<String> = TAG_VARIABLES.iter().filter_map(|name| environment(name)).collect();
    let named: BTreeSet<&str> =
        values.iter().map(|value| value.strip_prefix("refs/tags/").unwrap_or(value)).collect();
    let mut chosen = tags.iter().filter(|tag| named.contains(**tag));
    match (chosen.next(), chosen.next()) {
        (Some(tag), None) => Ok((*tag).to_owned()),
        _ => Err(format!(
            "the commit checked out has several tags ({}); set `CI_COMMIT_TAG={highest}` to say which one is meant, \
             as CI systems do",
            tags.join(", "),
        )),
    }
}

/// The variables in which CI systems name the tag that they run for: GitHub, Gitea and Forgejo; GitLab and Woodpecker;
/// Azure, Bitbucket, Buildkite, CircleCI, Cirrus, Drone, Jenkins, Travis. Some hold a whole ref, which may be a branch.
const TAG_VARIABLES: [&str; 10] = [
    "GITHUB_REF",
    "CI_COMMIT_TAG",
    "BUILD_SOURCEBRANCH",
    "BITBUCKET_TAG",
    "BUILDKITE_TAG",
    "CIRCLE_TAG",
    "CIRRUS_TAG",
    "DRONE_TAG",
    "TAG_NAME",
    "TRAVIS_TAG",
];

/// The packages of the workspace around `root`.
fn packages(root: &Path) -> Fact<Vec<Package>> {
    if !root.ancestors().any(|folder| folder.join("Cargo.toml").is_file()) {
        return Err(format!("there is no Cargo.toml in {} or above", root.display()));
    }
    let metadata = MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .exec()
        .map_err(|error| format!("`cargo metadata` failed: {}", first_line(&error.to_string())))?;
    let package = |package: cargo_metadata::Package| Package {
        name: package.name.to_string(),
        version: package.version,
    };
    // The workspace's own tasks are no product and have no version to publish.
    let products = metadata.packages.into_iter().filter(|package| package.name.as_str() != "xtask");
    Ok(products.map(package).collect())
}

/// Why git did not answer.
#[derive(Debug)]
struct Refused {
    /// Its exit code, when it ran. Nothing is decided by `why`, which is for people.
    code: Option<i32>,
    why: String,
}

/// What git prints, without the final line feed.
fn git(root: &Path, arguments: &[&str]) -> Result<String, Refused> {
    let printed = git_bytes(root, arguments)?;
    Ok(String::from_utf8_lossy(&printed).trim_end_matches('\n').to_owned())
}

/// What git prints, in no language but its own.
fn git_bytes(root: &Path, arguments: &[&str]) -> Result<Vec<u8>, Refused> {
    let git = Program::new("git").args(arguments.iter().copied()).folder(root).env("LC_ALL", "C");
    // Looking must not lock the index that somebody else works with.
    let git = git.env("GIT_OPTIONAL_LOCKS", "0");
    let output = git.raw_here().map_err(|error| Refused { code: None, why: format!("{error:#}") })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let why = first_line(&said).trim_start_matches("fatal: ").to_owned();
    Err(Refused { code: output.status.code(), why })
}

fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or("it did not say why")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_shown_without_credentials() {
        for (origin, url) in [
            ("https://github.com/acme/app.git", Some("https://github.com/acme/app")),
            ("https://me:secret@github.com/acme/app", Some("https://github.com/acme/app")),
            ("https://git.corp:8443/acme/app/", Some("https://git.corp:8443/acme/app")),
            ("git@github.com:acme/app.git", Some("https://github.com/acme/app")),
            ("ssh://git@git.corp:2222/acme/app.git", Some("https://git.corp/acme/app")),
            ("/srv/git/app.git", None),
            ("file:///srv/git/app.git", None),
            ("../app", None),
            (r"C:\git\app", None),
        ] {
            assert_eq!(source_url(origin).as_deref(), url, "{origin}");
        }
    }

    #[test]
    fn a_checkout_is_asked_and_reasons_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let needs = Needs { git: true, packages: true, env: ["MANIFESTS_TEST_UNSET".to_owned()].into() };
        let facts = gather(root, &needs);
        assert!(facts.git_sha.unwrap_err().contains("not a git repository"));
        assert!(facts.packages.unwrap_err().contains("there is no Cargo.toml"));
        assert!(facts.env.is_empty());
        assert_eq!(dirty(root, Path::new("manifests.lock")).unwrap(), Vec::<String>::new());

        let run = |arguments: &[&str]| git(root, arguments).unwrap();
        run(&["init", "--quiet"]);
        run(&["remote", "add", "origin", "git@git.example:acme/app.git"]);
        let alone = |_: &str| None;
        assert_eq!(tag(root, alone).unwrap_err(), "there is no commit yet");
        std::fs::write(root.join("a file"), "").unwrap();
        std::fs::write(root.join(format!("{UNFINISHED}Ab1")), "").unwrap();
        std::fs::write(root.join("manifests.lock"), "").unwrap();
        assert_eq!(dirty(root, &root.join("manifests.lock")).unwrap(), ["a file"]);
        let ignore = root.join("manifests.lock");
        let before = tree(root, &ignore).unwrap().unwrap();
        std::fs::write(&ignore, "other").unwrap();
        assert_eq!(tree(root, &ignore).unwrap().as_ref(), Some(&before));
        std::fs::write(root.join("a file"), "other").unwrap();
        assert_ne!(tree(root, &ignore).unwrap(), Some(before));
        // Names that are no text are told apart all the same.
        let odd = root.join(OsStr::from_bytes(b"odd\xff"));
        std::fs::write(&odd, "one").unwrap();
        let before = tree(root, &ignore).unwrap();
        std::fs::write(&odd, "two").unwrap();
        assert_ne!(tree(root, &ignore).unwrap(), before);
        std::fs::remove_file(odd).unwrap();
        run(&["add", "a file"]);
        let author = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"];
        run(&[&author[..], &["commit", "--quiet", "--message=first"]].concat());
        assert_eq!(dirty(root, Path::new("manifests.lock")).unwrap(), Vec::<String>::new());
        let facts = gather(root, &Needs { git: true, ..Needs::default() });
        assert_eq!(facts.git_sha.unwrap().len(), 40);
        assert_eq!(facts.git_tag.unwrap_err(), "the commit checked out has no tag");
        assert_eq!(facts.source.unwrap(), "https://git.example/acme/app");
        run(&["tag", "v1.9.0"]);
        assert_eq!(tag(root, alone).unwrap(), "v1.9.0");
        // A setting that is for people changes nothing.
        run(&["config", "column.ui", "always"]);
        run(&["config", "log.showSignature", "true"]);
        assert_eq!(tag(root, alone).unwrap(), "v1.9.0");
        assert!(last_commit(root, &[PathBuf::from("a file")]).unwrap().parse::<u64>().is_ok());
    }

    #[test]
    fn of_several_tags_the_one_counts_that_ci_names() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let author = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"];
        let run = |arguments: &[&str]| git(root, &[&author[..], arguments].concat()).unwrap();
        run(&["init", "--quiet"]);
        run(&["commit", "--quiet", "--allow-empty", "--message=first"]);
        run(&["tag", "v1.0.0"]);
        run(&["commit", "--quiet", "--allow-empty", "--message=second"]);
        run(&["tag", "v1.1.0-rc.1"]);
        run(&["tag", "--annotate", "--message=x", "v1.1.0"]);
        let several =
            "the commit checked out has several tags (v1.1.0, v1.1.0-rc.1); set `CI_COMMIT_TAG=v1.1.0";
        for (variables, expected) in [
            (&[][..], Err(several)),
            (&[("GITHUB_REF", "refs/tags/v1.1.0")], Ok("v1.1.0")),
            (&[("GITHUB_REF", "refs/tags/v1.1.0-rc.1")], Ok("v1.1.0-rc.1")),
            (&[("GITHUB_REF", "refs/heads/v1.1.0")], Err(several)),
            (&[("GITHUB_REF", "refs/pull/1/merge")], Err(several)),
            (&[("CI_COMMIT_TAG", "v1.1.0"), ("TAG_NAME", "")], Ok("v1.1.0")),
            (&[("CI_COMMIT_TAG", "v1.0.0")], Err(several)),
            (&[("CI_COMMIT_TAG", "v1.1.0"), ("TAG_NAME", "v1.1.0")], Ok("v1.1.0")),
            (&[("CI_COMMIT_TAG", "v1.1.0"), ("TAG_NAME", "v1.1.0-rc.1")], Err(several)),
        ] {
            let variable = |name: &str| variables.iter().find(|(known, _)| *known == name);
            let found = tag(root, |name| variable(name).map(|(_, value)| (*value).to_owned()));
            match (&found, expected) {
                (Ok(tag), Ok(expected)) => assert_eq!(tag, expected, "{variables:?}"),
                (Err(why), Err(expected)) => assert!(why.starts_with(expected), "{variables:?}: {why}"),
                _ => panic!("{variables:?}: {found:?}"),
            }
        }
        run(&["checkout", "--quiet", "v1.0.0"]);
        assert_eq!(tag(root, |_| Some("v1.1.0".to_owned())).unwrap(), "v1.0.0");
    }

    #[test]
    fn a_repository_that_git_cannot_read_is_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".git"), "gitdir: /nowhere\n").unwrap();
        let error = dirty(folder.path(), Path::new("manifests.lock")).unwrap_err().to_string();
        assert!(error.starts_with("could not ask git whether"), "{error}");
        assert!(tree(folder.path(), Path::new("manifests.lock")).is_err());
    }
}
