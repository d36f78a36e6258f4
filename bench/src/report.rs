//! The figures as a table for people, as JSON, and as the plot.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::copy::Copy;
use crate::measure::Sample;
use crate::{context, plot, reconcile, registry, release};

/// Everything measured in one run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// How far away the registry was.
    pub(crate) round_trip_ms: u64,
    pub(crate) reconcile: Vec<reconcile::Row>,
    pub(crate) copy: Option<Copy>,
    pub(crate) context: Vec<context::Row>,
    pub(crate) registry: Vec<registry::Row>,
    pub(crate) release: Vec<release::Row>,
    /// A release of eight platforms in which nothing is to be done.
    pub(crate) unchanged_release: Option<Sample>,
}

impl Report {
    /// Lines of at most a hundred columns, for people and for the documentation.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        if !self.reconcile.is_empty() {
            writeln!(text, "Reconcile, at {} ms of round trip, connecting included\n", self.round_trip_ms)?;
            writeln!(
                text,
                "| work | targets | platforms | with | s | round trips | dependent | requests | MiB | times as long |"
            )?;
            writeln!(text, "|---|--:|--:|---|--:|--:|--:|--:|--:|--:|")?;
        }
        for row in &self.reconcile {
            let what = format!("{} | {} | {}", row.work.name(), row.targets, row.platforms);
            let own = [("cold cache", row.cold), ("warm cache", row.warm)];
            for (name, sample) in own.iter().chain(&row.peers) {
                let ratio = sample.seconds / row.cold.seconds;
                writeln!(text, "| {what} | {name} | {} | {ratio:.1} |", columns(sample))?;
            }
        }
        if let Some(Copy { layer_mib, seconds, peak_mib }) = &self.copy {
            writeln!(
                text,
                "\nCopy of a layer of {layer_mib} MiB between two registries on this machine: {seconds:.1} s, \
                 {peak_mib:.0} MiB of memory"
            )?;
        }
        if !self.context.is_empty() {
            writeln!(text, "\nFingerprint of a build context\n\n| files | MiB | s |\n|--:|--:|--:|")?;
        }
        for context::Row { files, mib, seconds } in &self.context {
            writeln!(text, "| {files} | {mib} | {seconds:.2} |")?;
        }
        if let Some(first) = self.registry.first() {
            writeln!(
                text,
                "\nRegistries: {} clients push and pull {} MiB each, at once\n",
                first.clients, first.blob_mib
            )?;
            writeln!(text, "| registry | push, s | pull, s | MiB of memory |\n|---|--:|--:|--:|")?;
        }
        for registry::Row { registry, push_seconds, pull_seconds, peak_mib, .. } in &self.registry {
            writeln!(text, "| {registry} | {push_seconds:.2} | {pull_seconds:.2} | {peak_mib:.0} |")?;
        }
        if !self.release.is_empty() {
            writeln!(text, "\nRelease of two platforms, built, run, pushed and listed\n")?;
            writeln!(
                text,
                "| content | by hand, s | rehearsed, s | by hand / rehearsed |\n|---|--:|--:|--:|"
            )?;
        }
        for release::Row { work, by_hand, rehearsed } in &self.release {
            writeln!(text, "| {work} | {by_hand:.2} | {rehearsed:.2} | {:.1} |", by_hand / rehearsed)?;
        }
        if let Some(sample) = &self.unchanged_release {
            let Sample { seconds, round_trips, cost, .. } = sample;
            writeln!(
                text,
                "\nRelease of eight platforms, nothing changed, at {} ms of round trip: {seconds:.2} s, \
                 {round_trips:.1} round trips, {} requests",
                self.round_trip_ms, cost.requests
            )?;
        }
        Ok(())
    }

    /// Writes `benchmark.json`, `benchmark.md` and, when many platforms were measured, `platforms.svg`.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))
        };
        write("benchmark.json", format!("{:#}\n", serde_json::to_value(self)?))?;
        write("benchmark.md", self.table())?;
        if let Some(svg) = plot::platforms(&self.reconcile)? {
            write("platforms.svg", svg)?;
        }
        Ok(())
    }
}

fn columns(sample: &Sample) -> String {
    let Sample { seconds, round_trips, cost, peak_mib } = sample;
    format!("{seconds:.2} | {round_trips:.1} | {} | {} | {peak_mib:.0}", cost.dependent, cost.requests)
}
