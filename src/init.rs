//! `manifests init`: a first `manifests.toml`, from the Dockerfiles of a folder.

mod dockerfile;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::config::{Needs, Package};
use crate::error::{Exit, Failure};
use crate::facts;
use crate::load::FILE_NAME;
pub use dockerfile::Dockerfile;

/// The file that was written, and what a person should know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The new file.
    pub path: PathBuf,
    /// What was read and what was assumed, one line each.
    pub notes: Vec<String>,
}

/// Writes a first `manifests.toml` into `root`; a file that is there already stays as it is.
pub fn init(root: &Path) -> anyhow::Result<Written> {
    let path = root.join(FILE_NAME);
    if path.exists() {
        return Err(Failure::new(format!("{} exists already", path.display()))
            .hint("change it by hand, or remove it first")
            .exit(Exit::Usage)
            .into());
    }
    let found = scan(root)?;
    if found.dockerfiles.is_empty() {
        return Err(Failure::new(format!("there is no Dockerfile in {}", root.display()))
            .hint("write one, or declare images that exist already with `manifests import REF`")
            .exit(Exit::Usage)
            .into());
    }
    let proposal = propose(&found);
    // Another process may have written one since.
    std::fs::File::create_new(&path)
        .and_then(|mut file| file.write_all(proposal.text.as_bytes()))
        .with_context(|| format!("could not write {}", path.display()))?;
    Ok(Written { path, notes: proposal.notes })
}

/// What a folder tells about the images that it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The folder's name.
    pub folder: String,
    /// Its Dockerfiles, and those of folders below.
    pub dockerfiles: Vec<Dockerfile>,
    /// The workspace's Cargo packages.
    pub packages: Vec<Package>,
    /// Where the source is, as a URL.
    pub source: Option<String>,
}

/// A first file, not yet written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The file's content.
    pub text: String,
    /// What was read and what was assumed, one line each.
    pub notes: Vec<String>,
}

/// Looks at a folder, without writing anything.
pub fn scan(root: &Path) -> anyhow::Result<Found> {
    let root = std::path::absolute(root)?;
    let facts = facts::gather(&root, &Needs { git: true, packages: true, ..Needs::default() });
    Ok(Found {
        folder: root.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        dockerfiles: dockerfile::below(&root)?,
        packages: facts.packages.unwrap_or_default(),
        source: facts.source.ok(),
    })
}

/// A declaration of what was found: it passes `check`, and releases as it stands where the guessed repository is the
/// right one.
pub fn propose(found: &Found) -> Proposal {
    let mut text = String::from(
        "# Which images this project publishes for which platforms. `check` reads this file, `release --rehearse`\n\
         # tries it without leaving the machine, `release` publishes.\n",
    );
    let mut notes = Vec::new();
    for (index, dockerfile) in found.dockerfiles.iter().enumerate() {
        let mut name = target_name(found, dockerfile);
        if found.dockerfiles[..index].iter().any(|other| target_name(found, other) == name) {
            let _ = write!(name, "-{}", index + 1);
        }
        notes.push(format!("read {}", dockerfile.path));
        target(&mut text, &mut notes, found, dockerfile, &name);
    }
    Proposal { text, notes }
}

/// Appends a target for one Dockerfile.
fn target(text: &mut String, notes: &mut Vec<String>, found: &Found, dockerfile: &Dockerfile, name: &str) {
    let mut line = |content: &str| {
        text.push_str(content);
        text.push('\n');
    };
    let repository = repository(found, name);
    line(&format!("\n[target.{name}]"));
    if found.source.is_none() {
        line("# There is no git origin to guess from: this is a registry on the machine itself.");
        notes.push(format!("assumed {repository}: there is no git origin to guess a registry from"));
    } else {
        notes.push(format!("assumed {repository}, from the git origin"));
    }
    line(&format!("repository = {}", quoted(&repository)));

    match package(found, name) {
        Some(package) => {
            line("# A version, once published, stays as it is; `latest` follows the highest one.");
            line(r#"tags = ["{version}", { name = "latest", policy = "newest" }]"#);
            notes.push(format!("assumed the version of the Cargo package {}", package.name));
        }
        None => {
            line(r#"tags = ["latest"]"#);
            notes.push(format!("assumed the tag latest alone: no Cargo package gives {name} a version"));
        }
    }

    let platforms: Vec<String> = dockerfile.platforms().iter().map(|platform| quoted(platform)).collect();
    line("# Where the images themselves go is `image`; by default the repository, tagged TAG-OS-ARCH.");
    line(&format!("platforms = [{}]", platforms.join(", ")));
    notes.push(format!("assumed the platforms {}", dockerfile.platforms().join(", ")));

    line(&format!("build.context = {}", quoted(&dockerfile.context)));
    if !dockerfile.is_default() {
        line(&format!("build.dockerfile = {}", quoted(&dockerfile.path)));
    }
    let open = dockerfile.open_arguments();
    if !open.is_empty() {
        let args: Vec<String> = open.iter().map(|arg| format!("{arg} = \"…\"")).collect();
        line("# The Dockerfile gives these no value:");
        line(&format!("# build.args = {{ {} }}", args.join(", ")));
        notes.push(format!(
            "{} declares {} without a value: see build.args",
            dockerfile.path,
            open.join(", ")
        ));
    }
    if dockerfile.serves() {
        line(
            "# It serves, so a run would not end by itself; with a command that ends, every image is tried before",
        );
        line("# it is pushed:");
    } else {
        line("# With a command that ends, every image is tried before it is pushed:");
    }
    line(r#"# smoke = { command = ["--version"], expect = "…" }"#);
}

/// Named after its folder or its own suffix, else after the only package, else after the project's folder.
fn target_name(found: &Found, dockerfile: &Dockerfile) -> String {
    let name = match (dockerfile.own_name(), found.packages.as_slice()) {
        (Some(name), _) => name,
        (None, [only]) => only.name.as_str(),
        (None, _) => found.folder.as_str(),
    };
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let name: String = name.to_ascii_lowercase().chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    let words: Vec<&str> = name.split('-').filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "app".to_owned() } else { words.join("-") }
}

/// The package whose version the target's templates would use.
fn package<'a>(found: &'a Found, target: &str) -> Option<&'a Package> {
    match found.packages.as_slice() {
        [only] => Some(only),
        several => several.iter().find(|package| package.name == target),
    }
}

/// The container registry of the forge that the source is on.
fn repository(found: &Found, target: &str) -> String {
    let source = found.source.as_deref().unwrap_or_default().to_ascii_lowercase();
    let place = source.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    let owner = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    let guess = match place {
        Some(("github.com", path)) => format!("ghcr.io/{}/{target}", owner(path)),
        Some(("gitlab.com", path)) => format!("registry.gitlab.com/{path}/{target}"),
        Some((host, path)) => format!("{host}/{}/{target}", owner(path)),
        None => String::new(),
    };
    match guess.parse::<crate::reference::Repository>() {
        Ok(repository) if !guess.is_empty() => repository.to_string(),
        _ => format!("localhost:5000/{target}"),
    }
}

/// As a TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
