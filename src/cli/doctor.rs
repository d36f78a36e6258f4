//! `doctor`: whether this machine can release what is declared.

use std::sync::Arc;

use anyhow::Result;
use futures_util::future::join_all;
use serde_json::json;

use super::args::{Doctor, Targets};
use super::context::Context;
use crate::children::Lines;
use crate::config::{Declaration, Strictness};
use crate::engine::Request;
use crate::engine::doctor::{Check, Fix, State, checks, run as run_fix};
use crate::error::Exit;
use crate::model::foreign::child_line;
use crate::registry::{Registry, RetryPolicy};
use crate::report::style::{Ink, Style};

pub(super) async fn run(context: &Context, arguments: &Doctor) -> Result<Exit> {
    let declaration = context.declaration(&Targets { targets: Vec::new() }, Strictness::Check)?;
    let mut found = look(context, &declaration).await?;
    if arguments.fix && fix(context, &found).await? {
        found = look(context, &declaration).await?;
    }
    context.print(|style| text(&found, style), || to_json(&found));
    let wrong = found.iter().any(|check| check.state == State::Wrong);
    Ok(if wrong { Exit::Failed } else { Exit::Done })
}

async fn look(context: &Context, declaration: &Declaration) -> Result<Vec<Check>> {
    let request = Request { explicit: context.global.engine.as_deref() };
    // Who asks whether a registry answers is not helped by waiting until it does.
    let retry_policy = RetryPolicy { retries: 1, ..RetryPolicy::default() };
    let registry = context.registry_with(Some(declaration), retry_policy)?;
    let (mut found, registries) =
        futures_util::future::join(checks(&request, declaration), registries(&registry, declaration)).await;
    found.extend(registries);
    Ok(found)
}

/// Whether each registry answers, and whether there are credentials for it.
async fn registries(registry: &Registry, declaration: &Declaration) -> Vec<Check> {
    let lists = declaration.targets.iter().flat_map(|target| &target.repositories);
    let images =
        declaration.targets.iter().flat_map(|target| &target.images).map(|image| &image.reference.repository);
    let mut hosts: Vec<&str> = lists.chain(images).map(|repository| repository.host.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    join_all(hosts.into_iter().map(|host| async move {
        let name = format!("registry {host}");
        match registry.ping(host).await {
            Ok(ping) if !ping.accepted && ping.credentials.is_none() => Check::bad(
                name,
                State::Doubtful,
                format!("it answers ({}), and there are no credentials for it", ping.authentication),
                Fix::Say(format!("docker login {host}")),
            ),
            Ok(ping) if !ping.accepted => Check::bad(
                name,
                State::Wrong,
                format!("it refuses the credentials from {}", ping.credentials.unwrap_or_default()),
                Fix::Say(format!("docker login {host}")),
            ),
            Ok(ping) => {
                let source = match ping.credentials {
                    Some(source) => format!("credentials from {source}"),
                    None => "no credentials".to_owned(),
                };
                Check::fine(
                    name,
                    format!(
                        "it answers at {} (authentication {}); {source}",
                        ping.address, ping.authentication
                    ),
                )
            }
            Err(error) => {
                let hint =
                    error.hint().unwrap_or_else(|| "is the address right, and the network up?".to_owned());
                Check::bad(name, State::Wrong, error.answer(), Fix::Say(hint))
            }
        }
    }))
    .await
}

/// Runs every fix that can be run, each command once; whether there was any.
async fn fix(context: &Context, found: &[Check]) -> Result<bool> {
    let mut done: Vec<&Fix> = Vec::new();
    for check in found.iter().filter(|check| check.state != State::Fine) {
        let Some(fix @ Fix::Run(_)) = &check.fix else { continue };
        if done.contains(&fix) {
            continue;
        }
        done.push(fix);
        context.progress.stage("Fixing", &format!("{}: {}", check.name, fix.shown()));
        let progress = context.progress.clone();
        let lines: Lines = Arc::new(move |line: &str| progress.line(&child_line(line)));
        run_fix(fix, lines).await?;
    }
    Ok(!done.is_empty())
}

fn text(found: &[Check], style: Style) -> String {
    let width = found.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
    // On a narrow screen a hint has the room of the names as well.
    let column = style.screen().filter(|screen| screen.columns < 100).map_or(width + 2, |_| 0);
    let mut out = String::new();
    for check in found {
        let (ink, word) = match check.state {
            State::Fine => (Ink::Add, "ok   "),
            State::Doubtful => (Ink::Change, "note "),
            State::Wrong => (Ink::Remove, "wrong"),
        };
        let line = format!("{} {:width$}  {}\n", style.paint(ink, word), check.name, check.found);
        out.push_str(&style.fold(&line));
        if let (Some(fix), true) = (&check.fix, check.state != State::Fine) {
            let hint = format!("      {:column$}hint: {}\n", "", fix.shown());
            // A command is copied, and stays in one line.
            out.push_str(&if matches!(fix, Fix::Run(_)) { hint } else { style.fold(&hint) });
        }
    }
    out
}

fn to_json(found: &[Check]) -> serde_json::Value {
    let checks: Vec<_> = found
        .iter()
        .map(|check| {
            let state = match check.state {
                State::Fine => "ok",
                State::Doubtful => "note",
                State::Wrong => "wrong",
            };
            let fix = check.fix.as_ref().map(Fix::shown);
            json!({ "check": check.name, "state": state, "found": check.found, "hint": fix })
        })
        .collect();
    json!({ "version": 1, "checks": checks })
}
