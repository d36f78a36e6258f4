//! One stage after the other: what it begins with, and what its instructions need.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::files::may_be_remote;
use super::{Asked, Undecided};
use crate::build::dockerfile::parse::{Dockerfile, Doubt, Instruction, KEYWORDS};
use crate::build::dockerfile::scope::{Scope, Steps, Uses};
use crate::build::dockerfile::stages::Stage;
use crate::model::platform::Platform;
use crate::model::reference::Reference;

/// What one stage needs.
#[derive(Default)]
pub(super) struct StageNeeds<'a> {
    stages: BTreeSet<usize>,
    /// Stages by a name that several have: all of those before that number.
    names: BTreeMap<String, usize>,
    pub(super) sources: BTreeSet<String>,
    pub(super) images: BTreeSet<Reference>,
    pub(super) foreign: BTreeSet<Reference>,
    pub(super) contexts: BTreeSet<String>,
    pub(super) undecided: BTreeSet<Undecided>,
    pub(super) doubts: Vec<Doubt>,
    /// What its instructions ask of the arguments.
    pub(super) uses: Uses<'a>,
    /// What ENV asks of them, which counts where its variables become part of the image.
    pub(super) environment: Uses<'a>,
    /// Whether something is run in it, with its variables and those that it begins with.
    runs: bool,
}

pub(super) struct Reader<'a> {
    pub(super) escape: char,
    pub(super) asked: Asked<'a>,
    pub(super) stages: &'a [Stage<'a>],
    /// The stages of each name.
    names: BTreeMap<&'a str, Vec<usize>>,
    pub(super) global: Scope<'a>,
    /// The variables at the end of each stage so far.
    pub(super) scopes: Vec<Scope<'a>>,
    pub(super) syntax_image: Option<Reference>,
    /// What the stage at hand needs, and before them what all do.
    pub(super) here: StageNeeds<'a>,
    pub(super) steps: Steps,
}

impl<'a> Reader<'a> {
    pub(super) fn new(dockerfile: &Dockerfile, asked: Asked<'a>, stages: &'a [Stage<'a>]) -> Self {
        let mut names: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, stage) in stages.iter().enumerate() {
            if let Some(name) = stage.name.as_deref().filter(|name| !name.is_empty()) {
                names.entry(name).or_default().push(index);
            }
        }
        Self {
            escape: dockerfile.escape,
            asked,
            stages,
            names,
            global: Scope::default(),
            scopes: Vec::new(),
            syntax_image: None,
            here: StageNeeds::default(),
            steps: Steps::default(),
        }
    }

