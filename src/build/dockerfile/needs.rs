//! What the image of one stage takes in for one platform: instructions, paths of the context, other images. Only the
//! stages that the wanted one needs count, as for BuildKit.
//!
//! Each stage is read once, in the order of the file: it can only need those before it. Then those that the wanted one
//! needs are gathered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::expand::{Unknown, Variable, expand};
use super::parse::{Dockerfile, Doubt, Instruction, KEYWORDS, is_document};
use super::stages::{Scope, Stage, automatic, reserved, split, variable};
use crate::model::inner_path::clean;
use crate::model::platform::Platform;
use crate::model::reference::Reference;

/// What is asked of a build.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// Values of arguments.
    pub args: &'a BTreeMap<String, String>,
    /// The wanted stage; `None` is the last one.
    pub stage: Option<&'a str>,
    /// The platform.
    pub platform: &'a Platform,
    /// Named contexts, as on the command line: a folder, `docker-image://REFERENCE` or something else.
    pub contexts: &'a BTreeMap<String, String>,
}

/// What an image takes in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The instructions that count, in the order of the file.
    pub instructions: Vec<String>,
    /// Paths and patterns of the context, relative to it; an empty one is all of it.
    pub sources: BTreeSet<String>,
    /// The image whose layers lie under its own; none for `FROM scratch`.
    pub base: Option<Reference>,
    /// The images that it begins with or takes files from, and that of its syntax.
    pub images: BTreeSet<Reference>,
    /// Those of them that may be used for another platform than the one asked for.
    pub foreign: BTreeSet<Reference>,
    /// The image of its syntax.
    pub syntax: Option<Reference>,
    /// Named contexts that are folders.
    pub contexts: BTreeSet<String>,
    /// The arguments given that may change something; the others are ignored by the builder.
    pub arguments: BTreeSet<String>,
    /// Whether it names variables of proxies, which the engine's client sets from its configuration.
    pub proxies: bool,
    /// Why the rest does not decide what comes out.
    pub undecided: BTreeSet<Undecided>,
}

/// Something that cannot be known before a build.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Undecided {
    /// What this URL serves.
    Remote(String),
    /// Which image is meant by these words.
    Image(String),
    /// What this syntax means.
    Syntax(String),
    /// Which stage is meant.
    Stage(String),
    /// What an engine reads at this place.
    Doubt(Doubt),
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote(url) => write!(f, "{url} is added without a checksum"),
            Self::Image(words) => write!(f, "`{words}` names no image that is known before the build"),
            Self::Syntax(image) => write!(f, "the syntax {image} is not Docker's own"),
            Self::Stage(name) => write!(f, "the Dockerfile has no stage `{name}`"),
            Self::Doubt(doubt) => doubt.fmt(f),
        }
    }
}

impl Dockerfile {
    /// What the image takes in that is `asked` for.
    pub(crate) fn needs(&self, asked: Asked<'_>) -> Needs {
        let (arguments, stages) = split(self);
        let mut names: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, stage) in stages.iter().enumerate() {
            names.entry(stage.name.clone().unwrap_or_default()).or_default().push(index);
        }
        let mut reader = Reader {
            escape: self.escape,
            asked,
            stages: &stages,
            names,
            global: Scope::default(),
            scopes: Vec::new(),
            syntax_image: None,
            here: StageNeeds::default(),
        };
        reader.syntax(self.syntax.as_deref());
        reader.here.doubts.extend(self.doubts.iter().cloned());
        reader.contexts();
        reader.global_arguments(arguments);
        let mut all = vec![std::mem::take(&mut reader.here)];
        let wanted = reader.wanted();
        let mut counts = vec![false; stages.len()];
        let mut read = Vec::new();
        match wanted {
            Ok(wanted) => {
                counts[wanted] = true;
                for index in 0..=wanted {
                    reader.read(index);
                    read.push(std::mem::take(&mut reader.here));
                }
                for index in (0..=wanted).rev() {
                    if counts[index] {
                        for stage in &read[index].stages {
                            counts[*stage] = true;
                        }
                    }
                }
            }
            Err(ref undecided) => {
                all[0].undecided.insert(undecided.clone());
            }
        }
        all.extend(read.into_iter().zip(&counts).filter(|(_, counts)| **counts).map(|(read, _)| read));

