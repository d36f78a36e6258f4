//! A plan as a diff: for people, for pull requests, for machines. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::printer::{code, prose, terminal};
use super::style::{Ink, Style};
use crate::model::digest::Digest;
use crate::model::foreign::{Foreign, visible};
use crate::model::manifest::Descriptor;
use crate::plan::{
    CopyPlan, CopyRole, EntryChange, EntryPlan, PlacePlan, ReferencePlan, TagAction, TagPlan, TargetPlan,
};

/// One line of the diff.
struct Line {
    sign: char,
    name: String,
    detail: String,
}

impl Line {
    fn ink(&self) -> Ink {
        match self.sign {
            '+' => Ink::Add,
            '-' | '!' => Ink::Remove,
            '~' | '?' => Ink::Change,
            _ => Ink::Dim,
        }
    }
}

fn entry_line(entry: &EntryPlan, unknown: &str) -> Line {
    let of = |descriptor: &Descriptor| descriptor.digest.short();
    let (sign, detail) = match &entry.change {
        EntryChange::Keep { entry } => ('=', of(entry)),
        EntryChange::Add { entry } => ('+', format!("{}  (not listed yet)", of(entry))),
        EntryChange::Replace { from, entry, why } if from.digest == entry.digest => {
            ('~', format!("{}  ({})", of(entry), why.join("; ")))
        }
        EntryChange::Replace { from, entry, why } => {
            ('~', format!("{} → {}  ({})", of(from), of(entry), why.join("; ")))
        }
        EntryChange::Remove { entry } => ('-', format!("{}  (not declared)", of(entry))),
        EntryChange::Pending { published, why } => {
            let from = published.as_ref().map(|entry| format!("{} → ", of(entry))).unwrap_or_default();
            let why = if why.is_empty() { String::new() } else { format!("  ({})", why.join("; ")) };
            ('?', format!("{from}{unknown}{why}"))
        }
        EntryChange::Undecided { entry } => {
            ('!', format!("{}  (not declared; `undeclared` decides)", of(entry)))
        }
    };
    Line { sign, name: entry.name.clone(), detail }
}

fn tag_line(tag: &TagPlan, place: &PlacePlan, unknown: &str) -> Line {
    let to = place.list.as_ref().map_or(unknown.to_owned(), |list| list.digest.short());
    let or_none = |digest: &Option<Digest>| digest.as_ref().map_or("none".to_owned(), Digest::short);
    let (sign, detail) = match &tag.action {
        TagAction::Unchanged { digest } => ('=', digest.short()),
        TagAction::Create { .. } => ('+', format!("{to}  (new tag)")),
        TagAction::Replace { from } => ('~', format!("{} → {to}", from.short())),
        TagAction::ReplaceImage { from } => ('~', format!("{} → {to}  (image → list)", from.short())),
        TagAction::Skipped { from, why } => ('=', format!("{}  (skipped: {why})", or_none(from))),
        TagAction::Pending { from: Some(from) } => ('?', format!("{} → {unknown}", from.short())),
        TagAction::Pending { from: None } => ('?', unknown.to_owned()),
        TagAction::Blocked { from } => ('!', format!("{}  (blocked)", or_none(from))),
    };
    Line { sign, name: format!(":{}", tag.name), detail }
}

fn copy_line(copy: &CopyPlan) -> Line {
    let (digest, from) = (copy.manifest.digest.short(), &copy.from);
    let (name, detail) = match &copy.role {
        CopyRole::Content => ("copy", format!("{digest} from {from}")),
        CopyRole::Part => ("copy", format!("{digest} from {from}  (part of a referrer)")),
        CopyRole::Referrer(subject) => ("referrer", format!("{digest} of {} from {from}", subject.short())),
        CopyRole::Tagged(tag) => ("referrer", format!("{digest} from {from}  (as {tag})")),
    };
    Line { sign: '+', name: name.to_owned(), detail }
}

fn reference_line(plan: &ReferencePlan) -> Line {
    let to = plan.image.digest.short();
    let (sign, detail) = match &plan.serves {
        None => ('+', format!("{to}  (not built again)")),
        Some(from) => ('~', format!("{} → {to}  (not built again)", from.short())),
    };
    Line { sign, name: plan.reference.to_string(), detail }
}

/// The lines of a repository; what is not known yet comes to be known only when nothing stands in the way.
fn lines(plan: &TargetPlan, place: &PlacePlan) -> Vec<Line> {
    let unknown = if plan.problems.is_empty() { "known after the build" } else { "not known" };
    let mut lines: Vec<Line> = place.entries.iter().map(|entry| entry_line(entry, unknown)).collect();
    lines.extend(place.list_changes.iter().map(|change| Line {
        sign: '~',
        name: "list".to_owned(),
        detail: change.clone(),
    }));
    lines.extend(place.copies.iter().map(copy_line));
    lines.extend(place.tags.iter().map(|tag| tag_line(tag, place, unknown)));
    for line in &mut lines {
        // What a registry serves and what a file says stays on its line.
        line.name = Foreign(&line.name).to_string();
        line.detail = visible(&line.detail).into_owned();
    }
    lines
}

