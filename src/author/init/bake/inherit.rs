//! What targets inherit from each other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::MOST_TEXT;

type Target = Map<String, Value>;

/// Each of `targets` with what it inherits: its own keys over those of the targets that it names, later ones first. Of
/// several targets of one name the first counts. Where targets inherit from each other in a circle, nothing comes along.
///
/// # Errors
///
/// All of them are longer than [`MOST_TEXT`].
pub(super) fn inherited(targets: &[(String, Target)]) -> Result<BTreeMap<&str, Target>, String> {
    let mut own: BTreeMap<&str, &Target> = BTreeMap::new();
    for (name, target) in targets {
        own.entry(name).or_insert(target);
    }
    let mut all: BTreeMap<&str, Target> = BTreeMap::new();
    let mut length = 0;
    let mut begun = BTreeSet::new();
    let mut ahead: Vec<&str> = own.keys().rev().copied().collect();
    while let Some(name) = ahead.last().copied() {
        let Some(target) = own.get(name).filter(|_| !all.contains_key(name)) else {
            ahead.pop();
            continue;
        };
        let missing = parents(target).filter(|parent| own.contains_key(parent) && !all.contains_key(parent));
        if begun.insert(name) {
            ahead.extend(missing.filter(|parent| !begun.contains(parent)).collect::<Vec<_>>());
            continue;
        }
        ahead.pop();
        let mut merged = Target::new();
        // What a later one of the same name says, counts.
        let mut seen = BTreeSet::new();
        let last: Vec<&str> =
            parents(target).collect::<Vec<_>>().into_iter().rev().filter(|name| seen.insert(*name)).collect();
        for parent in last.into_iter().rev().filter_map(|parent| all.get(parent)) {
            length += size(parent);
            if length > MOST_TEXT {
                return Err(format!("its targets inherit more than {MOST_TEXT} bytes"));
            }
            merged.extend(parent.clone());
        }
        for (key, value) in *target {
            match (merged.get_mut(key), value) {
                (Some(Value::Object(below)), Value::Object(over)) => below.extend(over.clone()),
                _ => drop(merged.insert(key.clone(), value.clone())),
            }
        }
        all.insert(name, merged);
    }
    Ok(all)
}

/// The names of the targets that `target` inherits from.
pub(super) fn parents(target: &Target) -> impl Iterator<Item = &str> {
    let named = target.get("inherits").and_then(Value::as_array).into_iter().flatten();
    named.filter_map(Value::as_str)
}

/// About as many bytes as its text has.
fn size(target: &Target) -> usize {
    let mut size = 0;
    let mut ahead: Vec<&Value> = target.values().collect();
    size += target.keys().map(String::len).sum::<usize>();
    while let Some(value) = ahead.pop() {
        size += 1;
        match value {
            Value::String(text) => size += text.len(),
            Value::Array(values) => ahead.extend(values),
            Value::Object(values) => {
                size += values.keys().map(String::len).sum::<usize>();
                ahead.extend(values.values());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    size
}
