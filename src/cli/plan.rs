//! `plan`: what a release would change. Writes nothing.

use anyhow::Result;

use super::args::{Format, Plan};
use super::context::Context;
use crate::config::{Declaration, Strictness};
use crate::error::{Exit, Failure};
use crate::plan::{Options, TargetPlan};
use crate::publish::{From, announce, prepare};
use crate::registry::Access;
use crate::report;

pub(super) async fn run(context: &Context, arguments: &Plan) -> Result<Exit> {
    let declaration = context.declaration(&arguments.targets, Strictness::Release)?;
    #[cfg(feature = "embedded-registry")]
    if arguments.rehearse {
        let rehearsal = crate::rehearsal::Rehearsal::start(&declaration.root).await?;
        let exit = show(context, arguments, rehearsal.map(declaration)).await;
        rehearsal.stop().await?;
        return exit;
    }
    show(context, arguments, declaration).await
}

async fn show(context: &Context, arguments: &Plan, declaration: Declaration) -> Result<Exit> {
    let registry = context.registry(Some(&declaration))?;
    announce(&registry, &declaration, Access::Pull)?;
    let options = Options { first_publish: arguments.first.first_publish };
    let planned = prepare(&registry, &declaration, From::Build, options).await?;
    let plans: Vec<TargetPlan> = planned.into_iter().map(|planned| planned.plan).collect();
    match context.global.format {
        Format::Markdown => context.print_raw(&report::plan::markdown(&plans))?,
        _ => context.print(|style| report::plan::text(&plans, style), || report::plan::json(&plans))?,
    }
    if plans.iter().any(|plan| !plan.problems.is_empty()) {
        return Err(Failure::new("a release would stop at the problems above").into());
    }
    let differs = arguments.exit_code && plans.iter().any(TargetPlan::is_change);
    Ok(if differs { Exit::Differs } else { Exit::Done })
}
