//! `import`: what a registry serves already, or another tool's file describes, is declared.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use futures_util::future::try_join_all;
use serde_json::json;

use super::context::Context;
use crate::author::declared_file::DeclarationFile;
use crate::author::edit::list::target_of;
use crate::author::edit::{Change, NewTarget, free_name};
use crate::author::import::{self, Imported};
use crate::config::Declaration;
use crate::error::{Exit, Failure};
use crate::invocation::program;
use crate::lock::{self, Lock};
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::observe;
use crate::plan::Options;
use crate::registry::Registry;
use crate::release::prepare::{From, prepare};
use crate::workspace::lock_file;

#[derive(Debug, Args)]
pub(super) struct Import {
    /// A published list, e.g. docker.io/acme/app:1; or the file of a manifest-tool spec or of GoReleaser.
    #[arg(value_name = "REF|FILE")]
    source: String,
}

pub(super) async fn run(context: &Context, arguments: &Import) -> Result<Exit> {
    let file = DeclarationFile::find(context.global.config.as_deref())?;
    let declaration = file.read()?;
    // Read before the declaration changes: one that cannot be read stops nothing half-way.
    let lock = lock_file::read(&declaration.root.join(lock::FILE_NAME))?;
    let registry = context.registry(Some(&declaration))?;
    let from_file = file_of(&arguments.source);
    let imported = match &from_file {
        Some(path) => read(&registry, path).await?,
        None => look_up(&registry, &declaration, &arguments.source).await?,
    };

    for note in &imported.notes {
        context.progress.warn(note);
    }
    let names = declare(&file, &imported.targets)?;
    if from_file.is_none() {
        would_change(context, &registry, &file.read()?, &lock, &names).await?;
    }

    let platforms = |target: &NewTarget| -> Vec<String> {
        target.platforms.iter().map(|platform| platform.platform.to_string()).collect()
    };
    let declared: Vec<(String, Vec<String>)> =
        names.into_iter().zip(imported.targets.iter().map(platforms)).collect();
    let path = file.shown().display().to_string();
    let lines = || {
        declared
            .iter()
            .map(|(name, platforms)| format!("{path}: target {name} for {}\n", platforms.join(", ")))
    };
    context.print(
        |_| lines().collect(),
        || {
            let targets: Vec<_> = declared
                .iter()
                .map(|(name, platforms)| json!({ "target": name, "platforms": platforms }))
                .collect();
            json!({ "version": 1, "file": path, "targets": targets, "notes": imported.notes })
        },
    );
    Ok(Exit::Done)
}

/// The file that is meant, if it is one: it is there, or is called as YAML is.
fn file_of(source: &str) -> Option<PathBuf> {
    let path = Path::new(source);
    let yaml = path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml");
    (yaml || path.is_file()).then(|| path.to_owned())
}

async fn read(registry: &Registry, path: &Path) -> Result<Imported> {
    let text = std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
    let failed = |why: String| Failure::new(format!("could not import {}: {why}", path.display()));
    let unknown = import::without_platform(&text).map_err(failed)?;
    let known = try_join_all(unknown.into_iter().map(|image| async move {
        let platform = platform_of(registry, &image).await.map_err(|error| {
            Failure::new(format!("could not import {}: it has no `platform` for {image}", path.display()))
                .because(error)
                .hint("write `platform` with `os` and `architecture` into the file")
        })?;
        anyhow::Ok((image, platform))
    }));
    Ok(import::file(&text, &known.await?.into_iter().collect()).map_err(failed)?)
}

/// What the configuration of a published image says.
async fn platform_of(registry: &Registry, image: &str) -> Result<Platform> {
    let reference: Reference = image.parse()?;
    let inspected = observe::inspect(registry, &reference, true).await?;
    let inspected = inspected.ok_or_else(|| Failure::new(format!("{reference} is not in the registry")))?;
    Ok(inspected.only_platform().map_err(Failure::new)?)
}

async fn look_up(registry: &Registry, declaration: &Declaration, source: &str) -> Result<Imported> {
    let reference: Reference = source.parse().map_err(|error| {
        Failure::new("could not import").exit(Exit::Usage).because(anyhow::Error::new(error))
    })?;
    if let Some(target) = target_of(declaration, &reference) {
        return Err(
            Failure::new(format!("{reference} is declared already, by target {}", target.name)).into()
        );
    }
    let inspected = observe::inspect(registry, &reference, false).await?.ok_or_else(|| {
        Failure::new(format!("{reference} is not in the registry")).hint(format!(
            "`{} tags {}` shows what is",
            program(),
            reference.repository
        ))
    })?;
    let imported = import::published(&inspected);
    Ok(imported.map_err(|why| {
        Failure::new(format!("could not import: {why}")).hint("`manifest create` declares a list of images")
    })?)
}

/// Adds all targets or, where one cannot be added, none; each under a name that is free. Gives the names.
fn declare(file: &DeclarationFile, targets: &[NewTarget]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    file.change(|_, text| {
        names.clear();
        let mut changes = Vec::new();
        for target in targets {
            let tag = target.tags.first().map_or("", String::as_str).replace(['{', '}'], "");
            let name = free_name(text, &names, &[&target.name, &format!("{}-{tag}", target.name)])?;
            changes.push(Change::AddTarget(NewTarget { name: name.clone(), ..target.clone() }));
            names.push(name);
        }
        Ok(changes)
    })?;
    Ok(names)
}

/// Says what reconciling would change of what is published; there should be nothing.
async fn would_change(
    context: &Context,
    registry: &Registry,
    declaration: &Declaration,
    lock: &Lock,
    names: &[String],
) -> Result<()> {
    let mut only = declaration.clone();
    only.targets.retain(|target| names.contains(&target.name));
    for planned in prepare(registry, &only, From::Registry, lock, Options::default()).await? {
        for problem in &planned.plan.problems {
            context.progress.warn(&format!("`reconcile` would refuse: {}", problem.message));
        }
        if planned.plan.problems.is_empty() && planned.plan.is_change() {
            context.progress.warn("`reconcile` would change the list; `plan` shows what");
        }
    }
    Ok(())
}
