//! A `manifest-tool` spec.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::yaml::{Fields, mappings};
use super::{Imported, name_of, push_new, split_tag};
use crate::author::edit::{NewPlatform, NewTarget};
use crate::config::template::literal;
use crate::model::platform::Platform;

/// The images of the spec that it names no platform for: the tool takes what their configurations say.
pub(super) fn without_platform(root: &Map<String, Value>) -> Vec<String> {
    let manifests = mappings(root.get("manifests")).into_iter();
    let images = manifests.filter(|manifest| manifest.get("platform").is_none_or(Value::is_null));
    images.filter_map(|manifest| Some(manifest.get("image")?.as_str()?.to_owned())).collect()
}

/// The target that the spec describes; `known` has the platforms of the images that it names none for.
///
/// # Errors
///
/// What is missing in it, in words.
pub(super) fn manifest_tool(
    root: &Map<String, Value>,
    known: &BTreeMap<String, Platform>,
) -> Result<Imported, String> {
    let mut notes = Vec::new();
    let mut fields = Fields::new(root.clone(), "the spec", &mut notes);
    let image = fields.text("image").ok_or("it has no `image`")?;
    let (repository, tag) = split_tag(&image);
    let mut tags = vec![literal(tag)];
    fields.texts("tags").iter().for_each(|tag| push_new(&mut tags, literal(tag)));
    let annotations = fields.map("annotations");
    let manifests = mappings(fields.take("manifests").as_ref());
    fields.finish();

    let mut platforms = Vec::new();
    for (index, manifest) in manifests.into_iter().enumerate() {
        let place = format!("manifest {}", index + 1);
        let mut fields = Fields::new(manifest, &*place, &mut notes);
        let image = fields.text("image").ok_or_else(|| format!("{place} has no `image`"))?;
        let platform = match fields.take("platform") {
            Some(Value::Object(platform)) => {
                fields.finish();
                platform_of(platform, &place, &mut notes)?
            }
            Some(other) => return Err(format!("{place}: `platform` is no mapping, but {other}")),
            None => {
                let found = known.get(&image).cloned();
                fields.finish();
                found.ok_or_else(|| format!("{place} has no `platform`, and {image} was not looked up"))?
            }
        };
        platforms.push(NewPlatform { platform, image: Some(literal(&image)), ..NewPlatform::default() });
    }
    let target = NewTarget {
        name: name_of(repository),
        repositories: vec![literal(repository)],
        tags,
        platforms,
        annotations: annotations.into_iter().map(|(key, value)| (key, literal(&value))).collect(),
        ..NewTarget::default()
    };
    Ok(Imported { targets: vec![target], notes })
}

fn platform_of(map: Map<String, Value>, place: &str, notes: &mut Vec<String>) -> Result<Platform, String> {
    let mut fields = Fields::new(map, format!("{place}, platform"), notes);
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (os, arch) = (filled(fields.text("os")), filled(fields.text("architecture")));
    let variant = filled(fields.text("variant"));
    // The spec's reader takes the names of Go's fields; people also write those of the JSON.
    let os_version = filled(fields.text("osversion")).or_else(|| filled(fields.text("os.version")));
    let os_features = [fields.texts("osfeatures"), fields.texts("os.features")].concat();
    fields.finish();
    let (Some(os), Some(arch)) = (os, arch) else {
        return Err(format!("{place} names no operating system and architecture"));
    };
    let platform = Platform { os, arch, variant, os_version, os_features };
    platform.problem().map_or(Ok(platform), |problem| Err(format!("{place}: {problem}")))
}
