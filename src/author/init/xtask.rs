//! `init --xtask`: the task binary for another Cargo workspace: a package, a member, an alias. What is there stays.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cargo_metadata::MetadataCommand;
use toml_edit::{Array, DocumentMut, Item, Table, value};

use super::{Written, create};
use crate::children::quoted;
use crate::error::{Exit, Failure};
use crate::invocation::program;

const MAIN: &str = "//! This project's tasks: `cargo xtask release`, and whatever else you add.\n\n\
                    fn main() -> std::process::ExitCode {\n    manifests::cli::main()\n}\n";

const ALIAS: &str = "run --quiet --package xtask --profile xtask --";

/// How the tasks are built: once and run often, so without what debuggers and the next build need, and with hashing made
/// fast, which is what a release waits for.
const PROFILE: &str = "inherits = \"dev\"\ndebug = false\nincremental = false\npackage.sha2.opt-level = 3\n";

/// Adds the package `xtask`, the alias `cargo xtask` with the profile it builds with and, where it needs one, the
/// workspace's member to `root`; `library` is where the library is, when it is not to come from the package registry.
///
/// # Errors
///
/// There is no `Cargo.toml`, it is that of a member of a workspace further up, or a file cannot be read or written.
pub fn add(root: &Path, library: Option<&Path>) -> Result<Written> {
    let cargo = root.join("Cargo.toml");
    if !cargo.is_file() {
        return Err(Failure::new(format!("there is no Cargo.toml in {}", root.display()))
            .hint("`init --xtask` adds to a Cargo workspace; `cargo install manifests` works without one")
            .exit(Exit::Usage)
            .into());
    }
    if let Some(workspace) = enclosing_workspace(root) {
        return Err(Failure::new(format!(
            "{} belongs to the workspace in {}, which the tasks would be a member of",
            cargo.display(),
            workspace.display()
        ))
        .hint(format!("`{} init --xtask {}`", program(), quoted(&workspace.to_string_lossy())))
        .exit(Exit::Usage)
        .into());
    }
    let mut written = Written::default();
    let alias = match root.join(".cargo/config") {
        old if old.is_file() => old,
        _ => root.join(".cargo/config.toml"),
    };
    let package = root.join("xtask/Cargo.toml");
    // Everything is read before anything is written, so that a file that cannot be read leaves nothing half done.
    let member = changed(&cargo, add_member)?;
    let aliased = changed(&alias, |document| add_alias(document, &mut written.notes))?;
    let manifest = manifest(library)?;

    for (path, text) in [(&package, manifest.as_str()), (&root.join("xtask/src/main.rs"), MAIN)] {
        std::fs::create_dir_all(path.parent().unwrap_or(root))?;
        match create(path, text) {
            Ok(()) => written.paths.push(path.clone()),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let shown = path.strip_prefix(root).unwrap_or(path).display();
                let same = std::fs::read_to_string(path).is_ok_and(|there| there.contains("manifests"));
                written.notes.push(match same {
                    true => format!("kept {shown}, which names manifests already"),
                    false => {
                        format!("kept {shown}; depend on manifests there and call `manifests::cli::main()`")
                    }
                });
            }
            Err(error) => return Err(error).with_context(|| format!("could not write {}", path.display())),
        }
    }
    for (path, text) in [(cargo, member), (alias, aliased)] {
        if let Some(text) = text {
            std::fs::create_dir_all(path.parent().unwrap_or(root))?;
            std::fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
            written.paths.push(path);
        }
    }
    Ok(written)
}