    /// Which stages `wanted` needs, itself included. Adds what counts of a stage for what others make of it.
    pub(super) fn counting(&self, wanted: usize, read: &mut [StageNeeds<'a>]) -> Vec<bool> {
        let mut counts = vec![false; self.stages.len()];
        // The stages whose variables become those of the image, and those whose variables something gets that is run.
        let mut is_configuration = counts.clone();
        let mut is_run = counts.clone();
        let mut marked = HashSet::new();
        counts[wanted] = true;
        is_configuration[wanted] = true;
        for index in (0..=wanted).rev() {
            if !counts[index] {
                continue;
            }
            for stage in &read[index].stages {
                counts[*stage] = true;
            }
            for (name, below) in &read[index].names {
                // Later stages need all that earlier ones do.
                if marked.insert(name.clone()) {
                    self.named(name)
                        .iter()
                        .filter(|stage| *stage < below)
                        .for_each(|stage| counts[*stage] = true);
                }
            }
            if is_run[index] {
                read[index].uses.add(&self.scopes[index].uses);
            }
            if is_configuration[index] {
                let environment = std::mem::take(&mut read[index].environment);
                read[index].uses.add(&environment);
            }
            if let Some(parent) = self.scopes[index].parent {
                is_run[parent] |= is_run[index] || read[index].runs;
                is_configuration[parent] |= is_configuration[index];
            }
        }
        counts
    }

    pub(super) fn undecided(&mut self, undecided: Undecided) {
        self.here.undecided.insert(undecided);
    }

    pub(super) fn doubt(&mut self, instruction: &Instruction, what: impl Into<String>) {
        self.here.doubts.push(Doubt { line: instruction.line, what: what.into() });
    }

    pub(super) fn syntax(&mut self, directive: Option<&str>) {
        let argument = self.asked.args.get("BUILDKIT_SYNTAX").map(String::as_str);
        let Some(words) = argument.or(directive) else { return };
        let image = words.split_whitespace().next().unwrap_or_default();
        let reference = self.image(image, true);
        self.syntax_image.clone_from(&reference);
        let docker = |path: &str| matches!(path, "docker/dockerfile" | "docker/dockerfile-upstream");
        if !reference.is_some_and(|it| it.repository.host == "docker.io" && docker(&it.repository.path)) {
            self.undecided(Undecided::Syntax(image.to_owned()));
        }
    }

    /// Which stage or image a named context stands for is the engine's to find: each that is given counts.
    pub(super) fn contexts(&mut self) {
        for (name, value) in self.asked.contexts {
            if let Some(image) = value.strip_prefix("docker-image://") {
                self.image(image, true);
            } else if may_be_remote(value) {
                self.undecided(Undecided::Remote(value.clone()));
            } else {
                self.here.contexts.insert(name.clone());
            }
        }
    }

    /// Takes in an image; a `foreign` one may be that of another platform than the one asked for.
    fn image(&mut self, words: &str, foreign: bool) -> Option<Reference> {
        match words.parse::<Reference>() {
            Ok(reference) => {
                if foreign {
                    self.here.foreign.insert(reference.clone());
                }
                self.here.images.insert(reference.clone());
                Some(reference)
            }
            Err(_) => {
                self.undecided(Undecided::Image(words.to_owned()));
                None
            }
        }
    }

    pub(super) fn wanted(&self) -> Result<usize, Undecided> {
        let last = self.stages.len().checked_sub(1).ok_or_else(|| Undecided::Stage(String::new()));
        let Some(wanted) = self.asked.stage.filter(|stage| !stage.is_empty()) else { return last };
        let named = self.named(wanted).last().copied();
        let index = named.or_else(|| wanted.parse().ok().filter(|index| *index < self.stages.len()));
        index.ok_or_else(|| Undecided::Stage(wanted.to_owned()))
    }

    /// The stages called `name`, in order.
    fn named(&self, name: &str) -> &[usize] {
        self.names.get(&*name.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// Takes in the stage `index`, after all those before it.
    pub(super) fn read(&mut self, index: usize) {
        let stages = self.stages;
        let stage = &stages[index];
        let words = stage.from.words();
        let from = words.first().map(String::as_str).unwrap_or_default();
        if !stage.from.has_plain_words() || !self.flags_are(stage.from, &["platform"]) {
            self.doubt(stage.from, "a FROM that is not understood");
        }
        let mut scope = Scope::new(!self.is_for_platform(stage.from));
        let uses = self.asks(&stage.from.text, &|name| self.global_variable(&self.global, name));
        self.here.uses.add(&uses);
        match self.fill(from, &|name| self.global_variable(&self.global, name)).text {
            Err(_) => {
                self.undecided(Undecided::Image(from.to_owned()));
                scope.open = true;
            }
            Ok(base) => self.begin(&base, index, &mut scope),
        }
        // A named context of the stage's own name stands for all of it.
        if stage.name.as_deref().is_some_and(|name| self.is_context(name)) {
            scope.open = true;
            scope.obscure = true;
        }
        let triggers = scope.parent.map(|parent| self.scopes[parent].triggers.clone()).unwrap_or_default();
        for instruction in triggers {
            // It is read anew for each stage that begins with this one.
            if !self.steps.take(20 + instruction.text.len() / 4) {
                break;
            }
            if let Some(inner) = instruction.triggered(self.escape) {
                self.take(&inner, index, &mut scope);
            }
        }
        for instruction in stage.instructions {
            if instruction.keyword == "ONBUILD" {
                scope.triggers.push(instruction);
            } else {
                self.take(instruction, index, &mut scope);
            }
        }
        self.scopes.push(scope);
    }

    /// What `FROM base` brings.
    fn begin(&mut self, base: &str, index: usize, scope: &mut Scope<'a>) {
        let named = self.named(base);
        let earlier = &named[..named.partition_point(|stage| *stage < index)];
        let (last, several) = (earlier.last().copied(), earlier.len() > 1);
        self.steps.take(earlier.len());
        scope.foreign |= earlier.iter().any(|stage| self.scopes[*stage].foreign);
        if self.is_context(base) {
            scope.open = true;
        }
        match last {
            Some(stage) => {
                scope.parent = Some(stage);
                scope.base = self.scopes[stage].base.clone();
                scope.obscure = scope.open || several;
                self.needs_stages(base, stage, several, index);
            }
            None if base == "scratch" || scope.open => {}
            None => {
                scope.base = self.image(base, scope.foreign);
                scope.open = true;
            }
        }
    }

    /// Whether a `FROM` is for the platform asked for, as it is without `--platform`.
    fn is_for_platform(&self, from: &Instruction) -> bool {
        from.flags.iter().filter(|(name, _)| name == "platform").all(|(_, words)| {
            let named = self.fill(words, &|name| self.global_variable(&self.global, name)).text;
            let named = named.ok().and_then(|named| named.parse::<Platform>().ok());
            named.is_some_and(|named| named.same_as(self.asked.platform))
        })
    }

    /// Takes in what `--from=words` names, which is not the context itself.
    pub(super) fn from(&mut self, words: &str, index: usize, instruction: &Instruction, scope: &Scope<'a>) {
        let name = match self.fill(words, &|name| self.variable(scope, name)).text {
            Ok(name) if name.is_ascii() => name,
            _ => return self.undecided(Undecided::Image(words.to_owned())),
        };
        let named = self.named(&name);
        let numbered = || name.parse::<usize>().ok().filter(|stage| *stage < self.stages.len());
        match named.last().copied().or_else(numbered) {
            Some(stage) if stage >= index => {
                self.doubt(instruction, format!("`{name}`, a stage that comes later"));
            }
            Some(stage) => {
                let several = named.len() > 1;
                self.needs_stages(&name, stage, several, index);
            }
            None if name == "scratch" || self.is_context(&name) => {}
            // Versions of BuildKit take it for the stage's platform, or for that of the build.
            None => drop(self.image(&name, scope.foreign)),
        }
    }

    /// Notes that `stage` is needed by the one at `index`, or, where `several` are called `name`, each of them before it:
    /// engines differ in which one they take.
    fn needs_stages(&mut self, name: &str, stage: usize, several: bool, index: usize) {
        if several {
            self.here.names.insert(name.to_ascii_lowercase(), index);
        } else {
            self.here.stages.insert(stage);
        }
    }

    /// Whether a named context may stand for `name`.
    fn is_context(&self, name: &str) -> bool {
        let reference = name.parse::<Reference>();
        self.asked.contexts.keys().any(|other| {
            other.eq_ignore_ascii_case(name) || reference.is_ok() && other.parse::<Reference>() == reference
        })
    }

    fn take(&mut self, instruction: &Instruction, index: usize, scope: &mut Scope<'a>) {
        if !self.steps.take(1 + instruction.text.len() / 64) {
            return;
        }
        match instruction.keyword.as_str() {
            "ARG" => self.set_arguments(instruction, scope, false),
            "ENV" => self.environment(instruction, scope),
            "RUN" => {
                self.here.runs = true;
                self.here.uses.add(&scope.uses);
                self.mounts(instruction, index, scope);
            }
            // Builders fill nothing in there (Dockerfile reference, "Environment replacement").
            "CMD" | "ENTRYPOINT" | "HEALTHCHECK" | "SHELL" | "MAINTAINER" => {}
            other => {
                let uses = self.asks(&instruction.text, &|name| self.variable(scope, name));
                self.here.uses.add(&uses);
                if matches!(other, "COPY" | "ADD") {
                    self.copy(instruction, index, scope);
                } else if !KEYWORDS.contains(&other) {
                    self.doubt(instruction, format!("`{other}`, which is not understood"));
                }
            }
        }
    }
}
