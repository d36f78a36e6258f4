//! `init`: a first declaration.

use anyhow::Result;

use super::args::Init;
use super::context::Context;
use crate::error::Exit;

pub(super) fn run(context: &Context, arguments: &Init) -> Result<Exit> {
    let written = crate::init::write(&arguments.folder)?;
    for note in &written.notes {
        context.progress.line(note);
    }
    context.print_raw(&format!("{}\n", written.path.display()))?;
    Ok(Exit::Done)
}
