//! Platforms of a target: another image, another platform for an image.

use toml_edit::{Array, DocumentMut, Item, Key, TableLike, Value};

use super::add::notation;
use super::layout::{inline, literals, push, set, table, text};
use super::{EditError, NewPlatform, comments, implicit, inherited, target_mut};
use crate::config::template::literal;
use crate::model::platform::Platform;

/// Gives a platform an image that exists.
pub(super) fn set_image(
    document: &mut DocumentMut,
    name: &str,
    new: &NewPlatform,
    built: bool,
) -> Result<(), EditError> {
    let listed_by_default = inherited(document, "platforms");
    let target = target_mut(document, name)?;
    let known = own_key(target, &new.platform);
    match listed(target) {
        Some(platforms) if position(platforms, &new.platform).is_none() => {
            push(platforms, &notation(new).to_string());
        }
        Some(_) => {}
        None if listed_by_default => {
            return Err(EditError::Inherited { target: name.to_owned(), key: "platforms" });
        }
        None => {}
    }
    let is_new = known.is_none();
    let key = known.unwrap_or_else(|| notation(new).to_string());
    let table = own_table(target, name, &key)?;
    if let Some(image) = &new.image {
        set(table, "image", text(image));
    }
    if built {
        not_built(table);
    }
    if is_new {
        if !new.platform.os_features.is_empty() {
            set(table, "os-features", literals(&new.platform.os_features));
        }
        if !new.annotations.is_empty() {
            set(table, "annotations", inline(&new.annotations));
        }
    }
    Ok(())
}

/// `build = false`; the comments of what was there stand before it.
fn not_built(table: &mut dyn TableLike) {
    let kept = match table.get_key_value("build") {
        Some((_, Item::Value(Value::Boolean(_)))) => return,
        Some((key, item)) => comments::of(key, item),
        None => Vec::new(),
    };
    table.remove("build");
    table.insert("build", Item::Value(false.into()));
    if let Some(mut key) = table.key_mut("build") {
        comments::put_before(key.leaf_decor_mut(), "", &kept);
    }
}

/// Declares `from`'s image for the platform `to`.
pub(super) fn set_platform(
    document: &mut DocumentMut,
    name: &str,
    from: &Platform,
    to: &Platform,
    reference: &str,
) -> Result<(), EditError> {
    let listed_by_default = inherited(document, "platforms");
    let target = target_mut(document, name)?;
    let unexpected = || EditError::Unexpected { target: name.to_owned(), key: "platform".to_owned() };
    let moved = (&from.os, &from.arch, &from.variant) != (&to.os, &to.arch, &to.variant);
    let mut key = own_key(target, from);
    let key_has_version = |key: &str| key.parse().is_ok_and(|key: Platform| key.os_version.is_some());

    // The name of the platform, wherever it stands.
    let (mut version_in_name, mut written) = (false, String::new());
    if let Some(platforms) = listed(target) {
        let index = position(platforms, from).ok_or_else(unexpected)?;
        written = platforms.get(index).and_then(Value::as_str).unwrap_or_default().to_owned();
        version_in_name = key_has_version(&written);
        if moved || version_in_name {
            let text = named(to, &written);
            let mut value = Value::from(text);
            if let Some(old) = platforms.get(index) {
                *value.decor_mut() = old.decor().clone();
            }
            platforms.replace_formatted(index, value);
        }
    } else if listed_by_default {
        if moved {
            return Err(EditError::Inherited { target: name.to_owned(), key: "platforms" });
        }
    } else if key.is_none() {
        return Err(unexpected());
    }
    if let Some(old) = &key {
        version_in_name |= key_has_version(old);
        let new = named(to, old);
        if *old != new && (moved || key_has_version(old)) {
            rename(target, old, &new).ok_or_else(unexpected)?;
            key = Some(new);
        }
    }

    // What the table says.
    let key = key.unwrap_or_else(|| named(to, &written));
    let own = target.get("platform").and_then(Item::as_table_like).and_then(|tables| tables.get(&key));
    let own_image = own.and_then(Item::as_table_like).and_then(|table| table.get("image"));
    let image = Some(reference).filter(|_| moved && !is_literal(own_image));
    let version = to.os_version.as_ref().filter(|_| !version_in_name && from.os_version != to.os_version);
    let added: Vec<&String> =
        to.os_features.iter().filter(|feature| !from.os_features.contains(feature)).collect();
    if image.is_none() && version.is_none() && added.is_empty() {
        return Ok(());
    }
    let table = own_table(target, name, &key)?;
    if let Some(image) = image {
        set(table, "image", text(image));
    }
    if let Some(version) = version {
        set(table, "os-version", text(&literal(version)));
    }
    match table.get_mut("os-features").and_then(Item::as_array_mut) {
        _ if added.is_empty() => {}
        Some(features) => added.into_iter().for_each(|feature| push(features, &literal(feature))),
        None => set(table, "os-features", literals(&to.os_features)),
    }
    Ok(())
}

