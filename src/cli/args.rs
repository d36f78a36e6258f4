//! The grammar of the command line.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use super::manifest::args::ManifestCommand;
use super::{complete, examples};
use crate::invocation::program;
use crate::model::platform::Platform;
use crate::model::reference::{Reference, Repository};
use crate::plan::Options;
use crate::report::style::{Screen, Style};

/// Publish container images for several platforms from one declared, reviewed file.
#[derive(Debug, Parser)]
#[command(
    name = "manifests",
    version,
    help_template = "{about-with-newline}\n{usage-heading} {usage}{after-help}\n\n{all-args}",
    subcommand_required = true,
    arg_required_else_help = true,
    infer_long_args = false
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The grammar with what `--help` shows besides.
pub(super) fn command() -> clap::Command {
    examples::add(Arguments::command().bin_name(program()))
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(super) struct Global {
    /// The declaration; found upwards from here when not given.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// How data on stdout is written.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub(super) format: Format,
    /// The container engine's CLI; else the first on PATH that can build the declared platforms.
    #[arg(long, global = true, env = "MANIFESTS_ENGINE", value_name = "PATH")]
    pub(super) engine: Option<PathBuf>,
    /// How many builds, smoke runs and pushes at once.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) jobs: Option<u16>,
    /// Take any certificate, and plain HTTP where a registry speaks no TLS.
    #[arg(long, global = true)]
    pub(super) insecure: bool,
    /// When to colour.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub(super) color: Colour,
    /// Show the output of every build and push as it comes.
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(super) verbose: bool,
    /// Show errors and warnings only.
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
}

impl Global {
    /// How stderr is coloured.
    pub(super) fn stderr_style(&self) -> Style {
        self.style(&std::io::stderr())
    }

    /// How stdout is coloured.
    pub(super) fn stdout_style(&self) -> Style {
        self.style(&std::io::stdout())
    }

    fn style(&self, stream: &(impl IsTerminal + AsFd)) -> Style {
        let size = stream.is_terminal().then(|| terminal_size::terminal_size_of(stream)).flatten();
        let screen =
            size.map(|(width, height)| Screen { columns: usize::from(width.0), rows: usize::from(height.0) });
        Style::new(self.colours(stream.is_terminal())).on(screen)
    }

    /// `--color` decides; else `NO_COLOR` (no-color.org), `CLICOLOR_FORCE` (bixense.com/clicolors), the terminal.
    fn colours(&self, terminal: bool) -> bool {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto if set("NO_COLOR") => false,
            Colour::Auto if set("CLICOLOR_FORCE") => true,
            Colour::Auto => terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
        }
    }
}

/// How data on stdout is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For a pull request; `plan` only.
    Markdown,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Build, smoke run and push every platform, then bring the list to what is declared.
    Release(Release),
    /// Show what `release` would change, entry by entry; writes nothing.
    Plan(Plan),
    /// Build the images into the engine.
    Build(Stage),
    /// Build the images and run them.
    Smoke(Stage),
    /// Build, smoke run and push the images; the list is left alone.
    Push(Push),
    /// Bring the list to what is declared, with the images found in the registry.
    Reconcile(Reconcile),
    /// Delete a target's declared tags and what only they held; without `--yes` only show what would go.
    Unpublish(Unpublish),
    /// Compare what the registries serve with the lock, every image included: exit code 3 when something differs.
    Verify(Verify),
    /// Publish the locked lists in another registry, byte for byte, or move a tag to what another one serves.
    Promote(Promote),
    /// Show what a reference serves: platforms, digests, sizes, attestations.
    Inspect(Inspect),
    /// Show the tags of a repository.
    Tags(Tags),
    /// Declare what a registry serves already, or what a manifest-tool or GoReleaser file describes.
    Import(super::import::Import),
    /// The commands of `docker manifest`, on the declaration.
    Manifest {
        #[command(subcommand)]
        command: ManifestCommand,
    },
    /// Write a first manifests.toml from what is here: Dockerfiles, Cargo packages, bake or GoReleaser files.
    Init(Init),
    /// Validate the declaration, offline: every problem at once, with line and column.
    Check(Check),
    /// Print the JSON Schema of manifests.toml, for editors.
    Schema(Schema),
    /// Print the script that completes commands, targets and platforms in a shell.
    Completions(Completions),
    /// Look whether this machine can release: engine, emulators, registries, credentials.
    Doctor(Doctor),
    /// The embedded registry by itself.
    #[cfg(feature = "embedded-registry")]
    Registry {
        #[command(subcommand)]
        command: RegistryCommand,
    },
}

