//! Publish container images for several platforms from one declared, reviewed file.

#[cfg(feature = "embedded-registry")]
pub mod embedded;
