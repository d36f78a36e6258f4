//! Text that must not be shown.

use std::fmt;

use bytes::Bytes;

/// A password or token. It has no `Display`, and its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// `said` without `secrets`: what answers a request may repeat what came with it, and goes on to people and logs.
pub(crate) fn hidden(said: Bytes, secrets: impl IntoIterator<Item = String>) -> Bytes {
    // A password of three letters stands in every text, and hiding it would tell it.
    let telling = |secret: &String| secret.len() > 3;
    let mut text = String::from_utf8_lossy(&said).into_owned();
    let mut found = false;
    for secret in secrets.into_iter().filter(telling) {
        if text.contains(&secret) {
            text = text.replace(&secret, "[hidden]");
            found = true;
        }
    }
    if found { text.into() } else { said }
}
