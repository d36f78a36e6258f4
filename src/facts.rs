//! Asks git and cargo for what templates, labels and the check for a clean tree need; only for what is used.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::config::{Fact, Facts, Needs, Package};
use crate::error::Failure;

/// Finds out what `needs` names, for the checkout around `root`.
pub fn gather(root: &Path, needs: &Needs) -> Facts {
    let unused = || Err("it was not looked up".to_owned());
    let (git_sha, git_tag, source) = match needs.git {
        true => (
            git(root, &["rev-parse", "HEAD"]).map_err(|_| "this is no git checkout with a commit".to_owned()),
            git(root, &["describe", "--exact-match", "--tags", "HEAD"])
                .map_err(|_| "the commit checked out has no tag".to_owned()),
            git(root, &["remote", "get-url", "origin"]).map(|url| browsable(&url)),
        ),
        false => (unused(), unused(), unused()),
    };
    let packages = if needs.packages { packages(root) } else { Err("it was not looked up".to_owned()) };
    let env = needs.env.iter().filter_map(|name| Some((name.clone(), std::env::var(name).ok()?))).collect();
    Facts { git_sha, git_tag, source, packages, env }
}

/// The commit checked out at `root`, if there is one.
pub fn revision(root: &Path) -> Option<String> {
    git(root, &["rev-parse", "HEAD"]).ok()
}

/// The paths that differ from the commit checked out, but for those in `ignore`; none outside a git checkout.
///
/// # Errors
///
/// git cannot be asked.
pub fn dirty(root: &Path, ignore: &[&str]) -> Result<Vec<String>> {
    if revision(root).is_none() {
        return Ok(Vec::new());
    }
    let status = git(root, &["status", "--porcelain", "--untracked-files=normal"])
        .map_err(|reason| Failure::new(format!("could not ask git whether the tree is clean: {reason}")))?;
    let paths = status.lines().filter_map(|line| line.get(3..)).map(str::to_owned);
    let ignored = |path: &String| ignore.iter().any(|name| path.rsplit('/').next() == Some(*name));
    Ok(paths.filter(|path| !ignored(path)).collect())
}

fn git(root: &Path, arguments: &[&str]) -> Fact<String> {
    let asked = duct::cmd("git", arguments)
        .dir(folder(root))
        .stdin_null()
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .map_err(|error| format!("could not start git: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if asked.status.success() { Ok(text(&asked.stdout)) } else { Err(text(&asked.stderr)) }
}

fn packages(root: &Path) -> Fact<Vec<Package>> {
    let metadata =
        cargo_metadata::MetadataCommand::new().current_dir(folder(root)).no_deps().exec().map_err(
            |error| match error {
                cargo_metadata::Error::CargoMetadata { stderr } => {
                    stderr.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
                }
                other => other.to_string(),
            },
        )?;
    let members = metadata.workspace_packages().into_iter();
    // `cargo init`'s xtask is no product: it has no version of its own to publish.
    let products = members.filter(|package| package.name.as_str() != "xtask");
    Ok(products
        .map(|package| Package { name: package.name.to_string(), version: package.version.clone() })
        .collect())
}

fn folder(root: &Path) -> PathBuf {
    if root.as_os_str().is_empty() { PathBuf::from(".") } else { root.to_owned() }
}

/// An address to open in a browser: `git@github.com:o/r.git` → `https://github.com/o/r`. Without credentials.
fn browsable(url: &str) -> String {
    let url = url.strip_suffix(".git").unwrap_or(url);
    if let Some((scheme, rest)) = url.split_once("://") {
        let host_and_path = rest.split_once('@').map_or(rest, |(_, rest)| rest);
        let scheme = if scheme == "ssh" || scheme == "git" { "https" } else { scheme };
        return format!("{scheme}://{host_and_path}");
    }
    match url.split_once('@').and_then(|(_, rest)| rest.split_once(':')) {
        Some((host, path)) => format!("https://{host}/{path}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_becomes_an_address_without_credentials() {
        for (url, expected) in [
            ("git@github.com:o/r.git", "https://github.com/o/r"),
            ("https://github.com/o/r.git", "https://github.com/o/r"),
            ("https://user:secret@git.corp/o/r", "https://git.corp/o/r"),
            ("ssh://git@git.corp/o/r.git", "https://git.corp/o/r"),
            ("/srv/r", "/srv/r"),
        ] {
            assert_eq!(browsable(url), expected);
        }
    }
}
