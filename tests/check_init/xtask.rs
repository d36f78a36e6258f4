//! What `init --xtask` adds to a Cargo workspace.

use manifests::author::init;
use snapbox::{assert_data_eq, str};

use super::folder;

#[test]
fn an_xtask_comes_to_a_workspace_once() {
    for (cargo, expected) in [
        (
            "[workspace]\nresolver = \"3\"\nmembers = [\n    # The service.\n    \"app\",\n]\n",
            "[workspace]\nresolver = \"3\"\nmembers = [\n    # The service.\n    \"app\",\n    \"xtask\",\n]\n",
        ),
        ("[workspace]\nmembers = [\"app\"] # all\n", "[workspace]\nmembers = [\"app\", \"xtask\"] # all\n"),
        ("[workspace]\nmembers = [\"*\"]\n", "[workspace]\nmembers = [\"*\"]\n"),
        (
            "# Mine.\n[package]\nname = \"app\"\n",
            "# Mine.\n[package]\nname = \"app\"\n\n[workspace]\nmembers = [\"xtask\"]\n",
        ),
    ] {
        let folder = folder(&[("Cargo.toml", cargo), (".cargo/config.toml", "[build] # mine\njobs = 2\n")]);
        let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap();
        init::xtask::add(folder.path(), None).unwrap();
        assert_eq!(read("Cargo.toml"), expected);
        let config = "[build] # mine\njobs = 2\n\n\
                      [alias]\nxtask = \"run --quiet --package xtask --profile xtask --\"\n\n\
                      [profile.xtask]\ninherits = \"dev\"\ndebug = false\nincremental = false\n\
                      package.sha2.opt-level = 3\n";
        assert_eq!(read(".cargo/config.toml"), config);
        assert!(read("xtask/Cargo.toml").contains("version = \"0.1\""));
        assert!(read("xtask/src/main.rs").contains("manifests::cli::main()"));
        let again = init::xtask::add(folder.path(), None).unwrap();
        assert_eq!(again.paths, Vec::<std::path::PathBuf>::new());
        assert_eq!(read("Cargo.toml"), expected);
    }
}

#[test]
fn an_xtask_of_the_projects_own_stays() {
    let folder = folder(&[
        ("Cargo.toml", "[workspace]\nmembers = [\"xtask\"]\n"),
        (".cargo/config.toml", "alias = { xtask = \"run -p xtask --\" }\n"),
        ("xtask/Cargo.toml", "[package]\nname = \"xtask\"\n"),
        ("xtask/src/main.rs", "fn main() {}\n"),
    ]);
    let written = init::xtask::add(folder.path(), None).unwrap();
    assert_eq!(written.paths, Vec::<std::path::PathBuf>::new());
    assert_data_eq!(
        written.notes.join("\n"),
        str![[r#"
kept the alias xtask = "run -p xtask --"
kept xtask/Cargo.toml; depend on manifests there and call `manifests::cli::main()`
kept xtask/src/main.rs; depend on manifests there and call `manifests::cli::main()`
"#]]
    );
}

#[test]
fn a_member_of_a_workspace_makes_no_second_one() {
    let package = "[package]\nname = \"app\"\nversion = \"1.2.3\"\nedition = \"2024\"\n";
    let folder = folder(&[
        ("Cargo.toml", "[workspace]\nmembers = [\"crates/*\"]\nexclude = [\"other\"]\nresolver = \"3\"\n"),
        ("crates/app/Cargo.toml", package),
        ("crates/app/src/main.rs", "fn main() {}\n"),
        ("other/Cargo.toml", package),
        ("other/src/main.rs", "fn main() {}\n"),
    ]);
    let root = folder.path();
    let error = init::xtask::add(&root.join("crates/app"), None).unwrap_err();
    assert!(
        error.to_string().contains(&format!("belongs to the workspace in {}", root.display())),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(root.join("crates/app/Cargo.toml")).unwrap(), package);
    assert!(!root.join("crates/app/xtask").exists());
    // Not a member: its own workspace's root.
    init::xtask::add(&root.join("other"), None).unwrap();
    assert!(root.join("other/xtask/Cargo.toml").exists());
}
