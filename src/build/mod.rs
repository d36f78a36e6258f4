//! From inputs to pushed images: Dockerfiles, fingerprints, freshness, cargo, the binary check, the pipeline.

pub(crate) mod bases;
pub(crate) mod binary;
pub mod cargo;
pub(crate) mod dockerfile;
pub mod fingerprint;
pub(crate) mod freshness;
pub(crate) mod groundwork;
pub(crate) mod pipeline;
pub(crate) mod programs;
pub(crate) mod readiness;
