//! JSON as Go's `encoding/json` reads it: manifests, image configurations, `config.json` and the answers of engines,
//! registries and credential helpers are written by Go programs and tested against Go programs. Pure.
//!
//! What differs from serde's own reader (pkg.go.dev/encoding/json, `Unmarshal`):
//!
//! - the members of a structure are matched without regard to case; keys of a map are not;
//! - when a member comes several times, whatever its case, the last one counts;
//! - `null` is an absent member, and an empty value elsewhere;
//! - bytes that are not UTF-8 and escaped halves of surrogate pairs become U+FFFD.
//!
//! One thing is read that Go refuses: a whole number with a fraction (`527.0`) is an integer, as it is for the JSON
//! Schemas of image-spec.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::StringDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Expected, IntoDeserializer as _, MapAccess,
    SeqAccess, Unexpected, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::{Map, Number, Value};

/// How many values one text may have.
pub(crate) const MOST_VALUES: usize = 2_000_000;

/// A JSON value whose objects keep every member, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Why a text is not JSON, or not of the shape that was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    /// Where in the document, outermost first: `manifests`, `[1]`, `digest`.
    path: Vec<String>,
    line: Option<usize>,
    message: String,
}

impl Error {
    /// The line at which the text stops being JSON; `None` when it is JSON of another shape.
    pub(crate) fn line(&self) -> Option<usize> {
        self.line
    }

    /// Where in the document the shape is another one: `manifests[1].digest`; `None` for the document as a whole.
    pub(crate) fn place(&self) -> Option<String> {
        let mut place = String::new();
        for step in &self.path {
            let dot = if place.is_empty() || step.starts_with('[') { "" } else { "." };
            place.push_str(dot);
            place.push_str(step);
        }
        Some(place).filter(|place| !place.is_empty())
    }

    fn within(mut self, step: impl Into<String>) -> Self {
        self.path.insert(0, step.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place() {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { path: Vec::new(), line: None, message: message.to_string() }
    }
}

/// Reads a whole text.
///
/// # Errors
///
/// It is not JSON, or of another shape.
pub(crate) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    T::deserialize(Json::parse(bytes)?)
}

impl Json {
    /// Reads a whole text.
    ///
    /// # Errors
    ///
    /// It is not JSON.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let text = text(bytes);
        within_budget(&text)?;
        serde_json::from_str(&text).map_err(not_json)
    }

    /// Reads the first value of a text and ignores what follows, as Go's `Decoder` does with a file; `None` when there
    /// is nothing but white space.
    ///
    /// # Errors
    ///
    /// It is not JSON.
    pub(crate) fn first(bytes: &[u8]) -> Result<Option<Self>, Error> {
        let text = text(bytes);
        within_budget(&text)?;
        let mut values = serde_json::Deserializer::from_str(&text).into_iter();
        values.next().transpose().map_err(not_json)
    }

    /// The member that a structure's field `name` would be read from.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        let fits = |(key, value): &&(String, Self)| *value != Self::Null && same_field(key, name);
        members.iter().rev().find(fits).map(|(_, value)| value)
    }

    fn unexpected(&self) -> Unexpected<'_> {
        match self {
            Self::Null => Unexpected::Unit,
            Self::Bool(value) => Unexpected::Bool(*value),
            Self::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => Unexpected::Unsigned(number),
                (_, Some(number), _) => Unexpected::Signed(number),
                (_, _, number) => Unexpected::Float(number.unwrap_or(f64::NAN)),
            },
            Self::Text(text) => Unexpected::Str(text),
            Self::Array(_) => Unexpected::Seq,
            Self::Object(_) => Unexpected::Map,
        }
    }

    fn wrong(&self, expected: &dyn Expected) -> Error {
        de::Error::invalid_type(self.unexpected(), expected)
    }
}

/// The text that `bytes` are, for a reader that takes only whole characters. Nothing moves: errors name the same place.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    let mut text = String::from_utf8_lossy(bytes);
    let mut lone = Vec::new();
    // A backslash that begins no escape of four digits is that of one with a single character.
    let mut next = 0;
    while let Some(found) = text.get(next..).and_then(|rest| rest.find('\\')) {
        let at = next + found;
        next = at
            + match (escaped(&text, at), escaped(&text, at + 6)) {
                (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
                (Some(0xd800..=0xdfff), _) => {
                    lone.push(at);
                    6
                }
                (Some(_), _) => 6,
                (None, _) => 2,
            };
    }
    for at in lone {
        text.to_mut().replace_range(at..at + 6, "\\ufffd");
    }
    text
}

/// Each value takes much more memory than the byte or two that it is written with. All but the first come after a comma,
/// a colon or a bracket, so that there are at most as many; those in strings are counted, too.
fn within_budget(text: &str) -> Result<(), Error> {
    let values = text.bytes().filter(|byte| matches!(byte, b',' | b':' | b'[')).count();
    match values > MOST_VALUES {
        true => Err(de::Error::custom(format!("more than {MOST_VALUES} values"))),
        false => Ok(()),
    }
}

