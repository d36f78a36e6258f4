//! The grammar of `manifest`: that of `docker manifest`, argument for argument.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory as _, Subcommand};

use crate::author::edit::list::Annotations;
use crate::cli::args::Arguments;
use crate::error::Exit;
use crate::model::reference::Reference;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ManifestCommand {
    /// Declare a list of images that are in a registry.
    Create(Create),
    /// Set what a declared list says of the platform of one of its images.
    Annotate(Annotate),
    /// Show a list or an image as JSON: what is declared, else what is published; --verbose adds each image's manifest.
    Inspect(Inspect),
    /// Publish a declared list.
    Push(Push),
    /// Remove lists from the declaration.
    Rm(Rm),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Create {
    /// The list, e.g. docker.io/acme/app:1.
    #[arg(value_name = "MANIFEST_LIST")]
    pub(super) list: Reference,
    /// The images; the platform of each is read from the registry.
    #[arg(value_name = "MANIFEST", required = true)]
    pub(super) images: Vec<Reference>,
    /// Replace and add images of a list that is declared already.
    #[arg(short, long)]
    pub(super) amend: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Annotate {
    /// The list.
    #[arg(value_name = "MANIFEST_LIST")]
    pub(super) list: Reference,
    /// The image, as it is declared.
    #[arg(value_name = "MANIFEST")]
    pub(super) image: Reference,
    /// Set the operating system.
    #[arg(long, value_name = "OS")]
    os: Option<String>,
    /// Set the architecture.
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,
    /// Set the architecture's variant.
    #[arg(long, value_name = "VARIANT")]
    variant: Option<String>,
    /// Set the operating system's version.
    #[arg(long, value_name = "VERSION")]
    os_version: Option<String>,
    /// Add features of the operating system.
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    os_features: Vec<String>,
}

impl Annotate {
    /// What is set; as for Docker, an empty text is not given.
    pub(super) fn annotations(&self) -> Annotations {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Annotations {
            os: given(&self.os),
            arch: given(&self.arch),
            variant: given(&self.variant),
            os_version: given(&self.os_version),
            os_features: self.os_features.iter().filter(|feature| !feature.is_empty()).cloned().collect(),
        }
    }
}

#[derive(Debug, Args)]
#[command(override_usage = "manifests manifest inspect [OPTIONS] [MANIFEST_LIST] MANIFEST")]
pub(in crate::cli) struct Inspect {
    /// A list or an image; or a declared list and one of its images.
    #[arg(value_name = "MANIFEST", required = true, num_args = 1..=2)]
    pub(super) references: Vec<Reference>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Push {
    /// The list.
    #[arg(value_name = "MANIFEST_LIST")]
    pub(super) list: Reference,
    /// Remove the list from the declaration once it is published.
    #[arg(short, long)]
    pub(super) purge: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Rm {
    /// The lists.
    #[arg(value_name = "MANIFEST_LIST", required = true)]
    pub(super) lists: Vec<Reference>,
}

/// The flags of `manifest` that Docker's command line also takes with a value, `--amend=false`, and their short forms.
const BOOLEANS: &[(&str, Option<char>)] =
    &[("amend", Some('a')), ("insecure", None), ("purge", Some('p')), ("verbose", Some('v'))];

/// The command line with these flags as they are without a value: there when the last one says so, else not there. One
/// whose value is neither true nor false stays as it is, and is an error.
pub(in crate::cli) fn with_plain_booleans(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut plain: Vec<OsString> = Vec::new();
    let mut given = false;
    let mut options = true;
    for argument in arguments {
        options &= argument != "--";
        match argument.to_str().filter(|_| given && options).and_then(boolean) {
            Some((name, value)) => {
                plain.retain(|other| other.to_str().and_then(boolean).is_none_or(|(same, _)| same != name));
                plain.extend(value.then(|| format!("--{name}").into()));
            }
            None => {
                given |= argument == "manifest";
                plain.push(argument);
            }
        }
    }
    plain
}

/// The flag that `argument` is, and what it says.
fn boolean(argument: &str) -> Option<(&'static str, bool)> {
    let (flag, value) = argument.split_once('=').unwrap_or((argument, "true"));
    let is_flag = |(name, short): &(&str, Option<char>)| match flag.strip_prefix("--") {
        Some(long) => long == *name,
        None => short.is_some_and(|short| flag.strip_prefix('-') == Some(short.encode_utf8(&mut [0; 4]))),
    };
    let (name, _) = BOOLEANS.iter().find(|boolean| is_flag(boolean))?;
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some((name, true)),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some((name, false)),
        _ => None,
    }
}

/// The exit code for a command line that was not understood, when it is one of `manifest`: Docker's.
pub(in crate::cli) fn usage_exit(error: &clap::Error) -> Option<Exit> {
    let lenient = Arguments::command().ignore_errors(true).try_get_matches().ok()?;
    (lenient.subcommand_name() == Some("manifest")).then(|| exit_of(error))
}

fn exit_of(error: &clap::Error) -> Exit {
    let is_option = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) => text.starts_with('-'),
        _ => false,
    };
    match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Exit::Done,
        ErrorKind::UnknownArgument | ErrorKind::InvalidValue | ErrorKind::TooManyValues if is_option => {
            Exit::UnknownOption
        }
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_flag_counts_within_manifest_alone() {
        for (typed, plain) in [
            ("manifest create --amend=true -p=0 a", "manifest create --amend a"),
            ("manifest push -p --purge a", "manifest push --purge a"),
            ("manifest create -a --amend=false a", "manifest create a"),
            ("manifest create -a=false --amend a", "manifest create --amend a"),
            ("manifest create --amend=maybe a", "manifest create --amend=maybe a"),
            ("manifest annotate a --os=linux", "manifest annotate a --os=linux"),
            ("manifest rm -- --amend=false", "manifest rm -- --amend=false"),
            ("plan --insecure=true", "plan --insecure=true"),
        ] {
            let typed = typed.split(' ').map(OsString::from);
            assert_eq!(with_plain_booleans(typed).join(" ".as_ref()), plain);
        }
    }
}
