//! Colour where it is wanted, and lines that do not tear.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::support::{ImageGuard, Workspace, docker};

#[test]
fn colour_is_a_matter_of_the_environment_and_the_option() {
    let workspace = Workspace::new(&[("manifests.toml", "[target.app]\n")]);
    let coloured = |arguments: &[&str], environment: &[(&str, &str)]| {
        let command = workspace.manifests(&[&["check"], arguments].concat()).env_remove("NO_COLOR");
        let output = command.envs(environment.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap().contains('\u{1b}')
    };
    for (arguments, environment, expected) in [
        (&[][..], &[][..], false),
        (&[], &[("CLICOLOR_FORCE", "1")], true),
        (&[], &[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")], true),
        (&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        (&["--color", "always"], &[("NO_COLOR", "1")], true),
        (&["--color", "never"], &[("CLICOLOR_FORCE", "1")], false),
    ] {
        assert_eq!(coloured(arguments, environment), expected, "{arguments:?} {environment:?}");
    }
}

#[test]
fn ten_builds_that_write_at_once_write_whole_lines() {
    let mut declaration = String::from(
        "[defaults]\nplatforms = [\"linux/amd64\"]\ntags = [\"1\"]\nbuild = { context = \".\", no-cache = true }\n",
    );
    for index in 0..10 {
        write!(declaration, "[target.t{index}]\nrepository = \"localhost:1/torn/t{index}\"\n").unwrap();
    }
    let workspace = Workspace::new(&[
        ("manifests.toml", &declaration),
        ("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n"),
    ]);
    let image = |index: usize| format!("localhost:1/torn/t{index}:1-linux-amd64");
    let mut guard = ImageGuard::new(image(0));
    (1..10).for_each(|index| guard.add(image(index)));
    let engine = docker().to_str().unwrap();
    let build = workspace.manifests(&["build", "--verbose", "--jobs", "10", "--engine", engine]);
    let output = build.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    let mut seen = BTreeSet::new();
    for line in stderr.lines().filter(|line| !line.trim_start().starts_with("Engine ")) {
        let (name, rest) = line.split_once(" linux/amd64").unwrap_or_else(|| panic!("torn: {line:?}"));
        assert!(rest.starts_with(": ") || rest.starts_with(" | "), "torn: {line:?}");
        assert!(name.len() == 2 && name.starts_with('t'), "torn: {line:?}");
        seen.insert(name.to_owned());
    }
    assert_eq!(seen.len(), 10, "{stderr}");
}
