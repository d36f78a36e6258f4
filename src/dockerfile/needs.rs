//! What the image of one stage takes in for one platform: instructions, paths of the context, other images. Only the
//! stages that the wanted one needs count, as for BuildKit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::expand::{Unknown, Variable, expand};
use super::parse::{Dockerfile, Instruction, document_name};
use super::stages::{Scope, Stage, automatic, split};
use crate::inner_path::clean;
use crate::platform::Platform;
use crate::reference::Reference;

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
    /// Named contexts that are folders.
    pub contexts: BTreeSet<String>,
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
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote(url) => write!(f, "{url} is added without a checksum"),
            Self::Image(words) => write!(f, "`{words}` names no image that is known before the build"),
            Self::Syntax(image) => write!(f, "the syntax {image} is not Docker's own"),
            Self::Stage(name) => write!(f, "the Dockerfile has no stage `{name}`"),
        }
    }
}

impl Dockerfile {
    /// What the image takes in that is `asked` for.
    pub(crate) fn needs(&self, asked: Asked<'_>) -> Needs {
        let (arguments, stages) = split(self);
        let mut walk = Walk {
            escape: self.escape,
            asked,
            stages,
            global: BTreeMap::new(),
            visited: BTreeMap::new(),
            needs: Needs::default(),
        };
        walk.syntax(self.syntax.as_deref());
        walk.global_arguments(arguments);
        match walk.wanted() {
            Ok(wanted) => walk.needs.base = walk.visit(wanted).base,
            Err(undecided) => walk.undecided(undecided),
        }
        let counting = walk.visited.keys().map(|index| &walk.stages[*index]);
        let counting = counting.flat_map(|stage| std::iter::once(stage.from).chain(stage.instructions));
        let escape = (self.escape != '\\').then(|| format!("# escape={}", self.escape));
        let mut needs = walk.needs;
        needs.instructions =
            escape.into_iter().chain(arguments.iter().chain(counting).map(Instruction::canonical)).collect();
        needs
    }
}

struct Walk<'a> {
    escape: char,
    asked: Asked<'a>,
    stages: Vec<Stage<'a>>,
    global: BTreeMap<String, Variable>,
    /// The scope at the end of each stage that counts.
    visited: BTreeMap<usize, Scope>,
    needs: Needs,
}

impl<'a> Walk<'a> {
    fn undecided(&mut self, undecided: Undecided) {
        self.needs.undecided.insert(undecided);
    }

    fn syntax(&mut self, directive: Option<&str>) {
        let argument = self.asked.args.get("BUILDKIT_SYNTAX").map(String::as_str);
        let Some(words) = argument.or(directive) else { return };
        let image = words.split_whitespace().next().unwrap_or_default();
        self.image(image);
        let reference = image.parse::<Reference>().ok();
        let docker = |path: &str| matches!(path, "docker/dockerfile" | "docker/dockerfile-upstream");
        if !reference.is_some_and(|it| it.repository.host == "docker.io" && docker(&it.repository.path)) {
            self.undecided(Undecided::Syntax(image.to_owned()));
        }
    }

    fn image(&mut self, words: &str) -> Option<Reference> {
        match words.parse::<Reference>() {
            Ok(reference) => {
                self.needs.images.insert(reference.clone());
                Some(reference)
            }
            Err(_) => {
                self.undecided(Undecided::Image(words.to_owned()));
                None
            }
        }
    }

    fn global_arguments(&mut self, arguments: &[Instruction]) {
        for word in arguments.iter().flat_map(|argument| argument.quoted_words(self.escape)) {
            let (name, default) = named_value(word);
            let value = self.argument(name, default, &|name| self.global_variable(name));
            self.global.insert(name.to_owned(), value);
        }
    }

    fn global_variable(&self, name: &str) -> Variable {
        self.global.get(name).cloned().unwrap_or_else(|| self.automatic(name))
    }

