//! An emulator for each declared platform that is built here, and how this system gets one.

use std::path::Path;

use super::{Check, Fix, State, words};
use crate::config::{Declaration, Image, WithoutEmulator};
use crate::engine::Runnable;
use crate::engine::runnable::native;
use crate::model::platform::Platform;

/// What decides how an emulator is registered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ways<'a> {
    /// The CLI.
    pub(super) engine: &'a Path,
    /// Whether the daemon runs on this machine.
    pub(super) local: bool,
    /// The daemon's machine, as `uname -m` calls it.
    pub(super) machine: &'a str,
    /// `/etc/os-release`.
    pub(super) os_release: &'a str,
}

pub(super) fn checks(runnable: &Runnable, declaration: &Declaration, ways: &Ways<'_>) -> Vec<Check> {
    let built: Vec<&Image> = declaration
        .targets
        .iter()
        .flat_map(|target| &target.images)
        .filter(|image| image.build.is_some())
        .collect();
    let mut platforms: Vec<Platform> = built.iter().map(|image| image.platform.base()).collect();
    platforms.sort();
    platforms.dedup();
    platforms
        .into_iter()
        .map(|platform| {
            let of_platform = built.iter().filter(|image| image.platform.base() == platform);
            let must_run = of_platform
                .filter_map(|image| image.smoke.as_ref())
                .any(|smoke| smoke.without_emulator == WithoutEmulator::Fail);
            check(runnable, &platform, must_run, ways)
        })
        .collect()
}

fn check(runnable: &Runnable, platform: &Platform, must_run: bool, ways: &Ways<'_>) -> Check {
    let name = format!("running {platform}");
    if let Runnable::Unknown = runnable {
        return Check::fine(name, "not known from here; it is tried");
    }
    if runnable.can_run(platform) {
        let is_native = native(ways.machine).contains(&platform.normal().arch);
        return Check::fine(name, if is_native { "native" } else { "emulated" });
    }
    if platform.os != "linux" {
        let fix = format!(
            "build it on a machine with {}, and join what both pushed: `push --metadata-file FILE`",
            platform.os
        );
        return Check::bad(name, State::Wrong, format!("no emulator runs {}", platform.os), Fix::Say(fix));
    }
    let (state, found) = match must_run {
        true => (State::Wrong, "no emulator: its smoke run fails"),
        false => (State::Doubtful, "no emulator: a `RUN` in its Dockerfile fails"),
    };
    Check::bad(name, state, found, fix(ways, &platform.arch))
}

/// How emulators are registered on this system.
fn fix(ways: &Ways<'_>, arch: &str) -> Fix {
    let lines = ways.os_release.lines().filter_map(|line| line.split_once('='));
    let names: Vec<&str> = lines
        .filter(|(key, _)| matches!(*key, "ID" | "ID_LIKE"))
        .flat_map(|(_, value)| value.trim_matches('"').split_whitespace())
        .collect();
    let like = |known: &[&str]| ways.local && names.iter().any(|name| known.contains(name));
    if like(&["debian", "ubuntu"]) {
        let mount = "test -e /proc/sys/fs/binfmt_misc/register || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc";
        return Fix::as_root(vec![
            words("apt-get update"),
            words("apt-get install --yes --no-install-recommends qemu-user-static binfmt-support"),
            vec!["sh".to_owned(), "-c".to_owned(), mount.to_owned()],
            words("update-binfmts --enable"),
        ]);
    }
    if like(&["fedora", "rhel"]) {
        return Fix::as_root(vec![
            words("dnf install --assumeyes qemu-user-static"),
            words("systemctl restart systemd-binfmt"),
        ]);
    }
    if like(&["arch"]) {
        return Fix::as_root(vec![
            words("pacman --sync --noconfirm qemu-user-static qemu-user-static-binfmt"),
            words("systemctl restart systemd-binfmt"),
        ]);
    }
    if like(&["opensuse", "suse"]) {
        return Fix::as_root(vec![words("zypper --non-interactive install qemu-linux-user")]);
    }
    // Wherever the daemon is: it registers them with its own kernel.
    let mut command = vec![ways.engine.display().to_string()];
    command.extend(words("run --privileged --rm tonistiigi/binfmt --install"));
    command.push(arch.to_owned());
    Fix::Run(vec![command])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn ways(os_release: &str, local: bool) -> Ways<'_> {
        Ways { engine: Path::new("docker"), local, machine: "x86_64", os_release }
    }

    #[test]
    fn each_system_has_its_own_way_to_emulators() {
        for (os_release, local, expected) in [
            ("ID=debian\n", true, "apt-get install --yes"),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", true, "update-binfmts --enable"),
            ("ID=fedora\n", true, "dnf install"),
            ("ID=arch\n", true, "pacman"),
            ("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", true, "zypper"),
            ("", true, "docker run --privileged --rm tonistiigi/binfmt --install arm64"),
            ("ID=debian\n", false, "docker run --privileged --rm tonistiigi/binfmt --install arm64"),
        ] {
            let shown = fix(&ways(os_release, local), "arm64").shown();
            assert!(shown.contains(expected), "{os_release:?}: {shown}");
        }
    }

    #[test]
    fn what_does_not_run_is_wrong_when_it_must() {
        let runnable = Runnable::Arches(BTreeSet::from(["amd64".to_owned()]));
        let state = |runnable: &Runnable, platform: &str, must_run: bool| {
            check(runnable, &platform.parse().unwrap(), must_run, &ways("ID=debian", true)).state
        };
        assert_eq!(state(&runnable, "linux/amd64", true), State::Fine);
        assert_eq!(state(&runnable, "linux/arm64", false), State::Doubtful);
        assert_eq!(state(&runnable, "linux/arm64", true), State::Wrong);
        assert_eq!(state(&runnable, "windows/amd64", false), State::Wrong);
        assert_eq!(state(&Runnable::Unknown, "linux/arm64", true), State::Fine);
    }

    #[test]
    fn what_runs_is_native_or_emulated() {
        let all = ["386", "amd64", "arm64"].map(str::to_owned);
        let runnable = Runnable::Arches(BTreeSet::from(all));
        for (platform, expected) in
            [("linux/amd64", "native"), ("linux/386", "native"), ("linux/aarch64", "emulated")]
        {
            let check = check(&runnable, &platform.parse().unwrap(), true, &ways("ID=debian", true));
            assert_eq!(check.found, expected, "{platform}");
        }
    }
}
