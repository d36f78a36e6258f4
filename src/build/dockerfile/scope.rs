//! The variables of a stage, and which of the given arguments they are made of.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::expand::{Query, Variable};
use super::parse::Instruction;
use crate::model::reference::Reference;

/// How many steps reading a Dockerfile takes at most: a variable that is looked for in one stage is a step, and so is each
/// piece of text that is filled in. Thousands of stages take some thousand steps for each.
pub(crate) const MOST_STEPS: usize = 10_000_000;

/// How many arguments a variable is told to be made of; of more, it is made of all of them.
const MOST_USES: usize = 64;

/// How much of an argument matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// Whether it is empty, as in `${A:+word}`.
    Emptiness,
    /// Its value.
    Value,
}

/// The given arguments that something is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Uses<'a> {
    arguments: BTreeMap<&'a str, Use>,
    /// All of them by their value.
    all: bool,
}

impl<'a> Uses<'a> {
    /// The given argument `name` itself.
    pub(super) fn of(name: &'a str) -> Self {
        Self { arguments: BTreeMap::from([(name, Use::Value)]), all: false }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.all |= other.all;
        for (name, more) in &other.arguments {
            self.note(name, *more);
        }
        if self.all || self.arguments.len() > MOST_USES {
            self.all = true;
            self.arguments.clear();
        }
    }

    fn note(&mut self, name: &'a str, more: Use) {
        let known = self.arguments.entry(name).or_insert(more);
        *known = more.max(*known);
    }

    /// How much of the argument `name` matters, if anything.
    pub(super) fn get(&self, name: &str) -> Option<Use> {
        if self.all { Some(Use::Value) } else { self.arguments.get(name).copied() }
    }
}

/// The variables that a stage sets, and what it begins with.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope<'a> {
    variables: BTreeMap<String, Set<'a>>,
    /// What all that was ever set here is made of.
    pub(super) uses: Uses<'a>,
    /// The stage that it begins with.
    pub(super) parent: Option<usize>,
    /// Whether it begins with an image from elsewhere, which may set variables.
    pub(super) open: bool,
    /// Whether it may be for another platform than the one asked for.
    pub(super) foreign: bool,
    /// Whether an instruction that is not understood may have set any variable.
    pub(super) obscure: bool,
    /// The image that it begins with in the end.
    pub(super) base: Option<Reference>,
    /// What the stage's `ONBUILD`s leave to those that begin with it.
    pub(super) triggers: Vec<&'a Instruction>,
}

/// What `ARG` or `ENV` made of a variable.
#[derive(Clone, Debug)]
pub(super) struct Set<'a> {
    pub(super) value: Variable,
    pub(super) by_argument: bool,
    pub(super) uses: Uses<'a>,
    /// Whether it is the argument of its name, as given.
    pub(super) is_given: bool,
}

impl<'a> Scope<'a> {
    /// One where nothing is set.
    pub(super) fn new(foreign: bool) -> Self {
        Self { foreign, ..Self::default() }
    }

    /// What `ARG` or `ENV` gives a variable: the last one counts.
    pub(super) fn set(&mut self, name: &str, set: Set<'a>) {
        self.uses.add(&set.uses);
        self.variables.insert(name.to_owned(), set);
    }
}

/// What is known of a variable at some place.
#[derive(Clone, Debug)]
pub(super) struct Found<'s, 'a> {
    pub(super) value: Variable,
    /// What set it, if the Dockerfile did.
    pub(super) set: Option<&'s Set<'a>>,
}

impl<'a> Found<'_, 'a> {
    pub(super) fn new(value: Variable) -> Self {
        Self { value, set: None }
    }

    /// Notes that its value, or whether it is empty, matters.
    pub(super) fn note(&self, query: Query, uses: &mut Uses<'a>) {
        let Some(set) = self.set else { return };
        match (query, set.is_given) {
            (Query::Emptiness, true) => {
                set.uses.arguments.keys().for_each(|name| uses.note(name, Use::Emptiness))
            }
            _ => uses.add(&set.uses),
        }
    }
}

/// The variable `name` at the end of `scope`, which begins with one of `scopes` or with none.
pub(super) fn find<'s, 'a>(
    scopes: &'s [Scope<'a>],
    scope: &'s Scope<'a>,
    name: &str,
    steps: &Steps,
) -> Found<'s, 'a> {
    let mut at = scope;
    loop {
        if at.obscure || !steps.take(1) {
            return Found::new(Variable::Unknown);
        }
        if let Some(set) = at.variables.get(name) {
            // Engines differ in whether arguments go over to what begins with the stage.
            let inherited = !std::ptr::eq(at, scope);
            let value = if inherited && set.by_argument { Variable::Unknown } else { set.value.clone() };
            return Found { value, set: Some(set) };
        }
        match at.parent {
            Some(parent) => at = &scopes[parent],
            None if at.open => return Found::new(Variable::Unknown),
            None => return Found::new(Variable::Unset),
        }
    }
}

/// The steps that are left.
#[derive(Debug)]
pub(super) struct Steps(Cell<usize>);

impl Default for Steps {
    fn default() -> Self {
        Self(Cell::new(MOST_STEPS))
    }
}

impl Steps {
    /// Takes some; whether there were as many.
    pub(super) fn take(&self, count: usize) -> bool {
        let left = self.0.get().checked_sub(count);
        self.0.set(left.unwrap_or_default());
        left.is_some()
    }

    /// Whether none are left.
    pub(super) fn are_gone(&self) -> bool {
        self.0.get() == 0
    }
}