    fn automatic(&self, name: &str) -> Variable {
        let given = self.asked.args.get(name).cloned().map(Variable::Set);
        given.unwrap_or_else(|| automatic(name, self.asked.platform))
    }

    /// What `ARG name=default` gives: what the command line says, else the default, else what is set around it.
    fn argument(&self, name: &str, default: Option<&str>, variable: &dyn Fn(&str) -> Variable) -> Variable {
        if let Some(value) = self.asked.args.get(name) {
            return Variable::Set(value.clone());
        }
        match default {
            Some(default) => expand(default, self.escape, variable).map_or(Variable::Unknown, Variable::Set),
            None => self.global_variable(name),
        }
    }

    fn wanted(&self) -> Result<usize, Undecided> {
        let last = self.stages.len().checked_sub(1).ok_or_else(|| Undecided::Stage(String::new()));
        let Some(wanted) = self.asked.stage.filter(|stage| !stage.is_empty()) else { return last };
        self.stage(wanted, self.stages.len()).ok_or_else(|| Undecided::Stage(wanted.to_owned()))
    }

    /// The stage called `name`, or of that number, among those before `end`.
    fn stage(&self, name: &str, end: usize) -> Option<usize> {
        let lower = name.to_ascii_lowercase();
        let named = self.stages[..end].iter().rposition(|stage| stage.name.as_deref() == Some(&*lower));
        named.or_else(|| name.parse().ok().filter(|index| *index < end))
    }

    /// Takes in a stage and all that it needs; gives its variables at its end.
    fn visit(&mut self, index: usize) -> Scope {
        if let Some(scope) = self.visited.get(&index) {
            return scope.clone();
        }
        let from = self.stages[index].from.words();
        let from = from.first().map(String::as_str).unwrap_or_default();
        let mut scope = Scope::default();
        match expand(from, self.escape, &|name| self.global_variable(name)) {
            Err(_) => {
                self.undecided(Undecided::Image(from.to_owned()));
                scope.open = true;
            }
            Ok(base) => self.begin(&base, index, &mut scope),
        }
        let triggers = std::mem::take(&mut scope.triggers);
        let instructions = self.stages[index].instructions;
        for instruction in triggers.iter().chain(instructions) {
            self.take(instruction, index, &mut scope);
        }
        self.visited.insert(index, scope.clone());
        scope
    }

    /// What `FROM base` brings.
    fn begin(&mut self, base: &str, index: usize, scope: &mut Scope) {
        if base == "scratch" && !self.asked.contexts.contains_key(base) {
            return;
        }
        let named = self.stages[..index]
            .iter()
            .rposition(|stage| stage.name.as_deref() == Some(&*base.to_ascii_lowercase()));
        match named.filter(|_| self.context(base).is_none()) {
            Some(stage) => {
                let inner = self.visit(stage);
                *scope = Scope { triggers: inner.triggers.clone(), ..inner.inherited() };
            }
            None => {
                scope.base = self.elsewhere(base);
                scope.open = true;
            }
        }
    }

    /// Takes in what `--from=words` names, which is not the context itself.
    fn from(&mut self, words: &str, index: usize, scope: &Scope) {
        match expand(words, self.escape, &|name| scope.variable(name)) {
            Err(_) => self.undecided(Undecided::Image(words.to_owned())),
            Ok(name) => match self.stage(&name, index).filter(|_| self.context(&name).is_none()) {
                Some(stage) => {
                    self.visit(stage);
                }
                None if name == "scratch" => {}
                None => {
                    self.elsewhere(&name);
                }
            },
        }
    }

    /// A named context, or an image.
    fn elsewhere(&mut self, name: &str) -> Option<Reference> {
        let Some((context, value)) = self.context(name) else { return self.image(name) };
        if let Some(image) = value.strip_prefix("docker-image://") {
            return self.image(image);
        }
        if is_remote(value) {
            self.undecided(Undecided::Remote(value.clone()));
        } else {
            self.needs.contexts.insert(context.clone());
        }
        None
    }

