//! Which platforms a target declares: `platforms`, the tables `platform."…"`, or both.

use std::collections::{BTreeMap, BTreeSet};

use super::expand::{Expander, Scope};
use super::problems::{Problem, Span};
use super::tables::{PlatformTable, TargetTable};
use super::tree::Text;
use crate::model::platform::Platform;

/// A declared platform with what its table says.
pub(super) struct Declared<'a> {
    /// With `os-version` and `os-features`.
    pub(super) platform: Platform,
    pub(super) table: Option<&'a PlatformTable>,
    /// Where it is declared.
    pub(super) span: Span,
}

/// The platforms of a target, in declaration order.
pub(super) fn declared<'a>(
    table: &'a TargetTable,
    scope: Scope<'_>,
    expander: &mut Expander<'_>,
) -> Vec<Declared<'a>> {
    let mut tables: Vec<(Platform, &PlatformTable)> = Vec::new();
    let mut by_platform: BTreeMap<Platform, &PlatformTable> = BTreeMap::new();
    for inner in &table.tables {
        let Some(platform) = platform(&inner.key, expander) else { continue };
        match by_platform.get(&platform.normal()) {
            Some(first) => expander.problems.push(
                Problem::new(&inner.key.span, format!("two tables for platform {platform}"))
                    .also(&first.key.span, "the first one"),
            ),
            None => {
                by_platform.insert(platform.normal(), inner);
                tables.push((platform, inner));
            }
        }
    }
    let mut declared = match &table.platforms {
        Some(list) => listed(list, &tables, &by_platform, expander),
        None => tables
            .into_iter()
            .map(|(platform, inner)| Declared { platform, table: Some(inner), span: inner.key.span.clone() })
            .collect(),
    };
    for declared in &mut declared {
        merge(declared, scope, expander);
    }
    declared
}

/// The platforms of the array, each with its table.
fn listed<'a>(
    list: &[Text],
    tables: &[(Platform, &'a PlatformTable)],
    by_platform: &BTreeMap<Platform, &'a PlatformTable>,
    expander: &mut Expander<'_>,
) -> Vec<Declared<'a>> {
    let platforms: Vec<(Platform, &Text)> =
        list.iter().filter_map(|text| Some((platform(text, expander)?, text))).collect();
    let declared: BTreeSet<Platform> = platforms.iter().map(|(platform, _)| platform.normal()).collect();
    for (key, inner) in tables.iter().filter(|(_, inner)| inner.own) {
        if !declared.contains(&key.normal()) {
            let names: Vec<&str> = list.iter().map(|text| text.value.as_str()).collect();
            let message = format!("platform {key} is not among `platforms`");
            expander.problems.push(Problem::new(&inner.key.span, message).meant(&inner.key.value, &names));
        }
    }
    platforms
        .into_iter()
        .map(|(platform, text)| {
            let table = by_platform.get(&platform.normal()).copied();
            Declared { platform, table, span: text.span.clone() }
        })
        .collect()
}

/// Reads a platform that images exist for.
fn platform(text: &Text, expander: &mut Expander<'_>) -> Option<Platform> {
    let problem = match text.value.parse::<Platform>() {
        Ok(platform) => match platform.problem() {
            Some(problem) => problem,
            None => return Some(platform),
        },
        Err(error) => error.to_string(),
    };
    // The near miss goes where all problems have theirs.
    let (message, help) = match problem.split_once("; ") {
        Some((message, help)) => (message, Some(help.to_owned())),
        None => (problem.as_str(), None),
    };
    let help = several(&text.value).or(help);
    let help = Platform::meant(&text.value).map(|meant| format!("did you mean `{meant}`?")).or(help);
    expander.problems.push(Problem::new(&text.span, message).maybe_help(help));
    None
}

/// Several platforms in one string, which are strings of their own.
fn several(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let all = parts.iter().all(|part| part.parse::<Platform>().is_ok_and(|it| it.problem().is_none()));
    (parts.len() > 1 && all).then(|| format!("each is a string: `\"{}\"`", parts.join("\", \"")))
}

/// Merges `os-version` and `os-features` of the table into the platform.
fn merge(declared: &mut Declared<'_>, scope: Scope<'_>, expander: &mut Expander<'_>) {
    let Some(table) = declared.table else { return };
    let scope = Scope { place: "`os-version` and `os-features`", ..scope };
    if let Some(text) = &table.os_version
        && let Some(version) = expander.plain(text, scope)
    {
        match &declared.platform.os_version {
            Some(written) if *written != version => expander.problems.push(
                Problem::new(&text.span, format!("two versions of one platform: {written} and {version}"))
                    .also(&declared.span, "the other one"),
            ),
            _ if version.is_empty() => {
                expander.problems.push(
                    Problem::new(&text.span, "`os-version` is empty")
                        .help("leave it out where any version will do"),
                );
            }
            _ => declared.platform.os_version = Some(version),
        }
    }
    for feature in table.os_features.iter().filter_map(|text| expander.plain(text, scope)) {
        if !declared.platform.os_features.contains(&feature) {
            declared.platform.os_features.push(feature);
        }
    }
}
