//! What a release or reconcile came to. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::printer::{code, prose, terminal};
use super::style::{Ink, Screen, Style};
use crate::apply::{Applied, AppliedTag, Outcome};

/// How many targets are shown tag by tag on a terminal; of more, only what is new.
const MANY: usize = 10;

/// As text: each list with its digest and tags. On a terminal it fits the screen: digests are short where the lines
/// would break, and of many targets only those that changed are shown.
pub(crate) fn text(applied: &[Applied], style: Style) -> String {
    match style.screen() {
        Some(screen) if applied.len() > MANY => brief(applied, style, screen),
        screen => full(applied, style, screen),
    }
}

fn full(applied: &[Applied], style: Style, screen: Option<Screen>) -> String {
    let mut out = String::new();
    for target in applied {
        let _ = writeln!(out, "{}", style.paint(Ink::Strong, &target.target));
        for place in &target.places {
            let width = place.tags.iter().map(|tag| tag.name.len()).max().unwrap_or_default();
            let (name, digest) = (place.repository.to_string(), place.digest.to_string());
            // With the word and what stands between.
            let rest = width + "  :    published".len();
            let fits = |text: usize| screen.is_none_or(|screen| text <= screen.columns);
            let below = !fits(name.len() + digest.len() + rest);
            let digest = if fits(2 + digest.len() + rest) { digest } else { place.digest.short() };
            if below {
                let _ = writeln!(out, "  {name}");
            }
            for tag in &place.tags {
                let digest = if tag.outcome.serves() { &digest } else { "" };
                let ink = if tag.outcome == Outcome::Written { Ink::Add } else { Ink::Dim };
                let word = style.paint(ink, &state(tag));
                let before = if below { "  " } else { &name };
                let _ = writeln!(out, "  {before}:{:width$}  {digest}  {word}", tag.name);
            }
        }
    }
    out
}

/// One line for each target that changed, as many as fit, and how many there are besides.
fn brief(applied: &[Applied], style: Style, screen: Screen) -> String {
    let changed: Vec<&Applied> = applied.iter().filter(|target| target.is_written()).collect();
    // The prompt and the two lines of the sum need room too.
    let room = screen.rows.saturating_sub(4).max(MANY);
    let width = changed.iter().map(|target| target.target.chars().count()).max().unwrap_or_default();
    let mut out = String::new();
    for target in changed.iter().take(room) {
        let Some(place) = target.places.first() else { continue };
        let tags = place.tags.iter().filter(|tag| tag.outcome == Outcome::Written);
        let tags: Vec<&str> = tags.map(|tag| tag.name.as_str()).collect();
        let word = style.paint(Ink::Add, "published");
        let (name, digest) = (&target.target, place.digest.short());
        let _ = writeln!(out, "{name:width$}  {digest}  {word} {}", tags.join(", "));
    }
    if changed.len() > room {
        let _ = writeln!(out, "… and {} more", changed.len() - room);
    }
    let (changed, unchanged) = (changed.len(), applied.len() - changed.len());
    let _ = writeln!(out, "{changed} targets published, {unchanged} unchanged");
    out
}

/// As Markdown, for the summary of a CI step; `heading` says what was done.
pub(crate) fn markdown(applied: &[Applied], heading: &str) -> String {
    let mut out = format!("### {heading}\n\n| target | list | digest | |\n|---|---|---|---|\n");
    for target in applied {
        for place in &target.places {
            for tag in &place.tags {
                let digest = if tag.outcome.serves() { code(place.digest.as_str()) } else { String::new() };
                let list = code(&place.repository.tag(&tag.name).to_string());
                let (target, state) = (prose(&target.target), prose(&state(tag)));
                let _ = writeln!(out, "| {target} | {list} | {digest} | {state} |");
            }
        }
    }
    terminal(&out, false).into_owned()
}

fn state(tag: &AppliedTag) -> String {
    match &tag.outcome {
        Outcome::Skipped(why) => format!("skipped: {why}"),
        Outcome::Written => "published".to_owned(),
        Outcome::Unchanged | Outcome::There => "unchanged".to_owned(),
        Outcome::Pending => "pending".to_owned(),
        Outcome::Open => "perhaps published".to_owned(),
        Outcome::Overtaken => "published, and moved by another writer since".to_owned(),
    }
}

/// For machines.
pub(crate) fn json(applied: &[Applied]) -> Value {
    let targets: Vec<Value> = applied
        .iter()
        .map(|target| {
            let places = target.places.iter().map(|place| {
                let tags = place.tags.iter().map(|tag| {
                    let skipped = match &tag.outcome {
                        Outcome::Skipped(why) => Some(why),
                        _ => None,
                    };
                    json!({ "name": tag.name, "written": tag.outcome.is_written(), "skipped": skipped })
                });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::AppliedPlace;
    use crate::model::digest::Digest;

    fn applied(count: usize, written: impl Fn(usize) -> bool) -> Vec<Applied> {
        let target = |index: usize| Applied {
            target: format!("service-{index}"),
            complete: true,
            places: vec![AppliedPlace {
                repository: format!("ghcr.io/acme/service-{index}").parse().unwrap(),
                digest: Digest::of(index.to_string().as_bytes()),
                copied: Vec::new(),
                tags: ["1.0", "latest"]
                    .map(|name| AppliedTag {
                        name: name.into(),
                        outcome: if written(index) { Outcome::Written } else { Outcome::Unchanged },
                    })
                    .into(),
            }],
        };
        (0..count).map(target).collect()
    }

    fn on(columns: usize, rows: usize) -> Style {
        Style::new(false).on(Some(Screen { columns, rows }))
    }

    #[test]
    fn a_hundred_targets_fit_a_screen() {
        for changed in [0, 3, 100] {
            for columns in [60, 80, 200] {
                let text = text(&applied(100, |index| index < changed), on(columns, 24));
                assert!(text.lines().count() <= 22, "{changed} of 100:\n{text}");
                assert!(
                    text.lines().all(|line| line.chars().count() <= columns),
                    "{columns} columns:\n{text}"
                );
                assert!(
                    text.ends_with(&format!("{changed} targets published, {} unchanged\n", 100 - changed))
                );
            }
        }
    }

    #[test]
    fn lines_do_not_break_where_a_short_digest_helps() {
        let text = |columns| text(&applied(1, |_| true), on(columns, 24));
        assert!(text(200).contains(Digest::of(b"0").as_str()));
        for columns in [60, 80, 100] {
            assert!(text(columns).lines().all(|line| line.len() <= columns), "{}", text(columns));
        }
        assert_eq!(
            text(60),
            "service-0\n  ghcr.io/acme/service-0\n    :1.0     sha256:5feceb66ffc8  published\n    \
             :latest  sha256:5feceb66ffc8  published\n"
        );
    }

    #[test]
    fn what_is_no_terminal_gets_everything() {
        let text = text(&applied(100, |_| false), Style::new(false));
        assert_eq!(text.lines().count(), 300);
        assert!(text.contains(Digest::of(b"99").as_str()));
    }
}
