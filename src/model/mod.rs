//! The vocabulary: platforms, references, digests, media types, manifests and what they lead to. Pure.

pub(crate) mod compression;
pub(crate) mod content;
pub mod digest;
pub mod fingerprint;
pub mod foreign;
pub(crate) mod go_json;
pub(crate) mod inner_path;
pub mod manifest;
pub mod media;
pub mod platform;
pub mod reference;
pub mod secret;
pub(crate) mod suggest;