        let base = wanted.ok().and_then(|wanted| reader.scopes[wanted].base.clone());
        let mut needs = Needs { base, syntax: reader.syntax_image.clone(), ..Needs::default() };
        for stage in all {
            needs.sources.extend(stage.sources);
            needs.images.extend(stage.images);
            needs.foreign.extend(stage.foreign);
            needs.contexts.extend(stage.contexts);
            needs.undecided.extend(stage.undecided);
            needs.undecided.extend(stage.doubts.into_iter().map(Undecided::Doubt));
        }
        let counting = stages.iter().zip(&counts).filter(|(_, counts)| **counts).map(|(stage, _)| stage);
        let counting: Vec<&Instruction> =
            counting.flat_map(|stage| std::iter::once(stage.from).chain(stage.instructions)).collect();
        let takes = |name: &String| {
            let named = |text: &str| text.contains(&**name);
            // An argument above the first stage matters where a stage, or the next argument, names it.
            let defaults = arguments.iter().flat_map(|argument| argument.quoted_words(self.escape));
            let mut defaults = defaults.filter_map(|word| word.split_once('=')).map(|(_, default)| default);
            reserved(name)
                || automatic(name, asked.platform) != Variable::Unset
                || reader.global.obscure
                || reader.scopes.iter().any(|scope| scope.obscure)
                || counting.iter().any(|instruction| named(&instruction.text))
                || defaults.any(named)
        };
        needs.arguments = asked.args.keys().filter(|name| takes(name)).cloned().collect();
        let escape = (self.escape != '\\').then(|| format!("# escape={}", self.escape));
        let texts = arguments.iter().chain(counting).map(|instruction| instruction.text.clone());
        needs.instructions = escape.into_iter().chain(texts).collect();
        needs.proxies = needs.instructions.iter().any(|text| text.to_ascii_lowercase().contains("_proxy"));
        needs
    }
}

/// What one stage needs.
#[derive(Default)]
struct StageNeeds {
    stages: BTreeSet<usize>,
    sources: BTreeSet<String>,
    images: BTreeSet<Reference>,
    foreign: BTreeSet<Reference>,
    contexts: BTreeSet<String>,
    undecided: BTreeSet<Undecided>,
    doubts: Vec<Doubt>,
}

struct Reader<'a> {
    escape: char,
    asked: Asked<'a>,
    stages: &'a [Stage<'a>],
    /// The stages of each name; those without one have an empty one.
    names: BTreeMap<String, Vec<usize>>,
    global: Scope<'a>,
    /// The variables at the end of each stage so far.
    scopes: Vec<Scope<'a>>,
    syntax_image: Option<Reference>,
    /// What the stage at hand needs, and before them what all do.
    here: StageNeeds,
}

/// The flags of COPY and ADD; none of them but the first two changes what else counts.
const COPY_FLAGS: &[&str] =
    &["from", "parents", "checksum", "chmod", "chown", "exclude", "keep-git-dir", "link", "unpack"];

const RUN_FLAGS: &[&str] = &["mount", "device", "network", "security"];

impl<'a> Reader<'a> {
    fn undecided(&mut self, undecided: Undecided) {
        self.here.undecided.insert(undecided);
    }

    fn doubt(&mut self, instruction: &Instruction, what: impl Into<String>) {
        self.here.doubts.push(Doubt { line: instruction.line, what: what.into() });
    }

