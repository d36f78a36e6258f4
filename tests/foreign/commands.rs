//! Every command over hostile text.

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use crate::hostile::{MARKER, SECRET, each, hostile};
use crate::output::{markdown, problem_of_json, problem_of_text, seen};
use crate::support::Workspace;
use crate::world::{Mood, World, literal, run};

/// A command, and whether it must have shown the text.
type Row<'a> = (&'a [&'a str], bool);

/// What is wrong with what commands wrote, all of it.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    /// Runs a command; what it writes is what it may write.
    fn check(&mut self, workspace: &Workspace, args: &[&str], shows: bool) {
        let ran = run(workspace, args);
        let is_json = args.contains(&"json");
        let all = [&*ran.stdout, &ran.stderr, &ran.summary].concat();
        let found = [
            ran.stderr.contains("panicked").then(|| "a panic".to_owned()),
            problem_of_text(&ran.stderr).map(|problem| format!("stderr {problem}")),
            if is_json { problem_of_json(&ran.stdout) } else { problem_of_text(&ran.stdout) }
                .map(|problem| format!("stdout {problem}")),
            markdown(&ran.summary).problem.map(|problem| format!("the summary {problem}")),
            all.contains(SECRET).then(|| "the secret".to_owned()),
            (shows && !all.contains(MARKER)).then(|| "not the text".to_owned()),
        ];
        for problem in found.into_iter().flatten() {
            let (out, err) = (short(&ran.stdout), short(&ran.stderr));
            self.0.push(format!(
                "{:?} ended with {:?}: {}\n{out}\n{err}",
                short(&args.join(" ")),
                ran.code,
                short(&problem)
            ));
        }
    }
}

impl Drop for Problems {
    fn drop(&mut self) {
        assert!(self.0.is_empty() || std::thread::panicking(), "{}", self.0.join("\n\n"));
    }
}

fn short(text: &str) -> String {
    text.chars().take(900).collect()
}

fn declaration(host: &str, text: &str) -> String {
    let text = literal(text);
    let target = |name: &str, tag: &str, more: &str| {
        format!(
            "[target.{name}]\nrepository = \"{host}/app\"\ntags = [\"{tag}\"]\nformat = \"oci\"\n{more}\
             annotations = {{ title = {text}, other = {text} }}\n\
             [target.{name}.platform.\"linux/amd64\"]\nimage = \"{host}/app:1-linux-plain\"\n\
             annotations = {{ note = {text}, {text} = \"x\" }}\n"
        )
    };
    let arm = format!(
        "[target.app.platform.\"linux/arm64\"]\nimage = \"{host}/app:1-linux-hostile\"\nos-features = [{text}]\n"
    );
    [
        target("app", "1", ""),
        arm,
        target("odd", "odd", "undeclared = \"remove\"\n"),
        target("stop", "odd2", ""),
    ]
    .concat()
}

/// Everything that reads a registry, with `text` wherever there is text.
fn commands(text: &str) {
    let mut problems = Problems::default();
    let world = World::start();
    world.publish("app", text);
    world.says(Mood::Serving, text);
    let host = &world.host;
    let workspace = Workspace::new(&[("manifests.toml", &declaration(host, text))]);
    let app = |rest: &str| format!("{host}/app{rest}");
    let (one, odd, image, repository) = (app(":1"), app(":odd"), app(":1-linux-hostile"), app(""));
    let argument = text.replace('\0', "");
    let before: &[Row<'_>] = &[
        (&["check"], false),
        (&["check", "--format", "json"], false),
        (&["plan"], true),
        (&["plan", "--format", "json"], true),
        (&["plan", "--rehearse"], false),
        (&["inspect", &one], true),
        (&["inspect", &one, "--format", "json"], true),
        (&["inspect", &image, "--verbose"], true),
        (&["inspect", &odd, "--verbose"], true),
        (&["inspect", &odd, "--format", "json"], true),
        (&["tags", &repository], true),
        (&["tags", &repository, "--format", "json"], true),
        (&["verify"], false),
        (&["plan", &argument], true),
        (&[&argument], true),
        (&["plan", "--config", &argument], true),
        (&["inspect", &argument], true),
        (&["import", &odd], false),
        (&["manifest", "annotate", &one, &image, "--os", &argument], true),
        (&["manifest", "annotate", &one, &image, "--os-features", &argument], false),
        (&["manifest", "push", &argument], true),
        (&["manifest", "rm", &argument], true),
        (&["doctor"], false),
        (&["doctor", "--format", "json"], false),
        (&["release", "--rehearse"], false),
    ];
    for (args, shows) in before {
        problems.check(&workspace, args, *shows);
    }
    workspace.write("manifests.toml", &declaration(host, text));
    markdown_of_plan(&workspace, text);

    for mood in
        [Mood::Refusing(400), Mood::Refusing(403), Mood::Refusing(404), Mood::Refusing(409), Mood::Lying]
    {
        world.says(mood, text);
        let told = matches!(mood, Mood::Refusing(400 | 409));
        let rows: &[Row<'_>] = &[
            (&["plan"], told),
            (&["plan", "--format", "json"], told),
            (&["reconcile", "--format", "json"], told),
            (&["inspect", &one], told),
            (&["tags", &repository], told),
            (&["import", &app(":new")], told),
            (&["unpublish", "app", "--yes"], told),
            (&["manifest", "create", &app(":new"), &image], told),
        ];
        for (args, shows) in rows {
            problems.check(&workspace, args, *shows);
        }
    }

    world.says(Mood::Serving, text);
    let after: &[Row<'_>] = &[
        (&["reconcile", "app", "--verbose"], false),
        (&["reconcile", "app", "--format", "json"], false),
        (&["verify"], false),
        (&["promote", "app", "--from", "1", "--tag", "moved"], false),
        (&["unpublish", "odd", "--yes", "--verbose"], false),
        (&["unpublish", "app", "--yes", "--format", "json"], false),
    ];
    for (args, shows) in after {
        problems.check(&workspace, args, *shows);
    }
}

