//! Other tools' YAML as values, with notes about keys that nobody reads.
//!
//! Scalars are text as it is written: whether `1.10`, `007` or `no` is a number or a word is for whoever reads the key.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Reads YAML whose top is a mapping. Every scalar is a string, but for the nulls that are values of a mapping.
pub(super) fn read(text: &str) -> Result<Map<String, Value>, String> {
    match value(text)? {
        Value::Object(map) => Ok(map),
        _ => Err("its top is no mapping".to_owned()),
    }
}

/// Reads YAML as a type whose scalars are strings. A key without a value is as good as absent.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let mut value = value(text)?;
    without_nulls(&mut value);
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(without_nulls);
        }
        Value::Array(values) => values.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

#[cfg(feature = "other-tools")]
fn value(text: &str) -> Result<Value, String> {
    // What looks like an infinite number is a word here.
    let options = serde_saphyr::options! {
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::PassThrough,
    };
    let node: source::Node = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| format!("it is no YAML: {error}"))?;
    node.value(text)
}

#[cfg(not(feature = "other-tools"))]
fn value(_: &str) -> Result<Value, String> {
    Err("this build reads no YAML (feature `other-tools`); `cargo install manifests` gives one that does"
        .to_owned())
}

/// YAML with the place of every scalar, so that its text can be taken from the source.
#[cfg(feature = "other-tools")]
mod source {
    use std::fmt;

    use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
    use serde_json::{Map, Value};
    use serde_saphyr::{Location, Spanned};

    /// A value where it is defined: that of an alias is its anchor's.
    pub(super) struct Node(Spanned<Content>);

    impl<'de> Deserialize<'de> for Node {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            Spanned::deserialize(from).map(Self)
        }
    }

    enum Content {
        /// Quoted, of several lines, or a word.
        Text(String),
        /// A number, a truth value or a null: the parser's idea of it, which is not what is written.
        Other {
            is_null: bool,
        },
        Sequence(Vec<Node>),
        Mapping(Vec<(Node, Node)>),
    }

    impl Node {
        /// Scalars as text: as written where they are plain.
        pub(super) fn value(self, source: &str) -> Result<Value, String> {
            let place = self.0.defined;
            Ok(match self.0.value {
                Content::Text(text) => Value::String(text),
                // One that is left out has no place.
                Content::Other { is_null: true } => {
                    Value::String(written(source, &place).unwrap_or_default().to_owned())
                }
                Content::Other { is_null: false } => Value::String(written(source, &place)?.to_owned()),
                Content::Sequence(nodes) => {
                    Value::Array(nodes.into_iter().map(|node| node.value(source)).collect::<Result<_, _>>()?)
                }
                Content::Mapping(pairs) => {
                    let mut map = Map::new();
                    for (key, node) in pairs {
                        let Value::String(key) = key.value(source)? else {
                            return Err("a key of a mapping is no scalar".to_owned());
                        };
                        let value = match node.0.value {
                            Content::Other { is_null: true } => Value::Null,
                            _ => node.value(source)?,
                        };
                        map.insert(key, value);
                    }
                    Value::Object(map)
                }
            })
        }
    }

    /// The text of a plain scalar.
    fn written<'a>(source: &'a str, place: &Location) -> Result<&'a str, String> {
        let span = place.span();
        let text = (|| {
            let start = usize::try_from(span.byte_offset()?).ok()?;
            let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
            source.get(start..end)
        })();
        let unknown = || format!("the scalar at line {} could not be found again", place.line());
        text.map(str::trim).ok_or_else(unknown)
    }

    impl<'de> Deserialize<'de> for Content {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            from.deserialize_any(AsWritten)
        }
    }

    struct AsWritten;

    impl<'de> Visitor<'de> for AsWritten {
        type Value = Content;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a YAML value")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
            Ok(Content::Text(text.to_owned()))
        }

        fn visit_bool<E: Error>(self, _: bool) -> Result<Content, E> {
            Ok(Content::Other { is_null: false })
        }

        fn visit_i64<E: Error>(self, _: i64) -> Result<Content, E> {
            Ok(Content::Other { is_null: false })
        }

        fn visit_u64<E: Error>(self, _: u64) -> Result<Content, E> {
            Ok(Content::Other { is_null: false })
        }

        fn visit_i128<E: Error>(self, _: i128) -> Result<Content, E> {
            Ok(Content::Other { is_null: false })
        }

        fn visit_u128<E: Error>(self, _: u128) -> Result<Content, E> {
            Ok(Content::Other { is_null: false })
        }

        fn visit_f64<E: Error>(self, _: f64) -> Result<Content, E> {
            Ok(Content::Other { is_null: false })
        }

        fn visit_unit<E: Error>(self) -> Result<Content, E> {
            Ok(Content::Other { is_null: true })
        }

        fn visit_none<E: Error>(self) -> Result<Content, E> {
            Ok(Content::Other { is_null: true })
        }

        fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Content, D::Error> {
            Content::deserialize(from)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Content, A::Error> {
            let mut nodes = Vec::new();
            while let Some(node) = sequence.next_element()? {
                nodes.push(node);
            }
            Ok(Content::Sequence(nodes))
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(Content::Mapping(pairs))
        }
    }
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

    /// A mapping of scalars. One without a value is empty, as Go reads it.
    pub(super) fn map(&mut self, key: &str) -> Vec<(String, String)> {
        let Some(Value::Object(map)) = self.take(key) else { return Vec::new() };
        let mut pairs = Vec::new();
        for (name, value) in &map {
            match text(value) {
                Some(text) => pairs.push((name.clone(), text)),
                None if value.is_null() => pairs.push((name.clone(), String::new())),
                None => self.note(format!("`{key}.{name}: {value}` has no equivalent here")),
            }
        }
        pairs
    }

    pub(super) fn note(&mut self, text: impl AsRef<str>) {
        self.notes.push(format!("{}: {}", self.place, text.as_ref()));
    }

    /// Notes every key that was not taken out.
    pub(super) fn finish(self) {
        for (key, value) in &self.map {
            if !value.is_null() {
                let shown = text(value).unwrap_or_else(|| value.to_string());
                self.notes.push(format!("{}: `{key}: {shown}` has no equivalent here", self.place));
            }
        }
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// The mappings of a sequence.
pub(super) fn mappings(value: Option<&Value>) -> Vec<Map<String, Value>> {
    let values = value.and_then(Value::as_array).into_iter().flatten();
    values.filter_map(|value| value.as_object().cloned()).collect()
}
