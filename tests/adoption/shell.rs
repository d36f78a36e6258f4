//! Help, near misses, and completion in real shells.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use snapbox::str;

use crate::support::Workspace;

const DECLARATION: &str = r#"
[target.echo-server]
repository = "ghcr.io/acme/echo-server"
tags = ["1"]
platforms = ["linux/amd64", "linux/arm/v7"]

[target.worker]
repository = "ghcr.io/acme/worker"
tags = ["1"]
platform."linux/riscv64" = {}
platform."linux/amd64" = {}
"#;

/// What `shell` prints for `script`, run in a folder below the declaration's with our binary on PATH.
fn run(shell: &str, arguments: &[&str], script: &str) -> String {
    let workspace = Workspace::new(&[
        ("manifests.toml", DECLARATION),
        (
            "other.toml",
            "[target.elsewhere]\nrepository = \"a.io/b\"\ntags = [\"1\"]\nplatforms = [\"linux/amd64\"]\n",
        ),
        ("below/it/file", ""),
    ]);
    let binaries = PathBuf::from(env!("CARGO_BIN_EXE_manifests"));
    let path = std::env::var_os("PATH").unwrap();
    let paths = [binaries.parent().unwrap().to_owned()].into_iter().chain(std::env::split_paths(&path));
    let output = Command::new(shell)
        .args(arguments)
        .arg(script)
        .current_dir(workspace.path().join("below/it"))
        .env("PATH", std::env::join_paths(paths).unwrap())
        .env("HOME", workspace.path())
        .env("TERM", "dumb")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{shell} does not start: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shell}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The lines typed, and what must be offered, or must not.
const TYPED: &[(&str, &[&str], &[&str])] = &[
    ("manifests rel", &["release"], &["plan"]),
    ("manifests release ", &["echo-server", "worker"], &["linux/amd64"]),
    ("manifests release wor", &["worker"], &["echo-server"]),
    ("manifests build --platform linux/a", &["linux/amd64", "linux/arm/v7"], &["linux/riscv64"]),
    ("manifests --config ../../other.toml plan ", &["elsewhere"], &["worker"]),
    ("manifests --config=../../other.toml plan ", &["elsewhere"], &["worker"]),
    ("manifests plan --exit", &["--exit-code"], &["worker"]),
    ("manifests completions z", &["zsh"], &["bash"]),
];

fn assert_offered(shell: &str, offered: impl Fn(&str) -> String) {
    for (line, wanted, unwanted) in TYPED {
        let offered = offered(line);
        let words: Vec<&str> = offered.split_whitespace().collect();
        for word in *wanted {
            assert!(words.contains(word), "{shell}: `{line}` offers {offered:?}");
        }
        for word in *unwanted {
            assert!(!words.contains(word), "{shell}: `{line}` offers {offered:?}");
        }
    }
}

#[test]
fn bash_completes_targets_and_platforms_of_the_file_at_hand() {
    assert_offered("bash", |line| {
        // As readline calls it: the words so far, the one under the cursor last.
        let script = format!(
            r#"source <(manifests completions bash)
            line='{line}'
            read -ra COMP_WORDS <<< "$line"
            [[ $line == *' ' ]] && COMP_WORDS+=('')
            COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) COMP_TYPE=9
            function=$(complete -p manifests | sed 's/.*-F \([^ ]*\).*/\1/')
            "$function" manifests "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
            printf '%s\n' "${{COMPREPLY[@]}}""#
        );
        run("bash", &["--norc", "-c"], &script)
    });
}

#[test]
fn fish_completes_targets_and_platforms_of_the_file_at_hand() {
    assert_offered("fish", |line| {
        run(
            "fish",
            &["--no-config", "-c"],
            &format!("manifests completions fish | source; complete -C '{line}'"),
        )
    });
}

