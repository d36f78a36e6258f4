//! What COPY, ADD and the mounts of RUN take from the context, from images and from elsewhere.

use super::Undecided;
use super::reader::Reader;
use crate::build::dockerfile::expand::Unknown;
use crate::build::dockerfile::parse::{Instruction, is_document};
use crate::build::dockerfile::scope::Scope;
use crate::model::inner_path::clean;

/// The flags of COPY and ADD; none of them but the first two changes what else counts.
const COPY_FLAGS: &[&str] =
    &["from", "parents", "checksum", "chmod", "chown", "exclude", "keep-git-dir", "link", "unpack"];

const RUN_FLAGS: &[&str] = &["mount", "device", "network", "security"];

impl<'a> Reader<'a> {
    /// Takes in `COPY` and `ADD`.
    pub(super) fn copy(&mut self, instruction: &Instruction, index: usize, scope: &Scope<'a>) {
        if !self.flags_are(instruction, COPY_FLAGS) {
            return self
                .doubt(instruction, format!("a flag of {} that is not understood", instruction.keyword));
        }
        if let Some(from) = instruction.flag("from") {
            return self.from(from, index, instruction, scope);
        }
        let words = instruction.words();
        let sources = &words[..words.len().saturating_sub(1)];
        if !instruction.has_plain_words() {
            self.source(Err(Unknown(String::new())));
        }
        let with_parents = instruction.flag("parents").is_some();
        for word in sources.iter().filter(|word| !is_document(word)) {
            match self.fill(word, &|name| self.variable(scope, name)).text {
                Ok(source) if instruction.keyword == "ADD" && may_be_remote(&source) => {
                    if !instruction.flag("checksum").is_some_and(is_digest) {
                        self.undecided(Undecided::Remote(source.clone()));
                    }
                    if !source.contains("://") {
                        self.source(Ok(source));
                    }
                }
                // What lies between comes along, and `**` is any number of folders.
                Ok(source) if with_parents => {
                    let source = clean(&source);
                    let first = source.split('/').next().unwrap_or_default();
                    self.source(
                        Ok(if first.contains(['*', '?', '[', '\\']) { "" } else { first }.to_owned()),
                    );
                }
                Err(_) if instruction.keyword == "ADD" => {
                    self.undecided(Undecided::Remote(word.clone()));
                    self.source(Err(Unknown(String::new())));
                }
                source => self.source(source),
            }
        }
    }

    /// Takes in the mounts of `RUN`.
    pub(super) fn mounts(&mut self, instruction: &Instruction, index: usize, scope: &Scope<'a>) {
        if !self.flags_are(instruction, RUN_FLAGS) {
            return self.doubt(instruction, "a flag of RUN that is not understood");
        }
        for (_, value) in instruction.flags.iter().filter(|(name, _)| name == "mount") {
            let options: Vec<(String, &str)> = value
                .split(',')
                .map(|option| option.split_once('=').unwrap_or((option, "")))
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect();
            let all = |names: &[&str]| -> Vec<&str> {
                options.iter().filter(|(name, _)| names.contains(&&**name)).map(|(_, value)| *value).collect()
            };
            let (kinds, from, sources) = (all(&["type"]), all(&["from"]), all(&["source", "src"]));
            let known = kinds.iter().all(|kind| ["bind", "cache", "tmpfs", "secret", "ssh"].contains(kind));
            if value.contains(['"', '\'']) || kinds.len() > 1 || from.len() > 1 || sources.len() > 1 {
                self.doubt(instruction, "a mount that is not understood");
            }
            if let [from] = from[..] {
                self.from(from, index, instruction, scope);
            } else if !known {
                self.source(Err(Unknown(String::new())));
            } else if kinds.iter().all(|kind| *kind == "bind") {
                let source = sources.first().copied().unwrap_or_default();
                let source = self.fill(source, &|name| self.variable(scope, name));
                self.source(source.text.map(|source| literal(&source)));
            }
        }
    }

    /// Whether all flags of `instruction` are among `known`, and of plain characters.
    pub(super) fn flags_are(&self, instruction: &Instruction, known: &[&str]) -> bool {
        instruction.flags.iter().all(|(name, value)| known.contains(&&**name) && value.is_ascii())
    }

    /// A path of the context; all of it when it cannot be told.
    fn source(&mut self, source: Result<String, Unknown>) {
        self.here.sources.insert(clean(&source.unwrap_or_default()));
    }
}

/// A digest as it is, which a variable may not be.
fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        let algorithm = !algorithm.is_empty() && algorithm.chars().all(|c| c.is_ascii_alphanumeric());
        algorithm && !hex.is_empty() && hex.chars().all(|c| c.is_ascii_hexdigit())
    })
}

/// A URL, or `user@host:path` as git takes it.
pub(super) fn may_be_remote(source: &str) -> bool {
    source.contains("://") || source.split_once('@').is_some_and(|(_, rest)| rest.contains(':'))
}

/// A path of a mount as a source: wildcards mean nothing there.
fn literal(path: &str) -> String {
    path.chars().fold(String::new(), |mut text, c| {
        if ['*', '?', '[', '\\'].contains(&c) {
            text.push('\\');
        }
        text.push(c);
        text
    })
}
