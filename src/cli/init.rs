//! `init`: a first declaration, and a task binary.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::timeout;

use super::args::Init;
use super::context::Context;
use crate::author::init::{self, Found, Written};
use crate::children::quoted;
use crate::error::Exit;
use crate::invocation::program;
use crate::model::foreign::Foreign;
use crate::model::manifest::Role;
use crate::observe;
use crate::registry::RetryPolicy;
use crate::workspace::load::FILE_NAME;

/// How long a registry may take to say what is published already; it only saves somebody some typing.
const RETRY_POLICY: Duration = Duration::from_secs(3);

pub(super) async fn run(context: &Context, arguments: &Init) -> Result<Exit> {
    let root = &arguments.folder;
    let mut written = Written::default();
    if arguments.xtask {
        written = init::xtask::add(root, arguments.path.as_deref())?;
    }
    if arguments.xtask && root.join(FILE_NAME).exists() {
        written.notes.push(format!("kept {FILE_NAME}, which is there already"));
    } else {
        let mut found = init::scan(root)?;
        look_what_is_published(context, &mut found).await?;
        let first = init::write(root, &found)?;
        written.notes.extend(first.notes);
        written.paths.splice(0..0, first.paths);
    }
    for note in &written.notes {
        context.progress.line(note);
    }
    context.print(
        |_| written.paths.iter().map(|path| format!("{}\n", Foreign(&path.to_string_lossy()))).collect(),
        || json!({ "version": 1, "written": written.paths, "notes": written.notes }),
    );
    let elsewhere = std::env::current_dir()?.canonicalize()? != root.canonicalize()?;
    context.progress.line(&next(elsewhere.then_some(root), arguments.xtask));
    Ok(Exit::Done)
}

/// What to type after it; `elsewhere` is where the file is, when that is not here.
fn next(elsewhere: Option<&Path>, xtask: bool) -> String {
    let program = if xtask { "cargo xtask" } else { program() };
    let (place, option) = match elsewhere {
        // The alias is that of the folder.
        Some(folder) if xtask => (format!(", in {}", folder.display()), String::new()),
        Some(folder) => {
            let file = folder.join(FILE_NAME);
            (String::new(), format!(" --config {}", quoted(&file.to_string_lossy())))
        }
        None => (String::new(), String::new()),
    };
    format!("Next{place}: `{program} release --rehearse{option}` tries it; nothing leaves the machine")
}

/// A list that is published already says for which platforms; where it cannot be read, nothing is known of it.
async fn look_what_is_published(context: &Context, found: &mut Found) -> Result<()> {
    let registry = context.registry_with(None, RetryPolicy { retries: 0, ..RetryPolicy::default() })?;
    let repositories = init::repositories(found);
    let asked = repositories.iter().map(|repository| async {
        let reference = repository.tag("latest");
        let inspected = timeout(RETRY_POLICY, observe::inspect(&registry, &reference, false)).await;
        (repository.to_string(), inspected)
    });
    for (repository, inspected) in join_all(asked).await {
        let list = match inspected {
            Ok(Ok(Some(inspected))) => inspected.list,
            Ok(Ok(None)) => continue,
            Ok(Err(_)) | Err(_) => {
                found
                    .notes
                    .push(format!("could not read what {repository} serves: nothing is assumed of it"));
                continue;
            }
        };
        let platforms = list.iter().flat_map(|list| &list.entries).filter_map(|entry| match entry.role() {
            Role::Image(platform) => Some(platform.to_string()),
            _ => None,
        });
        let platforms: Vec<String> = platforms.collect();
        if !platforms.is_empty() {
            found.published.insert(repository, platforms);
        }
    }
    Ok(())
}