/// What a plan comes to, in one sentence.
fn verdict(plan: &TargetPlan) -> String {
    if !plan.problems.is_empty() {
        return "nothing can be published".to_owned();
    }
    if plan.is_pending() {
        return "images are built first".to_owned();
    }
    if !plan.is_change() {
        return "up to date".to_owned();
    }
    let mut counts = [0usize; 5];
    for change in plan.places.iter().flat_map(|place| &place.entries).map(|entry| &entry.change) {
        match change {
            EntryChange::Add { .. } => counts[0] += 1,
            EntryChange::Replace { .. } => counts[1] += 1,
            EntryChange::Remove { .. } => counts[2] += 1,
            _ => {}
        }
    }
    counts[3] = plan.places.iter().flat_map(|place| &place.tags).filter(|tag| tag.action.is_write()).count();
    counts[4] = plan.references.len();
    let parts: Vec<String> = counts
        .iter()
        .zip(["to add", "to replace", "to remove", "to tag", "image references to write"])
        .filter(|(count, _)| **count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if parts.is_empty() { "missing images to bring".to_owned() } else { parts.join(", ") }
}

/// The plans as text, ready for a terminal.
pub(crate) fn text(plans: &[impl AsRef<TargetPlan>], style: Style) -> String {
    plans.iter().map(|plan| target_text(plan.as_ref(), style)).collect()
}

/// How many targets are shown one by one; of more, only what is to be done fits a screen.
const MANY: usize = 10;

/// The plans as text that fits a screen however many targets there are: of many, those with something to do; of many of
/// these, one line each.
pub(crate) fn brief(plans: &[impl AsRef<TargetPlan>], style: Style) -> String {
    if plans.len() <= MANY {
        return text(plans, style);
    }
    let idle = |plan: &&TargetPlan| !plan.is_change() && !plan.is_pending() && plan.problems.is_empty();
    let busy: Vec<&TargetPlan> = plans.iter().map(AsRef::as_ref).filter(|plan| !idle(plan)).collect();
    let mut out = String::new();
    if busy.len() <= MANY {
        out.extend(busy.iter().map(|plan| target_text(plan, style)));
    } else {
        let width = busy.iter().map(|plan| plan.target.chars().count()).max().unwrap_or_default();
        for plan in busy.iter().take(2 * MANY) {
            let _ = writeln!(out, "{:width$}  {}", plan.target, verdict(plan));
        }
        if busy.len() > 2 * MANY {
            let _ = writeln!(out, "… and {} more, which `plan` shows", busy.len() - 2 * MANY);
        }
    }
    if busy.len() < plans.len() {
        let _ = writeln!(out, "{} of {} targets are up to date", plans.len() - busy.len(), plans.len());
    }
    out
}

/// The widest name that details are aligned behind: published ones may have any length.
const WIDEST: usize = 60;

fn target_text(plan: &TargetPlan, style: Style) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}  {}", style.paint(Ink::Strong, &plan.target), verdict(plan));
    for place in &plan.places {
        let _ = writeln!(out, "  {}", place.repository);
        let lines = lines(plan, place);
        let width = lines.iter().map(|line| line.name.chars().count()).max().unwrap_or_default().min(WIDEST);
        for line in &lines {
            let sign = style.paint(line.ink(), &line.sign.to_string());
            let _ = writeln!(out, "    {sign} {:width$}  {}", line.name, line.detail);
        }
    }
    for line in plan.references.iter().map(reference_line) {
        let sign = style.paint(line.ink(), &line.sign.to_string());
        let _ = writeln!(out, "  {sign} {}  {}", line.name, line.detail);
    }
    for note in &plan.notes {
        let _ = writeln!(out, "  {} {}", style.paint(Ink::Change, "note:"), visible(note));
    }
    for problem in &plan.problems {
        let _ = writeln!(out, "  {} {}", style.paint(Ink::Remove, "error:"), problem.message);
        if let Some(hint) = &problem.hint {
            let _ = writeln!(out, "    hint: {hint}");
        }
    }
    out
}

/// The first line of every comment, by which whoever posts it finds the one to replace.
pub(crate) const MARKER: &str = "<!-- manifests plan -->";

