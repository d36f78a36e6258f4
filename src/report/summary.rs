//! What a release or reconcile came to. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::style::{Ink, Style};
use crate::apply::{Applied, AppliedTag};

/// As text: each list with its digest and tags.
pub fn text(applied: &[Applied], style: Style) -> String {
    let mut out = String::new();
    for target in applied {
        let _ = writeln!(out, "{}", style.paint(Ink::Strong, &target.target));
        for place in &target.places {
            let width = place.tags.iter().map(|tag| tag.name.len()).max().unwrap_or_default();
            for tag in &place.tags {
                let digest = if tag.skipped.is_some() { "" } else { place.digest.as_str() };
                let word = style.paint(if tag.written { Ink::Add } else { Ink::Dim }, &state(tag));
                let _ = writeln!(out, "  {}:{:width$}  {digest}  {word}", place.repository, tag.name);
            }
        }
    }
    out
}

fn state(tag: &AppliedTag) -> String {
    match (&tag.skipped, tag.written) {
        (Some(why), _) => format!("skipped: {why}"),
        (None, true) => "published".to_owned(),
        (None, false) => "unchanged".to_owned(),
    }
}

/// For machines.
pub fn json(applied: &[Applied]) -> Value {
    let targets: Vec<Value> = applied
        .iter()
        .map(|target| {
            let places = target.places.iter().map(|place| {
                let tags = place
                    .tags
                    .iter()
                    .map(|tag| json!({ "name": tag.name, "written": tag.written, "skipped": tag.skipped }));
                json!({
                    "repository": place.repository.to_string(),
                    "digest": place.digest,
                    "copied": place.copied,
                    "tags": tags.collect::<Vec<_>>(),
                })
            });
            json!({ "target": target.target, "repositories": places.collect::<Vec<_>>() })
        })
        .collect();
    json!({ "version": 1, "targets": targets })
}