#[test]
fn zsh_completes_targets_and_platforms_of_the_file_at_hand() {
    assert_offered("zsh", |line| {
        // What the script hands to zsh's own completion, which needs a terminal to show it.
        let script = format!(
            r#"autoload -Uz compinit && compinit -u -D
            source <(manifests completions zsh)
            _describe() {{ print -rl -- "${{(@)${{(@P)3}}%%:*}}" }}
            compadd() {{ print -rl -- "$@" }}
            compset() {{ true }}
            line='{line}'
            words=(${{=line}})
            [[ $line == *' ' ]] && words+=('')
            CURRENT=$#words
            $_comps[manifests]"#
        );
        run("zsh", &["-f", "-c"], &script)
    });
}

#[test]
fn nothing_is_offered_and_nothing_said_where_the_file_is_broken() {
    let workspace = Workspace::new(&[("manifests.toml", "[target")]);
    let output = workspace
        .manifests(&["--", "manifests", "release", ""])
        .env("MANIFESTS_COMPLETE", "fish")
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(!String::from_utf8_lossy(&output.stdout).contains("echo-server"));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_mistyped_command_option_or_target_brings_the_near_one() {
    let workspace = Workspace::new(&[("manifests.toml", DECLARATION)]);
    let said = |arguments: &[&str]| {
        let output = workspace.manifests(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(&["relase"]).contains("a similar subcommand exists: 'release'"), "{}", said(&["relase"]));
    assert!(said(&["plan", "--exitcode"]).contains("a similar argument exists: '--exit-code'"));
    assert!(said(&["plan", "worke"]).contains("hint: did you mean `worker`?"));
    assert!(said(&["plan", "zzz"]).contains("hint: declared are echo-server, worker"));
}

#[test]
fn an_xtask_speaks_of_cargo_xtask() {
    let workspace = Workspace::new(&[]);
    let program = workspace.path().join("xtask");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_manifests"), &program).unwrap();
    let said = |arguments: &[&str]| {
        let output = Command::new(&program).args(arguments).current_dir(workspace.path()).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let help = said(&["plan", "--help"]);
    assert!(help.contains("Usage: cargo xtask plan [OPTIONS]"), "{help}");
    assert!(help.contains("  cargo xtask plan --exit-code  "), "{help}");
    let error = said(&["check"]);
    assert!(error.contains("hint: `cargo xtask init` writes a first one"), "{error}");
    workspace.write("Dockerfile", "FROM scratch\n");
    assert!(said(&["init"]).contains("Next: `cargo xtask release --rehearse` tries it"));
    // A shell completes the installed program.
    assert!(said(&["completions", "--help"]).contains("source <(manifests completions bash)"));
}

#[test]
fn init_says_what_to_type_from_here() {
    let workspace = Workspace::new(&[
        ("two words/Dockerfile", "FROM scratch\n"),
        ("rust/Dockerfile", "FROM scratch\n"),
        ("rust/Cargo.toml", "[package]\nname = \"app\"\nversion = \"1.0.0\"\nedition = \"2024\"\n"),
        ("rust/src/main.rs", "fn main() {}\n"),
    ]);
    let said = |arguments: &[&str]| {
        let output = workspace.manifests(arguments).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let next = "Next: `manifests release --rehearse --config 'two words/manifests.toml'` tries it";
    assert!(said(&["init", "two words"]).contains(next));
    assert!(
        said(&["init", "--xtask", "rust"])
            .contains("Next, in rust: `cargo xtask release --rehearse` tries it")
    );
}

#[test]
fn help_shows_the_usual_case_before_the_options() {
    let workspace = Workspace::new(&[]);
    let help = workspace.manifests(&["plan", "--help"]).env("COLUMNS", "100").assert().success();
    help.stdout_eq(str![[r#"
Show what `release` would change, entry by entry; writes nothing

Usage: manifests plan [OPTIONS] [TARGET]...

Usual case:
  manifests plan                     every target
  manifests plan --exit-code         3 when there is something to do
  manifests plan --format markdown   as a comment on a pull request

Arguments:
...
"#]]);
}
