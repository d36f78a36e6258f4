//! `manifest annotate`: the platform of one image of a declared list.

use anyhow::Result;
use serde_json::json;

use super::args::Annotate;
use crate::author::declared_file::DeclarationFile;
use crate::author::edit::list;
use crate::cli::context::Context;
use crate::error::Exit;

pub(super) fn run(context: &Context, arguments: &Annotate) -> Result<Exit> {
    let file = DeclarationFile::find(context.global.config.as_deref())?;
    let annotations = arguments.annotations();
    let changed = file.change(|declaration, _| {
        let change = list::annotate(declaration, &arguments.list, &arguments.image, &annotations)?;
        Ok(change.into_iter().collect())
    })?;
    let json = || json!({ "version": 1, "list": arguments.list.to_string(), "changed": changed });
    context.print(|_| String::new(), json);
    Ok(Exit::Done)
}
