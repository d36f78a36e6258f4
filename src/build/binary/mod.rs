//! Whether the programs in an image can run on the platform that it is declared for. Pure: layers come as readers.
//!
//! Only headers are looked at, so that no emulator is needed. A program is an ELF file that may be executed, or, in an
//! image for Windows, a PE file. What a base image brought is its maker's affair and is not judged.

mod header;
mod layer;

use std::fmt;

pub(crate) use header::Machine;
pub(crate) use layer::Layer;

use crate::model::platform::Platform;
use layer::Files;

/// A program that cannot run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Where it is in the image.
    pub path: String,
    /// What is wrong with it.
    pub wrong: Wrong,
}

/// Why a program cannot run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wrong {
    /// It is for another machine.
    Machine {
        /// The one that it is for.
        found: Machine,
        /// The one that the image is declared for.
        expected: Machine,
    },
    /// The program that would load it and its libraries is not in the image.
    NoLoader(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.wrong {
            Wrong::Machine { found, expected } => {
                write!(f, "{} is a program for {found}, expected {expected}", self.path)
            }
            Wrong::NoLoader(loader) => {
                write!(
                    f,
                    "{} is dynamically linked and needs {loader}, which the image does not have",
                    self.path
                )
            }
        }
    }
}

/// The programs that cannot run on `platform`, sorted, out of an image's layers, bottom first. The first `given` of them
/// are the base image's: what they hold is there, and is not judged.
///
/// A layer that could not be read is `None`. It may replace what is below it and bring any loader, so only programs
/// above it are judged, and of those only their machine.
pub(crate) fn check(layers: &[Option<Layer>], given: usize, platform: &Platform) -> Vec<Finding> {
    let Some(expected) = Machine::of(platform) else { return Vec::new() };
    let windows = platform.normal().os == "windows";
    let files = Files::of(layers, given);
    let complete = layers.iter().all(Option::is_some);
    let mut findings: Vec<Finding> = files
        .added_programs()
        .filter(|(_, program)| program.portable_executable == windows)
        .filter_map(|(path, program)| {
            let wrong = match &program.loader {
                _ if program.machine != expected => {
                    Wrong::Machine { found: program.machine.clone(), expected: expected.clone() }
                }
                Some(loader) if complete && !files.has(loader) => Wrong::NoLoader(loader.clone()),
                _ => return None,
            };
            Some(Finding { path: format!("/{path}"), wrong })
        })
        .collect();
    findings.sort();
    findings
}

#[cfg(test)]
mod tests;
