//! The comments of a part of the file, so that they can stay when the part goes.

use toml_edit::{Array, Decor, Item, Key, RawString, Table, TableLike, Value};

/// The comments within `item` and its key, in the order of the file; each begins with `#`.
pub(super) fn of(key: &Key, item: &Item) -> Vec<String> {
    let mut found = Vec::new();
    of_entry(key, item, &mut found);
    found
}

/// The comments as lines of their own, to stand before something else.
pub(super) fn lines(comments: &[String]) -> String {
    comments.iter().map(|comment| format!("{comment}\n")).collect()
}

/// Puts comments at the beginning of a prefix, behind the blank lines that it begins with.
pub(super) fn put_before(decor: &mut Decor, default: &str, comments: &[String]) {
    if comments.is_empty() {
        return;
    }
    let prefix = decor.prefix().and_then(RawString::as_str).unwrap_or(default).to_owned();
    let blank = prefix.len() - prefix.trim_start_matches(['\n', '\r']).len();
    let (blank, rest) = prefix.split_at(blank);
    decor.set_prefix(format!("{blank}{}{rest}", lines(comments)));
}

fn of_entry(key: &Key, item: &Item, found: &mut Vec<String>) {
    decor_prefix(key.leaf_decor(), found);
    decor_prefix(key.dotted_decor(), found);
    match item {
        Item::None => {}
        Item::Value(value) => {
            decor_suffix(key.leaf_decor(), found);
            value_comments(value, found);
        }
        Item::Table(table) => of_table(table, found),
        Item::ArrayOfTables(tables) => tables.iter().for_each(|table| of_table(table, found)),
    }
}

fn of_table(table: &Table, found: &mut Vec<String>) {
    decor_prefix(table.decor(), found);
    decor_suffix(table.decor(), found);
    entries(table, found);
}

fn entries(table: &dyn TableLike, found: &mut Vec<String>) {
    for (name, item) in table.iter() {
        if let Some(key) = table.key(name) {
            of_entry(key, item, found);
        }
    }
}

fn value_comments(value: &Value, found: &mut Vec<String>) {
    decor_prefix(value.decor(), found);
    match value {
        Value::Array(array) => array_comments(array, found),
        Value::InlineTable(table) => {
            entries(table, found);
            raw(Some(table.trailing()), found);
        }
        _ => {}
    }
    decor_suffix(value.decor(), found);
}

fn array_comments(array: &Array, found: &mut Vec<String>) {
    array.iter().for_each(|value| value_comments(value, found));
    raw(Some(array.trailing()), found);
}

fn decor_prefix(decor: &Decor, found: &mut Vec<String>) {
    raw(decor.prefix(), found);
}

fn decor_suffix(decor: &Decor, found: &mut Vec<String>) {
    raw(decor.suffix(), found);
}

/// Between values there is nothing but white space and comments.
fn raw(text: Option<&RawString>, found: &mut Vec<String>) {
    let text = text.and_then(RawString::as_str).unwrap_or_default();
    for line in text.lines() {
        if let Some(at) = line.find('#') {
            found.push(line[at..].trim_end().to_owned());
        }
    }
}
