//! `manifests init`: a first `manifests.toml`, from what a folder holds: Dockerfiles, Cargo packages, the origin, the
//! file of another tool, and what is published already.

mod bake;
mod dockerfile;
mod draft;
mod goreleaser;
mod ignore;
mod propose;
mod service;
pub mod xtask;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::config::{self, Needs, Package};
use crate::error::{Exit, Failure};
use crate::invocation::program;
use crate::workspace::facts;
use crate::workspace::load::FILE_NAME;
pub use dockerfile::Dockerfile;
pub use propose::{Proposal, propose, repositories};
pub use service::{Own, Service};

/// Where the schema is kept that the first line of the file names.
pub const SCHEMA_NAME: &str = "manifests.schema.json";

/// The files of other tools, those that are more exact first.
const OTHERS: &[&str] = &[
    "docker-bake.hcl",
    "docker-bake.json",
    ".goreleaser.yaml",
    ".goreleaser.yml",
    "goreleaser.yaml",
    "goreleaser.yml",
];

/// What was written, and what a person should know about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The new files, the declaration first; a file that was there already is not among them.
    pub paths: Vec<PathBuf>,
    /// What was read and what was assumed, one line each.
    pub notes: Vec<String>,
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
    /// What the file of another tool publishes.
    pub services: Vec<Service>,
    /// What could not be read, one line each.
    pub notes: Vec<String>,
    /// The platforms of lists that are published already, by repository with its host, e.g. `docker.io/acme/app`.
    pub published: BTreeMap<String, Vec<String>>,
    /// The paths of the Dockerfiles whose contexts have no ignore file.
    pub unignored: Vec<String>,
}

/// Looks at a folder, without writing anything.
///
/// # Errors
///
/// A declaration is there already, or nothing that images are made from; a file or the folder cannot be read.
pub fn scan(root: &Path) -> anyhow::Result<Found> {
    let root = std::path::absolute(root)?;
    let path = root.join(FILE_NAME);
    if path.exists() {
        return Err(Failure::new(format!("{} exists already", path.display()))
            .hint("change it by hand, or remove it first")
            .exit(Exit::Usage)
            .into());
    }
    let facts = facts::gather(&root, &Needs { git: true, packages: true, ..Needs::default() });
    let mut notes = Vec::new();
    let mut found = Found {
        dockerfiles: dockerfile::below(&root, &mut notes)?,
        folder: root.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        packages: facts.packages.unwrap_or_default(),
        source: facts.source.ok(),
        notes,
        ..Found::default()
    };
    read_another_tools_file(&root, &mut found);
    if found.dockerfiles.is_empty() && found.services.is_empty() {
        let write = match found.packages.first() {
            Some(package) => format!(
                "write one (for a Rust program `FROM scratch`, `ARG TARGETOS TARGETARCH` and `COPY \
                 ${{TARGETOS}}-${{TARGETARCH}}/{} /` do, with `build.cargo = {{}}` in its target)",
                package.name
            ),
            None => "write one".to_owned(),
        };
        return Err(Failure::new(format!("there is no Dockerfile in {}", root.display()))
            .hint(format!("{write}, or declare images that exist already with `{} import REF`", program()))
            .exit(Exit::Usage)
            .into());
    }
    let missing = found.dockerfiles.iter().filter(|dockerfile| ignore::missing(&root, dockerfile));
    found.unignored = missing.map(|dockerfile| dockerfile.path.clone()).collect();
    Ok(found)
}

fn read_another_tools_file(root: &Path, found: &mut Found) {
    for file in OTHERS {
        let Ok(text) = std::fs::read_to_string(root.join(file)) else { continue };
        let published = match file.contains("bake") {
            true => bake::published(file, &text),
            false => goreleaser::published(file, &text, &found.folder),
        };
        match published {
            Ok(published) if published.services.is_empty() => {
                let nothing = match published.notes.is_empty() {
                    true => format!("{file} publishes no image"),
                    false => format!("took no image over from {file}"),
                };
                found.notes.extend(published.notes);
                found.notes.push(nothing);
            }
            Ok(published) => {
                found.notes.extend(published.notes);
                let services = published.services;
                // It says which Dockerfiles are built, and in which folders.
                found.dockerfiles.retain_mut(|dockerfile| {
                    let own = services.iter().find(|service| service.builds(&dockerfile.path));
                    if let Some(service) = own {
                        dockerfile.context.clone_from(&service.context);
                    } else {
                        found
                            .notes
                            .push(format!("left out {}, which {file} does not build", dockerfile.path));
                    }
                    own.is_some()
                });
                found.services = services;
                return;
            }
            Err(error) => found.notes.push(format!("could not read {file}: {error}")),
        }
    }
}

/// Writes what [`propose`] makes of `found` into `root`. No file that is there is changed.
///
/// # Errors
///
/// A declaration has come to be there since, or a file cannot be written.
pub fn write(root: &Path, found: &Found) -> anyhow::Result<Written> {
    let proposal = propose(found);
    let mut written = Written { paths: Vec::new(), notes: proposal.notes };
    let path = root.join(FILE_NAME);
    create(&path, &proposal.text).with_context(|| format!("could not write {}", path.display()))?;
    written.paths.push(path);
    let schema = (SCHEMA_NAME.to_owned(), format!("{:#}\n", config::schema()));
    for (name, text) in [schema].into_iter().chain(proposal.ignores) {
        let path = root.join(&name);
        match create(&path, &text) {
            Ok(()) => written.paths.push(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                written.notes.push(format!("kept {name}, which is there already"));
            }
            Err(error) => return Err(error).with_context(|| format!("could not write {}", path.display())),
        }
    }
    Ok(written)
}

/// Writes a file that is not there, and no other.
fn create(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::File::create_new(path)?.write_all(text.as_bytes())
}

/// As a TOML string.
fn quoted(text: &str) -> String {
    super::spelling::string(text)
}