impl Command {
    /// Whether its JSON is a stream of events.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Self::Release(_))
    }

    /// Whether it is there for what it writes to stdout, and has failed when that did not arrive.
    pub(super) fn is_for_data(&self) -> bool {
        match self {
            Self::Plan(_)
            | Self::Verify(_)
            | Self::Inspect(_)
            | Self::Tags(_)
            | Self::Check(_)
            | Self::Schema(_)
            | Self::Completions(_)
            | Self::Doctor(_)
            | Self::Manifest { command: ManifestCommand::Inspect(_) } => true,
            Self::Release(_)
            | Self::Build(_)
            | Self::Smoke(_)
            | Self::Push(_)
            | Self::Reconcile(_)
            | Self::Unpublish(_)
            | Self::Promote(_)
            | Self::Import(_)
            | Self::Manifest { .. }
            | Self::Init(_) => false,
            #[cfg(feature = "embedded-registry")]
            Self::Registry { .. } => false,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Targets {
    /// Only these targets.
    #[arg(value_name = "TARGET", add = complete::targets())]
    pub(super) targets: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Release {
    #[command(flatten)]
    pub(super) targets: Targets,
    /// Everything against the embedded registry: nothing leaves this machine.
    #[cfg(feature = "embedded-registry")]
    #[arg(long, alias = "dry-run")]
    pub(super) rehearse: bool,
    /// After a rehearsal, serve its registry until Ctrl-C.
    #[cfg(feature = "embedded-registry")]
    #[arg(long, requires = "rehearse")]
    pub(super) keep_serving: bool,
    /// Do not run the images before they are pushed.
    #[arg(long)]
    pub(super) skip_smoke: bool,
    /// Write the published digests into FILE, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(super) metadata_file: Option<PathBuf>,
    /// End with exit code 3, before anything is built, if an image is not fresh or the list would change.
    #[arg(long)]
    pub(super) locked: bool,
    /// Take nothing for fresh: build and push every image.
    #[arg(long, conflicts_with = "locked")]
    pub(super) rebuild: bool,
    /// Release from a git tree with uncommitted changes.
    #[arg(long)]
    pub(super) allow_dirty: bool,
    #[command(flatten)]
    pub(super) first: FirstPublish,
}

impl Release {
    /// Whether it is against the embedded registry.
    pub(super) fn is_rehearsal(&self) -> bool {
        #[cfg(feature = "embedded-registry")]
        return self.rehearse;
        #[cfg(not(feature = "embedded-registry"))]
        false
    }
}

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct FirstPublish {
    /// Take a tag that the registry refuses to show for one that does not exist yet.
    #[arg(long)]
    pub(super) first_publish: bool,
}

impl FirstPublish {
    /// What it means for planning.
    pub(super) fn options(self) -> Options {
        Options { first_publish: self.first_publish, takes_first_publish: true }
    }
}

#[derive(Debug, Args)]
pub(super) struct Plan {
    #[command(flatten)]
    pub(super) targets: Targets,
    /// End with exit code 3 when there is something to do.
    #[arg(long)]
    pub(super) exit_code: bool,
    /// Against the embedded registry.
    #[cfg(feature = "embedded-registry")]
    #[arg(long, alias = "dry-run")]
    pub(super) rehearse: bool,
    #[command(flatten)]
    pub(super) first: FirstPublish,
}

#[derive(Debug, Args)]
pub(super) struct Stage {
    #[command(flatten)]
    pub(super) targets: Targets,
    /// Only this platform; may be given several times.
    #[arg(long, value_name = "PLATFORM", add = complete::platforms())]
    pub(super) platform: Vec<Platform>,
}

#[derive(Debug, Args)]
pub(super) struct Push {
    #[command(flatten)]
    pub(super) stage: Stage,
    /// Do not run the images before they are pushed.
    #[arg(long)]
    pub(super) skip_smoke: bool,
    /// Write what was pushed to this file, for `reconcile --images` on another machine.
    #[arg(long, value_name = "FILE")]
    pub(super) metadata_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Reconcile {
    #[command(flatten)]
    pub(super) targets: Targets,
    /// The images that these files name, written by `push --metadata-file` on each machine.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) first: FirstPublish,
}

#[derive(Debug, Args)]
pub(super) struct Unpublish {
    /// What to unpublish.
    #[arg(value_name = "TARGET", add = complete::targets())]
    pub(super) target: String,
    /// Delete: it cannot be taken back.
    #[arg(long)]
    pub(super) yes: bool,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    pub(super) targets: Targets,
    /// The lock to compare with; else the one beside the declaration.
    #[arg(long, value_name = "FILE")]
    pub(super) lock: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").args(["to", "from"]).required(true))]
pub(super) struct Promote {
    #[command(flatten)]
    pub(super) targets: Targets,
    /// The registry that gets the locked lists, under the same names: HOST or HOST:PORT.
    #[arg(long, value_name = "HOST")]
    pub(super) to: Option<String>,
    /// The tag whose list `--tag` is to serve.
    #[arg(long, value_name = "TAG", requires = "tag", conflicts_with = "to")]
    pub(super) from: Option<String>,
    /// The tag to move.
    #[arg(long, value_name = "TAG", requires = "from")]
    pub(super) tag: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// What to look at, e.g. docker.io/library/alpine:3.
    #[arg(value_name = "REF")]
    pub(super) reference: Reference,
}

#[derive(Debug, Args)]
pub(super) struct Tags {
    /// Where to look, e.g. docker.io/library/alpine.
    #[arg(value_name = "REPOSITORY")]
    pub(super) repository: Repository,
}

#[derive(Debug, Args)]
pub(super) struct Init {
    /// The folder to write manifests.toml into.
    #[arg(default_value = ".", value_name = "FOLDER")]
    pub(super) folder: PathBuf,
    /// Add `cargo xtask` to the Cargo workspace there as well.
    #[arg(long)]
    pub(super) xtask: bool,
    /// Where the library is, for an xtask that does not take it from the package registry.
    #[arg(long, requires = "xtask", value_name = "DIR")]
    pub(super) path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Check {}

#[derive(Debug, Args)]
pub(super) struct Schema {}

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub(super) shell: Shell,
}

/// A shell that is completed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    /// GNU bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Run what can be run to repair what is missing.
    #[arg(long)]
    pub(super) fix: bool,
}

#[cfg(feature = "embedded-registry")]
#[derive(Debug, Subcommand)]
pub(super) enum RegistryCommand {
    /// Serve until Ctrl-C.
    Serve(Serve),
}

#[cfg(feature = "embedded-registry")]
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where to listen; port 0 takes any that is free.
    #[arg(long, default_value = "127.0.0.1:5000", value_name = "ADDR:PORT")]
    pub(super) listen: std::net::SocketAddr,
    /// Where content is stored.
    #[arg(long, default_value = "target/manifests/registry", value_name = "DIR")]
    pub(super) root: PathBuf,
    /// Take lists whose images are not all there.
    #[arg(long)]
    pub(super) allow_sparse: bool,
    /// Refuse whatever would write.
    #[arg(long, conflicts_with = "allow_sparse")]
    pub(super) read_only: bool,
    /// Ask for the name and password of a user in FILE, which `htpasswd -B` writes.
    #[arg(long, value_name = "FILE")]
    pub(super) htpasswd: Option<PathBuf>,
    /// Serve TLS with the PEM certificate chain in FILE.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_cert: Option<PathBuf>,
    /// The PEM private key of the certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,
}
