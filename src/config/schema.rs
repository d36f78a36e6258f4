//! The file's JSON Schema, from the table of its keys. Pure.

use serde_json::{Map, Value, json};

use super::keys::ROOT;
use super::section::{Absent, Key, Kind, Section};

/// The JSON Schema of `manifests.toml` (draft 7, which editors know), each key with its description, its default and an
/// example.
///
/// It says less than the reader checks: a key that a target lacks may come from `[defaults]`, so none is required there.
pub fn schema() -> Value {
    let mut definitions = Map::new();
    let mut schema = section(&ROOT, &mut definitions);
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["definitions"] = definitions.into();
    schema
}

/// A closed table; those below it become definitions.
fn section(section: &'static Section, definitions: &mut Map<String, Value>) -> Value {
    let properties: Map<String, Value> =
        section.keys.iter().map(|key| (key.name.to_owned(), property(key, definitions))).collect();
    json!({
        "title": section.heading.replace('`', ""),
        "description": section.about,
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

fn property(key: &'static Key, definitions: &mut Map<String, Value>) -> Value {
    let mut property = kind(&key.kind, definitions);
    let mut description = key.about.to_owned();
    if let Kind::Word(words) = key.kind {
        for (word, meaning) in words {
            description.push_str(&format!("\n- `{word}`: {meaning}"));
        }
    }
    match key.absent {
        Absent::Required => {}
        Absent::Value(value) => property["default"] = parsed(value),
        Absent::Means(text) => description.push_str(&format!("\n\nWithout it: {text}.")),
    }
    property["description"] = description.into();
    property["examples"] = json!([parsed(key.example)]);
    property
}

fn kind(kind: &Kind, definitions: &mut Map<String, Value>) -> Value {
    let string = || json!({ "type": "string" });
    match kind {
        Kind::String => string(),
        Kind::Strings => json!({ "type": "array", "items": string() }),
        Kind::StringOrStrings => {
            json!({ "anyOf": [string(), { "type": "array", "items": string(), "minItems": 1 }] })
        }
        Kind::StringsOrTables(section) => {
            let item = json!({ "anyOf": [string(), reference(section, definitions)] });
            json!({ "type": "array", "items": item, "minItems": 1 })
        }
        Kind::StringTable => json!({ "type": "object", "additionalProperties": string() }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Count => json!({ "type": "integer", "minimum": 1 }),
        Kind::Word(words) => {
            json!({ "enum": words.iter().map(|(word, _)| word).collect::<Vec<_>>() })
        }
        // What stands beside a reference counts for nothing in draft 7; in a list of one it may stand.
        Kind::Table(section) => json!({ "allOf": [reference(section, definitions)] }),
        Kind::TableOrFalse(section) => {
            json!({ "anyOf": [reference(section, definitions), { "const": false }] })
        }
        Kind::Tables(name, section) => json!({
            "type": "object",
            "propertyNames": { "description": name },
            "additionalProperties": reference(section, definitions),
        }),
    }
}

fn reference(table: &'static Section, definitions: &mut Map<String, Value>) -> Value {
    let name = table.title;
    if !definitions.contains_key(name) {
        // Taken before its content is made, which may name it again.
        definitions.insert(name.to_owned(), Value::Null);
        let mut made = section(table, definitions);
        if let Some(required) = required(table) {
            made["required"] = required;
        }
        definitions.insert(name.to_owned(), made);
    }
    json!({ "$ref": format!("#/definitions/{name}") })
}

/// The keys that a table cannot do without; `[defaults]` may hold those of a target.
fn required(section: &Section) -> Option<Value> {
    let names: Vec<&str> = section
        .keys
        .iter()
        .filter(|key| matches!(key.absent, Absent::Required))
        .map(|key| key.name)
        .collect();
    (section.title != "target" && !names.is_empty()).then(|| names.into())
}

/// A value as it stands in the file, as JSON.
fn parsed(value: &str) -> Value {
    let table: Option<Value> = toml::from_str(&format!("value = {value}")).ok();
    table.and_then(|mut table| Some(table.get_mut("value")?.take())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::document::read;
    use super::super::facts::Facts;
    use super::super::{Problems, Strictness};
    use super::*;

    /// What the reader says about `text`, files and templates aside.
    fn messages(text: &str) -> Vec<String> {
        let said = |problems: &Problems| {
            let list = problems.list().iter();
            list.map(|problem| format!("{} {}", problem.message, problem.help.as_deref().unwrap_or_default()))
                .collect::<Vec<_>>()
        };
        let document = match read(Path::new("/manifests.toml"), text) {
            Ok(document) => document,
            Err(problems) => return said(&problems),
        };
        match document.resolve_with(&Facts::default(), Strictness::Check, &|_, _| true) {
            Ok(_) => Vec::new(),
            Err(problems) => said(&problems),
        }
    }

    /// A declaration with one key of one section set to `value`, and nothing else that is wrong.
    fn with(place: &str, key: &str, value: &str) -> String {
        let needed = "repository = \"ghcr.io/acme/app\"\ntags = [\"1\"]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n";
        let other =
            |name: &str| needed.lines().filter(|line| !line.starts_with(name)).collect::<Vec<_>>().join("\n");
        match place {
            "manifests.toml" if key == "target" => format!("target = {value}\n"),
            "manifests.toml" => format!("{key} = {value}\n[target.app]\n{needed}"),
            "target" => format!("[target.app]\n{key} = {value}\n{}", other(key)),
            "tag" if key == "name" => {
                format!("[target.app]\ntags = [{{ {key} = {value} }}]\n{}", other("tags"))
            }
            "tag" => format!("[target.app]\ntags = [{{ name = \"1\", {key} = {value} }}]\n{}", other("tags")),
            "platform" => format!("[target.app]\n{needed}platform.\"linux/arm64\".{key} = {value}\n"),
            "registry" => format!("[target.app]\n{needed}[registry.\"registry.corp\"]\n{key} = {value}\n"),
            "cargo" => format!("[target.app]\n{needed}build.cargo.{key} = {value}\n"),
            table => format!("[target.app]\n{needed}{table}.{key} = {value}\n"),
        }
    }

    fn keys() -> impl Iterator<Item = (&'static str, &'static Key)> {
        ROOT.with_those_below()
            .into_iter()
            .flat_map(|section| section.keys.iter().map(move |key| (section.title, key)))
    }

    #[test]
    fn the_reader_reads_every_key_that_is_described() {
        for (place, key) in keys() {
            // No key takes a date.
            let text = with(place, key.name, "1979-05-27");
            let expected = format!("wrong type of `{}`", key.name);
            let said = messages(&text);
            assert!(
                said.iter().any(|message| message.starts_with(&expected)),
                "{place}.{}: {said:?}",
                key.name
            );
        }
    }

    #[test]
    fn every_example_is_accepted_by_the_reader_and_the_schema() {
        let validator = Validator::new();
        for (place, key) in keys() {
            let defaults = match key.absent {
                Absent::Value(value) => Some(value),
                _ => None,
            };
            for value in [key.example].into_iter().chain(defaults) {
                let text = with(place, key.name, value);
                assert!(!parsed(value).is_null(), "{place}.{}: {value}", key.name);
                // A client's certificate and its key come together, an index's annotations with its type.
                let alone = |message: &str| {
                    message.contains("client-")
                        || message.contains("package")
                        || message.contains("os.version")
                };
                let said: Vec<String> = messages(&text).into_iter().filter(|text| !alone(text)).collect();
                assert_eq!(said, Vec::<String>::new(), "{text}");
                assert_eq!(validator.says(&text), Ok(()), "{text}");
            }
        }
    }

    #[test]
    fn the_words_are_those_of_the_reader() {
        for (place, key) in keys() {
            let Kind::Word(words) = key.kind else { continue };
            let said = messages(&with(place, key.name, "\"zzz\"")).join("\n");
            let words: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            assert!(said.contains(&format!("expected one of {}", words.join(", "))), "{}: {said}", key.name);
        }
    }

    #[test]
    fn what_the_reader_refuses_for_its_shape_the_schema_refuses_too() {
        let validator = Validator::new();
        for (place, key) in keys() {
            assert!(validator.says(&with(place, key.name, "1979-05-27")).is_err(), "{place}.{}", key.name);
        }
        for section in ROOT.with_those_below() {
            let text = with(section.title, "no-such-key", "1");
            assert!(messages(&text).join("\n").contains("unknown key `no-such-key`"), "{text}");
            assert!(validator.says(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_files_of_this_repository_fit() {
        let validator = Validator::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for path in ["manifests.toml", "tests/check/good.toml"] {
            let text = std::fs::read_to_string(root.join(path)).unwrap();
            assert_eq!(validator.says(&text), Ok(()), "{path}");
        }
    }

    /// An independent reader of JSON Schema.
    struct Validator(boon::Schemas, boon::SchemaIndex);

    impl Validator {
        fn new() -> Self {
            let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
            compiler.add_resource("file:///manifests.schema.json", schema()).unwrap();
            let index = compiler.compile("file:///manifests.schema.json", &mut schemas).unwrap();
            Self(schemas, index)
        }

        fn says(&self, text: &str) -> Result<(), String> {
            // A date is no JSON; as an editor sees it, it is a string that no key wants.
            let text = text.replace("1979-05-27", "[[]]");
            let value: Value = toml::from_str(&text).unwrap();
            self.0.validate(&value, self.1).map_err(|error| error.to_string())
        }
    }
}
