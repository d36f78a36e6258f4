//! `check`: the declaration, offline.

use anyhow::Result;
use serde_json::json;

use super::args::{Check, Targets};
use super::context::Context;
use crate::config::{Declaration, Strictness};
use crate::error::Exit;

pub(super) fn run(context: &Context, _: &Check) -> Result<Exit> {
    let declaration = context.declaration(&Targets { targets: Vec::new() }, Strictness::Check)?;
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
            })
        },
    )?;
    Ok(Exit::Done)
}

fn text(declaration: &Declaration) -> String {
    let mut out = format!("{}: no problems\n", declaration.path.display());
    for target in &declaration.targets {
        let platforms: Vec<String> = target.images.iter().map(|image| image.platform.to_string()).collect();
        let tags: Vec<&str> = target.tags.iter().map(|tag| tag.name.as_str()).collect();
        for repository in &target.repositories {
            out.push_str(&format!(
                "  {}: {repository}:{{{}}} for {}\n",
                target.name,
                tags.join(","),
                platforms.join(", ")
            ));
        }
    }
    out
}
