//! Which platforms this engine can run: its machine's own, and those that an emulator is registered for.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Builder, DaemonInfo, Engine};
use crate::model::platform::Platform;

/// Where Linux lists the interpreters of foreign programs (kernel documentation, `admin-guide/binfmt-misc`).
const BINFMT_MISC: &str = "/proc/sys/fs/binfmt_misc";

/// The platforms that a smoke run or a `RUN` works for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runnable {
    /// Linux on these architectures.
    Arches(BTreeSet<String>),
    /// The daemon's machine cannot be looked at.
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
    /// Looks at the daemon's machine: at the kernel's list when it is this one, else at what buildx says of it.
    pub async fn runnable(&self, info: &DaemonInfo) -> Runnable {
        if info.is_local() && info.os == "linux" {
            return Runnable::Arches(arches(&info.machine, Path::new(BINFMT_MISC)));
        }
        if self.builder == Builder::BuildKit {
            return Runnable::Unknown;
        }
        // The builder named like the context is the daemon itself.
        let asked = self.command(["buildx", "inspect", &info.context]).apart().await;
        asked.ok().filter(|ended| ended.success).map_or(Runnable::Unknown, |ended| of_builder(&ended.stdout))
    }
}

/// What `docker buildx inspect` lists under `Platforms:`. Pure.
fn of_builder(output: &str) -> Runnable {
    let listed = output
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Platforms:"))
        .flat_map(|list| list.split(','));
    // A star marks those that were configured by hand.
    let platforms = listed.filter_map(|text| text.trim().trim_end_matches('*').parse::<Platform>().ok());
    let arches: BTreeSet<String> =
        platforms.map(|platform| platform.normal()).filter(|p| p.os == "linux").map(|p| p.arch).collect();
    if arches.is_empty() { Runnable::Unknown } else { Runnable::Arches(arches) }
}

/// The architectures that run without an emulator on a machine, which is called as `uname -m` does: its own, and what the
/// processor runs besides.
pub(super) fn native(machine: &str) -> BTreeSet<String> {
    let native = if machine.starts_with("armv") { "arm" } else { machine };
    let native = Platform::new("linux", native).normal().arch;
    let besides = (native == "amd64").then(|| "386".to_owned());
    besides.into_iter().chain([native]).collect()
}

/// The architectures that run: native ones, and every enabled emulator's.
fn arches(machine: &str, binfmt_misc: &Path) -> BTreeSet<String> {
    let mut arches = native(machine);
    let on = |file: &str| {
        std::fs::read_to_string(binfmt_misc.join(file)).is_ok_and(|text| text.starts_with("enabled"))
    };
    if !on("status") {
        return arches;
    }
    for entry in std::fs::read_dir(binfmt_misc).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let arch = name.strip_prefix("qemu-").and_then(emulated_arch);
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        if let Some(arch) = arch.filter(|_| works_in_containers(&text)) {
            arches.insert(arch.to_owned());
        }
    }
    arches
}

/// Whether an interpreter is enabled, and was opened when it was registered (flag F): containers do not have its file.
fn works_in_containers(entry: &str) -> bool {
    let mut lines = entry.lines();
    lines.next() == Some("enabled")
        && lines.any(|line| line.strip_prefix("flags:").is_some_and(|f| f.contains('F')))
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

    fn runs(runnable: &Runnable, platform: &str) -> bool {
        runnable.can_run(&platform.parse().unwrap())
    }

    #[test]
    fn what_runs_is_native_or_has_an_enabled_emulator() {
        let folder = tempfile::tempdir().unwrap();
        for (name, state) in [
            ("status", "enabled\n"),
            ("qemu-aarch64", "enabled\ninterpreter /q\nflags: PF\n"),
            ("qemu-riscv64", "enabled\ninterpreter /q\nflags: \n"),
            ("qemu-s390x", "disabled\ninterpreter /q\nflags: F\n"),
            ("jar", "enabled\ninterpreter /jar\nflags: F\n"),
        ] {
            std::fs::write(folder.path().join(name), state).unwrap();
        }
        let runnable = Runnable::Arches(arches("x86_64", folder.path()));
        for (platform, expected) in [
            ("linux/amd64", true),
            ("linux/386", true),
            ("linux/arm64", true),
            ("linux/riscv64", false),
            ("linux/s390x", false),
            ("linux/arm/v7", false),
            ("windows/amd64", false),
        ] {
            assert_eq!(runs(&runnable, platform), expected, "{platform}");
        }
        std::fs::write(folder.path().join("status"), "disabled\n").unwrap();
        assert!(!runs(&Runnable::Arches(arches("x86_64", folder.path())), "linux/arm64"));
        let bare = Runnable::Arches(arches("armv7l", Path::new("/no/binfmt_misc")));
        assert!(runs(&bare, "linux/arm/v7") && !runs(&bare, "linux/arm64"));
    }

    #[test]
    fn a_builder_lists_what_its_machine_runs() {
        let output = "Name:          default\nDriver:        docker\n\nNodes:\nName:             default\n\
                      Platforms:        linux/amd64, linux/amd64/v2, linux/arm64*, linux/arm/v7\n";
        let runnable = of_builder(output);
        assert!(runs(&runnable, "linux/arm64") && runs(&runnable, "linux/arm/v6"));
        assert!(!runs(&runnable, "linux/s390x"));
        assert_eq!(of_builder("Name: default\nError: down"), Runnable::Unknown);
    }
}
