//! `cargo xtask bench`: what releasing and reconciling cost, beside the tools that do it today, in one run on one
//! machine. Wall times alone say little about another machine; the ratios and the round trips do.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it tells what it measured")]

mod context;
mod copy;
mod fixture;
mod latency;
mod log;
mod measure;
mod peers;
mod plot;
mod reconcile;
mod registry;
mod release;
mod report;
mod soak;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};

use self::fixture::Fixture;
use self::peers::Peer;
use self::reconcile::Bench;
use self::report::Report;

/// Measures this program beside what it replaces, in one run.
#[derive(Parser)]
#[command(name = "bench", bin_name = "cargo xtask bench")]
struct Args {
    /// What to measure; everything when not given.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// How often each case is run; the fastest counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    times: u32,
    /// How far away the registry is, in milliseconds of round trip.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=1000))]
    round_trip: u64,
    /// How many platforms a list has.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64])]
    platforms: Vec<usize>,
    /// How many targets of eight platforms are reconciled at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100, 1000])]
    targets: Vec<usize>,
    /// How large the copied layer is, in MiB.
    #[arg(long, default_value_t = 1024)]
    layer: u64,
    /// How many files a build context of many has.
    #[arg(long, default_value_t = 100_000)]
    files: u64,
    /// How large a build context of one file is, in MiB.
    #[arg(long, default_value_t = 10_240)]
    large: u64,
    /// How many clients push to a registry and pull from it at once.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// How large the blob of each client is, in MiB.
    #[arg(long, default_value_t = 32)]
    blob: usize,
    /// Leave other tools out.
    #[arg(long)]
    alone: bool,
    /// Write the figures and the plot that the documentation shows.
    #[arg(long)]
    save: bool,
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A rehearsed release beside the walkthrough by hand.
    Release,
    /// Reconciling one target of some platforms.
    Platforms,
    /// Reconciling many targets.
    Targets,
    /// Copying an image with a large layer to another registry.
    Copy,
    /// Taking the fingerprint of large build contexts.
    Context,
    /// Pushing to the embedded registry and pulling from it, beside CNCF distribution's.
    Registry,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let own = std::env::current_exe()?;
    let binary = own.with_file_name("manifests");
    if std::env::args().nth(1).as_deref() == Some("soak") {
        return soak::run(&binary);
    }
    let args = Args::parse();
    let wanted = |part: Part| args.parts.is_empty() || args.parts.contains(&part);
    let mut report = Report { round_trip_ms: args.round_trip, ..Report::default() };

    let runtime = tokio::runtime::Runtime::new()?;
    if wanted(Part::Platforms) || wanted(Part::Targets) {
        let fixture = runtime.block_on(Fixture::in_memory(Duration::from_millis(args.round_trip)))?;
        let peers = if args.alone { Vec::new() } else { Peer::installed() };
        let bench =
            Bench { runtime: &runtime, fixture: &fixture, binary: &binary, times: args.times, peers: &peers };
        if wanted(Part::Platforms) {
            for count in &args.platforms {
                eprintln!("reconciling {count} platforms");
                report.reconcile.extend(bench.platforms(*count)?);
            }
        }
        if wanted(Part::Targets) {
            eprintln!("reconciling {:?} targets", args.targets);
            report.reconcile.extend(bench.targets(&args.targets)?);
        }
    }
    if wanted(Part::Copy) {
        eprintln!("copying a layer of {} MiB", args.layer);
        report.copy = Some(copy::measure(&runtime, &binary, args.layer)?);
    }
    if wanted(Part::Registry) {
        eprintln!("pushing and pulling with {} clients", args.clients);
        report.registry = registry::measure(&runtime, &binary, args.times, args.clients, args.blob)?;
    }
    if wanted(Part::Context) {
        eprintln!("taking fingerprints");
        report.context = context::measure(args.times, args.files, args.large)?;
    }
    if wanted(Part::Release) {
        eprintln!("releasing");
        report.release = release::measure(&binary, args.times)?;
        report.unchanged_release = Some(release::unchanged(&runtime, &binary, args.times, args.round_trip)?);
    }

    print!("{}", report.table());
    let folder = own.parent().and_then(Path::parent).context("the program is in no target folder")?;
    let mut saved = vec![folder.join("manifests")];
    if args.save {
        saved.push(root().join("docs/benchmark"));
    }
    for folder in saved {
        std::fs::create_dir_all(&folder)?;
        report.save(&folder)?;
    }
    Ok(())
}

/// The folder of the workspace's `Cargo.toml`.
fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}
