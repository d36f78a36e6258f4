//! Every request of every scenario meets every fault that it can meet, and what comes of it is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use manifests::error::{Exit, exit_of, render};
use manifests::model::digest::Digest;
use manifests::registry::RetryPolicy;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::fault::{Allowed, Fault, MAY_NOT_MOVE, Times};
use crate::request::{Answered, Asked, Class};
use crate::scenarios::{Scenario, all, theirs};
use crate::table::Table;
use crate::world::{RETRY_POLICY, Ran, Served, Tag, Template, World};

/// How one case ended, the right way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Published, and nothing was waited for.
    Succeeded,
    /// Published, after requests were sent again.
    Retried,
    /// Exit code 1, with the right error; the tags serve what they served.
    Failed,
    /// Exit code 4, with the right error; some tags serve the new list.
    InPart,
}

/// One request that meets one fault.
pub(crate) struct Case {
    scenario: Arc<Clean>,
    pub(crate) asked: Asked,
    answered: Answered,
    pub(crate) fault: Fault,
    pub(crate) times: Times,
}

/// What a scenario is without faults.
pub(crate) struct Clean {
    pub(crate) scenario: Scenario,
    template: Template,
    pub(crate) asked: Vec<(Asked, Answered)>,
    before: Served,
    after: Served,
}

/// Set in the environment, every request meets every fault; it takes twice as long.
const FULL: &str = "MANIFESTS_TEST_ALL_FAULTS";

/// How many clean runs more decide which requests every run makes.
const AGAIN: usize = 4;

const NOT_MET: &str = "the fault met no request";

/// How many cases run at once. Most of the time most of them compute; those of the other number mostly wait.
const AT_ONCE: usize = 8;
const WAITING_AT_ONCE: usize = 48;

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_at_every_request_ends_well_or_says_what_it_is() {
    let mut clean = Vec::new();
    for scenario in all() {
        clean.push(Arc::new(record(scenario).await));
    }
    let cases: Vec<Case> = clean.iter().flat_map(cases).collect();
    let (waiting, busy): (Vec<Case>, Vec<Case>) = cases.into_iter().partition(|case| case.fault.takes_time());
    let mut table = Table::new(&clean);
    let mut problems = Vec::new();
    for (cases, at_once) in [(busy, AT_ONCE), (waiting, WAITING_AT_ONCE)] {
        for (case, result) in run_all(cases, at_once).await {
            match result {
                Ok(outcome) => table.add(&case, outcome),
                Err(problem) => problems.push(format!("{}: {problem}", case.name())),
            }
        }
    }
    table.publish();
    assert!(problems.is_empty(), "{} cases ended wrong:\n{}", problems.len(), problems.join("\n"));
}

/// A run without faults: which requests there are, and what the tags serve before and after.
async fn record(scenario: Scenario) -> Clean {
    let template = Template::fill(&scenario).await;
    let world = World::start(&scenario, &template, None).await;
    if scenario.is_warm {
        world.would_change().await.unwrap();
    }
    let before = world.served().await;
    world.injector.arm(None);
    let ran = world.run(RETRY_POLICY).await;
    let (asked, _) = world.injector.disarm();
    ran.result.unwrap_or_else(|error| panic!("{}: {}", scenario.name, render(&error)));
    let after = world.served().await;
    assert!(after.values().all(Option::is_some), "{}: {after:?}", scenario.name);
    assert_eq!(before == after, scenario.name == "unchanged");
    assert_eq!(world.wrongs().await, Vec::<String>::new(), "{}", scenario.name);
    assert!(!world.would_change().await.unwrap(), "{}", scenario.name);
    let mut clean = Clean { scenario, template, asked, before, after };
    // What a slow machine looks up again, or asks for before it knows better, is not asked in every run.
    for _ in 0..AGAIN {
        let again = asked_again(&clean).await;
        clean.asked.retain(|(asked, _)| again.contains(asked));
    }
    clean
}

