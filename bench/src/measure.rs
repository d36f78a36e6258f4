//! One run of a program: how long it took, what it asked for, how much memory it had.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::fixture::Fixture;
use crate::log::Cost;

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    /// From the program's start to its end, in seconds.
    pub(crate) seconds: f64,
    /// The same in round trips, connecting and starting included.
    pub(crate) round_trips: f64,
    /// What the registry was asked.
    #[serde(flatten)]
    pub(crate) cost: Cost,
    /// The most memory it had, in MiB; of a program that is several, that of the first.
    pub(crate) peak_mib: f64,
}

impl Sample {
    /// Of two runs of the same, the one that was disturbed less.
    pub(crate) fn better(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.seconds < self.seconds => other,
            _ => self,
        }
    }
}

/// Several commands, measured as one piece of work.
pub(crate) fn measure(fixture: &Fixture, commands: Vec<Command>) -> Result<Sample> {
    fixture.log.clear();
    let started = Instant::now();
    let mut peak_mib: f64 = 0.0;
    for command in commands {
        peak_mib = peak_mib.max(run(command)?);
    }
    let wall = started.elapsed();
    Ok(Sample {
        seconds: wall.as_secs_f64(),
        round_trips: wall.as_secs_f64() / fixture.round_trip.as_secs_f64(),
        cost: fixture.log.cost(fixture.round_trip),
        peak_mib,
    })
}

/// Runs a command to its end, and returns the most memory it had, in MiB.
pub(crate) fn run(mut command: Command) -> Result<f64> {
    let shown = format!("{command:?}");
    let errors = tempfile::NamedTempFile::new()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors.reopen()?)
        .spawn()
        .with_context(|| format!("cannot start {shown}"))?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0_f64;
    let ended = loop {
        // The highest mark only rises: the last look before the end is close to it.
        peak = high_water_mark(Path::new(&status)).unwrap_or(peak);
        match child.try_wait()? {
            Some(ended) => break ended,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    if !ended.success() {
        bail!("{shown}: {ended}\n{}", std::fs::read_to_string(errors.path())?);
    }
    Ok(peak)
}

/// `VmHWM` of a process (proc(5)), in MiB.
pub(crate) fn high_water_mark(status: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}
