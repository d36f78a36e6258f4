//! `examples/README.md` names every example, and every example shows how it is run.

use std::collections::BTreeSet;

use crate::example::{folder, shown};

#[test]
fn the_table_has_every_example_and_each_shows_its_commands() {
    let folders = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    let examples: BTreeSet<String> = folders
        .filter(|path| path.join("manifests.toml").exists())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let table = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let rows =
        table.lines().filter_map(|line| line.strip_prefix("| [")?.split_once("](").map(|(name, _)| name));
    let named: BTreeSet<String> = rows.filter(|name| *name != "echo-platform").map(str::to_owned).collect();
    assert_eq!(named, examples);
    for name in &examples {
        let declaration = std::fs::read_to_string(folder().join(name).join("manifests.toml")).unwrap();
        assert!(!shown(&declaration).is_empty(), "{name} shows no command");
    }
}
