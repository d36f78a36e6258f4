//! The reference of the keys in the documentation and the committed schema, kept as the code has them. Pure; compiled
//! for tests only.

use std::fmt::Write as _;
use std::path::Path;

use super::keys::ROOT;
use super::schema::schema;
use super::section::{Absent, Key, Kind};
use super::template::NAMES;

fn markdown() -> String {
    let mut out = String::from(
        "<!-- Written by `cargo xtask docs` from src/config/keys.rs. -->\n\n# Keys of manifests.toml\n\n",
    );
    for section in ROOT.with_those_below() {
        let _ = writeln!(out, "## {}\n\n{}\n", section.heading, section.about);
        out.push_str("| key | takes | meaning | default |\n|---|---|---|---|\n");
        for key in section.keys {
            let (takes, about) = (takes(&key.kind), meaning(key));
            let _ = writeln!(out, "| `{}` | {takes} | {about} | {} |", key.name, absent(&key.absent));
        }
        out.push_str("\nFor example:\n\n```toml\n");
        for key in section.keys {
            let _ = writeln!(out, "{} = {}", key.name, key.example);
        }
        out.push_str("```\n\n");
    }
    out.push_str("## Templates\n\nIn every string: ");
    let names: Vec<String> = NAMES.iter().map(|name| format!("`{{{name}}}`")).collect();
    let _ = writeln!(out, "{}. `{{{{` is a brace.", names.join(" "));
    out
}

fn takes(kind: &Kind) -> String {
    match kind {
        Kind::String => "a string".to_owned(),
        Kind::Strings => "an array of strings".to_owned(),
        Kind::StringOrStrings => "a string, or an array of strings".to_owned(),
        Kind::StringsOrTables(_) => "an array of strings and tables".to_owned(),
        Kind::StringTable => "a table of strings".to_owned(),
        Kind::Boolean => "`true` or `false`".to_owned(),
        Kind::Count => "a number, at least 1".to_owned(),
        Kind::Word(words) => {
            words.iter().map(|(word, _)| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ")
        }
        Kind::Table(_) => "a table".to_owned(),
        Kind::TableOrFalse(_) => "a table, or `false`".to_owned(),
        Kind::Tables(name, _) => format!("a table for each; its name is {name}"),
    }
}

fn meaning(key: &Key) -> String {
    let mut text = key.about.to_owned();
    if let Kind::Word(words) = key.kind {
        for (word, meaning) in words {
            let _ = write!(text, "<br>`{word}`: {meaning}");
        }
    }
    text.replace('|', "\\|")
}

fn absent(absent: &Absent) -> String {
    match absent {
        Absent::Required => "required".to_owned(),
        Absent::Value(value) => format!("`{value}`"),
        Absent::Means(text) => (*text).to_owned(),
    }
}

/// `SNAPSHOTS=overwrite` writes them anew, which is what `cargo xtask docs` does.
#[test]
fn generated_files_of_the_configuration_are_current() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let files =
        [("reference/configuration.md", markdown()), ("manifests.schema.json", format!("{:#}\n", schema()))];
    for (path, text) in files {
        let kept = snapbox::Data::read_from(&docs.join(path), Some(snapbox::data::DataFormat::Text)).raw();
        snapbox::Assert::new().action_env("SNAPSHOTS").eq(text, kept);
    }
}
