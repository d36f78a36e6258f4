//! Small readers for the keys of a table. Each reports what does not fit and goes on, so that all problems come at
//! once.

use super::helps;
use super::problems::{Problem, Span};
use super::section::Section;
use super::tree::{Entry, Node, Table, Text, Value};
use crate::model::suggest::near_miss;

/// The keys of one table while they are read.
pub(super) struct Fields<'a, 'p> {
    table: &'a Table,
    section: &'static Section,
    pub(super) problems: &'p mut Vec<Problem>,
}

impl<'a, 'p> Fields<'a, 'p> {
    /// Reports every key of `table` that the section does not have.
    pub(super) fn new(table: &'a Table, section: &'static Section, problems: &'p mut Vec<Problem>) -> Self {
        Self::of(table, None, section, problems)
    }

    /// As [`Self::new`], for a table that the file gives a name.
    pub(super) fn named(
        name: &Text,
        table: &'a Table,
        section: &'static Section,
        problems: &'p mut Vec<Problem>,
    ) -> Self {
        Self::of(table, Some(&name.value), section, problems)
    }

    fn of(
        table: &'a Table,
        name: Option<&str>,
        section: &'static Section,
        problems: &'p mut Vec<Problem>,
    ) -> Self {
        for entry in table.0.iter().filter(|entry| !section.knows(&entry.key.value)) {
            let message = format!("unknown key `{}` of {}", entry.key.value, section.owner);
            let help = helps::unknown_key(section, name, entry);
            problems.push(Problem::new(&entry.key.span, message).help(help));
        }
        Self { table, section, problems }
    }

    /// How a key is written, for those that are missing.
    pub(super) fn example(&self, key: &str) -> String {
        let example = self.section.key(key).map_or("…", |known| known.example);
        format!("add e.g. `{key} = {example}`")
    }

    /// Whether the key is not there, not even misspelt.
    pub(super) fn lacks(&self, key: &str) -> bool {
        let misspelt = |entry: &Entry| {
            let found = entry.key.value.as_str();
            !self.section.knows(found) && near_miss(found, self.section.names()) == Some(key)
        };
        self.key(key).is_none() && !self.table.0.iter().any(misspelt)
    }

    /// Whether the section has every key of the table.
    pub(super) fn knows_all(&self) -> bool {
        self.table.0.iter().all(|entry| self.section.knows(&entry.key.value))
    }

    /// Where the key stands, if it is there.
    pub(super) fn key(&self, key: &str) -> Option<&'a Span> {
        self.table.get(key).map(|entry| &entry.key.span)
    }

    pub(super) fn string(&mut self, key: &str) -> Option<Text> {
        let node = self.node(key)?;
        self.as_string(key, node)
    }

    /// An array of strings; empty when the key is missing.
    pub(super) fn strings(&mut self, key: &str) -> Vec<Text> {
        let Some(nodes) = self.array(key, "an array of strings") else { return Vec::new() };
        nodes.iter().filter_map(|node| self.as_string(key, node)).collect()
    }

    /// One string, or an array of at least one.
    pub(super) fn string_or_strings(&mut self, key: &str) -> Vec<Text> {
        match self.node(key) {
            Some(Node { span, value: Value::String(value) }) => {
                vec![Text { value: value.clone(), span: span.clone() }]
            }
            Some(_) => {
                let Some(nodes) = self.full_array(key, "a string or an array of strings") else {
                    return Vec::new();
                };
                nodes.iter().filter_map(|node| self.as_string(key, node)).collect()
            }
            None => Vec::new(),
        }
    }

    /// The elements of an array that may not be empty.
    pub(super) fn full_array(&mut self, key: &str, expected: &str) -> Option<&'a [Node]> {
        let nodes = self.array(key, expected)?;
        if nodes.is_empty()
            && let Some(node) = self.node(key)
        {
            self.problems
                .push(Problem::new(&node.span, format!("`{key}` is empty")).label("expected at least one"));
        }
        Some(nodes)
    }

    /// A table whose values are strings, in the order of the file.
    pub(super) fn table_of_strings(&mut self, key: &str) -> Vec<(Text, Text)> {
        let Some(table) = self.table(key, "a table of strings") else { return Vec::new() };
        let read = |entry: &Entry| {
            self.as_string(&entry.key.value, &entry.node).map(|value| (entry.key.clone(), value))
        };
        table.0.iter().filter_map(read).collect()
    }

    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        let node = self.node(key)?;
        match node.value {
            Value::Boolean(boolean) => Some(boolean),
            _ => self.wrong(key, node, "`true` or `false`"),
        }
    }

    /// A whole number of at least 1.
    pub(super) fn count(&mut self, key: &str) -> Option<usize> {
        let node = self.node(key)?;
        match &node.value {
            Value::Integer(integer) => {
                let count =
                    integer.and_then(|integer| usize::try_from(integer).ok()).filter(|count| *count > 0);
                if count.is_none() {
                    let message = format!("`{key}` is out of range");
                    let expected =
                        if integer.is_some() { "expected 1 or more" } else { "expected a smaller number" };
                    self.problems.push(Problem::new(&node.span, message).label(expected));
                }
                count
            }
            _ => self.wrong(key, node, "an integer"),
        }
    }

    /// One word of several.
    pub(super) fn one_of<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.string(key)?;
        let found = words.iter().find(|(word, _)| *word == text.value).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let message = format!("unknown value `{}` of `{key}`", text.value);
            self.problems.push(Problem::new(&text.span, message).meant(&text.value, &known));
        }
        found
    }

    pub(super) fn table(&mut self, key: &str, expected: &str) -> Option<&'a Table> {
        let node = self.node(key)?;
        match &node.value {
            Value::Table(table) => Some(table),
            _ => self.wrong(key, node, expected),
        }
    }

    /// A table, or `false` for none: `Some(None)`.
    pub(super) fn table_or_false(&mut self, key: &str) -> Option<Option<&'a Table>> {
        let node = self.node(key)?;
        match &node.value {
            Value::Table(table) => Some(Some(table)),
            Value::Boolean(false) => Some(None),
            _ => self.wrong(key, node, "a table or `false`"),
        }
    }

    pub(super) fn node(&self, key: &str) -> Option<&'a Node> {
        debug_assert!(self.section.knows(key), "`{key}` of {} is read and not described", self.section.owner);
        self.table.get(key).map(|entry| &entry.node)
    }

    pub(super) fn as_string(&mut self, key: &str, node: &Node) -> Option<Text> {
        match &node.value {
            Value::String(value) => Some(Text { value: value.clone(), span: node.span.clone() }),
            _ => self.wrong(key, node, "a string"),
        }
    }

    /// Reports a value of the wrong type.
    pub(super) fn wrong<T>(&mut self, key: &str, node: &Node, expected: &str) -> Option<T> {
        let found = match node.value {
            Value::Boolean(boolean) => format!("`{boolean}`"),
            ref other => other.kind().to_owned(),
        };
        let problem = Problem::new(&node.span, format!("wrong type of `{key}`"))
            .label(format!("expected {expected}, found {found}"));
        self.problems.push(problem.maybe_help(helps::wrong_type(self.section, key, node, expected)));
        None
    }

    fn array(&mut self, key: &str, expected: &str) -> Option<&'a [Node]> {
        let node = self.node(key)?;
        match &node.value {
            Value::Array(nodes) => Some(nodes),
            _ => self.wrong(key, node, expected),
        }
    }
}
