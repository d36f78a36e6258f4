//! The usual case first: what `--help` shows of each command before its options.

use clap::Command;

use crate::invocation::program;

/// Where the examples stand: behind the usage and before the options, which are many.
const TEMPLATE: &str = "{about-with-newline}\n{usage-heading} {usage}{after-help}\n\n{all-args}";

/// What the program is called once it is installed; in an example it becomes what the user calls it.
const NAME: &str = "manifests";

/// A command's words, and what people run: the usual case first, each line with a few words about it.
type Examples = (&'static [&'static str], &'static [(&'static str, &'static str)]);

const EXAMPLES: &[Examples] = &[
    (
        &[],
        &[
            ("manifests init", "a first manifests.toml, from what is here"),
            ("manifests release --rehearse", "everything, against a registry in this process"),
            ("manifests plan", "what a release would change"),
            ("manifests release", "build, smoke run, push, publish"),
        ],
    ),
    (
        &["release"],
        &[
            ("manifests release", "every target"),
            ("manifests release --rehearse", "try all of it; nothing leaves this machine"),
            ("manifests release app", "one target"),
            ("manifests release --format json", "events for a program, one a line"),
        ],
    ),
    (
        &["plan"],
        &[
            ("manifests plan", "every target"),
            ("manifests plan --exit-code", "3 when there is something to do"),
            ("manifests plan --format markdown", "as a comment on a pull request"),
        ],
    ),
    (
        &["build"],
        &[("manifests build", "every image"), ("manifests build app --platform linux/arm64", "one image")],
    ),
    (
        &["smoke"],
        &[
            ("manifests smoke", "build every image and run it"),
            ("manifests smoke app --platform linux/arm64", "one image"),
        ],
    ),
    (
        &["push"],
        &[
            ("manifests push --platform linux/arm64", "what this machine builds natively"),
            ("manifests push app", "every image of one target"),
        ],
    ),
    (
        &["reconcile"],
        &[
            ("manifests reconcile", "every list, from the images that are there"),
            ("manifests reconcile app", "one target"),
        ],
    ),
    (
        &["verify"],
        &[
            ("manifests verify", "the registries serve what the lock says"),
            ("manifests verify app", "one target"),
        ],
    ),
    (
        &["promote"],
        &[
            ("manifests promote --to registry.corp:5000", "what is locked, byte for byte, elsewhere"),
            ("manifests promote --from 1.2.0 --tag latest", "a tag back to what another serves"),
        ],
    ),
    (
        &["import"],
        &[
            ("manifests import ghcr.io/acme/app:1.0", "what a registry serves"),
            ("manifests import .goreleaser.yaml", "what another tool's file describes"),
        ],
    ),
    (
        &["manifest", "create"],
        &[("manifests manifest create acme/app:1 acme/app-amd64:1 acme/app-arm64:1", "declare a list")],
    ),
    (
        &["manifest", "annotate"],
        &[("manifests manifest annotate acme/app:1 acme/app-arm:1 --variant v7", "another platform")],
    ),
    (
        &["manifest", "inspect"],
        &[("manifests manifest inspect acme/app:1", "the declared list, or the published one")],
    ),
    (&["manifest", "push"], &[("manifests manifest push acme/app:1", "publish it")]),
    (&["manifest", "rm"], &[("manifests manifest rm acme/app:1", "declare it no more")]),
    (
        &["unpublish"],
        &[("manifests unpublish app", "what would go"), ("manifests unpublish app --yes", "delete it")],
    ),
    (
        &["inspect"],
        &[
            ("manifests inspect ghcr.io/acme/app:1.0", "the list and its entries"),
            ("manifests inspect ghcr.io/acme/app:1.0 --verbose", "and each image's configuration and layers"),
        ],
    ),
    (&["tags"], &[("manifests tags ghcr.io/acme/app", "every tag of a repository")]),
    (&["init"], &[("manifests init", "in this folder"), ("manifests init services/app", "in another one")]),
    (
        &["check"],
        &[
            ("manifests check", "the file found from here upwards"),
            ("manifests check --config other.toml", "another file"),
        ],
    ),
    (&["schema"], &[("manifests schema > manifests.schema.json", "what `#:schema` of the file names")]),
    (
        &["doctor"],
        &[
            ("manifests doctor", "what is missing, and how to get it"),
            ("manifests doctor --fix", "get what can be got"),
        ],
    ),
    (
        &["completions"],
        &[
            ("source <(manifests completions bash)", "in ~/.bashrc"),
            ("source <(manifests completions zsh)", "in ~/.zshrc"),
            ("manifests completions fish | source", "in ~/.config/fish/config.fish"),
        ],
    ),
    #[cfg(feature = "embedded-registry")]
    (
        &["registry", "serve"],
        &[
            ("manifests registry serve", "on 127.0.0.1:5000, stored under target/"),
            ("manifests registry serve --listen 127.0.0.1:0", "on a free port, which it prints"),
        ],
    ),
];

/// Adds to `command` and those below it the examples that there are.
pub(super) fn add(command: Command) -> Command {
    let codes = "Exit codes: 0 done; 1 failed, nothing published; 2 wrong usage or declaration; 3 differs;\n\
                 4 published in part, run again; 128+n on signal n";
    let with_codes = |text: String| format!("{text}\n\n{codes}");
    let top = of(&[]).map(with_codes).unwrap_or_default();
    below(command, &mut Vec::new()).after_help(top)
}

fn below(mut command: Command, path: &mut Vec<String>) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    for name in names {
        path.push(name.clone());
        command = command.mut_subcommand(&name, |command| below(command, path));
        path.pop();
    }
    match of(path) {
        Some(text) if path.is_empty() => command.after_help(text),
        Some(text) => command.after_help(text).help_template(TEMPLATE),
        None => command,
    }
}

fn of(path: &[String]) -> Option<String> {
    let (_, lines) = EXAMPLES.iter().find(|(words, _)| *words == path)?;
    // Completion is for the installed program: a shell knows no alias of cargo.
    let program = if path == ["completions"] { NAME } else { program() };
    let called = |line: &str| line.replace(&format!("{NAME} "), &format!("{program} "));
    let lines: Vec<_> = lines.iter().map(|(line, about)| (called(line), about)).collect();
    let width = lines.iter().map(|(line, _)| line.len()).max().unwrap_or_default();
    let mut text = String::from("Usual case:");
    for (line, about) in lines {
        text.push_str(&format!("\n  {line:width$}   {about}"));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::super::args::command;
    use super::*;

    fn leaves(command: &Command, path: &[String], found: &mut Vec<Vec<String>>) {
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            let path = [path, &[below.get_name().to_owned()]].concat();
            match below.has_subcommands() {
                true => leaves(below, &path, found),
                false => found.push(path),
            }
        }
    }

    #[test]
    fn every_command_shows_its_usual_case() {
        let mut found = Vec::new();
        leaves(&command(), &[], &mut found);
        for path in found {
            assert!(of(&path).is_some(), "`{}` has no entry in {}", path.join(" "), file!());
        }
    }

    #[test]
    fn every_example_is_a_line_that_can_be_typed() {
        for (_, lines) in EXAMPLES {
            for (line, _) in *lines {
                // What the shell makes of it is not ours.
                let words = line.split(['|', '>']).find(|part| part.contains("manifests")).unwrap_or(line);
                let words = words.trim().trim_start_matches("source <(").trim_end_matches(')');
                let words = words.split_whitespace();
                assert!(command().try_get_matches_from(words).is_ok(), "{line}");
            }
        }
    }
}
