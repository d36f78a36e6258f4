//! Builds a Rust program for each platform before its image, and stages it for a Dockerfile that only copies it. I/O
//! through cargo; knows no engine and no registry.
//!
//! The programs lie as `<os>-<arch>[-<variant>]/<bin>` in one folder per target, which is the context.

mod command;
mod triple;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cargo_metadata::{Message, MetadataCommand};

use crate::children::{Lines, Program};
use crate::config::{CargoBuild, CargoTool, working_folder_of};
use crate::error::Failure;
use crate::model::foreign::child_line;
use crate::model::platform::Platform;
use crate::workspace::working_folder;
use command::Remapped;
pub use triple::triple;

/// A program to build.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The folder whose workspace has the package.
    pub root: &'a Path,
    /// What to build, and how.
    pub cargo: &'a CargoBuild,
    /// What for.
    pub platform: &'a Platform,
    /// The context that it is staged in.
    pub context: &'a Path,
}

/// Where a program for `platform` is staged within its context.
pub fn staged(cargo: &CargoBuild, platform: &Platform) -> PathBuf {
    let platform = platform.normal();
    let mut folder = format!("{}-{}", platform.os, platform.arch);
    // As `${TARGETOS}-${TARGETARCH}-${TARGETVARIANT}` has it.
    if let Some(variant) = &platform.variant {
        folder.push('-');
        folder.push_str(variant);
    }
    Path::new(&folder).join(&cargo.bin)
}

/// Builds the program of `job` and stages it; every line that cargo writes goes to `lines`. A program that is there
/// already with the same content is left alone.
///
/// # Errors
///
/// No Rust target is known for the platform, or it is not installed; cargo fails; the program is not what it built.
pub async fn build(job: Job<'_>, lines: Lines) -> Result<()> {
    let Job { root, cargo, platform, context } = job;
    let what = format!("could not build the program `{}` for {platform}", cargo.bin);
    let Some(triple) = triple(platform, cargo.libc) else {
        return Err(Failure::new(format!("{what}: no Rust target is known for that platform"))
            .hint("build it with `build.before`, and COPY it")
            .into());
    };
    // In a container of its own, cross has its own targets.
    if cargo.with != CargoTool::Cross {
        installed(root, triple, &what).await?;
    }
    let remapped = remapped(root).await.with_context(|| what.clone())?;
    let program = command::command(root, cargo, triple, &remapped, &|name| std::env::var(name).ok());
    let shown = program.shown();
    let ended = program.lines(lines).apart().await.map_err(|error| lacking(error, cargo.with))?;
    if !ended.success {
        let lines = |text: &str| text.trim_end().lines().map(child_line).collect::<Vec<_>>().join("\n");
        let messages = lines(&rendered(&ended.stdout));
        return Err(Failure::new(format!(
            "{what}: `{shown}` ended with {}:\n{}{}",
            ended.status,
            messages,
            lines(&ended.stderr)
        ))
        .into());
    }
    let Some(built) = executable(&ended.stdout, &cargo.bin) else {
        return Err(Failure::new(format!("{what}: `{shown}` ended well, but says of no such program"))
            .hint("`build.cargo.bin` names a binary of the package")
            .into());
    };
    // Only a container of its own sees other paths.
    let built = if built.exists() { built } else { remapped.host_path(&built, triple, cargo) };
    let place = context.join(staged(cargo, platform));
    let stage = || stage(&built, &place, &folder_of(root, &place)?);
    stage().with_context(|| format!("{what}: could not stage {}", place.display()))
}

/// Whether the standard library for `triple` is there.
async fn installed(root: &Path, triple: &str, what: &str) -> Result<()> {
    let asked = Program::new("rustc")
        .args(["--target", triple, "--print", "target-libdir"])
        .folder(root)
        .apart()
        .await?;
    let folder = asked.stdout.trim();
    if asked.success && !folder.is_empty() && Path::new(folder).is_dir() {
        return Ok(());
    }
    Err(Failure::new(format!("{what}: the Rust target {triple} is not installed"))
        .hint(format!("rustup target add {triple}"))
        .into())
}

/// The folders whose names differ from machine to machine.
async fn remapped(root: &Path) -> Result<Remapped> {
    let root = root.to_owned();
    let metadata =
        tokio::task::spawn_blocking(move || MetadataCommand::new().current_dir(root).no_deps().exec())
            .await??;
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    Ok(Remapped {
        workspace: metadata.workspace_root.into_std_path_buf(),
        target: metadata.target_directory.into_std_path_buf(),
        home,
    })
}

fn lacking(error: anyhow::Error, with: CargoTool) -> anyhow::Error {
    let hint = match with {
        CargoTool::Cargo => return error,
        CargoTool::Cross => "`build.cargo.with = \"cross\"` needs it: cargo install cross",
        CargoTool::Zigbuild => "`build.cargo.with = \"zigbuild\"` needs it: cargo install cargo-zigbuild",
    };
    Failure::new("could not build with the tool that is declared").because(error).hint(hint).into()
}

/// The program in cargo's messages.
fn executable(messages: &str, bin: &str) -> Option<PathBuf> {
    Message::parse_stream(messages.as_bytes()).flatten().find_map(|message| match message {
        Message::CompilerArtifact(artifact) if artifact.target.is_bin() && artifact.target.name == bin => {
            artifact.executable.map(|path| path.into_std_path_buf())
        }
        _ => None,
    })
}

/// What the compiler said, for people.
fn rendered(messages: &str) -> String {
    let messages = Message::parse_stream(messages.as_bytes()).flatten();
    messages
        .filter_map(|message| match message {
            Message::CompilerMessage(message) => message.message.rendered,
            _ => None,
        })
        .collect()
}

/// Makes the folder of `place`, without following a link of the checkout when it is in the workspace's own folder.
fn folder_of(root: &Path, place: &Path) -> Result<PathBuf> {
    let folder = place.parent().context("it has no folder")?;
    match folder.strip_prefix(working_folder_of(root)) {
        Ok(below) => working_folder::create_in(root, below),
        Err(_) => {
            std::fs::create_dir_all(folder)?;
            Ok(folder.to_owned())
        }
    }
}

/// Puts a copy of `built` to `place` in `folder`, by rename, unless it is there.
fn stage(built: &Path, place: &Path, folder: &Path) -> Result<()> {
    let bytes = std::fs::read(built)?;
    if std::fs::read(place).is_ok_and(|staged| staged == bytes) {
        return Ok(());
    }
    let file = tempfile::NamedTempFile::new_in(folder)?;
    std::fs::write(file.path(), &bytes)?;
    executable_by_all(file.path())?;
    file.persist(place)?;
    Ok(())
}

/// The mode comes into the image: it must not depend on anybody's umask.
#[cfg(unix)]
fn executable_by_all(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?)
}

#[cfg(not(unix))]
fn executable_by_all(_: &Path) -> Result<()> {
    Ok(())
}