/// What another clean run asks for.
async fn asked_again(Clean { scenario, template, .. }: &Clean) -> BTreeSet<Asked> {
    let world = World::start(scenario, template, None).await;
    if scenario.is_warm {
        world.would_change().await.unwrap();
    }
    world.injector.arm(None);
    let ran = world.run(RETRY_POLICY).await;
    ran.result.unwrap_or_else(|error| panic!("{}: {}", scenario.name, render(&error)));
    let (asked, _) = world.injector.disarm();
    asked.into_iter().map(|(asked, _)| asked).collect()
}

/// All cases of a scenario. Requests that differ only in which of several images they are about take turns at the
/// faults, unless each is to meet them all.
fn cases(clean: &Arc<Clean>) -> Vec<Case> {
    let is_full = std::env::var_os(FULL).is_some();
    let mut kinds: BTreeMap<_, Vec<&(Asked, Answered)>> = BTreeMap::new();
    // Of the first requests that want a token one is told so and sent again, and which one it is varies.
    let is_sent_again =
        |asked: &Asked| clean.scenario.with_tokens && asked.class == Class::GetTag && asked.before > 0;
    // A run asks for two tokens at least, one to read and one to write; how many more varies.
    let may_be_left_out = |asked: &Asked| asked.class == Class::Token && asked.before > 1;
    let always = |asked: &Asked| !is_sent_again(asked) && !may_be_left_out(asked);
    for one in clean.asked.iter().filter(|(asked, _)| always(asked)) {
        let (asked, answered) = one;
        let kind = (asked.registry, asked.class, asked.before, answered.success, answered.is_absent);
        kinds.entry(kind).or_default().push(one);
    }
    let mut cases = Vec::new();
    for alike in kinds.values() {
        for (turn, fault) in Fault::ALL.into_iter().enumerate() {
            for times in [Times::Once, Times::Always] {
                let fits = |asked, answered| fault.fits(asked, answered, clean.scenario.with_tokens, times);
                let mut fitting: Vec<_> =
                    alike.iter().filter(|(asked, answered)| fits(asked, answered)).collect();
                if !is_full && !fitting.is_empty() {
                    fitting = vec![fitting[turn % fitting.len()]];
                }
                cases.extend(fitting.into_iter().map(|(asked, answered)| Case {
                    scenario: clean.clone(),
                    asked: asked.clone(),
                    answered: *answered,
                    fault,
                    times,
                }));
            }
        }
    }
    cases
}

async fn run_all(cases: Vec<Case>, at_once: usize) -> Vec<(Case, Result<Outcome, String>)> {
    let turns = Arc::new(Semaphore::new(at_once));
    let mut running = JoinSet::new();
    for case in cases {
        let turns = turns.clone();
        running.spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            let mut result = case.run(1).await;
            // On a busy machine another request may be the one that is too slow; and how many of the first requests are
            // told to bring a token varies.
            for longer in [2, 4] {
                if case.may_miss() && result.as_ref().is_err_and(|problem| problem == NOT_MET) {
                    result = case.run(longer).await;
                }
            }
            (case, result)
        });
    }
    running.join_all().await
}

impl Case {
    fn may_miss(&self) -> bool {
        self.fault.takes_time() || self.scenario.scenario.with_tokens
    }

    pub(crate) fn name(&self) -> String {
        format!("{}, {:?} {:?} at {}", self.scenario.scenario.name, self.fault, self.times, self.asked)
    }

    async fn run(&self, longer: u32) -> Result<Outcome, String> {
        let clean = &self.scenario;
        let world = World::start(&clean.scenario, &clean.template, Some(self.fault)).await;
        if clean.scenario.is_warm {
            world.would_change().await.map_err(|error| format!("{error:#}"))?;
        }
        world.injector.arm(Some((self.asked.clone(), self.fault, self.times)));
        let ran = world.run(self.retry_policy(longer)).await;
        let (_, hits) = world.injector.disarm();
        world.reopen().await;
        if hits == 0 {
            return Err(NOT_MET.to_owned());
        }
        let outcome = self.judge(&world, &ran).await?;
        let wrongs = world.wrongs().await;
        if !wrongs.is_empty() {
            return Err(wrongs.join(", "));
        }
        self.finish(&world).await?;
        Ok(outcome)
    }

