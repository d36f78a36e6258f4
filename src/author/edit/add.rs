//! A new target.

use std::collections::BTreeMap;

use toml_edit::{DocumentMut, Item, Table, Value, value};

use super::layout::{array, inline, literals, next_table, raw, text};
use super::{EditError, NewPlatform, NewTarget, Setting, implicit, inherited};

pub(super) fn target(document: &mut DocumentMut, new: &NewTarget) -> Result<(), EditError> {
    let builds_by_default = inherited(document, "build");
    let lists_by_default = inherited(document, "platforms");

    let mut table = Table::new();
    if let Some(prefix) = end_of_file(document) {
        table.decor_mut().set_prefix(prefix);
    }
    table.insert("repository", one_or_more(&new.repositories));
    table.insert("tags", value(array(&new.tags)));
    if let Some(image) = &new.image {
        table.insert("image", value(text(image)));
    }
    // Without tables of their own, or where `[defaults]` lists others.
    if lists_by_default || new.platforms.iter().any(|platform| !has_table(platform)) {
        let names: Vec<String> = new.platforms.iter().map(|new| notation(new).to_string()).collect();
        table.insert("platforms", value(array(&names)));
    }
    match (&new.build[..], builds_by_default) {
        ([], true) => drop(table.insert("build", value(false))),
        ([], false) => {}
        (settings, _) => {
            let mut build = Table::new();
            build.set_dotted(true);
            for (key, setting) in settings {
                build.insert(key, value(setting_value(setting)));
            }
            table.insert("build", Item::Table(build));
        }
    }
    for (key, word) in [("format", new.format), ("undeclared", new.undeclared)] {
        if let Some(word) = word {
            table.insert(key, value(word));
        }
    }
    annotations(&mut table, &new.annotations);
    if new.platforms.iter().any(has_table) {
        let mut platforms = implicit();
        for platform in new.platforms.iter().filter(|platform| has_table(platform)) {
            platforms[notation(platform).to_string().as_str()] = Item::Table(platform_table(platform));
        }
        table.insert("platform", platforms);
    }

    let targets = document.entry("target").or_insert_with(implicit);
    let written_otherwise = || EditError::Unexpected { target: new.name.clone(), key: "target".to_owned() };
    let targets = targets.as_table_mut().ok_or_else(written_otherwise)?;
    targets.insert(&new.name, Item::Table(table));
    Ok(())
}

/// Where nothing comes behind the targets, what stands at the end of the file stands before the new one: it may be about
/// the target before.
fn end_of_file(document: &mut DocumentMut) -> Option<String> {
    let targets = document.get("target").and_then(Item::as_table);
    let last = match targets {
        Some(targets) => last_position(targets)?,
        None => isize::MAX,
    };
    if next_table(document, last).is_some() {
        return None;
    }
    let end = raw(Some(document.trailing())).to_owned();
    document.set_trailing("");
    let gap = if end.is_empty() && document.as_table().is_empty() { "" } else { "\n" };
    Some(format!("{end}{gap}"))
}

/// Where in the file the last table below `table` stands.
fn last_position(table: &Table) -> Option<isize> {
    let below = table.iter().filter_map(|(_, item)| last_position(item.as_table()?)).max();
    below.max(table.position())
}

/// The platform as its key says it: features are a key of the table.
pub(super) fn notation(new: &NewPlatform) -> crate::model::platform::Platform {
    crate::model::platform::Platform { os_features: Vec::new(), ..new.platform.clone() }
}

fn has_table(new: &NewPlatform) -> bool {
    new.image.is_some() || !new.platform.os_features.is_empty() || !new.annotations.is_empty()
}

fn platform_table(new: &NewPlatform) -> Table {
    let mut table = Table::new();
    if let Some(image) = &new.image {
        table.insert("image", value(text(image)));
    }
    if !new.platform.os_features.is_empty() {
        table.insert("os-features", value(literals(&new.platform.os_features)));
    }
    annotations(&mut table, &new.annotations);
    table
}

fn annotations(table: &mut Table, annotations: &BTreeMap<String, String>) {
    if !annotations.is_empty() {
        table.insert("annotations", value(inline(annotations)));
    }
}

fn one_or_more(texts: &[String]) -> Item {
    match texts {
        [one] => value(text(one)),
        several => value(array(several)),
    }
}

fn setting_value(setting: &Setting) -> Value {
    match setting {
        Setting::Text(one) => text(one),
        Setting::Texts(texts) => array(texts).into(),
        Setting::Map(map) => inline(map).into(),
    }
}
