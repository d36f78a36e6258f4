//! The way out of what is wrong: the key, the value or the name that was probably meant. Pure.

use std::fmt;
use std::str::FromStr;

use super::keys::ROOT;
use super::section::{Kind, Section};
use super::template::{NAMES, for_tag};
use super::tree::{Entry, Node, Table, Value};
use crate::model::reference::{Reference, tag_problem};
use crate::model::suggest::near_miss;

/// Where an unknown key belongs, or which was meant; `name` is what the table around it is called in the file.
pub(super) fn unknown_key(section: &'static Section, name: Option<&str>, entry: &Entry) -> String {
    let key = entry.key.value.as_str();
    if let Some(place) = below(section, key) {
        return place;
    }
    if let Some(candidate) = near_miss(key, section.names()) {
        return format!("did you mean `{candidate}`?");
    }
    if ROOT.knows(key) && !std::ptr::eq(section, &ROOT) {
        return format!("`{key}` stands at the top of the file, in no other table");
    }
    if let Some(place) = own_table(section, entry) {
        return place;
    }
    if let (Some(name), Value::Table(_)) = (name, &entry.node.value) {
        return match format!("{name}/{key}") {
            platform
                if platform
                    .parse::<crate::model::platform::Platform>()
                    .is_ok_and(|it| it.problem().is_none()) =>
            {
                format!("a platform goes into quotes: `platform.\"{platform}\"`")
            }
            _ => format!("a name with a dot goes into quotes: `\"{name}.{key}\"`"),
        };
    }
    if let Some(owner) = above(section, key) {
        return format!("it is a key of {owner}, not of {}", section.owner);
    }
    if let Some(place) = elsewhere(key) {
        return format!("it goes into {place}");
    }
    let known: Vec<&str> = section.names().collect();
    format!("expected one of `{}`", known.join("`, `"))
}

/// Where `key` belongs when it is one of a table below.
fn below(section: &Section, key: &str) -> Option<String> {
    section.keys.iter().find_map(|table| match &table.kind {
        Kind::Table(below) | Kind::TableOrFalse(below) if below.knows(key) => {
            Some(format!("did you mean `{}.{key}`?", table.name))
        }
        Kind::Tables(_, below) if below.knows(key) => Some(format!("it goes into {}", below.heading)),
        Kind::StringsOrTables(below) if below.knows(key) && key != "name" => {
            Some(format!("it belongs to one of `{}`, e.g. `{} = {}`", table.name, table.name, table.example))
        }
        _ => None,
    })
}

/// A table at the top that has the keys of a target, but not the word that makes it one.
fn own_table(section: &Section, entry: &Entry) -> Option<String> {
    let Value::Table(table) = &entry.node.value else { return None };
    let is_target =
        table.0.iter().any(|inner| ["repository", "platforms", "tags"].contains(&&*inner.key.value));
    (std::ptr::eq(section, &ROOT) && is_target)
        .then(|| format!("did you mean `[target.{}]`?", entry.key.value))
}

/// What has `key`, of the tables that have the section.
fn above(section: &'static Section, key: &str) -> Option<&'static str> {
    let parents = ROOT.with_those_below();
    let mut owners =
        parents.iter().filter(|parent| parent.sections().any(|below| std::ptr::eq(below, section)));
    owners.find(|parent| parent.knows(key)).map(|parent| parent.owner)
}

/// Where else in the file `key` stands.
fn elsewhere(key: &str) -> Option<&'static str> {
    let sections = ROOT.with_those_below();
    let mut knowing = sections.iter().filter(|section| section.knows(key) && key != "name");
    knowing.next().map(|section| section.heading)
}

/// How the value of a key is written that has another type than `expected`.
pub(super) fn wrong_type(section: &Section, key: &str, node: &Node, expected: &str) -> Option<String> {
    let known = section.key(key);
    if known.is_some_and(|known| matches!(known.kind, Kind::Tables(..))) {
        return None;
    }
    let example = known.map(|known| known.example);
    let shown = || example.map(|example| format!("write e.g. `{key} = {example}`"));
    match &node.value {
        Value::Integer(_) | Value::Other(_) if expected.starts_with("a string") => {
            Some(if key == "timeout" { shown()? } else { "put it in quotes".to_owned() })
        }
        Value::Boolean(_) if expected.starts_with("a string") && example.is_none() => {
            Some("put it in quotes".to_owned())
        }
        Value::Table(table) if expected == "a string" && example.is_none() => {
            Some(format!("a key with dots goes into quotes: `\"{}\"`", dotted(key, table)))
        }
        Value::String(text)
            if expected == "`true` or `false`" && matches!(text.as_str(), "true" | "false") =>
        {
            Some("leave the quotes out".to_owned())
        }
        Value::String(text) if expected.starts_with("an array") => {
            Some(format!("write `{key} = {}`", array(text)))
        }
        value if known.is_some_and(|known| matches!(known.kind, Kind::Table(_) | Kind::TableOrFalse(_))) => {
            inside(key, &known?.kind, value).or_else(shown)
        }
        Value::Array(nodes) if expected == "a table of strings" => {
            Some(format!("write `{key} = {}`", table(nodes).or(example.map(str::to_owned))?))
        }
        _ => shown(),
    }
}

