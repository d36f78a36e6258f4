//! What templates ask of the world around the file, and the answers. Gathering them is not this module's task.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use super::template::{Name, Template};
use super::tree::{Node, Table, Value};

/// What has to be known to resolve a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Commit, tag and origin.
    pub git: bool,
    /// The workspace's Cargo packages.
    pub packages: bool,
    /// Environment variables, by name.
    pub env: BTreeSet<String>,
}

/// What could be found out, or why it could not.
pub type Fact<T> = Result<T, String>;

/// The answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The commit checked out, in full.
    pub git_sha: Fact<String>,
    /// The tag of that commit.
    pub git_tag: Fact<String>,
    /// Where the source is, as a URL to open.
    pub source: Fact<String>,
    /// The workspace's packages.
    pub packages: Fact<Vec<Package>>,
    /// Those of the needed environment variables that are set.
    pub env: BTreeMap<String, String>,
}

/// A Cargo package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
}

impl Default for Facts {
    /// Nothing is known.
    fn default() -> Self {
        let unknown = || "it was not looked up".to_owned();
        Self {
            git_sha: Err(unknown()),
            git_tag: Err(unknown()),
            source: Err(unknown()),
            packages: Err(unknown()),
            env: BTreeMap::new(),
        }
    }
}

impl Needs {
    /// What the strings of `root` ask for. A build asks too, for its labels, and so does `newest`, for the version.
    pub(super) fn of(root: &Table) -> Self {
        let mut needs = Self::default();
        needs.add(root);
        needs
    }

    fn add(&mut self, table: &Table) {
        for entry in &table.0 {
            match entry.key.value.as_str() {
                "build" => (self.git, self.packages) = (true, true),
                "package" => self.packages = true,
                _ => {}
            }
            self.add_value(&entry.node);
        }
    }

    fn add_value(&mut self, node: &Node) {
        match &node.value {
            Value::Table(table) => self.add(table),
            Value::Array(nodes) => nodes.iter().for_each(|node| self.add_value(node)),
            Value::String(text) => {
                self.packages |= text == "newest";
                // A template that cannot be read asks for nothing; it is reported when it is resolved.
                for name in Template::parse(text).iter().flat_map(Template::names) {
                    self.add_name(name);
                }
            }
            Value::Integer(_) | Value::Boolean(_) | Value::Other(_) => {}
        }
    }

    fn add_name(&mut self, name: &str) {
        match Name::parse(name) {
            Some(Name::GitSha | Name::GitTag) => self.git = true,
            Some(Name::Package | Name::Version | Name::Major | Name::Minor) => self.packages = true,
            Some(Name::Env(variable)) => {
                self.env.insert(variable);
            }
            _ => {}
        }
    }
}
