//! What a bake file (`docker-bake.hcl`, `docker-bake.json`) publishes. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::service::{Published, Service, joined};
use crate::config::template::literal;

/// Lists of strings that mean the same in both, by their names there and here.
const LISTS: [(&str, &str); 4] =
    [("secret", "secrets"), ("ssh", "ssh"), ("cache-from", "cache-from"), ("cache-to", "cache-to")];

/// A file as data: its targets, with the defaults of its variables filled in.
#[derive(Debug, Default)]
struct Bake {
    targets: Vec<(String, Map<String, Value>)>,
    variables: BTreeMap<String, String>,
    notes: Vec<String>,
}

/// What `text`, the content of `file`, publishes. What cannot be read is in the notes.
pub(super) fn published(file: &str, text: &str) -> Result<Published, String> {
    let bake = if file.ends_with(".json") { from_json(text)? } else { from_hcl(text)? };
    let mut published = Published::default();
    for (name, _) in &bake.targets {
        add(&bake, file, name, &mut published);
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
    for (name, target) in root.get("target").map(object).unwrap_or_default() {
        let mut target = Value::Object(object(&target));
        fill_in(&mut target, &bake.variables);
        bake.targets.push((name, object(&target)));
    }
    Ok(bake)
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

/// Replaces `${NAME}` in every string.
fn fill_in(value: &mut Value, variables: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            for (name, default) in variables {
                *text = text.replace(&format!("${{{name}}}"), default);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| fill_in(value, variables)),
        Value::Object(values) => values.values_mut().for_each(|value| fill_in(value, variables)),
        _ => {}
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
    for block in body.blocks().filter(|block| block.identifier() == "variable") {
        let default = block.body.attributes().find(|attribute| attribute.key() == "default");
        let value = default.and_then(|default| default.expr.evaluate(&context).ok());
        if let (Some(name), Some(value)) = (label(block), value) {
            let text = serde_json::to_value(&value).ok().as_ref().and_then(text_of);
            bake.variables.insert(name.clone(), text.unwrap_or_default());
            context.declare_var(name, value);
        }
    }
    for block in body.blocks().filter(|block| block.identifier() == "target") {
        let Some(name) = label(block) else { continue };
        let mut target = Map::new();
        for attribute in block.body.attributes() {
            let key = attribute.key();
            match attribute.expr.evaluate(&context).map(serde_json::to_value) {
                Ok(Ok(value)) => drop(target.insert(key.to_owned(), value)),
                Ok(Err(_)) | Err(_) => bake.notes.push(format!("{name}: `{key}` could not be read")),
            }
        }
        bake.targets.push((name, target));
    }
    Ok(bake)
}

/// A target with what it inherits; of one that is not published under any name, what could not be read.
fn add(bake: &Bake, file: &str, name: &str, published: &mut Published) {
    let target = inherited(bake, name, 0);
    let strings = |key: &str| match target.get(key) {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(values)) => values.iter().filter_map(text_of).collect(),
        _ => Vec::new(),
    };
    let text = |key: &str| target.get(key).and_then(Value::as_str);
    let mut service = Service { name: name.to_owned(), file: file.to_owned(), ..Service::default() };
    let is_its = |note: &&String| note.starts_with(&format!("{name}: "));
    let unread: Vec<String> = bake.notes.iter().filter(is_its).cloned().collect();
    let names: Vec<String> = strings("tags").iter().map(|tag| literal(tag)).collect();
    let computed = unread.iter().any(|note| note.contains("`tags`"));
    if let Some(why) = left_out(&target, &names, computed) {
        published.notes.extend(unread);
        // Most often others inherit from it.
        if !names.is_empty() || !is_inherited(bake, name) {
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

fn is_inherited(bake: &Bake, name: &str) -> bool {
    let mut parents = bake.targets.iter().filter_map(|(_, target)| target.get("inherits")?.as_array());
    parents.any(|parents| parents.iter().any(|parent| parent.as_str() == Some(name)))
}

/// Its own keys over those of the targets that it inherits from, later ones first.
fn inherited(bake: &Bake, name: &str, depth: usize) -> Map<String, Value> {
    let Some((_, own)) = bake.targets.iter().find(|(known, _)| known == name) else { return Map::new() };
    let mut merged = Map::new();
    // A cycle is an error of the file; it ends somewhere.
    if depth < 8 {
        let parents = own.get("inherits").and_then(Value::as_array).into_iter().flatten();
        for parent in parents.filter_map(Value::as_str) {
            merged.extend(inherited(bake, parent, depth + 1));
        }
    }
    for (key, value) in own {
        match (merged.get_mut(key), value) {
            (Some(Value::Object(below)), Value::Object(over)) => below.extend(over.clone()),
            _ => drop(merged.insert(key.clone(), value.clone())),
        }
    }
    merged
}
