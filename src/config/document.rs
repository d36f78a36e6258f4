//! The file as it is written: its shape is checked, `[defaults]` and platform tables are merged in, templates stand as
//! they are, and everything knows its place.

use std::path::{Path, PathBuf};

use super::facts::Needs;
use super::fields::Fields;
use super::keys;
use super::problems::{Problem, Problems};
use super::tables::{RegistryTable, TargetTable, each_table};
use super::tree::{self, Table};

/// A `manifests.toml` that is read but not yet resolved.
#[derive(Clone, Debug)]
pub struct Document {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) targets: Vec<TargetTable>,
    pub(super) registries: Vec<RegistryTable>,
    pub(super) needs: Needs,
    /// What is wrong with the shape; it comes out together with what [`Document::resolve`] finds.
    pub(super) problems: Vec<Problem>,
}

/// Reads `text`, the content of the file at `path` (absolute, or paths in it stay relative). Fails only where the text
/// is no TOML: problems of shape wait for [`Document::resolve`], so that all come at once.
pub fn read(path: &Path, text: &str) -> Result<Document, Problems> {
    match tree::parse(text) {
        Ok(root) => Ok(Document::of(path, text, &root)),
        Err(problems) => match Problems::of(path, text, problems) {
            Some(problems) => Err(problems),
            None => Ok(Document::of(path, text, &Table::default())),
        },
    }
}

const NO_TARGET: &str = "no target is declared";

impl Document {
    fn of(path: &Path, text: &str, root: &Table) -> Self {
        let mut problems = Vec::new();
        let mut fields = Fields::new(root, &keys::ROOT, &mut problems);
        let none = Table::default();
        let defaults = fields.table("defaults", "a table").unwrap_or(&none);
        let targets = fields.table("target", "tables `[target.NAME]`").unwrap_or(&none);
        let registries = fields.table("registry", "tables `[registry.\"HOST\"]`").unwrap_or(&none);
        let targets: Vec<TargetTable> = each_table(targets, "target", &mut problems)
            .map(|(name, table)| TargetTable::read(name, table, defaults, &mut problems))
            .collect();
        if targets.is_empty() && problems.is_empty() {
            let help = "declare one: `[target.NAME]` with `repository`, `tags` and `platforms`";
            problems.push(Problem::new(&(0..0), NO_TARGET).help(help));
        }
        let registries = each_table(registries, "registry", &mut problems)
            .map(|(host, table)| RegistryTable::read(host, table, &mut problems))
            .collect();
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            targets,
            registries,
            needs: Needs::of(root),
            problems,
        }
    }

    /// The targets' names, as a shell completes them.
    pub fn target_names(&self) -> Vec<&str> {
        self.targets.iter().map(|target| target.name.value.as_str()).collect()
    }

    /// The targets' platforms, each once, as a shell completes them.
    pub fn platform_names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for target in &self.targets {
            let listed = target.platforms.iter().flatten();
            let own = target.tables.iter().filter(|table| table.own).map(|table| &table.key);
            for name in listed.chain(own).map(|text| text.value.as_str()) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }

    /// The same document, in which it is no problem that no target is declared, e.g. because the first is about to be.
    #[must_use]
    pub fn without_targets(mut self) -> Self {
        self.problems.retain(|problem| problem.message != NO_TARGET);
        self
    }

    /// What has to be known to resolve it.
    pub fn needs(&self) -> &Needs {
        &self.needs
    }
}
