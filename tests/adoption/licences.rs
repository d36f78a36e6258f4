//! What the program is made of may be handed on: the licences of all that is linked in, by the list of `deny.toml`.

use std::collections::BTreeSet;
use std::path::Path;

use cargo_metadata::{CargoOpt, DependencyKind, MetadataCommand, PackageId};
use toml::Table;

/// Whether a licence expression (SPDX, Annex D) can be kept with `allowed`.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.trim();
    let choices = split(expression, " OR ");
    if choices.len() > 1 {
        return choices.iter().any(|choice| is_allowed(choice, allowed));
    }
    let parts = split(expression, " AND ");
    if parts.len() > 1 {
        return parts.iter().all(|part| is_allowed(part, allowed));
    }
    match expression.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => is_allowed(inner, allowed),
        None => allowed.contains(expression),
    }
}

/// The parts of `expression` between `word`, where that stands in no parentheses.
fn split<'a>(expression: &'a str, word: &str) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in expression.match_indices(word) {
        let before = &expression[..at];
        if before.matches('(').count() == before.matches(')').count() {
            parts.push(&expression[start..at]);
            start = at + word.len();
        }
    }
    parts.push(&expression[start..]);
    parts
}

/// The package's licence; older manifests have `/` for `OR`.
fn licence(package: &cargo_metadata::Package) -> String {
    package.license.clone().unwrap_or_default().replace(" / ", " OR ").replace('/', " OR ")
}

#[test]
fn every_dependency_has_a_licence_of_the_list() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let deny: Table = std::fs::read_to_string(here.join("deny.toml")).unwrap().parse().unwrap();
    let allowed = deny["licenses"]["allow"].as_array().unwrap().iter();
    let allowed: BTreeSet<String> = allowed.map(|licence| licence.as_str().unwrap().to_owned()).collect();
    let metadata = MetadataCommand::new()
        .manifest_path(here.join("Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .other_options(["--locked".to_owned()])
        .exec()
        .unwrap();
    let nodes = &metadata.resolve.as_ref().unwrap().nodes;
    let linked = |id: &PackageId| -> Vec<PackageId> {
        let node = nodes.iter().find(|node| node.id == *id).unwrap();
        let is_linked = |kinds: &[cargo_metadata::DepKindInfo]| {
            kinds.iter().any(|kind| kind.kind != DependencyKind::Development)
        };
        node.deps.iter().filter(|dep| is_linked(&dep.dep_kinds)).map(|dep| dep.pkg.clone()).collect()
    };
    let mut found: Vec<PackageId> = vec![metadata[&metadata.workspace_default_members[0]].id.clone()];
    let mut next = 0;
    while let Some(id) = found.get(next).cloned() {
        for dependency in linked(&id) {
            if !found.contains(&dependency) {
                found.push(dependency);
            }
        }
        next += 1;
    }
    assert!(found.len() > 100, "only {} packages", found.len());
    let wrong: Vec<String> = found
        .iter()
        .map(|id| &metadata[id])
        .filter(|package| !is_allowed(&licence(package), &allowed))
        .map(|package| format!("{} {}: {:?}", package.name, package.version, package.license))
        .collect();
    assert!(wrong.is_empty(), "not in deny.toml: {wrong:#?}");
}

#[test]
fn a_choice_needs_one_and_a_sum_needs_all() {
    let allowed: BTreeSet<String> = ["MIT", "ISC"].map(str::to_owned).into();
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("MIT AND ISC", true),
        ("MIT AND GPL-3.0", false),
        ("Apache-2.0 AND (MIT OR Apache-2.0)", false),
        ("ISC AND (MIT OR Apache-2.0)", true),
        ("(Apache-2.0 OR MIT) AND GPL-3.0", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}