/// A platform as its key has it, with as much of version and features as is `written` there.
fn named(platform: &Platform, written: &str) -> String {
    let written: Platform = written.parse().unwrap_or_default();
    let os_version = platform.os_version.clone().filter(|_| written.os_version.is_some());
    let is_written = |feature: &&String| written.os_features.contains(feature);
    let os_features = platform.os_features.iter().filter(is_written).cloned().collect();
    Platform { os_version, os_features, ..platform.clone() }.to_string()
}

/// Whether the text is no template, so that it stays the same for another platform.
fn is_literal(image: Option<&Item>) -> bool {
    image.and_then(Item::as_str).is_some_and(|text| !text.contains('{'))
}

/// The target's own `platforms`.
fn listed(target: &mut dyn TableLike) -> Option<&mut Array> {
    target.get_mut("platforms").and_then(Item::as_array_mut)
}

/// Which element of the array means `platform`.
fn position(platforms: &Array, platform: &Platform) -> Option<usize> {
    let texts: Vec<(&str, Option<&str>)> =
        platforms.iter().map(|value| (value.as_str().unwrap_or_default(), None)).collect();
    meant(&texts, platform)
}

/// The key of the target's own table for `platform`, as it is written.
fn own_key(target: &dyn TableLike, platform: &Platform) -> Option<String> {
    let tables = target.get("platform").and_then(Item::as_table_like)?;
    let texts: Vec<(&str, Option<&str>)> = tables
        .iter()
        .map(|(key, item)| {
            let version = item.as_table_like().and_then(|table| table.get("os-version"));
            (key, version.and_then(Item::as_str))
        })
        .collect();
    Some(texts[meant(&texts, platform)?].0.to_owned())
}

/// Which of the texts, each with the `os-version` beside it, means `platform`: the one with its version, else the only
/// one without any.
fn meant(texts: &[(&str, Option<&str>)], platform: &Platform) -> Option<usize> {
    let parsed: Vec<Option<(Platform, Option<String>)>> = texts
        .iter()
        .map(|(text, version)| {
            let parsed: Platform = text.parse().ok()?;
            let version = parsed.os_version.clone().or_else(|| version.map(str::to_owned));
            Some((parsed.base(), version))
        })
        .collect();
    let find = |version: &Option<String>| {
        parsed.iter().position(|parsed| {
            parsed.as_ref().is_some_and(|(base, own)| *base == platform.base() && own == version)
        })
    };
    find(&platform.os_version).or_else(|| find(&None))
}

/// The table of a platform, made if the target has none.
fn own_table<'a>(
    target: &'a mut dyn TableLike,
    name: &str,
    key: &str,
) -> Result<&'a mut dyn TableLike, EditError> {
    if !target.contains_key("platform") {
        target.insert("platform", implicit());
    }
    let platforms = target.get_mut("platform");
    platforms
        .and_then(|platforms| table(platforms, key))
        .ok_or_else(|| EditError::Unexpected { target: name.to_owned(), key: format!("platform.\"{key}\"") })
}

/// Gives a platform's table another key, at the same place and with the same comments.
fn rename(target: &mut dyn TableLike, from: &str, to: &str) -> Option<()> {
    let tables = target.get_mut("platform")?.as_table_like_mut()?;
    let names: Vec<String> = tables.iter().map(|(key, _)| key.to_owned()).collect();
    let mut entries: Vec<(Key, Item)> = Vec::new();
    for name in &names {
        let key = tables.key(name)?.clone();
        entries.push((key, tables.remove(name)?));
    }
    for (key, item) in entries {
        let key = if key.get() == from {
            Key::new(to)
                .with_leaf_decor(key.leaf_decor().clone())
                .with_dotted_decor(key.dotted_decor().clone())
        } else {
            key
        };
        tables.entry_format(&key).or_insert(item);
    }
    Some(())
}
