//! What a reference serves, for people and machines. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::size;
use super::style::{Ink, Style};
use crate::model::foreign::Foreign;
use crate::model::manifest::{Descriptor, Role};
use crate::model::platform::Platform;
use crate::observe::{Inspected, InspectedImage};

/// As text: the list, its entries, and, where they were read, their images.
pub(crate) fn text(inspected: &Inspected, style: Style) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", style.paint(Ink::Strong, &inspected.reference.to_string()));
    let _ = writeln!(out, "  digest      {}", inspected.descriptor.digest);
    let _ = writeln!(out, "  media type  {}", Foreign(&inspected.descriptor.media_type));
    let _ = writeln!(out, "  size        {}", size(inspected.descriptor.size));
    let Some(list) = &inspected.list else {
        for image in inspected.images.values() {
            image_text(&mut out, image, "  ");
        }
        return out;
    };
    for (key, value) in &list.annotations {
        let _ = writeln!(out, "  annotation  {} = {}", Foreign(key), Foreign(value));
    }
    let attestations = list.attestations();
    let entries = list.entries.iter().filter(|entry| !matches!(entry.role(), Role::Attestation(_)));
    for entry in entries {
        let attestations = attestations.get(&entry.digest).map_or(0, Vec::len);
        let _ = writeln!(out, "\n  {}", style.paint(Ink::Strong, &name(entry)));
        let _ = writeln!(out, "    digest      {}", entry.digest);
        let _ = writeln!(out, "    media type  {}", Foreign(&entry.media_type));
        let _ = writeln!(out, "    size        {}", size(entry.size));
        if attestations > 0 {
            let _ = writeln!(out, "    attested    {attestations}");
        }
        for (key, value) in &entry.annotations {
            let _ = writeln!(out, "    annotation  {} = {}", Foreign(key), Foreign(value));
        }
        if let Some(image) = inspected.images.get(&entry.digest) {
            image_text(&mut out, image, "    ");
        }
        if inspected.absent.contains(&entry.digest) {
            let _ = writeln!(out, "    missing     the registry does not hold this image");
        }
    }
    out
}

fn name(entry: &Descriptor) -> String {
    match entry.role() {
        Role::Image(platform) => {
            let features = match platform.os_features.is_empty() {
                true => String::new(),
                false => format!(" ({})", Foreign(&platform.os_features.join(", "))),
            };
            format!("{platform}{features}")
        }
        Role::Attestation(_) => "attestation".to_owned(),
        Role::Other => "no platform".to_owned(),
    }
}

fn image_text(out: &mut String, image: &InspectedImage, indent: &str) {
    let _ = writeln!(out, "{indent}config      {}", image.manifest.config.digest);
    if let Some(config) = &image.config {
        let _ = writeln!(out, "{indent}platform    {} (its configuration)", config.platform);
        for (key, value) in &config.labels {
            let _ = writeln!(out, "{indent}label       {} = {}", Foreign(key), Foreign(value));
        }
    }
    for layer in &image.manifest.layers {
        let _ = writeln!(out, "{indent}layer       {}  {}", layer.digest, size(layer.size));
    }
}

/// For machines.
pub(crate) fn json(inspected: &Inspected) -> Value {
    let entries = inspected.list.as_ref().map(|list| {
        let attestations = list.attestations();
        let platforms = list.entries.iter().filter(|entry| !matches!(entry.role(), Role::Attestation(_)));
        platforms
            .map(|entry| {
                let mut value = descriptor_json(entry);
                let of_entry = attestations.get(&entry.digest).into_iter().flatten();
                value["attestations"] = of_entry.map(|one| descriptor_json(one)).collect();
                value["missing"] = inspected.absent.contains(&entry.digest).into();
                value["image"] = inspected.images.get(&entry.digest).map(image_json).into();
                value
            })
            .collect::<Vec<_>>()
    });
    json!({
        "version": 1,
        "reference": inspected.reference.to_string(),
        "digest": inspected.descriptor.digest,
        "mediaType": inspected.descriptor.media_type,
        "size": inspected.descriptor.size,
        "annotations": inspected.list.as_ref().map(|list| &list.annotations),
        "entries": entries,
        "image": inspected.list.is_none().then(|| inspected.images.values().next().map(image_json)),
    })
}

fn descriptor_json(entry: &Descriptor) -> Value {
    let platform = entry.platform.as_ref().map(|fields| Platform::from(fields).to_string());
    json!({
        "platform": platform,
        "digest": entry.digest,
        "mediaType": entry.media_type,
        "size": entry.size,
        "annotations": entry.annotations,
    })
}

fn image_json(image: &InspectedImage) -> Value {
    json!({
        "config": image.manifest.config.digest,
        "platform": image.config.as_ref().map(|config| config.platform.to_string()),
        "labels": image.config.as_ref().map(|config| &config.labels),
        "layers": image.manifest.layers.iter().map(descriptor_json).collect::<Vec<_>>(),
    })
}
