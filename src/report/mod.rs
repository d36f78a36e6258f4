//! Values → what people and machines read. Everything here takes data and gives text; only [`progress`] draws.

pub mod docker;
pub mod failure;
pub mod fold;
pub mod inspect;
pub mod metadata;
pub mod plan;
pub mod progress;
pub mod style;
pub mod summary;
pub mod unpublish;

use std::time::Duration;

/// An elapsed time for people: `0.4s`, `12s`, `3m05s`.
pub fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=9 => format!("{:.1}s", time.as_secs_f64()),
        10..=59 => format!("{seconds}s"),
        _ => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

/// A size for people: `736 B`, `1.2 kB`, `34 MB`.
pub fn size(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}
