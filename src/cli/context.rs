//! What every verb needs: the arguments common to all, progress, and the adapters made from the declaration.

use std::collections::BTreeSet;
use std::fmt;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use etcetera::BaseStrategy as _;
use serde_json::Value;
use tokio::sync::Notify;

use super::args::{Format, Global, Targets};
use super::ci;
use crate::config::{Declaration, Strictness};
use crate::error::{Exit, Failure};
use crate::events::{Event, Events};
use crate::model::reference::Reference;
use crate::model::suggest::near_miss;
use crate::plan::Options as PlanOptions;
use crate::registry::{Credentials, Options, Registry, RetryPolicy};
use crate::release::run::Settings;
use crate::release::turn::{self, Kind, Turn};
use crate::report::failure;
use crate::report::output::Output;
use crate::report::progress::{Progress, Volume, tagged};
use crate::report::stream::Stream;
use crate::report::style::Style;
use crate::workspace::load::load;

/// What was published so far, for the account that an interrupted run gives.
pub(super) type Ledger = Arc<Mutex<Account>>;

/// The account of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// The tags written.
    pub(super) published: Vec<String>,
    /// Tags whose write has begun: whether the registry carried it out is not known.
    pub(super) open: BTreeSet<Reference>,
    /// The work is done, and only a registry is served until it is told to end.
    pub(super) serving: Option<Arc<Notify>>,
}

impl Account {
    fn note(&mut self, event: Event<'_>) {
        match event {
            Event::Tagging(reference) => {
                self.open.insert(reference.clone());
            }
            Event::Tagged(reference, digest) => {
                self.open.remove(reference);
                self.published.push(tagged(reference, digest));
            }
            _ => {}
        }
    }

    /// Whether no tag was written, nor may have been.
    pub(super) fn is_empty(&self) -> bool {
        self.published.is_empty() && self.open.is_empty()
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing was published");
        }
        let mut parts = Vec::new();
        if !self.published.is_empty() {
            parts.push(format!("published so far:\n  {}", self.published.join("\n  ")));
        }
        if !self.open.is_empty() {
            let open: Vec<_> = self.open.iter().map(Reference::to_string).collect();
            parts.push(format!("being written, perhaps published:\n  {}", open.join("\n  ")));
        }
        f.write_str(&parts.join("\n"))
    }
}

/// The setting of one command.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) global: Global,
    pub(super) progress: Progress,
    /// Where work tells what happens; the terminal, the stream and the ledger listen.
    pub(super) events: Events,
    stdout: Output,
    /// Where what happens goes as data, when that was asked for.
    stream: Option<Stream>,
    ledger: Ledger,
    /// Whether JSON came out already: a program reads one value.
    printed: AtomicBool,
}

impl Context {
    /// `streams`: whether the command's JSON is a stream of events.
    pub(super) fn new(global: Global, streams: bool, stderr: Output) -> Self {
        let volume = match (global.quiet, global.verbose) {
            (true, _) => Volume::Quiet,
            (_, true) => Volume::Verbose,
            _ => Volume::Normal,
        };
        let stdout = Output::stdout(global.stdout_style());
        let progress = Progress::new(volume, global.stderr_style(), stderr);
        let is_stream = global.format == Format::Json && streams;
        let stream = is_stream.then(|| Stream::new(stdout.clone()));
        let ledger = Ledger::default();
        let (terminal, data, account) = (progress.clone(), stream.clone(), ledger.clone());
        let events = Events::new(move |event| {
            terminal.hear(event);
            if let Some(data) = &data {
                data.hear(event);
            }
            if let Ok(mut account) = account.lock() {
                account.note(event);
            }
        });
        Self { progress, events, global, stdout, stream, ledger, printed: AtomicBool::new(false) }
    }

    pub(super) fn ledger(&self) -> Ledger {
        Arc::clone(&self.ledger)
    }

    /// The declaration, limited to the named targets.
    pub(super) fn declaration(&self, targets: &Targets, strictness: Strictness) -> Result<Declaration> {
        narrow(load(self.global.config.as_deref(), strictness)?, targets)
    }

    /// The registry adapter, set up as declared.
    pub(super) fn registry(&self, declaration: Option<&Declaration>) -> Result<Registry> {
        self.registry_with(declaration, RetryPolicy::default())
    }

    /// As [`Self::registry`], with a retry policy other than the usual one.
    pub(super) fn registry_with(
        &self,
        declaration: Option<&Declaration>,
        retry_policy: RetryPolicy,
    ) -> Result<Registry> {
        let (events, warns) = (self.events.clone(), self.events.clone());
        let options = Options {
            registries: declaration.map(|declaration| declaration.registries.clone()).unwrap_or_default(),
            insecure: self.global.insecure,
            credentials: Credentials::from_env(),
            cache: cache_folder(),
            retry_policy,
            waits: Arc::new(move |wait| events.tell(Event::Retried(wait))),
            warnings: Arc::new(move |warning| warns.warn(warning)),
            ..Options::default()
        };
        Ok(Registry::new(options)?)
    }

    /// Waits until no other run of this workspace publishes. The turn ends when what is given back is dropped.
    pub(super) async fn take_turn(&self, root: &Path) -> Result<Turn> {
        turn::take(&self.events, root, Kind::Release).await
    }

    /// How much engine work at once: `--jobs`, else enough to keep an engine busy that waits for the network a lot.
    pub(super) fn jobs(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(4, |cores| cores.get().max(4));
        self.global.jobs.map_or_else(cores, usize::from)
    }

