//! What the image of one stage takes in for one platform: instructions, paths of the context, other images. Only the
//! stages that the wanted one needs count, as for BuildKit.
//!
//! Each stage is read once, in the order of the file: it can only need those before it. Then those that the wanted one
//! needs are gathered.
//!
//! An argument counts as far as an instruction asks for it while its words are filled in: its value, only whether it is
//! empty (`${A:+word}`), or nothing. RUN gets all variables, and what ENV sets is part of the image.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::expand::Variable;
use super::parse::{Dockerfile, Doubt, Instruction};
use super::scope::{MOST_STEPS, Use, Uses};
use super::stages::{automatic, reserved, split};
use crate::model::platform::Platform;
use crate::model::reference::Reference;

mod files;
mod reader;
mod variables;

use reader::Reader;

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
    /// The arguments given that may change something, and how much of them matters. Only an image's history shows others.
    pub arguments: BTreeMap<String, Use>,
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
    /// All of it: there is too much.
    Steps,
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote(url) => write!(f, "{url} is added without a checksum"),
            Self::Image(words) => write!(f, "`{words}` names no image that is known before the build"),
            Self::Syntax(image) => write!(f, "the syntax {image} is not Docker's own"),
            Self::Stage(name) => write!(f, "the Dockerfile has no stage `{name}`"),
            Self::Doubt(doubt) => doubt.fmt(f),
            Self::Steps => write!(f, "the Dockerfile takes more than {MOST_STEPS} steps to read"),
        }
    }
}

impl Dockerfile {
    /// What the image takes in that is `asked` for.
    pub(crate) fn needs(&self, asked: Asked<'_>) -> Needs {
        let (arguments, stages) = split(self);
        let mut reader = Reader::new(self, asked, &stages);
        reader.syntax(self.syntax.as_deref());
        reader.here.doubts.extend(self.doubts.iter().cloned());
        reader.contexts();
        reader.global_arguments(arguments);
        let mut all = vec![std::mem::take(&mut reader.here)];
        let wanted = reader.wanted();
        let mut counts = vec![false; stages.len()];
        match wanted {
            Ok(wanted) => {
                let mut read = Vec::new();
                for index in 0..=wanted {
                    reader.read(index);
                    read.push(std::mem::take(&mut reader.here));
                }
                counts = reader.counting(wanted, &mut read);
                let counting = read.into_iter().zip(&counts).filter(|(_, counts)| **counts);
                all.extend(counting.map(|(read, _)| read));
            }
            Err(ref undecided) => {
                all[0].undecided.insert(undecided.clone());
            }
        }
        if reader.steps.are_gone() {
            all[0].undecided.insert(Undecided::Steps);
        }

        let base = wanted.ok().and_then(|wanted| reader.scopes[wanted].base.clone());
        let mut needs = Needs { base, syntax: reader.syntax_image.clone(), ..Needs::default() };
        let mut uses = Uses::default();
        for stage in all {
            needs.sources.extend(stage.sources);
            needs.images.extend(stage.images);
            needs.foreign.extend(stage.foreign);
            needs.contexts.extend(stage.contexts);
            needs.undecided.extend(stage.undecided);
            needs.undecided.extend(stage.doubts.into_iter().map(Undecided::Doubt));
            uses.add(&stage.uses);
        }
        let is_obscure = reader.global.obscure || reader.scopes.iter().any(|scope| scope.obscure);
        let much = |name: &str| {
            let always = is_obscure || reserved(name) || automatic(name, asked.platform) != Variable::Unset;
            if always { Some(Use::Value) } else { uses.get(name) }
        };
        let names = asked.args.keys();
        needs.arguments = names.filter_map(|name| Some((name.clone(), much(name)?))).collect();
        let counting = stages.iter().zip(&counts).filter(|(_, counts)| **counts).map(|(stage, _)| stage);
        let counting = counting.flat_map(|stage| std::iter::once(stage.from).chain(stage.instructions));
        let escape = (self.escape != '\\').then(|| format!("# escape={}", self.escape));
        let texts = arguments.iter().chain(counting).map(Instruction::plain_text);
        needs.instructions = escape.into_iter().chain(texts).collect();
        needs.proxies = needs.instructions.iter().any(|text| text.to_ascii_lowercase().contains("_proxy"));
        needs
    }
}

#[cfg(test)]
mod tests;
