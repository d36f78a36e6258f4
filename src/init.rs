//! A first declaration, from what the project's folder shows.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::config::Needs;
use crate::error::{Exit, Failure};
use crate::facts;
use crate::load::FILE_NAME;

/// What was written, and from what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// What was read, and what was assumed.
    pub notes: Vec<String>,
}

/// What a folder shows of the project in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Found {
    /// The target's name: of the package, else of the folder.
    name: String,
    /// Dockerfiles relative to the folder, the first one used.
    dockerfiles: Vec<String>,
    /// Where the source is, as an address.
    source: Option<String>,
    /// Whether `{version}` has a value here.
    versioned: bool,
}

/// Writes `manifests.toml` into `folder`.
///
/// # Errors
///
/// Exit code 2: there is one already, or no Dockerfile to declare.
pub fn write(folder: &Path) -> Result<Written> {
    let path = folder.join(FILE_NAME);
    if path.exists() {
        return Err(Failure::new(format!("{} exists already; it is left as it is", path.display()))
            .hint("`check` validates it")
            .exit(Exit::Usage)
            .into());
    }
    let found = look(folder)?;
    if found.dockerfiles.is_empty() {
        return Err(Failure::new(format!("there is no Dockerfile in {}", folder.display()))
            .hint(
                "run `init` in the folder that has one, or declare images that exist already without `build`",
            )
            .exit(Exit::Usage)
            .into());
    }
    let (text, notes) = propose(&found);
    // Created new: a file that came in between is not overwritten.
    let mut file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .open(&path)
        .with_context(|| format!("could not create {}", path.display()))?;
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    Ok(Written { path, notes })
}

fn look(folder: &Path) -> Result<Found> {
    let folder = folder.canonicalize().with_context(|| format!("there is no folder {}", folder.display()))?;
    let mut dockerfiles: Vec<String> = std::fs::read_dir(&folder)?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name == "Dockerfile" || name == "Containerfile" || name.starts_with("Dockerfile."))
        .filter(|name| !name.ends_with(".dockerignore"))
        .collect();
    dockerfiles.sort();
    let needs = Needs { git: true, packages: true, ..Needs::default() };
    let facts = facts::gather(&folder, &needs);
    let packages = facts.packages.unwrap_or_default();
    let base = folder.file_name().and_then(|name| name.to_str()).unwrap_or("app");
    let package = packages.iter().find(|package| package.name == base).or(match &packages[..] {
        [only] => Some(only),
        _ => None,
    });
    let name = package.map_or(base, |package| package.name.as_str());
    Ok(Found {
        name: repository_part(name),
        dockerfiles,
        source: facts.source.ok(),
        versioned: package.is_some(),
    })
}

/// The text of the file, and what it assumes. Pure.
fn propose(found: &Found) -> (String, Vec<String>) {
    let Found { name, dockerfiles, source, versioned } = found;
    let dockerfile = dockerfiles.first().map_or("Dockerfile", String::as_str);
    let (repository, why) = repository(source.as_deref(), name);
    let mut notes = vec![format!("read {dockerfile}"), format!("assumed {repository}: {why}")];
    if dockerfiles.len() > 1 {
        notes.push(format!("left out: {}", dockerfiles[1..].join(", ")));
    }
    let (tags, tags_comment) = match versioned {
        true => (
            "[\"{version}\", \"latest\"]",
            "the package's version, never changed once published; and one that moves",
        ),
        false => ("[\"latest\"]", "with a Cargo package, \"{version}\" gives one tag for each release"),
    };
    let build_file = match dockerfile {
        "Dockerfile" => String::new(),
        other => format!("build.dockerfile = \"{other}\"\n"),
    };
    let text = format!(
        "# What this project publishes. `manifests check` validates it, `manifests release --rehearse` tries all of it\n\
         # without a registry, `manifests plan` shows what `manifests release` would change.\n\
         \n\
         [target.{name}]\n\
         # Where the list of platforms goes; an array publishes it in several registries.\n\
         repository = \"{repository}\"\n\
         # {tags_comment}.\n\
         tags = {tags}\n\
         platforms = [\"linux/amd64\", \"linux/arm64\"]\n\
         build.context = \".\"\n\
         {build_file}\
         # Each image can be run before it is pushed:\n\
         # smoke = {{ command = [\"--version\"], expect = \"{{version}}\" }}\n"
    );
    (text, notes)
}

/// Where the list probably goes, and why.
fn repository(source: Option<&str>, name: &str) -> (String, String) {
    let known = [("https://github.com/", "ghcr.io"), ("https://gitlab.com/", "registry.gitlab.com")];
    for (forge, registry) in known {
        let path = source.and_then(|source| source.strip_prefix(forge)).map(str::to_ascii_lowercase);
        if let Some((owner, project)) = path.as_deref().and_then(|path| path.split_once('/')) {
            let repository = match registry {
                "registry.gitlab.com" => format!("{registry}/{owner}/{project}"),
                _ => format!("{registry}/{owner}/{name}"),
            };
            return (repository, format!("the registry of {forge}{owner}"));
        }
    }
    (
        format!("docker.io/USER/{name}").replace("USER", "library"),
        "no forge is known; put your own here".to_owned(),
    )
}

/// `name` as a part of a repository's name: lower-case, and nothing but what is allowed.
fn repository_part(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let text: String = name.to_ascii_lowercase().chars().map(allowed).collect();
    let text = text.trim_matches(['-', '_']);
    if text.is_empty() { "app".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Facts, Package, Strictness, read};

    #[test]
    fn what_is_proposed_resolves() {
        for (source, versioned, repository) in [
            (Some("https://github.com/Owner/repo"), true, "ghcr.io/owner/app"),
            (Some("https://gitlab.com/group/sub/repo"), false, "registry.gitlab.com/group/sub/repo"),
            (None, false, "docker.io/library/app"),
        ] {
            let found = Found {
                name: "app".to_owned(),
                dockerfiles: vec!["Dockerfile".to_owned()],
                source: source.map(str::to_owned),
                versioned,
            };
            let (text, _) = propose(&found);
            let packages = vec![Package { name: "app".to_owned(), version: "1.2.3".parse().unwrap() }];
            let facts = Facts { packages: Ok(packages), ..Facts::default() };
            let document = read(Path::new("/w/manifests.toml"), &text).unwrap();
            let declaration = document.resolve(&facts, Strictness::Release).unwrap_or_else(|p| panic!("{p}"));
            assert_eq!(declaration.targets[0].repositories[0].to_string(), repository);
            assert_eq!(declaration.targets[0].images.len(), 2);
        }
    }

    #[test]
    fn a_folders_name_becomes_a_repositorys() {
        for (name, part) in [("My App", "my-app"), ("-x-", "x"), ("…", "app")] {
            assert_eq!(repository_part(name), part);
        }
    }
}
