//! Changes a `manifests.toml`: text and a [`Change`] → the changed text. Comments, order, formatting and line ends of
//! everything else stay, and no comment is ever lost. Pure: reads and writes no file, asks no registry.
//!
//! What a change did is checked by resolving the text: a file can say the same thing in many ways, and only the
//! declaration knows what it means.

mod add;
mod comments;
mod layout;
mod line_ends;
pub(crate) mod list;
mod pin;
mod platform;
mod remove;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow};
use toml_edit::{DocumentMut, Item, Table, TableLike};

use crate::config::Declaration;
use crate::model::platform::Platform;

/// One change of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A further target, behind the others.
    AddTarget(NewTarget),
    /// A platform's image, of a target that has the platform or does not have it yet.
    SetImage {
        /// The target's name.
        target: String,
        /// The platform, and where its image is.
        image: NewPlatform,
        /// Whether the target builds its images, as resolved; this image exists and is not built.
        built: bool,
    },
    /// Another platform for an image that is declared.
    SetPlatform {
        /// The target's name.
        target: String,
        /// The platform as it is declared now.
        from: Platform,
        /// The platform as it is to be declared.
        to: Platform,
        /// The image's reference, which a template might resolve otherwise for the new platform.
        reference: String,
    },
    /// The names of a target's images are written out, as far as they are made from its first repository and tag.
    PinImages {
        /// The target's name.
        target: String,
    },
    /// A target goes.
    RemoveTarget {
        /// The target's name.
        target: String,
    },
    /// One of several tags of a target goes.
    RemoveTag {
        /// The target's name.
        target: String,
        /// The tag's position in `tags`.
        index: usize,
    },
    /// One of several repositories of a target goes.
    RemoveRepository {
        /// The target's name.
        target: String,
        /// The repository's position in `repository`.
        index: usize,
    },
}

/// A target to add. Texts are templates, as in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NewTarget {
    /// The table's name; see [`free_name`].
    pub name: String,
    /// One or more.
    pub repositories: Vec<String>,
    /// One or more.
    pub tags: Vec<String>,
    /// `image` for all platforms.
    pub image: Option<String>,
    /// In declaration order.
    pub platforms: Vec<NewPlatform>,
    /// `build.*`, one value or several each, in this order.
    pub build: Vec<(&'static str, Setting)>,
    /// `format`.
    pub format: Option<&'static str>,
    /// `undeclared`.
    pub undeclared: Option<&'static str>,
    /// `annotations`.
    pub annotations: BTreeMap<String, String>,
}

/// A platform to add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NewPlatform {
    /// With version and features.
    pub platform: Platform,
    /// `image`.
    pub image: Option<String>,
    /// `annotations`.
    pub annotations: BTreeMap<String, String>,
}

/// A value of `build`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// A string.
    Text(String),
    /// An array of strings.
    Texts(Vec<String>),
    /// A table of strings.
    Map(BTreeMap<String, String>),
}

/// Why a file cannot be changed in this way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EditError {
    /// Not TOML.
    #[error("not valid TOML: {0}")]
    Syntax(String),
    /// What is to be changed is not where a target has it.
    #[error(
        "`{key}` of target {target} does not stand in its own table, but is taken over from `[defaults]`"
    )]
    Inherited {
        /// The target.
        target: String,
        /// The key.
        key: &'static str,
    },
    /// The key holds something else than expected.
    #[error("`{key}` of target {target} is written in a way that cannot be changed from here")]
    Unexpected {
        /// The target.
        target: String,
        /// The key.
        key: String,
    },
    /// There is no such target.
    #[error("there is no target {0}")]
    NoTarget(String),
}