    fn syntax(&mut self, directive: Option<&str>) {
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
    fn contexts(&mut self) {
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

    fn global_arguments(&mut self, arguments: &'a [Instruction]) {
        for instruction in arguments {
            if instruction.keyword == "ARG" {
                let mut scope = std::mem::take(&mut self.global);
                self.set_arguments(instruction, &mut scope, true);
                self.global = scope;
            } else if !self.stages.is_empty() {
                self.doubt(instruction, format!("`{}` above the first FROM", instruction.keyword));
            }
        }
    }

    /// A variable above the first stage, and in `FROM`.
    fn global_variable(&self, scope: &Scope<'_>, name: &str) -> Variable {
        match (variable(&[], scope, name), automatic(name, self.asked.platform)) {
            (Variable::Unset, Variable::Unset) => Variable::Unset,
            (Variable::Unset, automatic) => {
                self.asked.args.get(name).cloned().map_or(automatic, Variable::Set)
            }
            (set, _) => set,
        }
    }

    /// Takes in `ARG`: what the command line says counts, else the default, else what is set around it.
    fn set_arguments(&mut self, instruction: &Instruction, scope: &mut Scope<'a>, global: bool) {
        // What this instruction has set so far, with what was set before.
        let mut earlier: BTreeMap<String, Variable> = BTreeMap::new();
        for word in instruction.quoted_words(self.escape) {
            let (name, default) =
                word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            if !is_name(name) {
                scope.obscure = true;
                continue;
            }
            let look = |scope: &Scope<'_>, name: &str| match global {
                true => self.global_variable(scope, name),
                false => variable(&self.scopes, scope, name),
            };
            let value = match (self.asked.args.get(name), default) {
                _ if reserved(name) => Variable::Unknown,
                (Some(value), _) => Variable::Set(value.clone()),
                (None, Some(default)) => {
                    let now = expand(default, self.escape, &|name| look(scope, name));
                    // Older versions fill in what was set before the instruction only.
                    let before = expand(default, self.escape, &|name| {
                        earlier.get(name).cloned().unwrap_or_else(|| look(scope, name))
                    });
                    now.ok().filter(|now| before.as_ref() == Ok(now)).map_or(Variable::Unknown, Variable::Set)
                }
                (None, None) => match self.global_variable(&self.global, name) {
                    // What is set around it stays, for some; an argument of the stage before may be.
                    Variable::Unset if global => continue,
                    Variable::Unset => variable(&self.scopes, scope, name),
                    set => set,
                },
            };
            let before = look(scope, name);
            // An ENV of the name is not overridden by all engines.
            let by_env = !scope.is_argument(name) && matches!(before, Variable::Set(_)) && !global;
            let value = if by_env && before != value { Variable::Unknown } else { value };
            earlier.entry(name.to_owned()).or_insert(before);
            scope.set(name.to_owned(), value, true);
        }
    }

    fn wanted(&self) -> Result<usize, Undecided> {
        let last = self.stages.len().checked_sub(1).ok_or_else(|| Undecided::Stage(String::new()));
        let Some(wanted) = self.asked.stage.filter(|stage| !stage.is_empty()) else { return last };
        let named = self.named(wanted).last().copied();
        let index = named.or_else(|| wanted.parse().ok().filter(|index| *index < self.stages.len()));
        index.ok_or_else(|| Undecided::Stage(wanted.to_owned()))
    }

    /// The stages called `name`, in order.
    fn named(&self, name: &str) -> &[usize] {
        let found = self.names.get(&name.to_ascii_lowercase()).filter(|_| !name.is_empty());
        found.map_or(&[], Vec::as_slice)
    }

    /// Takes in the stage `index`, after all those before it.
    fn read(&mut self, index: usize) {
        let stages = self.stages;
        let stage = &stages[index];
        let words = stage.from.words();
        let from = words.first().map(String::as_str).unwrap_or_default();
        if !stage.from.has_plain_words() || !self.flags_are(stage.from, &["platform"]) {
            self.doubt(stage.from, "a FROM that is not understood");
        }
        let mut scope = Scope::new(!self.is_for_platform(stage.from));
        match expand(from, self.escape, &|name| self.global_variable(&self.global, name)) {
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
        let earlier: Vec<usize> = self.named(base).iter().copied().filter(|stage| *stage < index).collect();
        if self.is_context(base) {
            scope.open = true;
        }
        match earlier.last() {
            Some(stage) => {
                scope.parent = Some(*stage);
                scope.base = self.scopes[*stage].base.clone();
                scope.foreign |= earlier.iter().any(|stage| self.scopes[*stage].foreign);
                scope.obscure = scope.open || earlier.len() > 1;
                self.here.stages.extend(earlier);
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
            let named = expand(words, self.escape, &|name| self.global_variable(&self.global, name));
            let named = named.ok().and_then(|named| named.parse::<Platform>().ok());
            named.is_some_and(|named| named.same_as(self.asked.platform))
        })
    }

    /// Takes in what `--from=words` names, which is not the context itself.
    fn from(&mut self, words: &str, index: usize, instruction: &Instruction, scope: &Scope<'_>) {
        let name = match expand(words, self.escape, &|name| variable(&self.scopes, scope, name)) {
            Ok(name) if name.is_ascii() => name,
            _ => return self.undecided(Undecided::Image(words.to_owned())),
        };
        let mut stages = self.named(&name).to_vec();
        if stages.is_empty() {
            stages.extend(name.parse::<usize>().ok().filter(|stage| *stage < self.stages.len()));
        }
        if stages.iter().any(|stage| *stage >= index) {
            self.doubt(instruction, format!("`{name}`, a stage that comes later"));
        } else if !stages.is_empty() {
            self.here.stages.extend(stages);
        } else if name != "scratch" && !self.is_context(&name) {
            // Versions of BuildKit take it for the stage's platform, or for that of the build.
            self.image(&name, scope.foreign);
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
        match instruction.keyword.as_str() {
            "ARG" => self.set_arguments(instruction, scope, false),
            "ENV" => self.environment(instruction, scope),
            "COPY" | "ADD" => self.copy(instruction, index, scope),
            "RUN" => self.mounts(instruction, index, scope),
            other if KEYWORDS.contains(&other) => {}
            other => self.doubt(instruction, format!("`{other}`, which is not understood")),
        }
    }

    fn environment(&mut self, instruction: &Instruction, scope: &mut Scope<'a>) {
        let value = |text: &str| {
            let value = expand(text, self.escape, &|name| variable(&self.scopes, scope, name));
            value.map_or(Variable::Unknown, Variable::Set)
        };
        let words = instruction.quoted_words(self.escape);
        // `ENV NAME value with spaces`, the form from before there were several.
        let pairs: Vec<(&str, Variable)> = match words.first() {
            Some(first) if !first.contains('=') => {
                let (name, rest) =
                    instruction.arguments.split_once(char::is_whitespace).unwrap_or((first, ""));
                vec![(name, value(rest.trim_start()))]
            }
            _ => {
                let pairs = words.iter().filter_map(|word| word.split_once('='));
                pairs.map(|(name, text)| (name, value(text))).collect()
            }
        };
        for (name, value) in pairs {
            scope.obscure |= !is_name(name);
            scope.set(name.to_owned(), value, false);
        }
    }

    fn copy(&mut self, instruction: &Instruction, index: usize, scope: &Scope<'_>) {
        if !self.flags_are(instruction, COPY_FLAGS) {
            return self
                .doubt(instruction, format!("a flag of {} that is not understood", instruction.keyword));
        }
        if let Some(from) = instruction.flag("from") {
            return self.from(from, index, instruction, scope);
        }
        let words = instruction.words();
        let sources = &words[..words.len().saturating_sub(1)];
        if !instruction.has_plain_words() {
            self.source(Err(Unknown(String::new())));
        }
        let with_parents = instruction.flag("parents").is_some();
        for word in sources.iter().filter(|word| !is_document(word)) {
            match expand(word, self.escape, &|name| variable(&self.scopes, scope, name)) {
                Ok(source) if instruction.keyword == "ADD" && may_be_remote(&source) => {
                    if !instruction.flag("checksum").is_some_and(is_digest) {
                        self.undecided(Undecided::Remote(source.clone()));
                    }
                    if !source.contains("://") {
                        self.source(Ok(source));
                    }
                }
                // What lies between comes along, and `**` is any number of folders.
                Ok(source) if with_parents => {
                    let source = clean(&source);
                    let first = source.split('/').next().unwrap_or_default();
                    self.source(
                        Ok(if first.contains(['*', '?', '[', '\\']) { "" } else { first }.to_owned()),
                    );
                }
                Err(_) if instruction.keyword == "ADD" => {
                    self.undecided(Undecided::Remote(word.clone()));
                    self.source(Err(Unknown(String::new())));
                }
                source => self.source(source),
            }
        }
    }

    fn mounts(&mut self, instruction: &Instruction, index: usize, scope: &Scope<'_>) {
        if !self.flags_are(instruction, RUN_FLAGS) {
            return self.doubt(instruction, "a flag of RUN that is not understood");
        }
        for (_, value) in instruction.flags.iter().filter(|(name, _)| name == "mount") {
            let options: Vec<(String, &str)> = value
                .split(',')
                .map(|option| option.split_once('=').unwrap_or((option, "")))
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect();
            let all = |names: &[&str]| -> Vec<&str> {
                options.iter().filter(|(name, _)| names.contains(&&**name)).map(|(_, value)| *value).collect()
            };
            let (kinds, from, sources) = (all(&["type"]), all(&["from"]), all(&["source", "src"]));
            let known = kinds.iter().all(|kind| ["bind", "cache", "tmpfs", "secret", "ssh"].contains(kind));
            if value.contains(['"', '\'']) || kinds.len() > 1 || from.len() > 1 || sources.len() > 1 {
                self.doubt(instruction, "a mount that is not understood");
            }
            if let [from] = from[..] {
                self.from(from, index, instruction, scope);
            } else if !known {
                self.source(Err(Unknown(String::new())));
            } else if kinds.iter().all(|kind| *kind == "bind") {
                let source = sources.first().copied().unwrap_or_default();
                let source = expand(source, self.escape, &|name| variable(&self.scopes, scope, name));
                self.source(source.map(|source| literal(&source)));
            }
        }
    }

    /// Whether all flags of `instruction` are among `known`, and of plain characters.
    fn flags_are(&self, instruction: &Instruction, known: &[&str]) -> bool {
        instruction.flags.iter().all(|(name, value)| known.contains(&&**name) && value.is_ascii())
    }

    /// A path of the context; all of it when it cannot be told.
    fn source(&mut self, source: Result<String, Unknown>) {
        self.here.sources.insert(clean(&source.unwrap_or_default()));
    }
}

/// A name that needs neither expansion nor quotes.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

/// A digest as it is, which a variable may not be.
fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        let algorithm = !algorithm.is_empty() && algorithm.chars().all(|c| c.is_ascii_alphanumeric());
        algorithm && !hex.is_empty() && hex.chars().all(|c| c.is_ascii_hexdigit())
    })
}

/// A URL, or `user@host:path` as git takes it.
fn may_be_remote(source: &str) -> bool {
    source.contains("://") || source.split_once('@').is_some_and(|(_, rest)| rest.contains(':'))
}

/// A path of a mount as a source: wildcards mean nothing there.
fn literal(path: &str) -> String {
    path.chars().fold(String::new(), |mut text, c| {
        if ['*', '?', '[', '\\'].contains(&c) {
            text.push('\\');
        }
        text.push(c);
        text
    })
}

#[cfg(test)]
mod tests;
