//! Which platforms this engine can run: its machine's own, and those that an emulator is registered for.

use std::collections::BTreeSet;
use std::path::Path;

use super::{DaemonInfo, Engine};
use crate::platform::Platform;

/// Where Linux lists the interpreters of foreign programs (kernel documentation, `admin-guide/binfmt-misc`).
const BINFMT_MISC: &str = "/proc/sys/fs/binfmt_misc";

/// The platforms that a smoke run or a `RUN` works for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runnable {
    /// Linux on these architectures.
    Arches(BTreeSet<String>),
    /// The engine brings emulators of its own, as Docker Desktop does, or its machine cannot be looked at.
    Unknown,
}

impl Runnable {
    /// Whether `platform` runs. What is not known is tried.
    pub fn can_run(&self, platform: &Platform) -> bool {
        match self {
            Self::Arches(arches) => {
                let platform = platform.normal();
                platform.os == "linux" && arches.contains(&platform.arch)
            }
            Self::Unknown => true,
        }
    }
}

impl Engine {
    /// Looks at the daemon's machine.
    pub fn runnable(&self, info: &DaemonInfo) -> Runnable {
        if info.is_local() { Runnable::Arches(arches(info, Path::new(BINFMT_MISC))) } else { Runnable::Unknown }
    }
}

/// The architectures that run: native, what the processor runs besides, and every enabled emulator's.
pub(super) fn arches(info: &DaemonInfo, binfmt_misc: &Path) -> BTreeSet<String> {
    let native = match info.machine.as_str() {
        "aarch64" => "arm64",
        machine if machine.starts_with("armv") => "arm",
        machine => machine,
    };
    let native = Platform::new("linux", native).normal().arch;
    let besides: &[&str] = if native == "amd64" { &["386"] } else { &[] };
    let registered = std::fs::read_dir(binfmt_misc).into_iter().flatten().flatten();
    let emulated = registered.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let arch = emulated_arch(name.strip_prefix("qemu-")?)?;
        let enabled = std::fs::read_to_string(entry.path()).is_ok_and(|text| text.starts_with("enabled"));
        enabled.then(|| arch.to_owned())
    });
    emulated.chain(besides.iter().map(|arch| (*arch).to_owned())).chain([native.clone()]).collect()
}

/// `GOARCH` of what QEMU calls a machine.
fn emulated_arch(qemu: &str) -> Option<&'static str> {
    Some(match qemu {
        "aarch64" => "arm64",
        "arm" => "arm",
        "i386" => "386",
        "loongarch64" => "loong64",
        "mips" => "mips",
        "mipsel" => "mipsle",
        "mips64" => "mips64",
        "mips64el" => "mips64le",
        "ppc64" => "ppc64",
        "ppc64le" => "ppc64le",
        "riscv64" => "riscv64",
        "s390x" => "s390x",
        "x86_64" => "amd64",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_native_or_has_an_enabled_emulator() {
        let folder = tempfile::tempdir().unwrap();
        for (name, state) in [("qemu-aarch64", "enabled\n"), ("qemu-s390x", "disabled\n"), ("jar", "enabled\n")] {
            std::fs::write(folder.path().join(name), state).unwrap();
        }
        let info = DaemonInfo { machine: "x86_64".to_owned(), ..DaemonInfo::default() };
        let runnable = Runnable::Arches(arches(&info, folder.path()));
        for (platform, runs) in [
            ("linux/amd64", true),
            ("linux/386", true),
            ("linux/arm64", true),
            ("linux/s390x", false),
            ("linux/arm/v7", false),
            ("windows/amd64", false),
        ] {
            assert_eq!(runnable.can_run(&platform.parse().unwrap()), runs, "{platform}");
        }
        let bare = Runnable::Arches(arches(&info, Path::new("/no/binfmt_misc")));
        assert!(!bare.can_run(&"linux/arm64".parse().unwrap()));
    }
}
