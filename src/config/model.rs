//! The checked declaration: what the rest of the program works on. Templates are resolved, defaults filled in,
//! paths absolute.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use semver::Version;

use crate::model::platform::Platform;
use crate::model::reference::{Reference, Repository};

/// A whole `manifests.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// The file itself, absolute.
    pub path: PathBuf,
    /// Its folder: what paths in it are relative to.
    pub root: PathBuf,
    /// The commit checked out, when it is known.
    pub revision: Option<String>,
    /// In the order of the file.
    pub targets: Vec<Target>,
    /// By host, as written in `[registry."HOST"]`.
    pub registries: BTreeMap<String, RegistrySettings>,
    /// The names in templates that this checkout does not resolve, with the reason: each has a placeholder in its stead.
    /// For a release there are none.
    pub unresolved: BTreeMap<String, String>,
}

/// One thing to publish: a repository, its tags and its platform images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The table's name.
    pub name: String,
    /// The version of its Cargo package, when it has one: what `newest` compares.
    pub version: Option<Version>,
    /// Where the list goes; never empty.
    pub repositories: Vec<Repository>,
    /// Never empty, no name twice.
    pub tags: Vec<Tag>,
    /// In declaration order; never empty, no platform twice.
    pub images: Vec<Image>,
    /// What becomes of published platforms that are not declared.
    pub undeclared: Undeclared,
    /// What becomes of attestations of the images.
    pub attestations: Attestations,
    /// The list's type.
    pub format: Format,
    /// Annotations on the index.
    pub annotations: BTreeMap<String, String>,
    /// What becomes of programs that cannot run where their image is declared for.
    pub binary_check: BinaryCheck,
}

/// A tag of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The name, with templates resolved.
    pub name: String,
    /// Whether and when it may move.
    pub policy: TagPolicy,
}

/// Whether and when a tag may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagPolicy {
    /// It may change.
    Moving,
    /// Once it exists it stays as it is.
    Immutable,
    /// It moves only to the highest released version.
    Newest,
}

/// One platform's image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// As declared, with `os-version` and `os-features` merged in.
    pub platform: Platform,
    /// Where it is, or where it goes once it is built.
    pub reference: Reference,
    /// How it is built; `None` when it exists already.
    pub build: Option<Build>,
    /// How it is tried before it is pushed.
    pub smoke: Option<Smoke>,
    /// Annotations on its entry of the list.
    pub annotations: BTreeMap<String, String>,
}

/// What `docker build` is called with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// The folder, absolute.
    pub context: PathBuf,
    /// Absolute; `None` is the context's `Dockerfile`.
    pub dockerfile: Option<PathBuf>,
    /// `--build-arg`.
    pub args: BTreeMap<String, String>,
    /// `--target`.
    pub stage: Option<String>,
    /// `--label`, as declared; the labels that are added are not among them.
    pub labels: BTreeMap<String, String>,
    /// `--label` added by us (`org.opencontainers.image.{source,revision,version}`) where not declared.
    pub added_labels: BTreeMap<String, String>,
    /// `--secret`, each as on the engine's command line.
    pub secrets: Vec<String>,
    /// `--ssh`, likewise.
    pub ssh: Vec<String>,
    /// `--cache-from`.
    pub cache_from: Vec<String>,
    /// `--cache-to`.
    pub cache_to: Vec<String>,
    /// `--no-cache`.
    pub no_cache: bool,
    /// `--pull`.
    pub pull: bool,
    /// A command run before the build, in the declaration's folder; empty for none.
    pub before: Vec<String>,
    /// Further arguments, passed on as they are.
    pub extra_args: Vec<String>,
    /// A Rust program that is built before the image, into its context.
    pub cargo: Option<CargoBuild>,
    /// What releases write themselves, absolute: kept out of the context, unless the Dockerfile names it.
    pub outputs: Vec<PathBuf>,
}

/// `build.cargo`: a program that is built for each platform and staged in the context as
/// `<os>-<arch>[-<variant>]/<bin>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CargoBuild {
    /// `--package`.
    pub package: String,
    /// `--bin`.
    pub bin: String,
    /// `--profile`.
    pub profile: String,
    /// `--features`.
    pub features: Vec<String>,
    /// Which C library a Linux program is linked with.
    pub libc: Libc,
    /// What builds it.
    pub with: CargoTool,
}

/// The C library of a Linux program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Libc {
    /// musl: the program needs nothing around it.
    Musl,
    /// glibc.
    Gnu,
}

/// What builds a Rust program for another platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CargoTool {
    /// `cargo build`.
    Cargo,
    /// `cross build`.
    Cross,
    /// `cargo zigbuild`.
    Zigbuild,
}

/// A run of the image before it is pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smoke {
    /// What follows the image in `docker run --rm --platform`.
    pub command: Vec<String>,
    /// What its stdout must contain.
    pub expect: Option<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// What happens when this machine cannot run the platform.
    pub without_emulator: WithoutEmulator,
}

/// What happens to a smoke run when this machine cannot run the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutEmulator {
    /// The run fails, before anything is built.
    Fail,
    /// The smoke run is skipped with a warning.
    Warn,
}

/// What becomes of platforms that the list has and the declaration does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undeclared {
    /// Those the lock says we published go; any other stops the run.
    Known,
    /// They go.
    Remove,
    /// They stay.
    Keep,
    /// They stop the run.
    Error,
}

/// What becomes of attestations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attestations {
    /// They follow their image into the list.
    Keep,
    /// They are left out.
    Drop,
}

/// What becomes of programs that cannot run where their image is declared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryCheck {
    /// The image is not pushed.
    Error,
    /// A warning.
    Warn,
    /// Nobody looks.
    Off,
}

/// The list's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The published list's type, else what the images are.
    Auto,
    /// A Docker manifest list.
    Docker,
    /// An OCI image index.
    Oci,
}

/// `[registry."HOST"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrySettings {
    /// PEM file with certificate authorities to trust besides the system's, absolute.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the client's certificate, absolute.
    pub client_cert: Option<PathBuf>,
    /// PEM file with the client's key, absolute.
    pub client_key: Option<PathBuf>,
    /// Any certificate is taken.
    pub insecure: bool,
    /// Plain HTTP; `None` leaves it to the host: loopback is plain HTTP unless TLS keys are given.
    pub plain_http: Option<bool>,
    /// Connections at once.
    pub max_connections: usize,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self {
            ca_file: None,
            client_cert: None,
            client_key: None,
            insecure: false,
            plain_http: None,
            max_connections: 32,
        }
    }
}
