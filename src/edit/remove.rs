//! Targets, tags and repositories that go. Their comments stay.

use toml_edit::{DocumentMut, Item};

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
    let kept = comments::of_value(&removed);
    if index == 0
        && let Some(first) = array.get_mut(0)
        && !raw(first.decor().prefix()).contains('#')
    {
        // What opens the array stays as it was.
        let prefix = raw(removed.decor().prefix());
        let blank: String = prefix.chars().rev().take_while(|c| c.is_whitespace()).collect();
        first.decor_mut().set_prefix(blank.chars().rev().collect::<String>());
    }
    if kept.is_empty() {
        return Ok(());
    }
    let shown = format!("\n{}", comments::lines(&kept));
    match array.get_mut(index) {
        Some(next) => {
            let prefix = format!("{}{}", shown.trim_end(), at_line_start(raw(next.decor().prefix())));
            next.decor_mut().set_prefix(prefix);
        }
        None => {
            let trailing = at_line_start(raw(Some(array.trailing())));
            array.set_trailing(format!("{}{trailing}", shown.trim_end()));
        }
    }
    Ok(())
}

/// A comment ends with its line: what follows begins on another.
fn at_line_start(text: &str) -> String {
    if text.trim_start_matches([' ', '\t']).starts_with(['\n', '\r']) {
        text.to_owned()
    } else {
        format!("\n{text}")
    }
}

/// Where in the file the first table of `item` stands.
fn first_position(item: &Item) -> Option<isize> {
    let table = item.as_table()?;
    let below = table.iter().filter_map(|(_, item)| first_position(item)).min();
    table.position().filter(|_| !table.is_implicit()).or(below)
}
