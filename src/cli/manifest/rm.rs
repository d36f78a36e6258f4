//! `manifest rm`: lists leave the declaration.

use anyhow::Result;
use serde_json::json;

use super::args::Rm;
use crate::author::declared_file::DeclarationFile;
use crate::author::edit::list;
use crate::cli::context::Context;
use crate::error::{Exit, Failure, exit_of};
use crate::release::keeper::{forget_undeclared, read_lock};

pub(super) fn run(context: &Context, arguments: &Rm) -> Result<Exit> {
    let file = DeclarationFile::find(context.global.config.as_deref())?;
    // Read before the declaration changes: one that cannot be read stops nothing half-way.
    read_lock(&file)?;
    let mut removed = Vec::new();
    let mut failures = Vec::new();
    // One after the other: the rest go even when one cannot.
    for list in &arguments.lists {
        match file.change(|declaration, _| Ok(vec![list::remove(declaration, list)?])) {
            Ok(_) => removed.push(list.to_string()),
            // A file that is not valid concerns them all.
            Err(error) if exit_of(&error) == Exit::Usage => return Err(error),
            Err(error) => failures.push(error),
        }
    }
    if !removed.is_empty() {
        forget_undeclared(&file)?;
    }
    context.print(|_| String::new(), || json!({ "version": 1, "removed": removed }));
    match failures.len() {
        0 => Ok(Exit::Done),
        1 => Err(failures.remove(0)),
        _ => {
            let messages: Vec<String> = failures.iter().map(ToString::to_string).collect();
            Err(Failure::new(messages.join("\n")).into())
        }
    }
}
