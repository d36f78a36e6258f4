//! The declaration's file, to be changed: read, edited and checked under its lock. I/O; what changes is the caller's to
//! decide.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::author::edit::{self, Change};
use crate::config::Declaration;
use crate::error::{Exit, Failure};
use crate::workspace::load::{FILE_NAME, find_declaration, for_change, shown};
use crate::workspace::rewrite::rewrite;

/// A `manifests.toml` that is there, or will be once something is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeclarationFile {
    path: PathBuf,
}

impl DeclarationFile {
    /// The file at `config`, else the one of this folder or one above, else a new one in this folder.
    ///
    /// # Errors
    ///
    /// A current folder that is gone.
    pub(crate) fn find(config: Option<&Path>) -> Result<Self> {
        let here = std::env::current_dir()?;
        let path = match config {
            Some(path) => std::path::absolute(path)?,
            None => find_declaration(&here).unwrap_or_else(|_| here.join(FILE_NAME)),
        };
        Ok(Self { path })
    }

    /// Whether it is there yet.
    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Its path, from the current folder if it is below it.
    pub(crate) fn shown(&self) -> PathBuf {
        shown(&self.path)
    }

    /// What it declares; nothing when it is not there yet.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or is not valid.
    pub(crate) fn read(&self) -> Result<Declaration> {
        let text = match std::fs::read_to_string(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                let failure = Failure::new(format!("could not read {}", self.path.display()));
                return Err(failure.exit(Exit::Usage).because(error).into());
            }
            Ok(text) => text,
        };
        for_change(&self.path, &text)
    }

    /// Applies what `decide` makes of the declaration and its text, one change after the other. Says whether the file
    /// was written.
    ///
    /// # Errors
    ///
    /// Those of `decide`; a file that is not valid; a change that cannot be made in the way that the file is written.
    /// The file stays as it is then.
    pub(crate) fn change(
        &self,
        mut decide: impl FnMut(&Declaration, &str) -> Result<Vec<Change>>,
    ) -> Result<bool> {
        rewrite(&self.path, |text| {
            let mut text = text.to_owned();
            let mut declaration = for_change(&self.path, &text)?;
            for change in decide(&declaration, &text)? {
                let resolve = |text: &str| for_change(&self.path, text);
                (text, declaration) =
                    edit::checked(&text, &change, &declaration, resolve).map_err(|error| {
                        Failure::new(format!("could not change {}", self.shown().display()))
                            .hint("change the file by hand")
                            .because(error)
                    })?;
            }
            Ok(text)
        })
    }
}
