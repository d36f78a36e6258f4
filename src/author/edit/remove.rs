//! Targets, tags and repositories that go. Their comments stay.

use toml_edit::{DocumentMut, Item, Value};

use super::layout::{next_table, raw};
use super::{EditError, comments, target_mut};

/// Removes a target's table. Its comments stand before the table that came behind it, or at the end of the file.
pub(super) fn target(document: &mut DocumentMut, name: &str) -> Result<(), EditError> {
    let missing = || EditError::NoTarget(name.to_owned());
    let targets = document.get_mut("target").and_then(Item::as_table_like_mut).ok_or_else(missing)?;
    let (key, item) = targets.get_key_value(name).ok_or_else(missing)?;
    let mut kept = comments::of(key, item);
    let position = first_position(item);
    targets.remove(name);
    if targets.is_empty() && targets.get_values().is_empty() && document["target"].is_table() {
        document.remove("target");
    }
    if kept.is_empty() {
        return Ok(());
    }
    match position.and_then(|position| next_table(document, position)) {
        Some(next) => {
            // Apart from the comments of the next table, whose own they would seem to be.
            kept.push(String::new());
            comments::put_before(next.decor_mut(), "\n", &kept);
        }
        None => {
            let trailing = raw(Some(document.trailing())).to_owned();
            let gap = if document.as_table().is_empty() { "" } else { "\n" };
            document.set_trailing(format!("{gap}{}{trailing}", comments::lines(&kept)));
        }
    }
    Ok(())
}

/// Removes one element of an array of the target.
pub(super) fn element(
    document: &mut DocumentMut,
    name: &str,
    key: &'static str,
    index: usize,
) -> Result<(), EditError> {
    let table = target_mut(document, name)?;
    let item = table.get_mut(key).ok_or(EditError::Inherited { target: name.to_owned(), key })?;
    let array = item.as_array_mut().filter(|array| index < array.len());
    let array =
        array.ok_or_else(|| EditError::Unexpected { target: name.to_owned(), key: key.to_owned() })?;
    let removed = array.remove(index);
    match array.get_mut(index) {
        Some(next) => {
            let prefix = join(&removed, raw(next.decor().prefix()), index == 0);
            next.decor_mut().set_prefix(prefix);
        }
        None => {
            let trailing = join(&removed, raw(Some(array.trailing())), false);
            array.set_trailing(trailing);
        }
    }
    Ok(())
}

/// What stands before the element that comes behind `removed`, with the comments of both, each on a line of its own.
fn join(removed: &Value, after: &str, opens: bool) -> String {
    let before = raw(removed.decor().prefix());
    let indent = format!("\n{}", before.rsplit_once('\n').map_or("", |(_, indent)| indent));
    let mut text = before.trim_end().to_owned();
    let suffix = raw(removed.decor().suffix()).trim();
    if !suffix.is_empty() {
        text.push_str(&indent);
        text.push_str(suffix);
    }
    let rest = after.trim_start_matches([' ', '\t']);
    match (text.is_empty(), rest.starts_with('#')) {
        (true, false) if opens => before.to_owned(),
        (true, false) => after.to_owned(),
        // The comment stood behind the removed element.
        (_, true) => text + &indent + rest,
        (false, false) if rest.starts_with(['\n', '\r']) => text + after,
        (false, false) => text + &indent + rest,
    }
}

/// Where in the file the first table of `item` stands.
fn first_position(item: &Item) -> Option<isize> {
    let table = item.as_table()?;
    let below = table.iter().filter_map(|(_, item)| first_position(item)).min();
    table.position().filter(|_| !table.is_implicit()).or(below)
}
