//! Every link of the built book leads to a file of it, and to a place in that file; nothing is loaded from elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

/// What a page has and what it points at.
#[derive(Default)]
struct Page {
    places: BTreeSet<String>,
    links: Vec<String>,
    loads: Vec<String>,
}

/// Checks the pages of the book in `root`.
pub(super) fn check(root: &Path, pages: &[PathBuf]) -> Result<()> {
    let mut read = BTreeMap::new();
    for path in pages {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        read.insert(path.clone(), page(&text));
    }
    let mut problems = Vec::new();
    let mut followed = 0;
    for (path, page) in &read {
        let from = path.strip_prefix(root).unwrap_or(path).display();
        for link in page.links.iter().chain(&page.loads) {
            followed += 1;
            if let Some(problem) = problem(path, link, page.loads.contains(link), &read) {
                problems.push(format!("{from}: {link}: {problem}"));
            }
        }
    }
    problems.sort();
    problems.dedup();
    if !problems.is_empty() {
        bail!("links that lead nowhere:\n  {}", problems.join("\n  "));
    }
    eprintln!("{followed} links in {} pages", pages.len());
    Ok(())
}

/// What is wrong with a link of the page at `path`.
fn problem(path: &Path, link: &str, loaded: bool, pages: &BTreeMap<PathBuf, Page>) -> Option<String> {
    if link.starts_with("data:") || link.starts_with("mailto:") {
        return None;
    }
    if link.contains("://") || link.starts_with("//") {
        return loaded.then(|| "is loaded from another machine".to_owned());
    }
    let (file, place) = link.split_once('#').unwrap_or((link, ""));
    // The page for what is not found is shown in any folder, so its links are from the root.
    let file = file.split('?').next().unwrap_or_default();
    let target = match file {
        "" => path.to_owned(),
        file => normal(&path.parent()?.join(file.trim_start_matches('/'))),
    };
    let target = if target.is_dir() { target.join("index.html") } else { target };
    if !target.is_file() {
        return Some("there is no such file".to_owned());
    }
    let page = pages.get(&target)?;
    let there = place.is_empty() || page.places.contains(place);
    (!there).then(|| format!("the page has no #{place}"))
}

/// The path without `.` and `..`, which a book for a browser may have.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            part => out.push(part),
        }
    }
    out
}

/// Reads the tags of a page that mdBook wrote, where every attribute is quoted.
fn page(text: &str) -> Page {
    let mut page = Page::default();
    for tag in text.split('<').skip(1) {
        let tag = tag.split_once('>').map_or(tag, |(tag, _)| tag);
        let name = tag.split_whitespace().next().unwrap_or_default();
        if let Some(id) = attribute(tag, "id") {
            page.places.insert(id);
        }
        match (name, attribute(tag, "href"), attribute(tag, "src")) {
            ("a", Some(link), _) => page.links.push(link),
            (_, Some(link), _) | (_, None, Some(link)) => page.loads.push(link),
            _ => {}
        }
    }
    page
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(value.replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_a_file_and_a_place_and_nothing_is_loaded_from_elsewhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (folder.path().join("one.html"), folder.path().join("two.html"));
        fs::write(&two, "<h1 id=\"there\">").expect("a page");
        let checked = |text: &str| {
            fs::write(&one, text).expect("a page");
            check(folder.path(), &[one.clone(), two.clone()]).map_err(|error| error.to_string())
        };
        let good =
            "<a class=\"x\" href=\"two.html#there\"><a href=\"https://example.com\"><img src=\"two.html\">";
        assert_eq!(checked(good), Ok(()));
        for (text, why) in [
            ("<a href=\"three.html\">", "one.html: three.html: there is no such file"),
            ("<a href=\"two.html#here\">", "one.html: two.html#here: the page has no #here"),
            ("<script src=\"https://example.com/x.js\">", "is loaded from another machine"),
        ] {
            let error = checked(text).expect_err(text);
            assert!(error.contains(why), "{error}");
        }
    }
}
