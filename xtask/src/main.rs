//! This repository's own tasks; every other command is the library's, as in any project that adopts it.
#![allow(clippy::print_stderr, reason = "a task tells on stderr what it does")]

mod bench;
mod ci;
mod example;
mod host;

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("bench") => host::exit_code(bench::run()),
        Some("ci") => host::exit_code(ci::run()),
        Some("example") => host::exit_code(example::run()),
        _ => manifests::cli::main(),
    }
}
