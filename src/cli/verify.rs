//! `verify`: do the registries still serve what the lock says? Writes nothing.

use anyhow::Result;
use serde_json::json;

use super::args::Verify;
use super::context::Context;
use crate::config::{Declaration, Strictness};
use crate::error::{Exit, Failure};
use crate::lock::{self, Lock};
use crate::release::verify::{Drift, verify};
use crate::workspace::lock_file;

pub(super) async fn run(context: &Context, arguments: &Verify) -> Result<Exit> {
    let declaration = context.declaration(&arguments.targets, Strictness::Check)?;
    let path = arguments.lock.clone().unwrap_or_else(|| declaration.root.join(lock::FILE_NAME));
    let lock = limited(lock_file::read(&path)?, &declaration, &arguments.targets.targets);
    if lock.targets.is_empty() {
        let found = if path.exists() { "has nothing to verify" } else { "does not exist" };
        return Err(Failure::new(format!("{} {found}", path.display()))
            .hint("`release` writes it")
            .exit(Exit::Usage)
            .into());
    }
    let registry = context.registry(Some(&declaration))?;
    let drift = verify(&registry, &lock).await?;
    if drift.is_empty() {
        let names: Vec<&str> = lock.targets.keys().map(String::as_str).collect();
        context.progress.stage("Verified", &format!("{}: served as locked", names.join(", ")));
    }
    let text = |drift: &[Drift]| drift.iter().map(|one| format!("{one}\n")).collect::<String>();
    let json = || json!({ "version": 1, "drift": drift.iter().map(Drift::to_json).collect::<Vec<_>>() });
    context.print(|style| style.fold(&text(&drift)), json);
    Ok(if drift.is_empty() { Exit::Done } else { Exit::Differs })
}

/// The lock of the targets that were asked for.
pub(super) fn limited(mut lock: Lock, declaration: &Declaration, asked: &[String]) -> Lock {
    let wanted = |name: &String| declaration.targets.iter().any(|target| target.name == *name);
    lock.targets.retain(|name, _| asked.is_empty() || wanted(name));
    lock
}