/// The folder of the workspace that the package in `root` is a member of, where that is another one; none when cargo
/// cannot tell.
fn enclosing_workspace(root: &Path) -> Option<PathBuf> {
    let manifest = root.join("Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().ok()?;
    let workspace = metadata.workspace_root.into_std_path_buf();
    (workspace.canonicalize().ok()? != root.canonicalize().ok()?).then_some(workspace)
}

/// The text of the file after `change`, when that changed it.
fn changed(
    path: &Path,
    change: impl FnOnce(&mut DocumentMut) -> Result<(), String>,
) -> Result<Option<String>> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read.with_context(|| format!("could not read {}", path.display()))?,
    };
    let mut document: DocumentMut =
        text.parse().with_context(|| format!("could not read {}", path.display()))?;
    change(&mut document)
        .map_err(|problem| Failure::new(format!("{}: {problem}", path.display())).exit(Exit::Usage))?;
    let new = document.to_string();
    Ok((new != text).then_some(new))
}

/// Makes `xtask` a member, unless a pattern covers it.
fn add_member(document: &mut DocumentMut) -> Result<(), String> {
    let workspace = document.entry("workspace").or_insert_with(|| Item::Table(Table::new()));
    let workspace = workspace.as_table_like_mut().ok_or("`workspace` is no table")?;
    let members = workspace.entry("members").or_insert_with(|| value(Array::new()));
    let members = members.as_array_mut().ok_or("`workspace.members` is no array")?;
    let covers =
        |member: &str| matches!(member.trim_start_matches("./").trim_end_matches('/'), "xtask" | "*");
    if !members.iter().filter_map(|member| member.as_str()).any(covers) {
        // As the others stand: one a line, or all on one.
        let decor = members.iter().last().map(|last| last.decor().clone());
        members.push("xtask");
        let last = members.len() - 1;
        if let (Some(decor), Some(added)) = (decor.filter(|_| last > 0), members.get_mut(last)) {
            let prefix = decor.prefix().and_then(|prefix| prefix.as_str()).unwrap_or(" ");
            // A comment belongs to the member that it stands before.
            let indent = prefix.rfind('\n').map_or(prefix, |newline| &prefix[newline..]);
            let indent = if indent.is_empty() { " " } else { indent };
            added.decor_mut().set_prefix(indent);
        }
    }
    Ok(())
}

fn add_alias(document: &mut DocumentMut, notes: &mut Vec<String>) -> Result<(), String> {
    let alias = document.entry("alias").or_insert_with(|| Item::Table(Table::new()));
    let alias = alias.as_table_like_mut().ok_or("`alias` is no table")?;
    match alias.get("xtask") {
        None => {
            alias.insert("xtask", value(ALIAS));
            add_profile(document)?;
        }
        Some(there) if there.as_str() == Some(ALIAS) => {}
        Some(there) => notes.push(format!("kept the alias xtask = {}", there.to_string().trim())),
    }
    Ok(())
}

/// Adds the profile that the alias names, unless there is one.
fn add_profile(document: &mut DocumentMut) -> Result<(), String> {
    let mut profiles = Table::new();
    profiles.set_implicit(true);
    let profiles = document.entry("profile").or_insert(Item::Table(profiles));
    let profiles = profiles.as_table_like_mut().ok_or("`profile` is no table")?;
    if profiles.get("xtask").is_none() {
        let profile: DocumentMut = PROFILE.parse().map_err(|error| format!("{error}"))?;
        profiles.insert("xtask", Item::Table(profile.as_table().clone()));
    }
    Ok(())
}

/// The package's `Cargo.toml`. Its features leave out what only a first file needs.
fn manifest(library: Option<&Path>) -> Result<String> {
    let place = match library {
        Some(path) => {
            let path: PathBuf = path
                .canonicalize()
                .with_context(|| format!("could not find the library in {}", path.display()))?;
            format!("path = {}", super::quoted(&path.to_string_lossy()))
        }
        None => {
            let (major, minor) = (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
            format!("version = \"{major}.{minor}\"")
        }
    };
    Ok(format!(
        "[package]\nname = \"xtask\"\nversion = \"0.0.0\"\npublish = false\nedition = \"2024\"\n\n[dependencies]\n\
         manifests = {{ {place}, default-features = false, features = [\"embedded-registry\"] }}\n"
    ))
}
