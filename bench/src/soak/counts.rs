//! How rounds ended.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::rounds::Round;

/// The counts of a soak.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    rounds: BTreeMap<Round, Kind>,
    all: usize,
}

#[derive(Debug, Default)]
struct Kind {
    rounds: usize,
    /// By exit code, or by the signal that ended the run.
    ends: BTreeMap<String, usize>,
    left_out: usize,
    wrongs: Vec<String>,
}

impl Counts {
    /// Another round begins; gives its number.
    pub(crate) fn begin(&mut self, round: Round) -> usize {
        self.rounds.entry(round).or_default().rounds += 1;
        self.all += 1;
        self.all
    }

    /// A disturbed run of the round ended so.
    pub(crate) fn ended(&mut self, round: Round, end: String) {
        *self.rounds.entry(round).or_default().ends.entry(end).or_default() += 1;
    }

    /// The round could not be tried on this machine.
    pub(crate) fn left_out(&mut self, round: Round) {
        self.rounds.entry(round).or_default().left_out += 1;
    }

    /// Something was seen that must not be.
    pub(crate) fn wrong(&mut self, round: Round, what: String) {
        self.rounds.entry(round).or_default().wrongs.push(what);
    }

    /// The counts as a table.
    pub(crate) fn table(&self, seed: u64) -> String {
        let mut text = format!("seed {seed}, {} rounds\n\n", self.all);
        let _ = writeln!(
            text,
            "{:<22}{:>8}{:>10}{:>8}  disturbed runs ended",
            "round", "rounds", "left out", "wrong"
        );
        for (round, kind) in &self.rounds {
            let ends: Vec<String> = kind.ends.iter().map(|(end, count)| format!("{end}: {count}")).collect();
            let _ = writeln!(
                text,
                "{:<22}{:>8}{:>10}{:>8}  {}",
                round.name(),
                kind.rounds,
                kind.left_out,
                kind.wrongs.len(),
                ends.join(", ")
            );
        }
        text
    }

    /// # Errors
    ///
    /// Something was wrong, or a kind of round was never run to its end.
    pub(crate) fn judge(&self) -> Result<()> {
        let wrongs: usize = self.rounds.values().map(|kind| kind.wrongs.len()).sum();
        ensure!(wrongs == 0, "{wrongs} things were wrong; they stand above");
        for round in Round::ALL {
            let run = self.rounds.get(&round).is_some_and(|kind| kind.rounds > 0);
            ensure!(run, "there was no round of the kind \"{}\": soak for longer", round.name());
        }
        Ok(())
    }
}