    /// Whether the run came to what is allowed, and the tags serve what they may after that.
    async fn judge(&self, world: &World, ran: &Ran) -> Result<Outcome, String> {
        let clean = &self.scenario;
        let served = world.served().await;
        let allowed = self.fault.allowed(&self.asked, &self.answered, &clean.scenario, self.times);
        let error = match (&ran.result, allowed) {
            (Ok(_), Allowed::Failure(_)) => return Err("it succeeded".to_owned()),
            (Ok(_), _) => {
                if !served.iter().all(|tag| self.is_new(tag)) {
                    return Err(format!("it succeeded, and served is {served:?}"));
                }
                return Ok(if ran.waits == 0 { Outcome::Succeeded } else { Outcome::Retried });
            }
            (Err(error), _) => error,
        };
        let text = render(error);
        let words = match allowed {
            Allowed::Success => return Err(format!("it failed: {text}")),
            Allowed::Failure(words) | Allowed::Either(words) => words,
        };
        if !words.iter().any(|word| text.contains(word)) {
            return Err(format!("the error says none of {words:?}: {text}"));
        }
        if !world.hosts().iter().any(|host| text.contains(host)) {
            return Err(format!("the error does not say where: {text}"));
        }
        let all_old = served.iter().all(|tag| self.is_old(tag));
        let all_either = served.iter().all(|tag| self.is_old(tag) || self.is_new(tag));
        let any_new = served.iter().any(|tag| self.is_new(tag));
        match exit_of(error) {
            Exit::Failed if all_old => Ok(Outcome::Failed),
            Exit::Partial if all_either && (any_new || text.contains("perhaps done")) => Ok(Outcome::InPart),
            exit => Err(format!("exit code {}, and served is {served:?}: {text}", exit.code())),
        }
    }

    /// A run after that, without faults, ends what this one began, and leaves nothing to be done.
    async fn finish(&self, world: &World) -> Result<(), String> {
        if let Err(error) = world.run(RETRY_POLICY).await.result {
            let text = render(&error);
            // Nothing is to be done about a tag that may not move and was somebody else's first.
            if self.fault == Fault::Moved && text.contains(MAY_NOT_MOVE) {
                return Ok(());
            }
            return Err(format!("the next run failed: {text}"));
        }
        let served = world.served().await;
        if served != self.scenario.after {
            return Err(format!("after the next run, served is {served:?}"));
        }
        match world.would_change().await {
            Ok(false) => Ok(()),
            Ok(true) => Err("after the next run, there is still something to do".to_owned()),
            Err(error) => Err(format!("after the next run: {}", render(&error))),
        }
    }

    /// Whether a tag serves what it served before the run, or what somebody else put there.
    fn is_old(&self, (tag, digest): (&Tag, &Option<Digest>)) -> bool {
        *digest == self.scenario.before[tag] || self.is_theirs(digest)
    }

    /// Whether it serves what is declared, or what somebody else put there.
    fn is_new(&self, (tag, digest): (&Tag, &Option<Digest>)) -> bool {
        *digest == self.scenario.after[tag] || self.is_theirs(digest)
    }

    fn is_theirs(&self, digest: &Option<Digest>) -> bool {
        self.fault == Fault::Moved && *digest == Some(theirs().digest())
    }

    fn retry_policy(&self, longer: u32) -> RetryPolicy {
        match self.fault {
            // Long enough to see that connections are refused, and that they are not any more.
            Fault::Refused if self.times == Times::Once => {
                RetryPolicy { delay: Duration::from_millis(10), retries: 6, ..RETRY_POLICY }
            }
            fault if fault.takes_time() => {
                RetryPolicy { silence: Duration::from_millis(2500) * longer, retries: 2, ..RETRY_POLICY }
            }
            _ => RETRY_POLICY,
        }
    }
}

/// Which class of request a case is about.
impl Case {
    pub(crate) fn class(&self) -> Class {
        self.asked.class
    }
}