/// The code of the escape `\uXXXX` at this place.
fn escaped(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

fn not_json(error: serde_json::Error) -> Error {
    Error { path: Vec::new(), line: Some(error.line()), message: error.to_string() }
}

/// Whether Go takes the key for the field: letters of either case, and the two other characters that fold to an ASCII
/// letter.
fn same_field(key: &str, field: &str) -> bool {
    let fold = |c: char| match c {
        'ſ' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(field.chars().map(fold))
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Whole;
        impl<'de> Visitor<'de> for Whole {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Bool(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Number(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Number(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
                Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Json, E> {
                Ok(Json::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Json, E> {
                Ok(Json::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = from.next_element()? {
                    items.push(item);
                }
                Ok(Json::Array(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = from.next_entry()? {
                    members.push(member);
                }
                Ok(Json::Object(members))
            }
        }
        from.deserialize_any(Whole)
    }
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(value),
            Json::Number(number) => Self::Number(number),
            Json::Text(text) => Self::String(text),
            Json::Array(items) => items.into_iter().map(Self::from).collect(),
            Json::Object(members) => {
                members.into_iter().map(|(key, value)| (key, Self::from(value))).collect()
            }
        }
    }
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            const LARGEST: f64 = 9_007_199_254_740_992.0;
            match &self {
                Self::Number(number) if number.is_f64() => match number.as_f64() {
                    #[allow(clippy::cast_possible_truncation)]
                    Some(whole) if whole.fract() == 0.0 && whole.abs() <= LARGEST => visitor.visit_i64(whole as i64),
                    _ => Err(self.wrong(&visitor)),
                },
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Json {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Number(number) => number.deserialize_any(visitor).map_err(de::Error::custom),
            Self::Text(text) => visitor.visit_string(text),
            Self::Array(items) => visitor.visit_seq(Items(items.into_iter().enumerate())),
            Self::Object(members) => visitor.visit_map(Members::new(members)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Null => visitor.visit_none(),
            some => visitor.visit_some(some),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (known, _) = self.fields(fields, &visitor)?;
        visitor.visit_map(Members::new(known))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Null => visitor.visit_map(Members::new(Vec::new())),
            Self::Object(mut members) => {
                members.retain(|(_, value)| *value != Self::Null);
                visitor.visit_map(Members::new(members))
            }
            other => Err(other.wrong(&visitor)),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Null => visitor.visit_seq(Items(Vec::new().into_iter().enumerate())),
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Null => visitor.visit_str(""),
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Self::Text(text) => visitor.visit_enum(text.into_deserializer()),
            other => Err(other.wrong(&visitor)),
        }
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// Members of an object.
type Object = Vec<(String, Json)>;

impl Json {
    /// The members that belong to `fields`, each once and under the field's own name, and the others as they are.
    fn fields(
        self,
        fields: &'static [&'static str],
        expected: &dyn Expected,
    ) -> Result<(Object, Object), Error> {
        let members = match self {
            Self::Null => Vec::new(),
            Self::Object(members) => members,
            other => return Err(other.wrong(expected)),
        };
        let mut known: Object = Vec::new();
        let mut others = Vec::new();
        for (key, value) in members {
            let exact = fields.iter().find(|field| **field == key);
            let Some(field) = exact.or_else(|| fields.iter().find(|field| same_field(&key, field))) else {
                others.push((key, value));
                continue;
            };
            if value == Self::Null {
                continue;
            }
            match known.iter_mut().find(|(name, _)| name == field) {
                Some(earlier) => earlier.1 = value,
                None => known.push(((*field).to_owned(), value)),
            }
        }
        Ok((known, others))
    }
}

/// A structure of which the members that it has no field for are kept; those that are `null` say nothing.
pub(crate) struct Keeping<'a> {
    json: Json,
    other: &'a mut Map<String, Value>,
}

impl<'a> Keeping<'a> {
    pub(crate) fn new(json: Json, other: &'a mut Map<String, Value>) -> Self {
        Self { json, other }
    }
}

impl<'de> Deserializer<'de> for Keeping<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (known, others) = self.json.fields(fields, &visitor)?;
        let others = others.into_iter().filter(|(_, value)| *value != Json::Null);
        self.other.extend(others.map(|(key, value)| (key, value.into())));
        visitor.visit_map(Members::new(known))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.json.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Implements `Deserialize` and `Serialize` for a structure that derives both with `remote = "Self"` and keeps in its
/// field `other` the members that it does not know.
macro_rules! keeps_other_members {
    ($($kept:ty),*) => {$(
        impl<'de> serde::Deserialize<'de> for $kept {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let json = $crate::model::go_json::Json::deserialize(from)?;
                let mut other = serde_json::Map::new();
                let read = <$kept>::deserialize($crate::model::go_json::Keeping::new(json, &mut other));
                let mut read = read.map_err(serde::de::Error::custom)?;
                read.other = other;
                Ok(read)
            }
        }

        impl serde::Serialize for $kept {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                <$kept>::serialize(self, to)
            }
        }
    )*};
}
pub(crate) use keeps_other_members;

struct Items(std::iter::Enumerate<std::vec::IntoIter<Json>>);

impl<'de> SeqAccess<'de> for Items {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some((index, item)) = self.0.next() else { return Ok(None) };
        seed.deserialize(item).map(Some).map_err(|error| error.within(format!("[{index}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Members {
    rest: std::vec::IntoIter<(String, Json)>,
    next: Option<(String, Json)>,
}

impl Members {
    fn new(members: Object) -> Self {
        Self { rest: members.into_iter(), next: None }
    }
}

impl<'de> MapAccess<'de> for Members {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        let read = seed.deserialize(StringDeserializer::new(key.clone()))?;
        self.next = Some((key, value));
        Ok(Some(read))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((key, value)) = self.next.take() else {
            return Err(de::Error::custom("a value without a key"));
        };
        seed.deserialize(value).map_err(|error| error.within(key))
    }
}

#[cfg(test)]
pub(crate) mod tests;
