//! The base of the tests' images: Debian's static busybox for each platform.
//!
//! A machine that can pull no image still builds a Dockerfile with a `RUN` on it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use duct::cmd;

use crate::host;

/// The platforms of the bases, dashed as folder names, and what Debian calls their architectures.
const BASES: [(&str, &str); 3] =
    [("linux-amd64", "amd64"), ("linux-arm64", "arm64"), ("linux-arm-v7", "armhf")];

/// Where the bases lie, `PLATFORM/busybox` each.
pub(super) fn folder() -> PathBuf {
    host::target_dir().join("ci/busybox")
}

/// Downloads the bases that are not there yet.
pub(super) fn fetch() -> Result<()> {
    let missing: Vec<_> =
        BASES.iter().filter(|(platform, _)| !folder().join(platform).join("busybox").exists()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for program in ["apt-get", "dpkg-deb"] {
        if host::find_program(program).is_none() {
            let files: Vec<_> = missing.iter().map(|(platform, _)| format!("{platform}/busybox")).collect();
            bail!(
                "no {program} to fetch Debian's busybox-static with\nhint: put static busybox programs at {}, as {}",
                folder().display(),
                files.join(", ")
            );
        }
    }

    let apt = Apt::new(host::target_dir().join("ci/apt"))?;
    let packages: Vec<_> =
        missing.iter().map(|(_, architecture)| format!("busybox-static:{architecture}")).collect();
    let mut download = vec!["download", "--quiet"];
    download.extend(packages.iter().map(String::as_str));
    host::retry("downloading busybox", || {
        let updated = apt.run(&["update", "--quiet"]);
        // One list of many that a mirror serves in a wrong state fails an update; the others will do.
        apt.run(&download).or_else(|error| updated.and(Err(error)))
    })?;
    for (platform, architecture) in missing {
        apt.unpack(architecture, &folder().join(platform))?;
    }
    apt.remove()
}

/// apt with a state of its own in a folder of ours: the system's sources and keys, for more architectures than the
/// system has. Nothing of the system changes, and no root is needed.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn new(folder: PathBuf) -> Result<Self> {
        for part in ["lists/partial", "cache/archives/partial"] {
            let part = folder.join(part);
            fs::create_dir_all(&part).with_context(|| format!("cannot create {}", part.display()))?;
        }
        Ok(Self { folder })
    }

    /// Runs apt-get in the folder, which is also where `download` leaves its files.
    fn run(&self, args: &[&str]) -> Result<()> {
        let mut all = vec![
            format!("-oDir::State::Lists={}", self.folder.join("lists").display()),
            format!("-oDir::Cache={}", self.folder.join("cache").display()),
            // As root apt downloads as the user _apt, who need not see this folder.
            "-oAPT::Sandbox::User=root".to_owned(),
            // Package lists only, of Debian itself: no translations, icons or file lists.
            "-oAcquire::Languages=none".to_owned(),
        ];
        all.extend(BASES.map(|(_, architecture)| format!("-oAPT::Architectures::={architecture}")));
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        host::finish(cmd("apt-get", all).dir(&self.folder), &format!("apt-get {}", args.join(" ")))
    }

    /// Takes the program out of the downloaded package.
    fn unpack(&self, architecture: &str, destination: &Path) -> Result<()> {
        let ending = format!("_{architecture}.deb");
        let entries = fs::read_dir(&self.folder).context("cannot list the downloads")?;
        let package = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.to_string_lossy().ends_with(&ending))
            .with_context(|| {
                format!("apt-get download left no file …{ending} in {}", self.folder.display())
            })?;
        let tree = self.folder.join(architecture);
        host::finish(
            cmd!("dpkg-deb", "--extract", &package, &tree),
            &format!("dpkg-deb --extract {}", package.display()),
        )?;

        // /usr/bin since Debian 13.
        let program = ["bin/busybox", "usr/bin/busybox"].map(|place| tree.join(place));
        let program = program.iter().find(|path| path.exists());
        let program = program.with_context(|| format!("no busybox in {}", package.display()))?;
        fs::create_dir_all(destination)
            .with_context(|| format!("cannot create {}", destination.display()))?;
        // Moved, so that a half-written file is never taken for a base.
        fs::rename(program, destination.join("busybox"))
            .with_context(|| format!("cannot move busybox to {}", destination.display()))
    }

    /// Package lists take 50 MB and are out of date by the next time.
    fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.folder).with_context(|| format!("cannot remove {}", self.folder.display()))
    }
}
