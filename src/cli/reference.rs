//! The reference of the commands and exit codes in the documentation, kept as the code has them. Compiled for tests only.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, ArgAction, Command};

use super::args;
use crate::error::Exit;

fn commands() -> String {
    let mut top = args::command();
    top.build();
    let mut out = String::from(
        "<!-- Written by `cargo xtask docs` from src/cli/args.rs. -->\n\n# Commands\n\n\
         In a workspace with the alias `cargo xtask …` is `manifests …`. `TARGET` limits a command to some of the\n\
         declared targets. What a command ends with: [exit codes](exit-codes.md).\n\n",
    );
    below(&top, &mut out);
    out.push_str("## Everywhere\n\nThese go with every command.\n\n");
    table(top.get_arguments().filter(|arg| arg.is_global_set()), &mut out);
    out.truncate(out.trim_end().len() + 1);
    out
}

/// The commands below one, in the order of `--help`.
fn below(command: &Command, out: &mut String) {
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        if command.has_subcommands() {
            below(command, out);
            continue;
        }
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ");
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
        let _ = writeln!(out, "## `{name}`\n\n{about}.\n\n```text\n{usage}");
        if let Some(examples) = command.get_after_help() {
            let _ = writeln!(out, "\n{}", examples.to_string().trim_end());
        }
        out.push_str("```\n\n");
        table(command.get_arguments().filter(|arg| !arg.is_global_set()), out);
    }
}

fn table<'a>(arguments: impl Iterator<Item = &'a Arg>, out: &mut String) {
    let arguments: Vec<&Arg> = arguments
        .filter(|arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version"))
        .collect();
    if arguments.is_empty() {
        return;
    }
    out.push_str("| argument | meaning |\n|---|---|\n");
    for argument in arguments {
        let _ = writeln!(out, "| {} | {} |", name(argument), meaning(argument).replace('|', "\\|"));
    }
    out.push('\n');
}

fn name(argument: &Arg) -> String {
    let value = match argument.get_action() {
        ArgAction::Set | ArgAction::Append => argument.get_value_names().unwrap_or_default().join(" "),
        _ => String::new(),
    };
    let short = argument.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    match argument.get_long() {
        Some(long) => format!("{short}`{}`", format!("--{long} {value}").trim_end()),
        None => format!("`{value}`"),
    }
}

fn meaning(argument: &Arg) -> String {
    let mut text = argument.get_help().map(ToString::to_string).unwrap_or_default();
    if !text.ends_with('.') {
        text.push('.');
    }
    for value in argument.get_possible_values().iter().filter(|_| argument.get_action().takes_values()) {
        let help = value.get_help().map(|help| format!(": {help}")).unwrap_or_default();
        let _ = write!(text, "<br>`{}`{}", value.get_name(), help.trim_end_matches('.'));
    }
    let quoted =
        |values: &[String]| values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
    let defaults = argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
    let defaults: Vec<String> = defaults.collect();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        let _ = write!(text, "<br>Default: {}", quoted(&defaults));
    }
    if let Some(variable) = argument.get_env() {
        let _ = write!(text, "<br>Else the environment's `{}`", variable.to_string_lossy());
    }
    let aliases = argument.get_all_aliases().unwrap_or_default();
    let aliases: Vec<String> = aliases.iter().map(|alias| format!("--{alias}")).collect();
    if !aliases.is_empty() {
        let _ = write!(text, "<br>Also: {}", quoted(&aliases));
    }
    text
}

fn exit_codes() -> String {
    let mut out = String::from(
        "<!-- Written by `cargo xtask docs` from src/cli/reference.rs. -->\n\n# Exit codes\n\n| exit code | means |\n|---|---|\n",
    );
    let all = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::Differs,
        Exit::Partial,
        Exit::UnknownOption,
        Exit::Signal(0),
    ];
    for exit in all {
        let code = match exit {
            Exit::Signal(_) => "128+n".to_owned(),
            exit => exit.code().to_string(),
        };
        let means = match exit {
            Exit::Done => "done",
            Exit::Failed => {
                "failed; nothing was published, but for images under tags of their own, which the message names"
            }
            Exit::Usage => "the command line or the declaration is wrong",
            Exit::Differs => {
                "something differs: the registry from the declaration (`plan --exit-code`) or from the lock \
                 (`verify`), a release from the lock (`release --locked`)"
            }
            Exit::Partial => {
                "published in part, or published and not recorded in the lock or a file that was asked for; run the same \
                 command again"
            }
            Exit::UnknownOption => "`manifest` was given an option that it does not have, as Docker says it",
            Exit::Signal(_) => "ended by signal n",
        };
        let _ = writeln!(out, "| {code} | {means} |");
    }
    out
}

/// `SNAPSHOTS=overwrite` writes them anew, which is what `cargo xtask docs` does.
#[test]
fn generated_files_of_the_commands_are_current() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference");
    for (path, text) in [("commands.md", commands()), ("exit-codes.md", exit_codes())] {
        let kept = snapbox::Data::read_from(&docs.join(path), Some(snapbox::data::DataFormat::Text)).raw();
        snapbox::Assert::new().action_env("SNAPSHOTS").eq(text, kept);
    }
}

/// Commands that a page shows and that no test can run are at least commands that there are.
#[test]
fn every_command_in_the_documentation_can_be_typed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md")];
    find_pages(&root.join("docs"), &mut pages);
    let mut read = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for line in text.lines().filter_map(|line| line.trim_start().strip_prefix("$ ")) {
            let Some(words) = ours(line) else { continue };
            read += 1;
            let parsed = args::command().try_get_matches_from(words);
            let fine = parsed.as_ref().map_or_else(|error| !error.use_stderr(), |_| true);
            // What is wrong on purpose is shown with its exit code.
            let on_purpose = text.split_once(line).is_some_and(|(_, after)| {
                after.lines().take_while(|line| !line.starts_with("```")).any(|line| line == "exit code 125")
            });
            assert!(fine || on_purpose, "{}: {line}: {}", page.display(), parsed.unwrap_err());
        }
    }
    assert!(read > 50, "only {read} commands were found");
}

fn find_pages(folder: &Path, pages: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            find_pages(&path, pages);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            pages.push(path);
        }
    }
}

/// The words of a command line of ours, as a shell would hand them over.
fn ours(line: &str) -> Option<Vec<String>> {
    // This repository's own tasks are no commands of the library.
    const TASKS: [&str; 6] = ["bench", "book", "ci", "docs", "screens", "transcript"];
    let line = line.split(" #").next().unwrap_or(line);
    let line = line.split([';', '|', '>', '&']).next().unwrap_or(line);
    let words = line.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned());
    let mut words: Vec<String> = words.collect();
    if words.starts_with(&["cargo".into(), "xtask".into()]) {
        words.remove(0);
    }
    let known = matches!(words.first().map(String::as_str), Some("manifests" | "xtask"));
    (known && !words.get(1).is_some_and(|word| TASKS.contains(&word.as_str()))).then_some(words)
}
