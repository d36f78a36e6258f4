//! What a key of the file is: its name, what it takes, what it does. Which keys there are is in `keys.rs`. Pure.

/// The keys of one table.
#[derive(Debug)]
pub(super) struct Section {
    /// What has the keys, as messages name it.
    pub(super) owner: &'static str,
    /// How the schema and the reference call it.
    pub(super) title: &'static str,
    /// How the reference shows where it stands.
    pub(super) heading: &'static str,
    /// What it is for, in a sentence or two.
    pub(super) about: &'static str,
    pub(super) keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What it does, in a sentence or two.
    pub(super) about: &'static str,
    pub(super) absent: Absent,
    /// A value, as it stands in the file.
    pub(super) example: &'static str,
}

/// What a key takes.
#[derive(Debug)]
pub(super) enum Kind {
    String,
    Strings,
    StringOrStrings,
    /// Strings, or tables instead of some of them.
    StringsOrTables(&'static Section),
    StringTable,
    Boolean,
    /// A whole number of at least 1.
    Count,
    /// One word of several, each with its meaning.
    Word(&'static [(&'static str, &'static str)]),
    Table(&'static Section),
    TableOrFalse(&'static Section),
    /// Tables under names of the file's own choice; the text says what these are.
    Tables(&'static str, &'static Section),
}

/// What a missing key means.
#[derive(Debug)]
pub(super) enum Absent {
    /// It may not be missing.
    Required,
    /// The same as this value.
    Value(&'static str),
    /// Something that is no value; in words.
    Means(&'static str),
}

/// An entry of a [`Section`].
pub(super) const fn key(
    name: &'static str,
    kind: Kind,
    about: &'static str,
    absent: Absent,
    example: &'static str,
) -> Key {
    Key { name, kind, about, absent, example }
}

impl Section {
    /// The names of its keys, in the order of the reference.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.keys.iter().map(|key| key.name)
    }

    /// Itself and the sections below it, each once, in the order in which they are named.
    pub(super) fn with_those_below(&'static self) -> Vec<&'static Self> {
        let mut found = vec![self];
        let mut next = 0;
        while let Some(section) = found.get(next).copied() {
            for below in section.sections() {
                if !found.iter().any(|known| std::ptr::eq(*known, below)) {
                    found.push(below);
                }
            }
            next += 1;
        }
        found
    }

    /// The sections that its keys take.
    pub(super) fn sections(&self) -> impl Iterator<Item = &'static Self> {
        self.keys.iter().filter_map(|key| match key.kind {
            Kind::StringsOrTables(below)
            | Kind::Table(below)
            | Kind::TableOrFalse(below)
            | Kind::Tables(_, below) => Some(below),
            _ => None,
        })
    }

    /// The key of this name.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.key(name).is_some()
    }
}
