//! `cargo xtask soak`: releases, again and again, while everything goes wrong that may: signals at random moments, rival
//! writers, a full disk, connections that are slow, cut or refused. After each round what is served must be whole, and the
//! next undisturbed run must bring everything to what is declared.

mod counts;
mod proxy;
mod rounds;
mod world;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser;

use self::counts::Counts;
use self::rounds::Round;
use self::world::World;

/// Releases while everything goes wrong that may, and counts how that ends.
#[derive(Parser)]
#[command(name = "soak", bin_name = "cargo xtask soak")]
struct Args {
    /// For how long.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=24 * 60))]
    minutes: u64,
    /// Which random numbers decide; the same ones make the same rounds, if not at the same moments.
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs it with the arguments behind the word `soak`.
///
/// # Errors
///
/// Something was served that must not be, or a run did not end as documented: the rounds in which that happened.
pub(crate) fn run(binary: &Path) -> Result<()> {
    let args = Args::parse_from(std::env::args().skip(1));
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(0..1_000_000));
    let until = Instant::now() + Duration::from_secs(args.minutes * 60);
    eprintln!("soaking for {} minutes with the seed {seed}", args.minutes);
    let mut random = fastrand::Rng::with_seed(seed);
    let runtime = tokio::runtime::Runtime::new()?;
    let mut counts = Counts::default();
    runtime.block_on(async {
        let mut world = World::start(binary).await?;
        while Instant::now() < until {
            let round = Round::choose(&mut random);
            let number = counts.begin(round);
            let wrongs = match rounds::run(&mut world, round, &mut random, &mut counts).await {
                Ok(wrongs) => wrongs,
                // What the soak itself cannot do says nothing about what it tries.
                Err(error) => return Err(error.context(format!("round {number}, {}", round.name()))),
            };
            for wrong in wrongs {
                eprintln!("round {number}, {}: {wrong}", round.name());
                counts.wrong(round, wrong);
            }
        }
        world.stop().await
    })?;
    let table = counts.table(seed);
    print!("{table}");
    let folder = binary.parent().and_then(Path::parent).context("the program is in no target folder")?;
    std::fs::write(folder.join("soak.txt"), &table)?;
    counts.judge()
}
