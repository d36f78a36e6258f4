//! The distribution specification, section by section, over the wire against the embedded registry.
#![cfg(feature = "embedded-registry")]

mod embedded {
    mod blobs;
    mod discovery;
    mod durability;
    mod management;
    mod manifests;
    mod protocol;
    mod server;
    mod support;
    mod uploads;
}
