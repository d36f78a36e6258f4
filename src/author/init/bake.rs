//! What a bake file (`docker-bake.hcl`, `docker-bake.json`) publishes. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::service::{Published, Service, joined};
use crate::config::template::literal;

#[cfg(feature = "other-tools")]
mod bounds;
mod inherit;

/// How long a bake file may be, in bytes.
const LONGEST_FILE: usize = 1024 * 1024;

/// How long a value may get once variables are filled in, in bytes.
const LONGEST_VALUE: usize = 256 * 1024;

/// How long all of a file may get: its values, what its targets inherit, and what is said of them.
const MOST_TEXT: usize = 16 * 1024 * 1024;

/// How deep variables of a JSON file may be made of each other.
const DEEPEST: usize = 16;

/// Lists of strings that mean the same in both, by their names there and here.
const LISTS: [(&str, &str); 4] =
    [("secret", "secrets"), ("ssh", "ssh"), ("cache-from", "cache-from"), ("cache-to", "cache-to")];

/// A file as data: its targets, with the defaults of its variables filled in.
#[derive(Debug, Default)]
struct Bake {
    targets: Vec<(String, Map<String, Value>)>,
    variables: BTreeMap<String, String>,
    /// The keys of each target that could not be read.
    unread: BTreeMap<String, Vec<String>>,
    /// How much text was made so far.
    length: usize,
}

impl Bake {
    /// Counts text that is about to be made.
    fn count(&mut self, length: usize) -> Result<(), String> {
        self.length = self.length.saturating_add(length);
        match self.length > MOST_TEXT {
            true => Err(format!("its values get longer than {MOST_TEXT} bytes once variables are filled in")),
            false => Ok(()),
        }
    }
}

/// What `text`, the content of `file`, publishes. What cannot be read is in the notes.
pub(super) fn published(file: &str, text: &str) -> Result<Published, String> {
    if text.len() > LONGEST_FILE {
        return Err(format!("it is longer than {LONGEST_FILE} bytes"));
    }
    let mut bake = if file.ends_with(".json") { from_json(text)? } else { from_hcl(text)? };
    // Each target that is taken over says what the variables were.
    let said: usize = bake.variables.iter().map(|(name, default)| name.len() + default.len() + 64).sum();
    bake.count(said.saturating_mul(bake.targets.len()))?;
    let all = inherit::inherited(&bake.targets)?;
    let parents: BTreeSet<&str> =
        bake.targets.iter().flat_map(|(_, target)| inherit::parents(target)).collect();
    let mut published = Published::default();
    for (name, _) in &bake.targets {
        if let Some(target) = all.get(&**name) {
            add(&bake, file, name, target, parents.contains(&**name), &mut published);
        }
    }
    Ok(published)
}

fn from_json(text: &str) -> Result<Bake, String> {
    let root: Map<String, Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let object = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let mut bake = Bake::default();
    for (name, variable) in root.get("variable").map(object).unwrap_or_default() {
        bake.variables.insert(name, text_of(&variable["default"]).unwrap_or_default());
    }
    resolve(&mut bake)?;
    for (name, target) in root.get("target").map(object).unwrap_or_default() {
        let mut target = Value::Object(object(&target));
        fill_in(&mut target, &mut bake)?;
        bake.targets.push((name, object(&target)));
    }
    Ok(bake)
}

