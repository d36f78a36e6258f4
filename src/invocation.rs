//! How somebody calls this program, for lines that are to be typed.

use std::env::args_os;
use std::path::Path;

/// `cargo xtask` for a project's own task program, which is started by that alias; else `manifests`.
pub(crate) fn program() -> &'static str {
    match args_os()
        .next()
        .is_some_and(|path| Path::new(&path).file_stem().is_some_and(|name| name == "xtask"))
    {
        true => "cargo xtask",
        false => "manifests",
    }
}
