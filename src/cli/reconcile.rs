//! `reconcile`: only the list. Every image is found in the registry.

use anyhow::Result;

use super::args::Reconcile;
use super::ci;
use super::context::Context;
use crate::config::Strictness;
use crate::error::Exit;
use crate::plan::{Options, TargetPlan};
use crate::publish::{From, announce, apply_all, prepare, stop_on_problems};
use crate::registry::Access;
use crate::report;

pub(super) async fn run(context: &Context, arguments: &Reconcile) -> Result<Exit> {
    let declaration = context.declaration(&arguments.targets, Strictness::Release)?;
    let registry = context.registry(Some(&declaration))?;
    announce(&registry, &declaration, Access::Push)?;
    let options = Options { first_publish: arguments.first.first_publish };

    let planned = prepare(&registry, &declaration, From::Registry, options).await?;
    stop_on_problems(&planned)?;
    let plans: Vec<TargetPlan> = planned.into_iter().map(|planned| planned.plan).collect();
    context.progress.line(&report::plan::text(&plans, context.progress.style()));

    let applied = apply_all(&registry, &plans, &|event| context.on_event(event)).await?;
    ci::summarise(context, &report::summary::markdown(&applied));
    context.print(|style| report::summary::text(&applied, style), || report::summary::json(&applied))?;
    Ok(Exit::Done)
}