/// The comment of a pull request: tables whose cells are the texts, and nothing else of them.
fn markdown_of_plan(workspace: &Workspace, text: &str) {
    let ran = run(workspace, &["plan", "--format", "markdown"]);
    let found = markdown(&ran.stdout);
    assert_eq!(found.problem, None, "{}", ran.stdout);
    assert!(found.rows.iter().all(|row| row.len() == 3), "{:?}\n{}", found.rows, ran.stdout);
    assert!(
        found.headings.len() == 4 && !found.headings.concat().contains(MARKER),
        "{:?}\n{}",
        found.headings,
        ran.stdout
    );
    // What the terminal shows of the same plan stands in the cells, word for word.
    let plain = run(workspace, &["plan"]).stdout;
    let cells: Vec<String> = found.rows.iter().flatten().map(|cell| seen(cell)).collect();
    let lines: Vec<String> = plain
        .lines()
        .filter(|line| line.contains("annotation ") && line.contains(MARKER))
        .map(seen)
        .collect();
    assert!(lines.len() >= 2, "{text:?}: {plain}");
    for line in lines {
        let is_there = cells.chunks(3).any(|row| {
            row.concat().replace("\\u{7c}", "|") == line.replace("\\u{7c}", "|").replace("\\|", "|")
        });
        assert!(is_there, "{line}\nis no row of\n{}", ran.stdout);
    }
}

#[test]
fn nothing_foreign_leaves_its_place_in_any_output() {
    // All pieces in a few texts, whatever chance says; then chance.
    for pieces in each().chunks(12) {
        commands(&pieces.concat());
    }
    let persistence = Some(Box::new(FileFailurePersistence::Off) as _);
    let mut runner = TestRunner::new(Config {
        cases: 4,
        max_shrink_iters: 0,
        failure_persistence: persistence,
        ..Config::default()
    });
    runner
        .run(&hostile(), |text| {
            commands(&text);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_broken_file_is_quoted_on_its_line() {
    let mut problems = Problems::default();
    for text in each() {
        let quoted = literal(&text);
        let workspace = Workspace::new(&[]);
        for file in [
            format!("[target.{quoted}]\nrepository = {quoted}\ntags = [{quoted}]\n{quoted} = {quoted}\n"),
            format!(
                "[target.app]\nrepository = \"r.test/a\"\ntags = [\"1\"]\nplatforms = [{quoted}]\nformat = {quoted}\n"
            ),
            format!("[target.app]\nrepository = \"r.test/a\" # {text}\n{text} = 1\n"),
            text.clone(),
        ] {
            workspace.write("manifests.toml", &file);
            problems.check(&workspace, &["check"], false);
            problems.check(&workspace, &["check", "--format", "json"], false);
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 64, failure_persistence: None, ..Config::default() })]

    /// The checks themselves: they find what they are there for.
    #[test]
    fn the_checks_find_what_they_look_for(text in hostile()) {
        let is_harmless = text.chars().all(|c| !c.is_control()) && problem_of_text(&text).is_none();
        if text.contains('\u{1b}') || text.contains('\u{202e}') || text.contains("\n::add-mask") {
            prop_assert!(!is_harmless);
            prop_assert!(problem_of_text(&text).is_some());
        }
        if text.contains("![i]") && !text.contains(['\n', '`', '<', '\\']) {
            prop_assert!(markdown(&text).problem.is_some());
        }
    }
}
