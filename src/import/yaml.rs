//! Other tools' YAML as values, with notes about keys that nobody reads.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Reads YAML whose top is a mapping.
pub(super) fn read(text: &str) -> Result<Map<String, Value>, String> {
    match parse(text)? {
        Value::Object(map) => Ok(map),
        _ => Err("its top is no mapping".to_owned()),
    }
}

/// Reads YAML as whatever is asked for.
#[cfg(feature = "other-tools")]
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_saphyr::from_str(text).map_err(|error| format!("it is no YAML: {error}"))
}

#[cfg(not(feature = "other-tools"))]
pub(crate) fn parse<T: DeserializeOwned>(_: &str) -> Result<T, String> {
    Err("this build reads no YAML (feature `other-tools`); `cargo install manifests` gives one that does"
        .to_owned())
}

/// A mapping whose keys are taken out one by one; what is left over has no equivalent.
pub(super) struct Fields<'a> {
    map: Map<String, Value>,
    place: String,
    notes: &'a mut Vec<String>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(map: Map<String, Value>, place: impl Into<String>, notes: &'a mut Vec<String>) -> Self {
        Self { map, place: place.into(), notes }
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.map.remove(key).filter(|value| !value.is_null())
    }

    /// A scalar as text.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.take(key).as_ref().and_then(text)
    }

    /// A sequence of scalars, or one of them.
    pub(super) fn texts(&mut self, key: &str) -> Vec<String> {
        match self.take(key) {
            Some(Value::Array(values)) => values.iter().filter_map(text).collect(),
            Some(value) => text(&value).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// A mapping of scalars.
    pub(super) fn map(&mut self, key: &str) -> Vec<(String, String)> {
        match self.take(key) {
            Some(Value::Object(map)) => {
                map.iter().filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn note(&mut self, text: impl AsRef<str>) {
        self.notes.push(format!("{}: {}", self.place, text.as_ref()));
    }

    /// Notes every key that was not taken out.
    pub(super) fn finish(self) {
        for (key, value) in &self.map {
            if !value.is_null() {
                self.notes.push(format!("{}: `{key}: {value}` has no equivalent here", self.place));
            }
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

/// The mappings of a sequence.
pub(super) fn mappings(value: Option<&Value>) -> Vec<Map<String, Value>> {
    let values = value.and_then(Value::as_array).into_iter().flatten();
    values.filter_map(|value| value.as_object().cloned()).collect()
}
