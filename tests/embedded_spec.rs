//! The distribution specification, section by section, over the wire against the embedded registry.
#![cfg(feature = "embedded-registry")]

#[allow(unreachable_pub, reason = "other test binaries use it from elsewhere")]
#[path = "support/certificates.rs"]
mod certificates;

/// What a failure for a missing program says.
const HINT: &str = "hint: `cargo xtask ci` installs and prepares what the tests need";

mod embedded {
    mod blobs;
    mod discovery;
    mod durability;
    mod left_running;
    mod management;
    mod manifests;
    mod protocol;
    mod serve;
    mod server;
    mod support;
    mod uploads;
}
