//! TOML as a tree that remembers where every key and value stands, in the order of the file.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problems::{Problem, Span};
use super::syntax;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    String(String),
    /// `None` when it is too large for any key.
    Integer(Option<i64>),
    Boolean(bool),
    Array(Vec<Node>),
    Table(Table),
    /// What no key takes: a float, a date.
    Other(&'static str),
}

/// The entries of a table, in the order of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(pub(super) Vec<Entry>);

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Text,
    pub(super) node: Node,
}

/// A string and its place, quotes included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) value: String,
    pub(super) span: Span,
}

/// Reads `text`; mistakes of syntax are problems, all of them.
pub(super) fn parse(text: &str) -> Result<Table, Vec<Problem>> {
    let (root, errors) = recover(text);
    if errors.is_empty() {
        return Ok(root);
    }
    if let Some(conflict) = syntax::conflict(text) {
        return Err(vec![conflict]);
    }
    let mut spans: Vec<(Span, &toml::de::Error)> =
        errors.iter().map(|error| (on_boundaries(text, error.span().unwrap_or(0..0)), error)).collect();
    spans.sort_by_key(|(span, _)| span.start);
    let mut problems: Vec<Problem> = Vec::new();
    // Behind a bracket that is never closed everything is read as its inside, and no error means what it says.
    let open = syntax::never_closed(text, &spans);
    let before = open.as_ref().map_or(spans.len(), |(at, _)| *at);
    for (span, error) in &spans[..before] {
        // One mistake often makes a second error behind it, where the parser finds its way again.
        let line = syntax::line_of(text, span.start);
        let behind = |last: &Problem| line.start <= last.span.start && !error.message().contains("unclosed");
        if !problems.last().is_some_and(behind) {
            problems.push(syntax::problem(text, span, error.message(), &root));
        }
    }
    problems.extend(open.map(|(_, problem)| problem));
    Err(problems)
}

/// What can be read of `text`, and the mistakes of syntax.
pub(super) fn recover(text: &str) -> (Table, Vec<toml::de::Error>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    (table(root.into_inner()), errors)
}

/// The span without the halves of characters that a parser of bytes may point at.
fn on_boundaries(text: &str, span: Span) -> Span {
    let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let start = floor(span.start);
    start..floor(span.end).max(start)
}

fn table(table: DeTable<'_>) -> Table {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| Entry {
            key: Text { span: key.span(), value: key.into_inner().into_owned() },
            node: node(value),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key.span.start);
    Table(entries)
}

fn node(value: Spanned<DeValue<'_>>) -> Node {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(integer) => {
            Value::Integer(i64::from_str_radix(integer.as_str(), integer.radix()).ok())
        }
        DeValue::Boolean(boolean) => Value::Boolean(boolean),
        DeValue::Array(array) => Value::Array(array.into_iter().map(node).collect()),
        DeValue::Table(inner) => Value::Table(table(inner)),
        DeValue::Float(_) => Value::Other("a float"),
        DeValue::Datetime(_) => Value::Other("a date"),
    };
    Node { span, value }
}

impl Value {
    /// With its article, as messages name it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Boolean(_) => "a boolean",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.key.value == key)
    }

    /// This table under `over`: tables merge, everything else is replaced.
    pub(super) fn under(&self, over: &Self) -> Self {
        let mut merged: Vec<Entry> = over
            .0
            .iter()
            .map(|entry| {
                let node = match self.get(&entry.key.value) {
                    Some(below) => below.node.under(&entry.node),
                    None => entry.node.clone(),
                };
                Entry { key: entry.key.clone(), node }
            })
            .collect();
        merged.extend(self.0.iter().filter(|entry| over.get(&entry.key.value).is_none()).cloned());
        Self(merged)
    }
}

impl Node {
    /// This value under `over`: tables merge, everything else is replaced.
    pub(super) fn under(&self, over: &Self) -> Self {
        match (&self.value, &over.value) {
            (Value::Table(below), Value::Table(above)) => {
                Self { span: over.span.clone(), value: Value::Table(below.under(above)) }
            }
            _ => over.clone(),
        }
    }
}
