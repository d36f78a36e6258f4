//! `manifest create`: a target, with one image for each argument.

use anyhow::Result;
use futures_util::future::join_all;
use serde_json::json;

use super::args::Create;
use crate::author::declared_file::DeclarationFile;
use crate::author::edit::list::{self, Found};
use crate::cli::context::Context;
use crate::error::{Exit, Failure};
use crate::model::reference::Reference;
use crate::observe;
use crate::registry::Registry;

pub(super) async fn run(context: &Context, arguments: &Create) -> Result<Exit> {
    let Create { list, images, amend } = arguments;
    if list.digest.is_some() {
        return Err(Failure::new(format!("{list} has a digest, which only a published list can have"))
            .hint("name the list by a tag")
            .into());
    }
    let file = DeclarationFile::find(context.global.config.as_deref())?;
    let declaration = file.read()?;
    // Whether the list may be created at all is known before anything is looked up.
    if !amend {
        list::create(&declaration, "", list, &[], false)?;
    }
    let registry = context.registry(Some(&declaration))?;
    let found = join_all(images.iter().map(|image| find(&registry, image))).await;
    let found = found.into_iter().collect::<Result<Vec<Found>>>()?;

    let is_new = !file.exists();
    file.change(|declaration, text| list::create(declaration, text, list, &found, *amend))?;
    if is_new {
        context.progress.line(&format!("made {}", file.shown().display()));
    }
    let images = || {
        found.iter().map(|image| json!({ "reference": image.reference.to_string(), "platform": image.platform.to_string() }))
    };
    context.print(
        |_| format!("Created manifest list {list}\n"),
        || json!({ "version": 1, "list": list.to_string(), "images": images().collect::<Vec<_>>() }),
    );
    Ok(Exit::Done)
}

/// Looks an image up, for its platform.
async fn find(registry: &Registry, image: &Reference) -> Result<Found> {
    let inspected = observe::inspect(registry, image, true)
        .await?
        .ok_or_else(|| Failure::new(format!("no such manifest: {image}")).hint("push the image first"))?;
    let platform = inspected.only_platform().map_err(Failure::new)?;
    Ok(Found { reference: image.clone(), platform })
}
