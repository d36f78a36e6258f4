//! How new values are laid out: like those that the file has already.

use toml_edit::{Array, DocumentMut, InlineTable, Item, Key, RawString, Table, TableLike, Value};

use crate::author::spelling;
use crate::config::template::literal;
use crate::model::foreign::is_odd;

/// Sets a key of a table, keeping what stands around the value that it replaces.
pub(super) fn set(table: &mut dyn TableLike, key: &str, value: impl Into<Value>) {
    let mut value = value.into();
    match table.get_mut(key) {
        Some(Item::Value(old)) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        _ => {
            table.insert(key, Item::Value(value));
        }
    }
}

/// An array on one line.
pub(super) fn array(texts: &[String]) -> Array {
    texts.iter().map(|new| text(new)).collect()
}

/// A string, whose braces are those of a template.
pub(super) fn text(text: &str) -> Value {
    // Spelt by hand, and therefore not in the way that the library would choose.
    spelling::string(text).parse().unwrap_or_else(|_| Value::from(text))
}

/// An array of strings that stand for themselves.
pub(super) fn literals(texts: &[String]) -> Array {
    texts.iter().map(|new| text(&literal(new))).collect()
}

/// An inline table of strings.
pub(super) fn inline<'a>(entries: impl IntoIterator<Item = (&'a String, &'a String)>) -> InlineTable {
    let spelt = |name: &str| spelling::string(name).parse().ok().filter(|_| name.contains(is_odd));
    let key = |name: &str| spelt(name).unwrap_or_else(|| Key::new(name));
    entries.into_iter().map(|(name, value)| (key(name), text(value))).collect()
}

/// Appends to an array, laid out as the element before it. Comments behind that one stay behind it.
pub(super) fn push(array: &mut Array, new: &str) {
    let mut value = text(new);
    let last = array.len().wrapping_sub(1);
    let trailing = array.trailing_comma().then(|| raw(Some(array.trailing())).to_owned());
    let Some(before) = array.get_mut(last) else {
        array.push_formatted(value.decorated("", ""));
        return;
    };
    let prefix = raw(before.decor().prefix()).to_owned();
    let suffix = raw(before.decor().suffix()).to_owned();
    // A comment in front of the last element is that one's own.
    let lead = match prefix.rsplit_once('\n') {
        Some((_, indent)) => format!("\n{indent}"),
        None => " ".to_owned(),
    };
    if trailing.is_none() {
        before.decor_mut().set_suffix("");
    }
    let (comment, end) = split_comment(trailing.as_deref().unwrap_or(&suffix));
    let decor = value.decor_mut();
    decor.set_prefix(format!("{comment}{lead}"));
    if trailing.is_some() {
        array.set_trailing(end);
    } else {
        decor.set_suffix(end);
    }
    array.push_formatted(value);
}

/// The comments at the beginning of what stands before a closing bracket, and the white space behind them.
fn split_comment(text: &str) -> (String, String) {
    let comment = text.trim_end();
    (comment.to_owned(), text[comment.len()..].to_owned())
}

/// What stands around a value, as text.
pub(super) fn raw(text: Option<&RawString>) -> &str {
    text.and_then(RawString::as_str).unwrap_or_default()
}

/// The table `key` of `parent`, made if it is not there, in the way its neighbours are written: with a header, with
/// dotted keys, or inline.
pub(super) fn table<'a>(parent: &'a mut Item, key: &str) -> Option<&'a mut dyn TableLike> {
    let there = parent.as_table_like().is_some_and(|table| table.contains_key(key));
    if !there {
        let new = match &*parent {
            Item::Table(table) => {
                let mut new = Table::new();
                new.set_dotted(table.is_dotted());
                Item::Table(new)
            }
            _ => Item::Value(InlineTable::new().into()),
        };
        parent.as_table_like_mut()?.insert(key, new);
    }
    parent.as_table_like_mut()?.get_mut(key)?.as_table_like_mut()
}

/// The table with a header that comes next behind `position`.
pub(super) fn next_table(document: &mut DocumentMut, position: isize) -> Option<&mut Table> {
    let mut next: Option<(isize, Vec<String>)> = None;
    search(document.as_table(), &mut Vec::new(), position, &mut next);
    let (_, path) = next?;
    path.iter().try_fold(document.as_table_mut(), |table, key| table.get_mut(key)?.as_table_mut())
}

fn search(table: &Table, path: &mut Vec<String>, behind: isize, next: &mut Option<(isize, Vec<String>)>) {
    for (key, item) in table.iter() {
        let Some(inner) = item.as_table() else { continue };
        path.push(key.to_owned());
        if let Some(position) = inner.position()
            && !inner.is_implicit()
            && !inner.is_dotted()
            && position > behind
            && next.as_ref().is_none_or(|(best, _)| position < *best)
        {
            *next = Some((position, path.clone()));
        }
        search(inner, path, behind, next);
        path.pop();
    }
}
