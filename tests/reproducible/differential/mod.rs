//! Contexts, ignore files and Dockerfiles made by chance; something changes; and what an engine makes of it then (files and
//! variables of the image) is compared with what we say. "Fresh" where the engine's result is another is a defect; "not fresh" where the engine takes all from
//! its cache is allowed for one change in ten.
//!
//! By hand: `MANIFESTS_DIFFERENTIAL_CASES=2000`, `MANIFESTS_DIFFERENTIAL_SEED=7`, and another engine by `MANIFESTS_ENGINE`
//! (its client) and `DOCKER_HOST`. A world that fails is told with its seed: the same seed with few cases makes it again.

mod chance;
mod engine;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use chance::Chance;
use engine::{Arrived, Built, Client};
use manifests::build::fingerprint::{Inputs, gather_in, summary};
use world::World;

/// Stages of one Dockerfile, each of them a case.
const STAGES: usize = 25;

/// What is changed in each world, one after the other.
const CHANGES: usize = 6;

/// Worlds that are tried at the same time.
const AT_ONCE: usize = 3;

/// Worlds that the engine may build nothing of, beside one for each that it builds, before it is the engine that fails.
const MOST_EMPTY: usize = 5;

#[derive(Default)]
struct Account {
    cases: usize,
    /// Worlds that the engine built nothing of, before a change or after it.
    empty: usize,
    compared: usize,
    /// Changes that the engine ignores, and how many of them stay fresh for us.
    ignored: usize,
    fresh: usize,
    wrong: Vec<String>,
    /// Why something was not fresh that might have been.
    reasons: BTreeMap<String, usize>,
    /// The hundreds of cases whose counts have been printed.
    printed: usize,
}

impl Account {
    fn counts(&self) -> String {
        let Self { cases, compared, ignored, fresh, wrong, .. } = self;
        let wrong = wrong.len();
        format!(
            "{cases} cases, {compared} comparisons: {wrong} fresh though changed, {fresh} of {ignored} ignored changes \
             stay fresh"
        )
    }

    /// Whether the engine builds nothing of most worlds.
    fn is_empty(&self) -> bool {
        self.empty > MOST_EMPTY + self.cases / STAGES
    }

    /// Prints the counts once for each hundred cases that have begun, so that a run that is stopped still gives some.
    fn print_progress(&mut self) {
        if self.cases / 100 > self.printed {
            self.printed = self.cases / 100;
            let _ = writeln!(std::io::stderr(), "so far {}", self.counts());
        }
    }
}

#[test]
fn what_is_fresh_is_what_the_engine_would_build_again() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let wanted = number("MANIFESTS_DIFFERENTIAL_CASES", 100) as usize;
    let seed = AtomicU64::new(number("MANIFESTS_DIFFERENTIAL_SEED", 1));
    let client = Client::find();
    let account = Mutex::new(Account::default());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let goes_on = |account: &Account| account.cases < wanted && !account.is_empty();
                while goes_on(&account.lock().unwrap()) {
                    compare(&client, seed.fetch_add(1, Ordering::Relaxed), &account);
                }
            });
        }
    });
    let account = account.into_inner().unwrap();
    eprintln!("{}", account.counts());
    let is_empty = account.is_empty();
    let Account { cases, empty, ignored, fresh, wrong, reasons, .. } = account;
    let mut reasons: Vec<(usize, String)> = reasons.into_iter().map(|(why, count)| (count, why)).collect();
    reasons.sort();
    for (count, why) in reasons.iter().rev().take(25) {
        eprintln!("{count:6} not fresh: {why}");
    }
    assert!(!is_empty, "the engine built nothing of {empty} worlds");
    assert!(wrong.is_empty(), "{} fresh though changed:\n\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(cases >= wanted && ignored > 0 && fresh * 10 >= ignored * 9, "{fresh} of {ignored} stay fresh");
}

/// What we say of each stage: the inputs, or why they decide nothing.
fn said(world: &World, stages: &[usize]) -> Vec<Result<Inputs, String>> {
    let builds: Vec<_> = stages.iter().map(|stage| world.build(*stage)).collect();
    let platform = "linux/amd64".parse().unwrap();
    let builds: Vec<_> = builds.iter().map(|build| (build, &platform)).collect();
    let gathered = gather_in(&world.surroundings(), &builds);
    let said = gathered.into_iter().map(|gathered| match gathered.undecided() {
        [] => Ok(gathered.with_bases(&BTreeMap::new())),
        reasons => Err(reasons.join(", ")),
    });
    said.collect()
}

fn compare(client: &Client, seed: u64, account: &Mutex<Account>) {
    let mut chance = Chance::new(seed);
    let mut world = World::new(&mut chance, client, STAGES);
    let all: Vec<usize> = (0..STAGES).collect();
    let built = client.build(&world, &all).arrived;
    let stages: Vec<usize> = all.into_iter().filter(|stage| built.contains_key(stage)).collect();
    let before = said(&world, &stages);
    let variables = client.variables(&world, &stages);
    {
        let mut account = account.lock().unwrap();
        account.cases += stages.len();
        account.empty += usize::from(stages.is_empty());
    }
    if stages.is_empty() {
        return;
    }
    for _ in 0..CHANGES {
        let story = world.story();
        let change = world.change(&mut chance);
        let after = said(&world, &stages);
        let Built { arrived, ran, is_told } = client.build(&world, &stages);
        if !is_told {
            account.lock().unwrap().empty += 1;
            world.restore();
            continue;
        }
        let other = world.has_other_arguments().then(|| {
            let there: Vec<usize> =
                stages.iter().copied().filter(|stage| arrived.contains_key(stage)).collect();
            client.variables(&world, &there)
        });
        let mut account = account.lock().unwrap();
        for (index, stage) in stages.iter().enumerate() {
            let same_variables = other.as_ref().is_none_or(|other| other.get(stage) == variables.get(stage));
            let same = arrived.get(stage) == built.get(stage) && same_variables;
            let why = match (&before[index], &after[index]) {
                (Ok(before), Ok(after)) => summary(&after.since(before)),
                (_, Err(why)) | (Err(why), _) => why.clone(),
            };
            let fresh = why.is_empty();
            account.compared += 1;
            // A step that ran again was not ignored, whatever it gave.
            let ignored = same && !ran.contains(stage);
            account.ignored += usize::from(ignored);
            account.fresh += usize::from(ignored && fresh);
            if ignored && !fresh {
                *account.reasons.entry(format!("{change}: {why}")).or_default() += 1;
            }
            if fresh && !same {
                let mut told = format!("seed {seed}, stage s{stage}, change: {change}\n{story}\n");
                let differences = differences(built.get(stage), arrived.get(stage));
                let _ = write!(told, "-- ours: fresh\n-- the engine's: changed\n{differences}");
                let _ = writeln!(std::io::stderr(), "{told}");
                account.wrong.push(told);
            }
        }
        drop(account);
        world.restore();
    }
    account.lock().unwrap().print_progress();
}

fn differences(before: Option<&Arrived>, after: Option<&Arrived>) -> String {
    let Some(before) = before else { return "built only after".to_owned() };
    let Some(after) = after else { return "not built any more".to_owned() };
    let paths: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    differing.map(|path| format!("{path}: {:?} → {:?}\n", before.get(path), after.get(path))).collect()
}
