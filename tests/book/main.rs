//! The documentation does what it says: each page's files and commands are written and run in order, in a project of
//! the page's own.
//!
//! What a page's source says to this test, in a comment on the line before a block:
//!
//! - `<!-- file: PATH -->`: the block is that file; it is written, and committed.
//! - `<!-- made by: COMMAND -->`: it is run, and the block is what `manifests.toml` holds then.
//! - `<!-- needs: PATH… -->`: these files are there, which the page does not show.
//! - `<!-- not run: WHY -->`: the commands are only parsed, by a unit test of the command line.
//!
//! A block of TOML that declares a target is checked, other TOML, YAML and JSON parsed. Of a command's stdout, and of
//! its error when it fails, the block shows the lines; `…` stands for any text, and alone for any lines. A command that
//! shows nothing has to succeed. `ghcr.io` and `127.0.0.1:5000` are one registry of the test's own, `quay.io` another.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod page;
mod project;
mod shown;

#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};

use page::{Block, Page};
use project::Project;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// One test for each page that shows something to write or to run.
macro_rules! pages {
    ($($name:ident: $path:literal,)*) => {
        const PAGES: &[&str] = &[$($path),*];
        $(#[test] fn $name() { works($path); })*
    };
}

pages! {
    introduction: "introduction.md",
    a_first_release: "tutorial.md",
    configuration: "configuration.md",
    docker_manifest: "docker-manifest.md",
    several_registries: "howto/several-registries.md",
    native_runners: "howto/native-runners.md",
    existing_images: "howto/existing-images.md",
    windows: "howto/windows.md",
    private_ca: "howto/private-ca.md",
    a_registry_for_a_team: "howto/serve-registry.md",
    promotion_and_rollback: "howto/promote.md",
    taking_back: "howto/unpublish.md",
    signing: "howto/sign.md",
    continuous_integration: "howto/ci.md",
    own_workspace: "howto/workspace.md",
    migration: "howto/migrate/index.md",
    migration_from_docker_manifest: "howto/migrate/docker-manifest.md",
    migration_from_bake: "howto/migrate/bake.md",
    migration_from_goreleaser: "howto/migrate/goreleaser.md",
    migration_from_manifest_tool: "howto/migrate/manifest-tool.md",
    reproducible: "explanation/reproducible.md",
    reconciling: "explanation/reconciling.md",
    promises: "explanation/promises.md",
    security: "explanation/security.md",
    performance: "explanation/performance.md",
    readme: "../README.md",
}

/// Pages that other tests hold to the code: the transcript, what is generated from the code, the benchmark.
const CHECKED_ELSEWHERE: &[&str] = &["SUMMARY.md", "walkthrough.md", "reference/", "benchmark/"];

#[test]
fn examples_that_pages_name_are_there() {
    let mut named = 0;
    for page in page::below(&docs()) {
        let text = std::fs::read_to_string(docs().join(&page)).unwrap();
        for name in text.split("`examples/").skip(1).filter_map(|rest| rest.split('`').next()) {
            named += 1;
            assert!(docs().join("../examples").join(name).is_dir(), "{page}: there is no examples/{name}");
        }
    }
    assert!(named > 3, "only {named} examples are named");
}

#[test]
fn every_page_is_tested_and_in_the_book() {
    let summary = std::fs::read_to_string(docs().join("SUMMARY.md")).unwrap();
    for path in page::below(&docs()) {
        let elsewhere = CHECKED_ELSEWHERE.iter().any(|known| path.starts_with(known));
        assert!(elsewhere || PAGES.contains(&path.as_str()), "{path} is not in {}", file!());
        let linked = summary.contains(&format!("]({path})"));
        assert!(linked || path == "SUMMARY.md", "SUMMARY.md does not name {path}");
    }
}

/// The page on performance quotes rows of the benchmark. `SNAPSHOTS=overwrite` writes them anew, which is what
/// `cargo xtask docs` does.
#[test]
fn generated_files_quote_the_benchmark_as_it_is() {
    let page = docs().join("explanation/performance.md");
    let quoting = std::fs::read_to_string(&page).unwrap();
    let measured = std::fs::read_to_string(docs().join("benchmark/benchmark.md")).unwrap();
    // What was measured, in the first four cells.
    let what = |row: &str| row.split('|').take(5).collect::<Vec<_>>().join("|");
    let current = quoting.lines().map(|line| match line.strip_prefix("| ") {
        None => line,
        Some(_) => measured
            .lines()
            .find(|row| what(row) == what(line))
            .unwrap_or_else(|| panic!("the benchmark has no row for {line}")),
    });
    let current: String = current.map(|line| format!("{line}\n")).collect();
    let kept = snapbox::Data::read_from(&page, Some(snapbox::data::DataFormat::Text)).raw();
    snapbox::Assert::new().action_env("SNAPSHOTS").eq(current, kept);
}

/// Goes through a page from top to bottom.
fn works(path: &str) {
    let page = Page::read(&docs().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"));
    let mut project = None;
    for block in &page.blocks {
        let done = match block {
            Block::Text => Ok(()),
            Block::Data { language, text } => page::parse(language, text),
            block => project.get_or_insert_with(|| Project::new(&page.text)).follow(block),
        };
        done.unwrap_or_else(|why| panic!("docs/{path}: {why}"));
    }
}
