//! The counts of the matrix: requests × faults, and how they ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use crate::fault::{Fault, Times};
use crate::matrix::{Case, Clean, Outcome};
use crate::request::Class;

#[derive(Default)]
pub(crate) struct Table {
    scenarios: Vec<(&'static str, usize)>,
    cases: BTreeMap<(Fault, Times), Counts>,
    classes: BTreeMap<Class, BTreeMap<Fault, Counts>>,
}

type Counts = BTreeMap<Outcome, usize>;

const OUTCOMES: [(Outcome, &str); 4] = [
    (Outcome::Succeeded, "succeeded"),
    (Outcome::Retried, "after retries"),
    (Outcome::Failed, "failed right"),
    (Outcome::InPart, "in part"),
];

impl Table {
    pub(crate) fn new(clean: &[Arc<Clean>]) -> Self {
        let scenarios = clean.iter().map(|clean| (clean.scenario.name, clean.asked.len())).collect();
        Self { scenarios, ..Self::default() }
    }

    pub(crate) fn add(&mut self, case: &Case, outcome: Outcome) {
        let by_fault = self.cases.entry((case.fault, case.times)).or_default();
        *by_fault.entry(outcome).or_default() += 1;
        let by_class = self.classes.entry(case.class()).or_default().entry(case.fault).or_default();
        *by_class.entry(outcome).or_default() += 1;
    }

    /// Prints it, and keeps it in `target/fault-matrix.txt`: a runner may hide what a passing test prints.
    pub(crate) fn publish(&self) {
        let text = self.to_string();
        println!("{text}");
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("fault-matrix.txt");
        std::fs::write(&path, text)
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }

    fn write_scenarios(&self, text: &mut String) {
        let _ = writeln!(text, "{:<42}{:>10}", "scenario", "requests");
        for (name, requests) in &self.scenarios {
            let _ = writeln!(text, "{name:<42}{requests:>10}");
        }
    }

    fn write_faults(&self, text: &mut String) {
        let _ = write!(text, "\n{:<24}{:>8}", "fault", "cases");
        for (_, name) in OUTCOMES {
            let _ = write!(text, "{name:>15}");
        }
        text.push('\n');
        let mut all = Counts::new();
        for ((fault, times), counts) in &self.cases {
            let times = if *times == Times::Once { "once" } else { "always" };
            write_counts(text, &format!("{}, {times}", fault.name()), counts);
            for (outcome, count) in counts {
                *all.entry(*outcome).or_default() += count;
            }
        }
        write_counts(text, "all", &all);
    }

    /// Published or failed, for each kind of request and fault.
    fn write_classes(&self, text: &mut String) {
        let faults: BTreeSet<Fault> = self.cases.keys().map(|(fault, _)| *fault).collect();
        let _ = write!(text, "\npublished/failed    ");
        for class in self.classes.keys() {
            let _ = write!(text, "{:>15}", class.name());
        }
        for fault in faults {
            let _ = write!(text, "\n{:<20}", fault.name());
            for counts in self.classes.values().map(|faults| faults.get(&fault)) {
                let sum = |outcomes: [Outcome; 2]| {
                    let counts = counts?;
                    Some(outcomes.iter().filter_map(|outcome| counts.get(outcome)).sum::<usize>())
                };
                let cell = match (
                    sum([Outcome::Succeeded, Outcome::Retried]),
                    sum([Outcome::Failed, Outcome::InPart]),
                ) {
                    (Some(published), Some(failed)) => format!("{published}/{failed}"),
                    _ => "-".to_owned(),
                };
                let _ = write!(text, "{cell:>15}");
            }
        }
        text.push('\n');
    }
}

fn write_counts(text: &mut String, name: &str, counts: &Counts) {
    let _ = write!(text, "{name:<24}{:>8}", counts.values().sum::<usize>());
    for (outcome, _) in OUTCOMES {
        let _ = write!(text, "{:>15}", counts.get(&outcome).copied().unwrap_or_default());
    }
    text.push('\n');
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        self.write_scenarios(&mut text);
        self.write_faults(&mut text);
        self.write_classes(&mut text);
        f.write_str(&text)
    }
}
