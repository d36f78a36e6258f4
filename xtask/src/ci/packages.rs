//! The programs that the checks and tests run, and the Debian packages they come from.

use std::path::Path;

use anyhow::{Result, bail};

use crate::host::{self, find_program};

/// A Debian package, and the program that shows whether it is there: one test for every system.
struct Package {
    name: &'static str,
    program: &'static str,
}

const PACKAGES: &[Package] = &[
    // The fixtures' repositories.
    package("git", "git"),
    // Networks of engines that tests start for themselves.
    package("iproute2", "ip"),
    // Programs of other platforms: `RUN` and `docker run`.
    package("qemu-user-static", "qemu-aarch64-static"),
    package("binfmt-support", "update-binfmts"),
    // A registry and two clients that are not ours, to check ours against.
    package("docker-registry", DOCKER_REGISTRY),
    package("skopeo", "skopeo"),
    package("buildah", "buildah"),
    // The shells that are completed in, besides bash.
    package("fish", "fish"),
    package("zsh", "zsh"),
    // A browser, to open the pages of the book in.
    package("chromium", "chromium"),
    // What the scripts for other projects' CI run, and what checks them and their workflows.
    package("curl", "curl"),
    package("jq", "jq"),
    package("shellcheck", "shellcheck"),
    package("virtualenv", "virtualenv"),
    // What builds the example's programs again.
    package("binutils-x86-64-linux-gnu", "x86_64-linux-gnu-as"),
    package("binutils-aarch64-linux-gnu", "aarch64-linux-gnu-as"),
    package("binutils-arm-linux-gnueabihf", "arm-linux-gnueabihf-as"),
    package("binutils-powerpc64le-linux-gnu", "powerpc64le-linux-gnu-as"),
    package("binutils-riscv64-linux-gnu", "riscv64-linux-gnu-as"),
    package("binutils-s390x-linux-gnu", "s390x-linux-gnu-as"),
];

const DOCKER_REGISTRY: &str = "docker-registry";

const fn package(name: &'static str, program: &'static str) -> Package {
    Package { name, program }
}

/// Installs the packages whose programs are missing; does nothing, and needs no network, when none is.
pub(super) fn install() -> Result<()> {
    let missing: Vec<&Package> =
        PACKAGES.iter().filter(|package| find_program(package.program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    if find_program("apt-get").is_none() {
        let programs: Vec<&str> = missing.iter().map(|package| package.program).collect();
        bail!(
            "missing programs: {}\nhint: no apt-get to install them with; on Debian they are in the packages {}",
            programs.join(", "),
            names.join(" ")
        );
    }

    let mut install = vec!["DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--quiet"];
    install.push("--no-install-recommends");
    install.extend(&names);
    host::retry("installing packages", || {
        let updated = host::run_as_root("apt-get", &["update", "--quiet"]);
        // One list of many that a mirror serves in a wrong state fails an update; the others will do.
        host::run_as_root("env", &install).or_else(|error| updated.and(Err(error)))
    })?;
    if names.contains(&DOCKER_REGISTRY) && Path::new("/run/systemd/system").exists() {
        // The package starts a registry on port 5000; the tests start their own, each on a free port.
        host::run_as_root("systemctl", &["disable", "--now", DOCKER_REGISTRY])?;
    }
    if let Some(package) = missing.iter().find(|package| find_program(package.program).is_none()) {
        bail!("{} was installed, yet there is no {}", package.name, package.program);
    }
    Ok(())
}