/// The value as that of the first key of the table which it stands for.
fn inside(key: &str, kind: &Kind, value: &Value) -> Option<String> {
    let (Kind::Table(below) | Kind::TableOrFalse(below)) = kind else { return None };
    let first = below.keys.first()?;
    let value = match (&first.kind, value) {
        (Kind::String, Value::String(text)) => format!("{text:?}"),
        (Kind::Strings, Value::String(text)) => array(text),
        (Kind::Strings, Value::Array(nodes)) => {
            let words = nodes.iter().map(|node| match &node.value {
                Value::String(text) => Some(text.as_str()),
                _ => None,
            });
            listed(&words.collect::<Option<Vec<_>>>()?)
        }
        _ => return None,
    };
    Some(format!("did you mean `{key}.{} = {value}`?", first.name))
}

/// What a string was meant to list: after its commas, else its words.
fn array(text: &str) -> String {
    let items: Vec<&str> = match text.contains('=') {
        true => vec![text],
        false if text.contains(',') => text.split(',').map(str::trim).collect(),
        false => text.split_whitespace().collect(),
    };
    listed(&items)
}

fn listed(items: &[&str]) -> String {
    format!("[{}]", items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>().join(", "))
}

/// `["A=1"]` as a table, when all of it is so.
fn table(nodes: &[Node]) -> Option<String> {
    let pair = |node: &Node| match &node.value {
        Value::String(text) => {
            let (key, value) = text.split_once('=')?;
            let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            Some(if plain { format!("{key} = {value:?}") } else { format!("{key:?} = {value:?}") })
        }
        _ => None,
    };
    let pairs = nodes.iter().map(pair).collect::<Option<Vec<_>>>()?;
    (!pairs.is_empty()).then(|| format!("{{ {} }}", pairs.join(", ")))
}

/// The key that was meant by one that was cut at its dots.
fn dotted(key: &str, table: &Table) -> String {
    match table.0.as_slice() {
        [entry] => match &entry.node.value {
            Value::Table(below) => format!("{key}.{}", dotted(&entry.key.value, below)),
            _ => format!("{key}.{}", entry.key.value),
        },
        _ => key.to_owned(),
    }
}

/// The reference or repository that was meant by `text`, which is none.
pub(super) fn reference<T: FromStr + fmt::Display>(text: &str) -> Option<String> {
    let plain = text.split_once("://").map_or(text, |(_, rest)| rest);
    let parts: Vec<&str> = plain.split('/').map(str::trim).filter(|part| !part.is_empty()).collect();
    let meant = parts.join("/").to_lowercase();
    (meant != text && meant.parse::<T>().is_ok()).then(|| format!("did you mean `{meant}`?"))
}

/// The tag that was meant by `name`, which is none; `written` is what the file has.
pub(super) fn tag(name: &str, written: &str) -> Option<String> {
    let shell = |c: char| c == '$' || c == '{';
    if name.contains(shell) {
        let word: String =
            written.chars().filter(|c| c.is_ascii_alphanumeric() || "._".contains(*c)).collect();
        return Some(match near_miss(&word, NAMES.iter().copied()) {
            Some(known) => format!("did you mean `{{{known}}}`?"),
            None => "templates have single braces, e.g. `{version}` or `{env.NAME}`".to_owned(),
        });
    }
    if let Ok(Reference { tag: Some(tag), .. }) = name.parse::<Reference>()
        && name.contains('/')
        && name.ends_with(&format!(":{tag}"))
    {
        return Some(format!("the repository goes into `repository`; did you mean `{tag}`?"));
    }
    if let Some(word) = name.strip_prefix('%').and_then(|name| name.strip_suffix('%')) {
        let known = near_miss(&word.to_ascii_lowercase(), NAMES.iter().copied());
        return Some(format!("did you mean `{{{}}}`?", known.map_or(format!("env.{word}"), str::to_owned)));
    }
    let meant = for_tag(name.trim().trim_start_matches(':'));
    let meant = meant.trim_end_matches('-');
    let sensible = name.is_ascii() && tag_problem(meant).is_none();
    sensible.then(|| format!("did you mean `{meant}`?"))
}
