//! What messages tell people to type: every command line is one that the parser takes, and every flag is one of the
//! commands that show it.

#![expect(clippy::unwrap_used, reason = "what a test does not expect may panic")]

use std::path::Path;

use regex::Regex;

use super::args::command;

/// The commands that show a flag by itself, by the file that says it; all commands, for what is taken everywhere.
const FLAGS: [(&str, &str, &[&str]); 10] = [
    ("author/edit/list.rs", "--amend", &["manifest create"]),
    ("plan/tags.rs", "--first-publish", &["plan", "release", "reconcile"]),
    ("release/promote.rs", "--to", &["promote"]),
    ("build/pipeline.rs", "--skip-smoke", &["release", "push"]),
    ("cli/rehearse.rs", "--keep-serving", &["release"]),
    ("release/clean.rs", "--allow-dirty", &["release"]),
    ("cli/registry.rs", "--htpasswd", &["registry serve"]),
    ("cli/registry.rs", "--read-only", &["registry serve"]),
    ("cli/registry.rs", "--tls-cert", &["registry serve"]),
    ("cli/registry.rs", "--tls-key", &["registry serve"]),
];

/// These speak of the engine's flags, and of examples that a test of their own reads.
const OTHERS: [&str; 3] = ["config/keys.rs", "cli/examples.rs", "cli/hints.rs"];

/// Flags of the engine, which messages about `extra-args` name.
const ENGINE_FLAGS: [&str; 1] = ["--build-arg"];

#[test]
fn what_messages_show_can_be_typed() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&sources, &mut files);
    let (mut lines, mut flags, mut wrong) = (0, 0, Vec::new());
    for file in files {
        let name = file.strip_prefix(&sources).unwrap().to_str().unwrap();
        if OTHERS.contains(&name) {
            continue;
        }
        for shown in fragments(&std::fs::read_to_string(&file).unwrap()) {
            let first = shown.split([' ', '=']).next().unwrap_or_default();
            if is_command(&shown) {
                lines += 1;
                if !is_read(&shown) {
                    wrong.push(format!("{name}: `{shown}` is no command line"));
                }
            } else if first.starts_with("--") && !ENGINE_FLAGS.contains(&first) {
                flags += 1;
                let everywhere = takes("", first);
                let known = FLAGS.iter().filter(|(of, flag, _)| *of == name && *flag == first);
                let known: Vec<&str> = known.flat_map(|(_, _, commands)| commands.iter().copied()).collect();
                if !everywhere && (known.is_empty() || !known.iter().all(|command| takes(command, first))) {
                    wrong.push(format!("{name}: `{shown}` is not taken by all that show it: {known:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(lines >= 10 && flags >= 6, "{lines} command lines, {flags} flags");
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" {
            collect(&path, files);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            files.push(path);
        }
    }
}

/// What stands in backticks in the strings of a source, without comments and tests.
fn fragments(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let joined = Regex::new(r"\\\n\s*").unwrap().replace_all(&code.join("\n"), "").into_owned();
    let quoted = Regex::new("`([^`\n]+)`").unwrap();
    quoted.captures_iter(&joined).map(|found| found[1].to_owned()).collect()
}

/// The words of a line without the program's name.
fn words(shown: &str) -> Vec<&str> {
    let rest =
        ["{program} ", "{} ", "manifests ", "cargo xtask "].iter().find_map(|name| shown.strip_prefix(name));
    rest.unwrap_or(shown).split(' ').collect()
}

/// Whether a command of ours is shown with a flag; a command's name alone is a word of the text.
fn is_command(shown: &str) -> bool {
    let words = words(shown);
    let named = command().get_subcommands().any(|known| known.get_name() == words[0]);
    named && words.iter().any(|word| word.starts_with("--"))
}

/// Whether the parser takes the line, with something in the place of what it leaves open.
fn is_read(shown: &str) -> bool {
    let open = Regex::new(r"^(\{[^}]*\}|[A-Z]+)$").unwrap();
    let after = Regex::new(r"\{[a-z]*\}$").unwrap();
    let typed: Vec<String> = words(shown)
        .into_iter()
        .map(|word| if open.is_match(word) { "x".to_owned() } else { after.replace(word, "").into_owned() })
        .collect();
    let reads = |more: &[&str]| {
        let line =
            ["manifests"].into_iter().chain(typed.iter().map(String::as_str)).chain(more.iter().copied());
        command().try_get_matches_from(line).is_ok_and(|_| true)
    };
    // A flag at the end may be named without its value.
    reads(&[]) || reads(&["x"])
}

/// Whether a command, or the program itself, has a flag.
fn takes(path: &str, flag: &str) -> bool {
    let mut at = command();
    for name in path.split(' ').filter(|name| !name.is_empty()) {
        at = at.find_subcommand(name).unwrap().clone();
    }
    let long = flag.trim_start_matches('-');
    at.get_arguments().any(|argument| argument.get_long() == Some(long))
}