/// Fills in variables of which others are made.
fn resolve(bake: &mut Bake) -> Result<(), String> {
    for _ in 0..DEEPEST {
        let mut changed = BTreeMap::new();
        let variables = bake.variables.clone();
        for (name, default) in &variables {
            let text = filled(default, &variables).map_err(|error| format!("variable {name}: {error}"))?;
            if text != *default {
                bake.count(text.len())?;
                changed.insert(name.clone(), text);
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        bake.variables.extend(changed);
    }
    Err(format!("its variables are made of each other more than {DEEPEST} deep"))
}

/// `text` with variables for every `${NAME}` that is one.
fn filled(text: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        whole.push_str(before);
        let variable = after.split_once('}').and_then(|(name, after)| Some((variables.get(name)?, after)));
        match variable {
            Some((value, after)) => {
                whole.push_str(value);
                rest = after;
            }
            None => {
                whole.push_str("${");
                rest = after;
            }
        }
        if whole.len() > LONGEST_VALUE {
            return Err(format!(
                "a value gets longer than {LONGEST_VALUE} bytes once variables are filled in"
            ));
        }
    }
    Ok(whole + rest)
}

/// A value as bake makes it a string: numbers in full, `1e3` as 1000 and 1.10 as 1.1.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(boolean) => Some(boolean.to_string()),
        Value::Number(number) if number.is_f64() => number.as_f64().map(|float| float.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Fills variables in in every string. The reader of JSON bounds the depth.
fn fill_in(value: &mut Value, bake: &mut Bake) -> Result<(), String> {
    match value {
        Value::String(text) => {
            *text = filled(text, &bake.variables)?;
            bake.count(text.len())
        }
        Value::Array(values) => values.iter_mut().try_for_each(|value| fill_in(value, bake)),
        Value::Object(values) => values.values_mut().try_for_each(|value| fill_in(value, bake)),
        _ => Ok(()),
    }
}

#[cfg(not(feature = "other-tools"))]
fn from_hcl(_: &str) -> Result<Bake, String> {
    Err("this build reads no HCL (feature `other-tools`); `docker buildx bake --print > docker-bake.json` gives JSON".into())
}

#[cfg(feature = "other-tools")]
fn from_hcl(text: &str) -> Result<Bake, String> {
    use hcl::eval::{Context, Evaluate as _};

    let body = hcl::parse(text).map_err(|error| error.to_string())?;
    let label = |block: &hcl::Block| block.labels.first().map(|label| label.as_str().to_owned());
    let mut bake = Bake::default();
    let mut context = Context::new();
    let mut lengths = BTreeMap::new();
    for block in body.blocks().filter(|block| block.identifier() == "variable") {
        let default = block.body.attributes().find(|attribute| attribute.key() == "default");
        let (Some(name), Some(default)) = (label(block), default) else { continue };
        let Some(most) = bounds::most(&default.expr, &lengths) else { continue };
        if most > LONGEST_VALUE {
            return Err(format!("variable {name} may get longer than {LONGEST_VALUE} bytes"));
        }
        bake.count(most)?;
        if let Ok(value) = default.expr.evaluate(&context) {
            let value_length = hcl_length(&value);
            let text = serde_json::to_value(&value).ok().as_ref().and_then(text_of);
            bake.variables.insert(name.clone(), text.unwrap_or_default());
            lengths.insert(name.clone(), value_length);
            context.declare_var(name, value);
        }
    }
    for block in body.blocks().filter(|block| block.identifier() == "target") {
        let Some(name) = label(block) else { continue };
        let mut target = Map::new();
        for attribute in block.body.attributes() {
            let key = attribute.key();
            let most = bounds::most(&attribute.expr, &lengths);
            if let Some(most) = most {
                if most > LONGEST_VALUE {
                    return Err(format!("`{key}` of {name} may get longer than {LONGEST_VALUE} bytes"));
                }
                bake.count(most)?;
            }
            match most.map(|_| attribute.expr.evaluate(&context).map(serde_json::to_value)) {
                Some(Ok(Ok(value))) => drop(target.insert(key.to_owned(), value)),
                _ => bake.unread.entry(name.clone()).or_default().push(key.to_owned()),
            }
        }
        bake.targets.push((name, target));
    }
    Ok(bake)
}

/// At least as many bytes as a value's text and its elements together.
#[cfg(feature = "other-tools")]
fn hcl_length(value: &hcl::Value) -> usize {
    let mut length = 0;
    let mut ahead = vec![value];
    while let Some(value) = ahead.pop() {
        length += match value {
            hcl::Value::String(text) => text.len() + 1,
            hcl::Value::Array(values) => {
                ahead.extend(values);
                1
            }
            hcl::Value::Object(values) => {
                ahead.extend(values.values());
                values.keys().map(|key| key.len() + 1).sum::<usize>() + 1
            }
            _ => 400,
        };
    }
    length
}

/// Adds a `target` with what it inherits; of one that is not published under any name, what could not be read.
fn add(
    bake: &Bake,
    file: &str,
    name: &str,
    target: &Map<String, Value>,
    is_inherited: bool,
    published: &mut Published,
) {
    let strings = |key: &str| match target.get(key) {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(values)) => values.iter().filter_map(text_of).collect(),
        _ => Vec::new(),
    };
    let text = |key: &str| target.get(key).and_then(Value::as_str);
    let mut service = Service { name: name.to_owned(), file: file.to_owned(), ..Service::default() };
    let keys = bake.unread.get(name).map_or(&[][..], Vec::as_slice);
    let unread: Vec<String> = keys.iter().map(|key| format!("{name}: `{key}` could not be read")).collect();
    let names: Vec<String> = strings("tags").iter().map(|tag| literal(tag)).collect();
    let computed = keys.iter().any(|key| key == "tags");
    if let Some(why) = left_out(target, &names, computed) {
        published.notes.extend(unread);
        // Most often others inherit from it.
        if !names.is_empty() || !is_inherited {
            published.notes.push(format!("left out {name} of {file}: {why}"));
        }
        return;
    }
    service.platforms = strings("platforms").iter().map(|platform| literal(platform)).collect();
    service.context = joined(".", &literal(text("context").unwrap_or(".")));
    service.dockerfile = text("dockerfile").map(|path| joined(&service.context, &literal(path)));
    service.stage = text("target").map(literal);
    let table = |key: &str| {
        let values = target.get(key).and_then(Value::as_object).into_iter().flatten();
        let given = values.filter(|(_, value)| !value.is_null());
        let string = |value: &Value| text_of(value).unwrap_or_else(|| value.to_string());
        given.map(|(name, value)| (name.clone(), literal(&string(value)))).collect()
    };
    service.args = table("args");
    service.labels = table("labels");
    let mut taken =
        vec!["tags", "platforms", "context", "dockerfile", "target", "args", "labels", "inherits", "output"];
    for (key, ours) in LISTS {
        let values: Vec<String> = strings(key).iter().map(|value| literal(value)).collect();
        if !values.is_empty() {
            service.lists.insert(ours, values);
            taken.push(key);
        }
    }
    for key in target.keys().filter(|key| !taken.contains(&key.as_str())) {
        service.notes.push(format!("`{key}` of {file} is not taken over"));
    }
    service.notes.extend(unread);
    for (variable, default) in &bake.variables {
        if !default.is_empty() {
            let note =
                format!("{variable} is {default}, its default in {file}; `{{env.{variable}}}` reads it");
            service.notes.push(note);
        }
    }
    published.add(service, &names);
}

/// Why a target cannot be one here; `computed` when its tags are there, but could not be read.
fn left_out(target: &Map<String, Value>, names: &[String], computed: bool) -> Option<&'static str> {
    let context = target.get("context").and_then(Value::as_str).unwrap_or_default();
    if names.is_empty() && computed {
        Some("its tags are computed; `docker buildx bake --print > docker-bake.json` writes what they are")
    } else if names.is_empty() {
        Some("it has no tags")
    } else if target.contains_key("dockerfile-inline") {
        Some("its Dockerfile stands in that file: give it one of its own")
    } else if context.contains("://") || context.starts_with("git@") {
        Some("its context is not on this machine")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
