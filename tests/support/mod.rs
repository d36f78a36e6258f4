//! Fixtures of the integration tests: an independent registry, the container engine, bases to build on, and a
//! project folder to run `manifests` in.
//!
//! `cargo xtask ci` installs and prepares what they need. What is missing fails the test, with a hint; no test is
//! skipped for it.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test binary uses a part")]

mod busybox;
mod certificates;
mod engine;
mod hands;
mod registry;
mod workspace;

pub use busybox::{BaseImage, busybox_base, busybox_base_of, busybox_program};
pub use certificates::{certificates, openssl};
pub use engine::{ImageGuard, docker, docker_ok, docker_run};
pub use hands::{Hands, OCI_CONFIG, OCI_IMAGE, OCI_INDEX};
pub use registry::{DebianRegistry, free_port};
pub use workspace::Workspace;

/// The last of the values that a command wrote, one a line or one in all: what it came to.
pub fn last_json(stdout: &[u8]) -> serde_json::Value {
    let values = serde_json::Deserializer::from_slice(stdout).into_iter();
    values.last().map_or(serde_json::Value::Null, |value| value.expect("stdout is JSON"))
}

/// What every failure for a missing part says.
const HINT: &str = "hint: `cargo xtask ci` installs and prepares what the tests need";
