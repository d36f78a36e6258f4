//! Values → what people and machines read. Everything here takes data and gives text; only [`progress`]
//! draws, and only [`output`] writes.

pub(crate) mod docker;
pub(crate) mod failure;
pub(crate) mod fold;
pub(crate) mod inspect;
pub(crate) mod metadata;
pub(crate) mod output;
pub(crate) mod plan;
pub(crate) mod printer;
pub(crate) mod progress;
pub(crate) mod stream;
pub(crate) mod style;
pub(crate) mod summary;
pub(crate) mod unpublish;

use std::time::Duration;

use serde_json::{Value, json};

use crate::events::ImageEvent;

/// An elapsed time for people: `0.4s`, `12s`, `3m05s`.
pub(crate) fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=9 => format!("{:.1}s", time.as_secs_f64()),
        10..=59 => format!("{seconds}s"),
        _ => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

/// A size for people: `736 B`, `1.2 kB`, `34 MB`.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}

/// An image that came out of a build, as events and the output of `build`, `smoke` and `push` have it.
pub(crate) fn image(image: ImageEvent<'_>) -> Value {
    json!({
        "target": image.target,
        "platform": image.platform.to_string(),
        "reference": image.reference.to_string(),
        "digest": image.digest,
        "pushed": image.pushed,
    })
}
