//! What decides an image, as one digest, and what of it changed.
//!
//! [`Inputs`] names every input with a digest of its own: of the Dockerfile the instructions that count; of the context
//! what they reach for the platform; arguments, stage, declared labels, platform, secrets by their id, further
//! arguments; and the digests of all images used. File times and owners, the added labels, the place of the checkout
//! and caches are none. The pure part is here and in `crate::build::dockerfile`; [`context`] reads files, on all cores.

pub mod context;

mod attributes;
mod command_line;
mod differences;
mod gather;
mod hashes;
mod key;
mod outputs;
mod surroundings;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model::digest::{Digest, hex};
use crate::model::fingerprint::Fingerprint;

pub use differences::{Difference, summary};
pub use gather::{Gathered, base, gather, gather_after, gather_in, paths};
pub use hashes::Hashes;
pub(crate) use key::Key;
pub(crate) use outputs::{TakenIn, WithoutOutputs};
pub use surroundings::Surroundings;

/// The number of the scheme by which this program hashes inputs. Whoever changes what is hashed, or how, raises it:
/// fingerprints of two schemes say nothing of each other.
pub const SCHEME: u32 = 2;

/// Something that decides an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// The instructions of the Dockerfile that count.
    Dockerfile,
    /// A file, folder or link of the context, by its path in it.
    Path(String),
    /// The same of a named context.
    PathOf(String, String),
    /// This machine's key, as the inputs of these names may be secrets.
    Key(String),
    /// `build.args`.
    Argument(String),
    /// `build.stage`.
    Stage,
    /// `build.labels`.
    Label(String),
    /// The platform.
    Platform,
    /// `build.secrets` and `build.ssh`, by their id.
    Secret(String),
    /// `build.extra-args`.
    ExtraArguments,
    /// A variable of the environment that the engine's client heeds or passes on, and the proxies of its configuration.
    Environment(String),
    /// An image that it begins with or takes files from.
    Base(String),
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dockerfile => f.write_str("the Dockerfile"),
            Self::Path(path) => f.write_str(if path.is_empty() { "the context" } else { path }),
            Self::PathOf(context, path) => write!(f, "{path} of the context `{context}`"),
            Self::Key(names) => write!(f, "this machine's key (for {names})"),
            Self::Argument(name) => write!(f, "argument {name}"),
            Self::Stage => f.write_str("`build.stage`"),
            Self::Label(name) => write!(f, "label {name}"),
            Self::Platform => f.write_str("the platform"),
            Self::Secret(id) => write!(f, "secret {id}"),
            Self::ExtraArguments => f.write_str("`build.extra-args`"),
            Self::Environment(name) => write!(f, "{name} of the environment"),
            Self::Base(reference) => write!(f, "base {reference}"),
        }
    }
}

/// All that decides an image, each with what tells it from another state of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs(BTreeMap<Input, String>);

impl Inputs {
    /// Adds an input in the state `value`.
    pub fn add(&mut self, input: Input, value: impl Into<String>) {
        self.0.insert(input, value.into());
    }

    /// Every input with its state.
    pub fn iter(&self) -> impl Iterator<Item = (&Input, &String)> {
        self.0.iter()
    }

    /// The one digest of all of them, by this program's scheme.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hasher = Sha256::new();
        let mut part = |text: &str| {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        };
        part(&format!("manifests fingerprint {SCHEME}"));
        for (input, value) in &self.0 {
            // The display of an input is for people, and may be said better one day.
            part(&serde_json::to_string(input).unwrap_or_default());
            part(value);
        }
        let digest = format!("sha256:{}", hex(&hasher.finalize()));
        let digest = digest.parse().unwrap_or_else(|_| Digest::of(b""));
        Fingerprint { scheme: SCHEME, digest }
    }
}

impl FromIterator<(Input, String)> for Inputs {
    fn from_iter<T: IntoIterator<Item = (Input, String)>>(inputs: T) -> Self {
        Self(inputs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
