//! Emulators, registered with the kernel so that programs of other platforms start like its own.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::host;

/// Where the kernel lists the registered formats.
const FORMATS: &str = "/proc/sys/fs/binfmt_misc";

/// What the tests' platforms need: Rust's name of the architecture, and of its emulator's entry.
const NEEDED: [(&str, &str); 3] =
    [("x86_64", "qemu-x86_64"), ("aarch64", "qemu-aarch64"), ("arm", "qemu-arm")];

/// Registers the emulators that qemu-user-static brings, unless those that are needed are registered already.
pub(super) fn register() -> Result<()> {
    if missing().is_empty() {
        return Ok(());
    }
    if !Path::new(FORMATS).join("register").exists() {
        host::run_as_root("mount", &["-t", "binfmt_misc", "binfmt_misc", FORMATS])?;
    }
    host::run_as_root("update-binfmts", &["--enable"])?;
    let missing = missing();
    if !missing.is_empty() {
        bail!(
            "not registered, although `update-binfmts --enable` succeeded: {}\nhint: `update-binfmts --display` and {FORMATS} tell what is; a container needs flag F there",
            missing.join(", ")
        );
    }
    Ok(())
}

fn missing() -> Vec<&'static str> {
    let foreign = NEEDED.iter().filter(|(architecture, _)| *architecture != std::env::consts::ARCH);
    foreign.map(|(_, entry)| *entry).filter(|entry| !works_in_containers(entry)).collect()
}

/// Whether a format is enabled, and opened by the kernel when it was registered (flag F): a container does not have
/// the emulator's file.
fn works_in_containers(entry: &str) -> bool {
    let Ok(text) = fs::read_to_string(Path::new(FORMATS).join(entry)) else { return false };
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or_default();
    text.lines().any(|line| line == "enabled") && flags.contains('F')
}
