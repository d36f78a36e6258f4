//! `manifest push`: reconciles the one target that publishes a list.

use std::collections::BTreeMap;

use anyhow::Result;

use super::args::Push;
use crate::apply::Applied;
use crate::author::declared_file::DeclarationFile;
use crate::author::edit::list;
use crate::cli::args::Targets;
use crate::cli::context::Context;
use crate::config::Strictness;
use crate::error::Exit;
use crate::lock;
use crate::model::reference::Reference;
use crate::plan::{EntryChange, Options};
use crate::registry::Access;
use crate::release::keeper::{Keeper, after_publishing, forget_undeclared};
use crate::release::prepare::{From, Planned, announce, apply_all, prepare, stop_on_problems};
use crate::report;
use crate::workspace::lock_file;

pub(super) async fn run(context: &Context, arguments: &Push) -> Result<Exit> {
    let list = &arguments.list;
    let file = DeclarationFile::find(context.global.config.as_deref())?;
    let declared = file.read()?;
    let target = list::target_of(&declared, list).ok_or_else(|| list::no_such_list(&declared, list))?;
    let target = Targets { targets: vec![target.name.clone()] };
    let declaration = context.declaration(&target, Strictness::Release)?;
    let _turn = context.take_turn(&declaration.root).await?;
    let registry = context.registry(Some(&declaration))?;
    announce(&registry, &declaration, Access::Push)?;

    let lock_file = declaration.root.join(lock::FILE_NAME);
    let lock = lock_file::read(&lock_file)?;
    let planned = prepare(&registry, &declaration, From::Registry, &lock, Options::default()).await?;
    stop_on_problems(&planned)?;
    let carried = apply_all(&registry, &planned, &context.unshown()).await;
    let keeper = Keeper { file: &lock_file, lock: &lock, declaration: &declaration, all: false };
    let applied = keeper.settle(&planned, carried, &BTreeMap::new()).0.complete()?;
    if arguments.purge {
        purge(&file, list).map_err(|error| {
            after_publishing(format!("{list} is published; it could not be taken out of the file"), error)
        })?;
    }
    context.print(|_| lines(&planned, &applied), || report::summary::json(&applied));
    Ok(Exit::Done)
}

/// Takes the list out of the declaration, and what is locked of it out of the lock.
fn purge(file: &DeclarationFile, list: &Reference) -> Result<()> {
    file.change(|declaration, _| Ok(vec![list::remove(declaration, list)?]))?;
    forget_undeclared(file)
}

/// A line for each image that came into a repository, then the list's digest.
fn lines(planned: &[Planned<'_>], applied: &[Applied]) -> String {
    let mut out = String::new();
    let mut digests = Vec::new();
    for (planned, applied) in planned.iter().zip(applied) {
        for (plan, place) in planned.plan.places.iter().zip(&applied.places) {
            let images = plan.entries.iter().filter_map(|entry| match &entry.change {
                EntryChange::Keep { entry }
                | EntryChange::Add { entry }
                | EntryChange::Replace { entry, .. } => Some(&entry.digest),
                EntryChange::Remove { .. } | EntryChange::Pending { .. } | EntryChange::Undecided { .. } => {
                    None
                }
            });
            for digest in images.filter(|digest| place.copied.contains(digest)) {
                out.push_str(&format!(
                    "Pushed ref {} with digest: {digest}\n",
                    place.repository.digest(digest)
                ));
            }
            if !digests.contains(&&place.digest) {
                digests.push(&place.digest);
            }
        }
    }
    out.extend(digests.iter().map(|digest| format!("{digest}\n")));
    out
}
