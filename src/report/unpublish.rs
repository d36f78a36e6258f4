//! What `unpublish` would delete, and what it deleted. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::style::{Ink, Style};
use crate::apply::{UnpublishEvent, Unpublished, UnpublishedPlace};
use crate::model::digest::Digest;
use crate::plan::{Holder, ManifestRemoval, UnpublishPlan};

/// The plan as text: `-` goes, `=` stays, and why.
pub(crate) fn plan_text(plan: &UnpublishPlan, style: Style) -> String {
    let mut out = String::new();
    let verdict = if plan.is_change() { "to delete" } else { "nothing to delete" };
    let _ = writeln!(out, "{}  {verdict}", style.paint(Ink::Strong, &plan.target));
    for place in &plan.places {
        let _ = writeln!(out, "  {}", place.repository);
        let names = place.tags.iter().map(|tag| format!(":{}", tag.name));
        let whats = place.manifests.iter().map(|manifest| manifest.what.clone());
        let width = names.chain(whats).map(|name| name.chars().count()).max().unwrap_or_default();
        let mut line = |goes: bool, name: &str, detail: &str| {
            let sign = if goes { style.paint(Ink::Remove, "-") } else { style.paint(Ink::Dim, "=") };
            let _ = writeln!(out, "    {sign} {name:width$}  {detail}");
        };
        for tag in &place.tags {
            let detail = tag.serves.as_ref().map_or("(does not exist)".to_owned(), Digest::short);
            line(tag.serves.is_some(), &format!(":{}", tag.name), &detail);
        }
        for manifest in &place.manifests {
            let why = why(manifest).map_or(String::new(), |why| format!("  ({why})"));
            let detail = format!("{}{why}", manifest.digest.short());
            line(manifest.held_by.is_none(), &manifest.what, &detail);
        }
        for one in &place.restores {
            let sign = style.paint(Ink::Add, "+");
            let (what, digest, why) = (&one.kept.what, one.kept.digest.short(), needs(&one.needed_by));
            let _ = writeln!(out, "    {sign} {what:width$}  {digest}  (was deleted, but {why})");
        }
    }
    out
}

fn why(manifest: &ManifestRemoval) -> Option<String> {
    Some(format!("stays: {}", needs(manifest.held_by.as_ref()?)))
}

fn needs(holder: &Holder) -> String {
    match holder {
        Holder::Tag(tag) => format!(":{tag} serves it"),
        Holder::ListAt(tag) => format!("the list at :{tag} holds it"),
    }
}

/// The plan for machines.
pub(crate) fn plan_json(plan: &UnpublishPlan) -> Value {
    let places = plan.places.iter().map(|place| {
        let tags = place.tags.iter().map(|tag| json!({ "name": tag.name, "digest": tag.serves }));
        let manifests = place.manifests.iter().map(|manifest| {
            json!({
                "digest": manifest.digest,
                "what": manifest.what,
                "delete": manifest.held_by.is_none(),
                "why": why(manifest),
            })
        });
        let restores = place.restores.iter().map(
            |one| json!({ "digest": one.kept.digest, "what": one.kept.what, "why": needs(&one.needed_by) }),
        );
        json!({
            "repository": place.repository.to_string(),
            "tags": tags.collect::<Vec<_>>(),
            "manifests": manifests.collect::<Vec<_>>(),
            "restores": restores.collect::<Vec<_>>(),
        })
    });
    json!({ "version": 1, "target": plan.target, "repositories": places.collect::<Vec<_>>() })
}

/// What was deleted, as text.
pub(crate) fn text(unpublished: &Unpublished, style: Style) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", style.paint(Ink::Strong, &unpublished.target));
    for place in &unpublished.places {
        let repository = &place.repository;
        let gone = style.paint(Ink::Remove, "deleted");
        for tag in &place.tags {
            let _ = writeln!(out, "  {repository}:{tag}  {gone}");
        }
        for digest in &place.manifests {
            let _ = writeln!(out, "  {repository}@{digest}  {gone}");
        }
        for digest in &place.left {
            let _ = writeln!(
                out,
                "  {repository}@{digest}  without a tag; {} deletes no manifests",
                repository.host
            );
        }
        for (digest, why) in &place.kept {
            let _ = writeln!(out, "  {repository}@{digest}  stays: {} by now", needs(why));
        }
        for (digest, why) in &place.restored {
            let _ = writeln!(out, "  {repository}@{digest}  restored: {}", needs(why));
        }
    }
    let is_unchanged = |place: &UnpublishedPlace| {
        place.tags.is_empty() && place.manifests.is_empty() && place.restored.is_empty()
    };
    if unpublished.places.iter().all(is_unchanged) {
        let _ = writeln!(out, "  nothing was there to delete");
    }
    out
}

/// What was deleted, for machines.
pub(crate) fn json(unpublished: &Unpublished) -> Value {
    let places = unpublished.places.iter().map(|place| {
        json!({
            "repository": place.repository.to_string(),
            "tags": place.tags,
            "manifests": place.manifests,
            "left": place.left,
            "kept": because(&place.kept),
            "restored": because(&place.restored),
        })
    });
    json!({ "version": 1, "target": unpublished.target, "repositories": places.collect::<Vec<_>>() })
}

fn because(manifests: &[(Digest, Holder)]) -> Vec<Value> {
    let one = |(digest, why): &(Digest, Holder)| json!({ "digest": digest, "why": needs(why) });
    manifests.iter().map(one).collect()
}

/// A step, while it goes on.
pub(crate) fn event(event: &UnpublishEvent) -> String {
    match event {
        UnpublishEvent::Deleted(reference) => format!("deleted {reference}"),
        UnpublishEvent::Restored(reference, why) => format!("restored {reference}: {}", needs(why)),
    }
}