    /// The named context that `name` means, and what it is.
    fn context(&self, name: &str) -> Option<(&'a String, &'a String)> {
        let same = |other: &str| {
            let reference = name.parse::<Reference>();
            other.eq_ignore_ascii_case(name) || reference.is_ok() && other.parse::<Reference>() == reference
        };
        self.asked.contexts.iter().find(|(known, _)| same(known))
    }

    fn take(&mut self, instruction: &Instruction, index: usize, scope: &mut Scope) {
        match instruction.keyword.as_str() {
            "ARG" => {
                for word in instruction.quoted_words(self.escape) {
                    let (name, default) = named_value(word);
                    let value = self.argument(name, default, &|name| scope.variable(name));
                    scope.arguments.insert(name.to_owned(), value);
                }
            }
            "ENV" => scope.environment.extend(self.environment(instruction, scope)),
            "COPY" | "ADD" => self.copy(instruction, index, scope),
            "RUN" => self.mounts(instruction, index, scope),
            "ONBUILD" => scope.triggers.extend(instruction.triggered(self.escape)),
            _ => {}
        }
    }

    fn environment(&self, instruction: &Instruction, scope: &Scope) -> Vec<(String, Variable)> {
        let value = |text: &str| {
            expand(text, self.escape, &|name| scope.variable(name)).map_or(Variable::Unknown, Variable::Set)
        };
        let words = instruction.quoted_words(self.escape);
        // `ENV NAME value with spaces`, the form from before there were several.
        if words.first().is_some_and(|word| !word.contains('='))
            && let Some((name, rest)) = instruction.arguments.split_once(char::is_whitespace)
        {
            return vec![(name.to_owned(), value(rest.trim_start()))];
        }
        let pairs = words.into_iter().filter_map(|word| word.split_once('='));
        pairs.map(|(name, text)| (name.to_owned(), value(text))).collect()
    }

    fn copy(&mut self, instruction: &Instruction, index: usize, scope: &Scope) {
        if let Some(from) = instruction.flag("from") {
            return self.from(from, index, scope);
        }
        let words = instruction.words();
        let sources = &words[..words.len().saturating_sub(1)];
        let escape = self.escape;
        let kept_parents = instruction.flag("parents").is_some_and(|value| value != "false");
        for word in sources.iter().filter(|word| document_name(word, escape).is_none()) {
            match expand(word, escape, &|name| scope.variable(name)) {
                Ok(source) if instruction.keyword == "ADD" && is_remote(&source) => {
                    if instruction.flag("checksum").is_none_or(str::is_empty) {
                        self.undecided(Undecided::Remote(source));
                    }
                }
                // There `**` is any number of folders.
                Ok(source) if kept_parents && source.contains("**") => self.source(Err(Unknown(source))),
                source => self.source(source),
            }
        }
    }

    fn mounts(&mut self, instruction: &Instruction, index: usize, scope: &Scope) {
        for (_, value) in instruction.flags.iter().filter(|(name, _)| name == "mount") {
            let options: BTreeMap<&str, &str> =
                value.split(',').map(|option| option.split_once('=').unwrap_or((option, ""))).collect();
            let kind = options.get("type").copied().unwrap_or("bind");
            match (options.get("from"), kind) {
                (Some(from), _) => self.from(from, index, scope),
                (None, "bind") => {
                    let source = options.get("source").or_else(|| options.get("src")).copied();
                    self.source(expand(source.unwrap_or_default(), self.escape, &|name| {
                        scope.variable(name)
                    }));
                }
                (None, _) => {}
            }
        }
    }

    /// A path of the context; all of it when it cannot be told.
    fn source(&mut self, source: Result<String, Unknown>) {
        self.needs.sources.insert(clean(&source.unwrap_or_default()));
    }
}

fn named_value(word: &str) -> (&str, Option<&str>) {
    word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)))
}

fn is_remote(source: &str) -> bool {
    source.contains("://") || source.starts_with("git@")
}

#[cfg(test)]
mod tests;