/// The plans as a pull-request comment: for each target a table of what changes, the rest folded. The same plan gives
/// the same bytes.
pub(crate) fn markdown(plans: &[impl AsRef<TargetPlan>]) -> String {
    let mut out = format!("{MARKER}\n### What a release changes\n\n");
    for plan in plans.iter().map(AsRef::as_ref) {
        let _ = writeln!(out, "#### {}: {}\n", prose(&plan.target), verdict(plan));
        let several = plan.places.len() > 1;
        for place in &plan.places {
            let (same, changed): (Vec<Line>, Vec<Line>) =
                lines(plan, place).into_iter().partition(|line| line.sign == '=');
            let what = if several { code(&place.repository.to_string()) } else { "what".to_owned() };
            table(&mut out, &what, &changed);
            if !same.is_empty() {
                let _ = writeln!(
                    out,
                    "<details><summary>{} unchanged in <code>{}</code></summary>\n",
                    same.len(),
                    place.repository
                );
                table(&mut out, "what", &same);
                out.push_str("</details>\n\n");
            }
        }
        table(&mut out, "image", &plan.references.iter().map(reference_line).collect::<Vec<_>>());
        for note in &plan.notes {
            let _ = writeln!(out, "- note: {}", prose(note));
        }
        for problem in &plan.problems {
            let hint = problem.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
            let _ = writeln!(out, "- **error**: {}", prose(&format!("{}{hint}", problem.message)));
        }
        if !plan.notes.is_empty() || !plan.problems.is_empty() {
            out.push('\n');
        }
    }
    // Somebody prints it in a log.
    terminal(&out, false).into_owned()
}

/// A table, unless there is nothing in it.
fn table(out: &mut String, what: &str, lines: &[Line]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "| | {what} | change |\n|---|---|---|");
    for line in lines {
        let _ = writeln!(out, "| `{}` | {} | {} |", line.sign, code(&line.name), prose(&line.detail));
    }
    out.push('\n');
}

/// The plans for machines.
pub(crate) fn json(plans: &[impl AsRef<TargetPlan>]) -> Value {
    json!({ "version": 1, "targets": plans.iter().map(|plan| target_json(plan.as_ref())).collect::<Vec<_>>() })
}

fn target_json(plan: &TargetPlan) -> Value {
    json!({
        "target": plan.target,
        "changes": plan.is_change(),
        "pending": plan.is_pending(),
        "repositories": plan.places.iter().map(place_json).collect::<Vec<_>>(),
        "references": plan.references.iter().map(|plan| json!({
            "reference": plan.reference.to_string(),
            "digest": plan.digest(),
            "from": plan.serves,
        })).collect::<Vec<_>>(),
        "notes": plan.notes,
        "problems": plan.problems.iter()
            .map(|problem| json!({ "message": problem.message, "hint": problem.hint })).collect::<Vec<_>>(),
    })
}

fn place_json(place: &PlacePlan) -> Value {
    json!({
        "repository": place.repository.to_string(),
        "list": place.list.as_ref().map(|list| json!({
            "digest": list.digest,
            "mediaType": list.kind.media_type(),
            "size": list.bytes.len(),
        })),
        "listChanges": place.list_changes,
        "entries": place.entries.iter().map(entry_json).collect::<Vec<_>>(),
        "copies": place.copies.iter().map(copy_json).collect::<Vec<_>>(),
        "tags": place.tags.iter().map(tag_json).collect::<Vec<_>>(),
    })
}

fn copy_json(copy: &CopyPlan) -> Value {
    let (role, subject, tag) = match &copy.role {
        CopyRole::Content => ("content", None, None),
        CopyRole::Part => ("part", None, None),
        CopyRole::Referrer(subject) => ("referrer", Some(subject), None),
        CopyRole::Tagged(tag) => ("referrer", None, Some(tag)),
    };
    json!({
        "digest": copy.manifest.digest,
        "from": copy.from.to_string(),
        "role": role,
        "subject": subject,
        "tag": tag,
    })
}

fn entry_json(plan: &EntryPlan) -> Value {
    let (change, from, to, why): (&str, Option<&Descriptor>, Option<&Descriptor>, &[String]) =
        match &plan.change {
            EntryChange::Keep { entry } => ("keep", Some(entry), Some(entry), &[]),
            EntryChange::Add { entry } => ("add", None, Some(entry), &[]),
            EntryChange::Replace { from, entry, why } => ("replace", Some(from), Some(entry), why),
            EntryChange::Remove { entry } => ("remove", Some(entry), None, &[]),
            EntryChange::Pending { published, why } => ("pending", published.as_ref(), None, why),
            EntryChange::Undecided { entry } => ("undecided", Some(entry), None, &[]),
        };
    json!({
        "platform": plan.name,
        "change": change,
        "from": from.map(|descriptor| &descriptor.digest),
        "to": to.map(|descriptor| &descriptor.digest),
        "why": why,
    })
}

fn tag_json(tag: &TagPlan) -> Value {
    let (action, why) = match &tag.action {
        TagAction::Unchanged { .. } => ("unchanged", None),
        TagAction::Create { .. } => ("create", None),
        TagAction::Replace { .. } => ("replace", None),
        TagAction::ReplaceImage { .. } => ("replace", Some("it serves a plain image")),
        TagAction::Skipped { why, .. } => ("skipped", Some(why.as_str())),
        TagAction::Pending { .. } => ("pending", None),
        TagAction::Blocked { .. } => ("blocked", None),
    };
    json!({ "name": tag.name, "action": action, "from": tag.action.observed(), "why": why })
}