    /// Serves until a signal, which then is the end that was asked for: the caller ends what it serves.
    #[cfg(feature = "embedded-registry")]
    pub(super) async fn serve_until_ended(&self) {
        let ended = Arc::new(Notify::new());
        if let Ok(mut ledger) = self.ledger.lock() {
            ledger.serving = Some(ended.clone());
        }
        ended.notified().await;
    }

    /// Events that only go into the account of an interrupted run: for commands whose output is Docker's.
    pub(super) fn unshown(&self) -> Events {
        let account = self.ledger.clone();
        Events::new(move |event| {
            if let Ok(mut account) = account.lock() {
                account.note(event);
            }
        })
    }

    /// What is asked for where no argument says otherwise.
    pub(super) fn settings(&self, targets: &Targets) -> Settings {
        Settings {
            options: PlanOptions::default(),
            smoke: true,
            rebuild: false,
            locked: false,
            all: targets.targets.is_empty(),
            jobs: self.jobs(),
            engine: self.global.engine.clone(),
        }
    }

    pub(super) fn stdout_style(&self) -> Style {
        self.global.stdout_style()
    }

    /// Writes data: `text` for people, `json` for programs. Whether it arrived is told by [`Self::end`].
    pub(super) fn print(&self, text: impl FnOnce(Style) -> String, json: impl FnOnce() -> Value) {
        match self.global.format {
            // Of Markdown there is a plan only, which is written there.
            Format::Text | Format::Markdown => self.print_text(&text(self.stdout_style())),
            Format::Json => match &self.stream {
                Some(stream) => stream.write("result", json()),
                None => {
                    self.printed.store(true, Ordering::Relaxed);
                    self.stdout.write_json(&format!("{:#}\n", json()))
                }
            },
        }
    }

    /// Tells machines of a failure: as the last event, as the only JSON, as annotations. People read it on stderr.
    pub(super) fn report_failure(&self, error: &anyhow::Error) {
        if let Some(annotations) = ci::annotations(error) {
            self.progress.commands(&annotations);
        }
        match (&self.stream, self.global.format) {
            (Some(stream), _) => stream.write("failed", failure::json(error)),
            (None, Format::Json) if !self.printed.load(Ordering::Relaxed) => {
                self.stdout.write_json(&format!("{:#}\n", failure::json(error)))
            }
            _ => {}
        }
    }

    /// Writes text for people to stdout.
    pub(super) fn print_text(&self, text: &str) {
        self.stdout.write(text);
    }

    /// Writes what is a file to stdout, as it is: it has no text from outside in it.
    pub(super) fn print_exactly(&self, text: &str) {
        self.stdout.write_exactly(text);
    }

    /// Writes JSON that another tool's readers expect, as it is; on a terminal with escapes for what cannot be seen, which
    /// mean the same.
    pub(super) fn print_content(&self, json: &str) {
        match std::io::stdout().is_terminal() {
            true => self.stdout.write_json(json),
            false => self.stdout.write_exactly(json),
        }
    }

    /// The end of the run, as far as it depends on stdout: a command that is there `for_data` has failed without it;
    /// others have done their work.
    pub(super) fn end(&self, result: Result<Exit>, for_data: bool) -> Result<Exit> {
        let Some(lost) = self.stdout.lost() else { return result };
        match result {
            Ok(Exit::Done) if for_data => {
                Err(Failure::new(format!("could not write the result to stdout: {lost}")).into())
            }
            result => {
                self.progress.warn(&format!("could not write all of the result to stdout: {lost}"));
                result
            }
        }
    }
}

/// `declaration`, limited to the named targets; all of it when none is named.
///
/// # Errors
///
/// Exit code 2: it declares no target of that name.
pub(super) fn narrow(mut declaration: Declaration, targets: &Targets) -> Result<Declaration> {
    let names: Vec<String> = declaration.targets.iter().map(|target| target.name.clone()).collect();
    for wanted in &targets.targets {
        if !names.contains(wanted) {
            let hint = match near_miss(wanted, names.iter().map(String::as_str)) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("declared are {}", names.join(", ")),
            };
            let file = declaration.path.display();
            return Err(Failure::new(format!("{file} declares no target `{wanted}`"))
                .hint(hint)
                .exit(Exit::Usage)
                .into());
        }
    }
    if !targets.targets.is_empty() {
        declaration.targets.retain(|target| targets.targets.contains(&target.name));
    }
    Ok(declaration)
}

/// Where content from registries is kept between runs: in the user's folder for such things.
fn cache_folder() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.cache_dir().join("manifests"))
}

/// How long a run that was told to end waits for its children before it kills them.
pub(super) const GRACE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;

    #[test]
    fn an_ended_run_names_the_tags_whose_write_has_begun() {
        let tag = |name: &str| format!("registry.test/app:{name}").parse::<Reference>().unwrap();
        let (first, second) = (tag("1.0"), tag("latest"));
        let mut account = Account::default();
        assert_eq!(account.to_string(), "nothing was published");
        account.note(Event::Staged(&first));
        assert!(account.is_empty());
        account.note(Event::Tagging(&first));
        assert_eq!(account.to_string(), "being written, perhaps published:\n  registry.test/app:1.0");
        account.note(Event::Tagged(&first, &Digest::of(b"")));
        account.note(Event::Tagging(&second));
        assert_eq!(
            account.to_string(),
            "published so far:\n  tagged registry.test/app:1.0 → sha256:e3b0c44298fc\n\
             being written, perhaps published:\n  registry.test/app:latest"
        );
    }
}