/// `text`, which means `before`, with `change` applied, and what it means then, which `resolve` says. Nothing else
/// changes its meaning: where the names of images were made from what goes, they are written out.
///
/// # Errors
///
/// Those of [`apply`] and `resolve`; a change that would do more than it is for, or less.
pub(crate) fn checked(
    text: &str,
    change: &Change,
    before: &Declaration,
    resolve: impl Fn(&str) -> Result<Declaration>,
) -> Result<(String, Declaration)> {
    let attempt = |changes: &[Change]| {
        let changed = apply(text, changes)?;
        let invalid = || format!("the change of target {} would not be valid", change.target());
        let after = resolve(&changed).with_context(invalid)?;
        match change.went_wrong(before, &after) {
            Some(wrong) => Err(anyhow!(wrong)),
            None => Ok((changed, after)),
        }
    };
    let plain = attempt(std::slice::from_ref(change));
    match change {
        Change::RemoveTag { target, .. } | Change::RemoveRepository { target, .. } if plain.is_err() => {
            let pinned = attempt(&[Change::PinImages { target: target.clone() }, change.clone()]);
            // A file in which nothing can be written out says less than what would happen.
            if pinned.as_ref().is_err_and(|error| error.is::<EditError>()) { plain } else { pinned }
        }
        _ => plain,
    }
}

/// `text` with every change applied, one after the other.
///
/// # Errors
///
/// Text that is no TOML, and changes of what is not there or written in an unforeseen way; nothing is changed then.
pub(crate) fn apply(text: &str, changes: &[Change]) -> Result<String, EditError> {
    let mut document = parse(text)?;
    for change in changes {
        match change {
            Change::AddTarget(target) => add::target(&mut document, target)?,
            Change::SetImage { target, image, built } => {
                platform::set_image(&mut document, target, image, *built)?;
            }
            Change::SetPlatform { target, from, to, reference } => {
                platform::set_platform(&mut document, target, from, to, reference)?;
            }
            Change::PinImages { target } => pin::images(&mut document, target)?,
            Change::RemoveTarget { target } => remove::target(&mut document, target)?,
            Change::RemoveTag { target, index } => remove::element(&mut document, target, "tags", *index)?,
            Change::RemoveRepository { target, index } => {
                remove::element(&mut document, target, "repository", *index)?;
            }
        }
    }
    Ok(line_ends::restore(text, &document.to_string()))
}

/// A name for a new target: the first of the wishes that no target of `text` has and that is not `promised` to another,
/// else the last one with a number.
///
/// # Errors
///
/// Text that is no TOML.
pub(crate) fn free_name(text: &str, promised: &[String], wishes: &[&str]) -> Result<String, EditError> {
    let document = parse(text)?;
    let targets = document.get("target").and_then(Item::as_table_like);
    let taken = |name: &str| {
        targets.is_some_and(|targets| targets.contains_key(name))
            || promised.iter().any(|other| other == name)
    };
    if let Some(free) = wishes.iter().find(|name| !taken(name)) {
        return Ok((*free).to_owned());
    }
    let last = wishes.last().copied().unwrap_or("target");
    let numbered = (2..).map(|number| format!("{last}-{number}")).find(|name| !taken(name));
    Ok(numbered.unwrap_or_else(|| last.to_owned()))
}

fn parse(text: &str) -> Result<DocumentMut, EditError> {
    text.parse().map_err(|error: toml_edit::TomlError| EditError::Syntax(error.message().to_owned()))
}

/// The target's own table.
fn target_mut<'a>(document: &'a mut DocumentMut, name: &str) -> Result<&'a mut dyn TableLike, EditError> {
    let targets = document.get_mut("target").and_then(Item::as_table_like_mut);
    let table = targets.and_then(|targets| targets.get_mut(name)).and_then(Item::as_table_like_mut);
    table.ok_or_else(|| EditError::NoTarget(name.to_owned()))
}

/// A table that is only there for the tables below it, and has no header of its own.
fn implicit() -> Item {
    let mut table = Table::new();
    table.set_implicit(true);
    Item::Table(table)
}

/// Whether `[defaults]` holds `key`.
fn inherited(document: &DocumentMut, key: &str) -> bool {
    let defaults = document.get("defaults").and_then(Item::as_table_like);
    defaults.is_some_and(|defaults| defaults.contains_key(key))
}
