//! A first file as text, with comments that teach. Pure.

use std::collections::BTreeMap;

use crate::model::reference::Repository;

use super::draft::{Draft, drafts};
use super::{Dockerfile, Found, SCHEMA_NAME, ignore, quoted, service};

/// First files, not yet written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The declaration's content.
    pub text: String,
    /// Ignore files for contexts that have none: path and content.
    pub ignores: Vec<(String, String)>,
    /// What was read and what was assumed, one line each.
    pub notes: Vec<String>,
}

/// A declaration of what was found: it passes `check`, and releases as it stands where what was assumed is right.
pub fn propose(found: &Found) -> Proposal {
    let mut text = format!(
        "#:schema ./{SCHEMA_NAME}\n\
         # Which images this project publishes for which platforms. `check` reads this file, `release --rehearse`\n\
         # tries it without leaving the machine, `release` publishes.\n",
    );
    let mut notes = found.notes.clone();
    for draft in drafts(found) {
        target(&mut text, &draft);
        notes.extend(draft.notes);
    }
    Proposal { text, ignores: ignores(found), notes }
}

/// The repositories that a proposal would name, where it is worth looking what is published already.
pub fn repositories(found: &Found) -> Vec<Repository> {
    let drafts = drafts(found);
    let named = drafts.iter().filter(|draft| !draft.local).flat_map(|draft| &draft.repositories);
    named.filter_map(|name| service::repository(name)).collect()
}

fn ignores(found: &Found) -> Vec<(String, String)> {
    let mut ignores: Vec<(String, String)> = Vec::new();
    for dockerfile in found.dockerfiles.iter().filter(|one| found.unignored.contains(&one.path)) {
        let path = service::joined(&dockerfile.context, ".dockerignore");
        if ignores.iter().any(|(known, _)| *known == path) {
            continue;
        }
        let same: Vec<&Dockerfile> =
            found.dockerfiles.iter().filter(|other| other.context == dockerfile.context).collect();
        ignores.extend(ignore::text(&same).map(|text| (path, text)));
    }
    ignores
}

/// Appends a target.
fn target(text: &mut String, draft: &Draft) {
    let mut line = |content: &str| {
        text.push_str(content);
        text.push('\n');
    };
    let array = |values: &[String]| {
        format!("[{}]", values.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", "))
    };
    line(&format!("\n[target.{}]", draft.name));
    if draft.local {
        line("# There is no git origin to guess from: this is a registry on the machine itself.");
    }
    match &draft.repositories[..] {
        [repository] => line(&format!("repository = {}", quoted(repository))),
        several => {
            line("# The list goes to all of them, and no tag moves before every image is in each.");
            line(&format!("repository = {}", array(several)));
        }
    }
    if draft.versioned {
        line("# A version, once published, stays as it is; `latest` follows the highest one.");
    }
    line(&format!("tags = [{}]", draft.tags.join(", ")));
    if let Some(package) = &draft.package {
        line(&format!("package = {}", quoted(package)));
    }
    match &draft.image {
        Some(image) => {
            line("# Where the images themselves go.");
            line(&format!("image = {}", quoted(image)));
        }
        None => line(
            "# Where the images themselves go is `image`; by default the repository, tagged TAG-OS-ARCH.",
        ),
    }
    line(&format!("platforms = {}", array(&draft.platforms)));

    line(&format!("build.context = {}", quoted(&draft.context)));
    if let Some(dockerfile) = &draft.dockerfile {
        line(&format!("build.dockerfile = {}", quoted(dockerfile)));
    }
    if let Some(stage) = &draft.stage {
        line(&format!("build.stage = {}", quoted(stage)));
    }
    if !draft.args.is_empty() {
        line(&strings("args", &draft.args));
    }
    if !draft.labels.is_empty() {
        line(&strings("labels", &draft.labels));
    }
    for (key, values) in &draft.lists {
        line(&format!("build.{key} = {}", array(values)));
    }
    if !draft.open.is_empty() {
        let args: Vec<String> = draft.open.iter().map(|arg| format!("{} = \"…\"", bare(arg))).collect();
        line("# The Dockerfile gives these no value:");
        line(&format!("# build.args = {{ {} }}", args.join(", ")));
    }
    if draft.serves {
        line(
            "# It serves, so a run would not end by itself; with a command that ends, every image is tried before",
        );
        line("# it is pushed:");
    } else {
        line("# With a command that ends, every image is tried before it is pushed:");
    }
    line(r#"# smoke = { command = ["--version"], expect = "…" }"#);
    for own in &draft.own {
        line(&format!("\n[target.{}.platform.{}]", draft.name, quoted(&own.platform)));
        if let Some(image) = &own.image {
            line(&format!("image = {}", quoted(image)));
        }
        if let Some(dockerfile) = &own.dockerfile {
            line(&format!("build.dockerfile = {}", quoted(dockerfile)));
        }
        if !own.args.is_empty() {
            line(&strings("args", &own.args));
        }
    }
}

/// A key of `build` that is a table of strings.
fn strings(key: &str, values: &BTreeMap<String, String>) -> String {
    let values: Vec<String> =
        values.iter().map(|(name, value)| format!("{} = {}", bare(name), quoted(value))).collect();
    format!("build.{key} = {{ {} }}", values.join(", "))
}

/// A key, in quotes where it needs them.
fn bare(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !key.is_empty() && key.chars().all(plain) { key.to_owned() } else { quoted(key) }
}
