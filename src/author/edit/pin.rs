//! Names of images that are made from a target's first repository and tag, written out before one of these goes.

use toml_edit::{DocumentMut, Item};

use super::layout::set;
use super::{EditError, target_mut};

/// Writes `image` out in the target's own table, and in those of its platforms, so that it depends on the first repository
/// and tag no more. Templates in these stay templates.
pub(super) fn images(document: &mut DocumentMut, name: &str) -> Result<(), EditError> {
    let unexpected = |key: &str| EditError::Unexpected { target: name.to_owned(), key: key.to_owned() };
    let inherited = |document: &DocumentMut, key: &str| {
        let defaults = document.get("defaults").and_then(Item::as_table_like);
        defaults.and_then(|defaults| defaults.get(key)).cloned()
    };
    let defaults = ["image", "repository", "tags"].map(|key| inherited(document, key));
    let target = target_mut(document, name)?;
    let value = |key: &str, default: &Option<Item>| target.get(key).or(default.as_ref()).cloned();
    let [image, repository, tags] =
        [("image", &defaults[0]), ("repository", &defaults[1]), ("tags", &defaults[2])]
            .map(|(key, default)| value(key, default));
    let repository = repository.as_ref().and_then(first).ok_or_else(|| unexpected("repository"))?;
    let tag = tags.as_ref().and_then(first).ok_or_else(|| unexpected("tags"))?;

    let with_tag = |text: &str| match text.contains("{{") {
        // A brace that stands for itself could make the name of a template out of what is none.
        true => Err(unexpected("image")),
        false => Ok(text.replace("{tag}", &tag)),
    };
    let text = match image.as_ref() {
        Some(image) => with_tag(image.as_str().ok_or_else(|| unexpected("image"))?)?,
        None => format!("{repository}:{tag}-{{platform}}"),
    };
    set(target, "image", text);
    let Some(platforms) = target.get_mut("platform").and_then(Item::as_table_like_mut) else { return Ok(()) };
    for (_, item) in platforms.iter_mut() {
        let Some(table) = item.as_table_like_mut() else { continue };
        if let Some(text) = table.get("image").and_then(Item::as_str).filter(|text| text.contains("{tag}")) {
            let text = with_tag(text)?;
            set(table, "image", text);
        }
    }
    Ok(())
}

/// The first text of a value that is one text or several; of tags, its name.
fn first(item: &Item) -> Option<String> {
    if let Some(text) = item.as_str() {
        return Some(text.to_owned());
    }
    let first = item.as_array()?.get(0)?;
    let named = first.as_inline_table().and_then(|table| table.get("name"));
    Some(named.unwrap_or(first).as_str()?.to_owned())
}
