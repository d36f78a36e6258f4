//! `check`: the declaration, offline.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::json;

use super::args::{Check, Targets};
use super::context::Context;
use crate::build::fingerprint::TakenIn;
use crate::config::{Declaration, Strictness, Target};
use crate::error::Exit;
use crate::model::foreign::Foreign;

pub(super) fn run(context: &Context, _: &Check) -> Result<Exit> {
    let declaration = context.declaration(&Targets { targets: Vec::new() }, Strictness::Check)?;
    for warning in taken_in(&declaration) {
        context.events.warn(&warning);
    }
    context.print(
        |style| style.fold(&text(&declaration)),
        || {
            json!({
                "version": 1,
                "file": declaration.path,
                "targets": declaration.targets.iter().map(|target| json!({
                    "target": target.name,
                    "repositories": target.repositories.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "tags": target.tags.iter().map(|tag| &tag.name).collect::<Vec<_>>(),
                    "images": target.images.iter().map(|image| json!({
                        "platform": image.platform.to_string(),
                        "reference": image.reference.to_string(),
                        "built": image.build.is_some(),
                    })).collect::<Vec<_>>(),
                })).collect::<Vec<_>>(),
                "unresolved": declaration.unresolved,
            })
        },
    );
    Ok(Exit::Done)
}

/// Where images take in what releases write themselves: one warning for each file that can leave it out.
fn taken_in(declaration: &Declaration) -> Vec<String> {
    let mut found: BTreeMap<TakenIn, BTreeSet<&str>> = BTreeMap::new();
    for target in &declaration.targets {
        for image in &target.images {
            let taken = image.build.as_ref().and_then(|build| TakenIn::of(build, &image.platform));
            if let Some(taken) = taken {
                found.entry(taken).or_default().insert(&target.name);
            }
        }
    }
    let warning = |(taken, targets): (TakenIn, BTreeSet<&str>)| {
        let TakenIn { ignore_file, lines } = taken;
        let targets = targets.into_iter().collect::<Vec<_>>().join(", ");
        let file = ignore_file.strip_prefix(&declaration.root).unwrap_or(&ignore_file).display();
        format!(
            "{targets}: the Dockerfile copies what releases write with the rest of its context; releases leave that out of \
             images, and other builds do not: add to {file}\n  {}",
            lines.join("\n  ")
        )
    };
    found.into_iter().map(warning).collect()
}

/// The platforms, and which images are not built here.
fn images(target: &Target) -> String {
    let platforms = |built: bool| {
        let images = target.images.iter().filter(move |image| image.build.is_some() == built);
        images.map(|image| image.platform.to_string()).collect::<Vec<_>>().join(", ")
    };
    match (platforms(true), platforms(false)) {
        (built, existing) if existing.is_empty() => built,
        (built, existing) if built.is_empty() => format!("{existing}, of existing images"),
        (built, existing) => format!("{built}, and {existing} of existing images"),
    }
}

fn text(declaration: &Declaration) -> String {
    let mut out = format!("{}: no problems\n", Foreign(&declaration.path.to_string_lossy()));
    for target in &declaration.targets {
        let tags: Vec<&str> = target.tags.iter().map(|tag| tag.name.as_str()).collect();
        let tags = match tags[..] {
            [tag] => tag.to_owned(),
            _ => format!("{{{}}}", tags.join(",")),
        };
        let images = images(target);
        for repository in &target.repositories {
            out.push_str(&format!("  {}: {repository}:{tags} for {images}\n", target.name));
        }
    }
    for (name, why) in &declaration.unresolved {
        out.push_str(&format!("  `{{{name}}}` has a stand-in here: {why}\n"));
    }
    out
}
