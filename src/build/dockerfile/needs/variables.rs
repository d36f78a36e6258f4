//! Variables: what ARG and ENV set, and what filling them in asks of the arguments.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::reader::Reader;
use crate::build::dockerfile::expand::{Query, Unknown, Variable, Variables, ask, expand, names};
use crate::build::dockerfile::parse::Instruction;
use crate::build::dockerfile::scope::{Found, Scope, Set, Uses, find};
use crate::build::dockerfile::stages::{automatic, reserved};

/// A text with its variables filled in.
pub(super) struct Filled<'a> {
    pub(super) text: Result<String, Unknown>,
    /// What it is made of, whether it is known or not.
    uses: Uses<'a>,
}

impl<'a> Reader<'a> {
    /// `word` with its variables filled in.
    pub(super) fn fill<'s>(&self, word: &str, look: &dyn Fn(&str) -> Found<'s, 'a>) -> Filled<'a>
    where
        'a: 's,
    {
        self.noting(word, look, &|variable| expand(word, self.escape, variable))
    }

    /// What filling in anything in `text` may ask of the arguments.
    pub(super) fn asks<'s>(&self, text: &str, look: &dyn Fn(&str) -> Found<'s, 'a>) -> Uses<'a>
    where
        'a: 's,
    {
        self.noting(text, look, &|variable| ask(text, self.escape, variable).map(|()| String::new())).uses
    }

    fn noting<'s>(
        &self,
        text: &str,
        look: &dyn Fn(&str) -> Found<'s, 'a>,
        work: &dyn Fn(&Variables<'_>) -> Result<String, Unknown>,
    ) -> Filled<'a>
    where
        'a: 's,
    {
        let uses = RefCell::new(Uses::default());
        let variable = |name: &str, query| {
            let found = look(name);
            found.note(query, &mut uses.borrow_mut());
            found.value
        };
        let mut filled = work(&variable);
        let length = filled.as_ref().map_or(0, String::len);
        if !self.steps.take(1 + (text.len() + length) / 64) {
            filled = Err(Unknown(String::new()));
        }
        let mut uses = uses.into_inner();
        if filled.is_err() {
            // Whatever it is: it is made of what it names.
            names(text).for_each(|name| look(name).note(Query::Value, &mut uses));
        }
        Filled { text: filled, uses }
    }

    /// A variable at the end of `scope`.
    pub(super) fn variable<'s>(&'s self, scope: &'s Scope<'a>, name: &str) -> Found<'s, 'a> {
        find(&self.scopes, scope, name, &self.steps)
    }

    /// A variable above the first stage, and in `FROM`.
    pub(super) fn global_variable<'s>(&'s self, scope: &'s Scope<'a>, name: &str) -> Found<'s, 'a> {
        let found = find(&[], scope, name, &self.steps);
        match (&found.value, automatic(name, self.asked.platform)) {
            (Variable::Unset, Variable::Unset) => found,
            (Variable::Unset, automatic) => {
                // That it is given counts in any case.
                Found::new(self.asked.args.get(name).cloned().map_or(automatic, Variable::Set))
            }
            _ => found,
        }
    }

    pub(super) fn global_arguments(&mut self, arguments: &'a [Instruction]) {
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

    /// Takes in `ARG`: what the command line says counts, else the default, else what is set around it.
    pub(super) fn set_arguments(&mut self, instruction: &Instruction, scope: &mut Scope<'a>, global: bool) {
        // What was set before this instruction, of what it has set so far.
        let mut earlier: BTreeMap<String, (Variable, Option<Set<'a>>)> = BTreeMap::new();
        for word in instruction.quoted_words(self.escape) {
            let (name, default) =
                word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            if !is_name(name) {
                scope.obscure = true;
                continue;
            }
            let look = |name: &str| match global {
                true => self.global_variable(scope, name),
                false => self.variable(scope, name),
            };
            let kept = |found: &Found<'_, 'a>| (found.value.clone(), found.set.cloned());
            let set = |value, uses| Set { value, by_argument: true, uses, is_given: false };
            let mut set = match (self.asked.args.get_key_value(name), default) {
                // Those count in any case.
                _ if reserved(name) => set(Variable::Unknown, Uses::default()),
                (Some((name, value)), _) => {
                    Set { is_given: true, ..set(Variable::Set(value.clone()), Uses::of(name)) }
                }
                (None, Some(default)) => {
                    let now = self.fill(default, &look);
                    // Older versions fill in what was set before the instruction only.
                    let before = self.fill(default, &|name| match earlier.get(name) {
                        Some((value, set)) => Found { value: value.clone(), set: set.as_ref() },
                        None => look(name),
                    });
                    let (mut uses, same) = (now.uses, now.text == before.text);
                    uses.add(&before.uses);
                    let value = now.text.ok().filter(|_| same).map_or(Variable::Unknown, Variable::Set);
                    set(value, uses)
                }
                (None, None) => {
                    let mut found = self.global_variable(&self.global, name);
                    if found.value == Variable::Unset {
                        // What is set around it stays, for some; an argument of the stage before may be.
                        match global {
                            true => continue,
                            false => found = self.variable(scope, name),
                        }
                    }
                    let (value, around) = kept(&found);
                    match around {
                        Some(around) => Set { value, by_argument: true, ..around },
                        None => set(value, Uses::default()),
                    }
                }
            };
            let before = look(name);
            // An ENV of the name is not overridden by all engines.
            if let Some(by_env) = before.set.filter(|set| !set.by_argument && !global) {
                set.uses.add(&by_env.uses);
                set.is_given = false;
                if before.value != set.value {
                    set.value = Variable::Unknown;
                }
            }
            let before = kept(&before);
            earlier.entry(name.to_owned()).or_insert(before);
            scope.set(name, set);
        }
    }

    /// Takes in `ENV`.
    pub(super) fn environment(&mut self, instruction: &Instruction, scope: &mut Scope<'a>) {
        let words = instruction.quoted_words(self.escape);
        // `ENV NAME value with spaces`, the form from before there were several.
        let pairs: Vec<(&str, &str)> = match words.first() {
            Some(first) if !first.contains('=') => {
                let (name, rest) =
                    instruction.arguments.split_once(char::is_whitespace).unwrap_or((first, ""));
                vec![(name, rest.trim_start())]
            }
            _ => words.iter().filter_map(|word| word.split_once('=')).collect(),
        };
        let asked = self.asks(&instruction.text, &|name| self.variable(scope, name));
        self.here.environment.add(&asked);
        // All of them see what was set before the instruction.
        let fill = |(name, text)| (name, self.fill(text, &|name| self.variable(scope, name)));
        let filled: Vec<_> = pairs.into_iter().map(fill).collect();
        for (name, Filled { text, mut uses }) in filled {
            let value = text.map_or(Variable::Unknown, Variable::Set);
            // How the line is taken apart is the engine's to say.
            uses.add(&asked);
            scope.obscure |= !is_name(name);
            scope.set(name, Set { value, by_argument: false, uses, is_given: false });
        }
    }
}

/// A name that needs neither expansion nor quotes.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}
