//! ARCHITECTURE.md's table of rooms says who may import whom; the source does no more, and the table says no more.
//!
//! A room is a folder or a file right below `src/`. Every path that starts at the crate's root counts, in a `use`, inline,
//! in a re-export or inside a macro's arguments; what is compiled for tests alone does not.
#![allow(clippy::unwrap_used, reason = "what a test does not expect may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

const HEADING: &str = "## Who may import whom";

type Arrows = BTreeMap<String, BTreeSet<String>>;

#[test]
fn the_source_imports_what_the_table_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (order, allowed) = table(&fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap());
    let found = arrows(&root.join("src"));
    let mut problems = Vec::new();
    for (room, imports) in &found {
        let Some(allowed) = allowed.get(room) else {
            problems.push(format!("`{room}` has no row"));
            continue;
        };
        problems.extend(imports.difference(allowed).map(|other| format!("`{room}` imports `{other}`")));
        problems
            .extend(allowed.difference(imports).map(|other| format!("`{room}` no longer imports `{other}`")));
    }
    problems
        .extend(order.iter().filter(|room| !found.contains_key(*room)).map(|room| format!("no `{room}`")));
    assert!(problems.is_empty(), "ARCHITECTURE.md, \"{HEADING}\":\n{}", problems.join("\n"));
}

/// What stands above may import what stands below, never the other way: there is no circle.
#[test]
fn the_table_has_no_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (order, allowed) = table(&fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap());
    let floor = |room: &str| order.iter().position(|other| other == room);
    let mut problems = Vec::new();
    for (room, imports) in &allowed {
        for other in imports {
            if floor(other) <= floor(room) {
                problems.push(format!("`{other}` stands above `{room}`, which imports it, or has no row"));
            }
        }
    }
    assert!(problems.is_empty(), "ARCHITECTURE.md, \"{HEADING}\":\n{}", problems.join("\n"));
}

/// Rooms in the table's order, and what each row names in its last column.
fn table(text: &str) -> (Vec<String>, Arrows) {
    let section = text.split_once(HEADING).expect("the table's heading").1;
    let section = section.split_once("\n##").map_or(section, |(section, _)| section);
    let (mut order, mut arrows) = (Vec::new(), Arrows::new());
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let names = |cell: &str| -> Vec<String> {
            cell.split('`').skip(1).step_by(2).map(|name| name.trim_end_matches('/').to_owned()).collect()
        };
        let imports: BTreeSet<String> = names(cells.last().unwrap()).into_iter().collect();
        for room in names(cells[0]) {
            arrows.insert(room.clone(), imports.clone());
            order.push(room);
        }
    }
    (order, arrows)
}

/// Which room imports which, from every file below `source`.
fn arrows(source: &Path) -> Arrows {
    let mut arrows = Arrows::new();
    let mut open = vec![source.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_for_tests = path.file_stem().is_some_and(|stem| stem == "tests");
            if path.is_dir() && !is_for_tests {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_for_tests {
                let module = module(path.strip_prefix(source).unwrap());
                let Some(room) = module.first() else { continue };
                let tokens: TokenStream = fs::read_to_string(&path).unwrap().parse().unwrap();
                let mut names = BTreeSet::new();
                from_root(&without_tests(tokens), module.len(), &mut names);
                names.remove(room);
                arrows.entry(room.clone()).or_default().extend(names);
            }
        }
    }
    arrows
}

/// The module that a file is; empty for the crate's root and the binary.
fn module(file: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        file.with_extension("").iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    if names.last().is_some_and(|name| name == "mod")
        || file == Path::new("lib.rs")
        || file == Path::new("main.rs")
    {
        names.pop();
    }
    names
}

/// The tokens without the items that carry `#[cfg(test)]`.
fn without_tests(tokens: TokenStream) -> Vec<TokenTree> {
    let mut kept: Vec<TokenTree> = Vec::new();
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        let is_attribute =
            kept.last().is_some_and(|last| matches!(last, TokenTree::Punct(mark) if mark.as_char() == '#'));
        match token {
            TokenTree::Group(group)
                if is_attribute && group.to_string().replace(' ', "") == "[cfg(test)]" =>
            {
                kept.pop();
                let ends = |token: &TokenTree| match token {
                    TokenTree::Punct(mark) => mark.as_char() == ';',
                    TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                    _ => false,
                };
                tokens.by_ref().find(ends);
            }
            token => kept.push(token),
        }
    }
    kept
}

/// The names right below the crate's root in `tokens`, which stand `depth` modules deep: `crate::name`,
/// `crate::{name, …}` and as many `super::` as lead there.
fn from_root(tokens: &[TokenTree], depth: usize, names: &mut BTreeSet<String>) {
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => from_root(&without_tests(group.stream()), depth, names),
            TokenTree::Ident(ident) if ident == "crate" => below(&tokens[at + 1..], names),
            TokenTree::Ident(ident) if ident == "super" && !follows_a_path(&tokens[..at]) => {
                let mut rest = &tokens[at + 1..];
                let mut climbed = 1;
                while let [TokenTree::Punct(_), TokenTree::Punct(_), TokenTree::Ident(next), after @ ..] =
                    rest
                    && next == "super"
                {
                    (climbed, rest) = (climbed + 1, after);
                }
                if climbed >= depth {
                    below(rest, names);
                }
            }
            _ => {}
        }
    }
}

fn follows_a_path(before: &[TokenTree]) -> bool {
    matches!(before.last(), Some(TokenTree::Punct(mark)) if mark.as_char() == ':')
}

/// What stands right behind `::`: one name, or those that start the parts of a group.
fn below(rest: &[TokenTree], names: &mut BTreeSet<String>) {
    let [TokenTree::Punct(first), TokenTree::Punct(second), named, ..] = rest else { return };
    if first.as_char() != ':' || second.as_char() != ':' {
        return;
    }
    match named {
        TokenTree::Ident(name) => drop(names.insert(name.to_string())),
        TokenTree::Group(group) => {
            let parts: Vec<TokenTree> = group.stream().into_iter().collect();
            let parts = parts.split(|token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ','));
            names.extend(parts.filter_map(|part| part.first().map(ToString::to_string)));
        }
        _ => {}
    }
}
