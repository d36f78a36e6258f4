//! What a CI run is given besides the output: annotations, and a summary of the step. GitHub's; elsewhere nothing.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use super::context::Context;
use crate::apply::Applied;
use crate::release::prepare::Carried;
use crate::report::{self, failure};

/// Appends what a run came to, also where it failed after it wrote tags; `heading` says what was done.
pub(super) fn summarise_result(context: &Context, carried: &Carried, heading: &str) {
    let heading = match &carried.failure {
        None => heading.to_owned(),
        Some(_) if carried.applied.iter().any(Applied::is_written) => format!("{heading} in part"),
        Some(_) => return,
    };
    summarise(context, &report::summary::markdown(&carried.applied, &heading));
}

/// Appends Markdown to the summary of the step. Where that cannot be, a warning says so: the work itself is done.
pub(super) fn summarise(context: &Context, markdown: &str) {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else { return };
    let path = PathBuf::from(path);
    let written = File::options().create(true).append(true).open(&path);
    if let Err(error) = written.and_then(|mut file| file.write_all(format!("{markdown}\n").as_bytes())) {
        context.progress.warn(&format!("could not write the step's summary to {}: {error}", path.display()));
    }
}

/// The annotations of a failed run; none outside GitHub Actions.
pub(super) fn annotations(error: &anyhow::Error) -> Option<String> {
    std::env::var_os("GITHUB_ACTIONS").filter(|value| value == "true")?;
    let here = std::env::current_dir().unwrap_or_default();
    let root = std::env::var_os("GITHUB_WORKSPACE").map_or_else(|| here.clone(), PathBuf::from);
    Some(failure::annotations(error, &here, &root))
}
