//! `schema`: what an editor needs to know of the file.

use anyhow::Result;

use super::args::Schema;
use super::context::Context;
use crate::config::schema;
use crate::error::Exit;

pub(super) fn run(context: &Context, _: &Schema) -> Result<Exit> {
    // The schema is JSON in whatever format it is asked for.
    context.print_exactly(&format!("{:#}\n", schema()));
    Ok(Exit::Done)
}
