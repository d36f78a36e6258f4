//! `cargo xtask example`: the programs of `examples/echo-platform`, from their assembly.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use duct::cmd;

use crate::host;

/// One program: how its file is called, and what makes it.
struct Program {
    /// `linux-` and what `${TARGETARCH}${TARGETVARIANT}` is for the platform.
    name: &'static str,
    /// The GNU triplet in front of `as` and `ld`. Debian has the tools of its own architecture under that name
    /// too, so it does not matter on which machine this runs.
    tools: &'static str,
    assemble: &'static [&'static str],
    link: &'static [&'static str],
}

/// The tools of a triplet without options of their own.
const fn plain(name: &'static str, tools: &'static str) -> Program {
    Program { name, tools, assemble: &[], link: &[] }
}

const PROGRAMS: [Program; 8] = [
    plain("linux-amd64", "x86_64-linux-gnu"),
    Program { name: "linux-386", tools: "x86_64-linux-gnu", assemble: &["--32"], link: &["-m", "elf_i386"] },
    plain("linux-arm64", "aarch64-linux-gnu"),
    plain("linux-armv6", "arm-linux-gnueabihf"),
    plain("linux-armv7", "arm-linux-gnueabihf"),
    plain("linux-ppc64le", "powerpc64le-linux-gnu"),
    plain("linux-riscv64", "riscv64-linux-gnu"),
    plain("linux-s390x", "s390x-linux-gnu"),
];

/// The linker's options for one segment without build id or symbols: the code, the text, and what the kernel reads.
const PLAINEST: &[&str] = &["--strip-all", "--build-id=none", "-z", "noexecstack", "-z", "noseparate-code"];

/// Rebuilds the programs of examples/echo-platform.
#[derive(Parser)]
#[command(name = "example", bin_name = "cargo xtask example")]
struct Args {
    /// Write nothing; fail when a committed program is not what its source gives, byte for byte
    #[arg(long)]
    check: bool,
}

/// Runs the task with the arguments of this process.
pub(crate) fn run() -> Result<()> {
    let args = Args::parse_from(std::env::args().skip(1));
    if args.check { check() } else { rebuild() }
}

/// Compares every committed program with what its source gives.
pub(crate) fn check() -> Result<()> {
    let mut different = Vec::new();
    for program in &PROGRAMS {
        let committed = fs::read(committed(program)).unwrap_or_default();
        if committed != build(program)? {
            different.push(program.name);
        }
    }
    if !different.is_empty() {
        bail!(
            "{}: in examples/echo-platform/bin, not what the sources give\nhint: `cargo xtask example` builds them anew",
            different.join(", ")
        );
    }
    Ok(())
}

fn rebuild() -> Result<()> {
    for program in &PROGRAMS {
        let built = build(program)?;
        let path = committed(program);
        fs::write(&path, built).with_context(|| format!("cannot write {}", path.display()))?;
        // Git keeps the mode and COPY carries it into the image.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {} executable", path.display()))?;
    }
    Ok(())
}

/// Assembles and links one program, and returns its bytes.
fn build(program: &Program) -> Result<Vec<u8>> {
    let Program { name, tools, .. } = program;
    let folder = host::target_dir().join("example");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let (object, linked) = (folder.join(format!("{name}.o")), folder.join(name));
    let source = format!("{name}.s");

    let (assembler, linker) = (format!("{tools}-as"), format!("{tools}-ld"));
    for tool in [&assembler, &linker] {
        if host::find_program(tool).is_none() {
            bail!(
                "{tool} is missing\nhint: `cargo xtask ci` installs it, from the Debian package binutils-{tools}"
            );
        }
    }
    let mut args: Vec<&OsStr> = program.assemble.iter().map(OsStr::new).collect();
    args.extend([source.as_ref(), "-o".as_ref(), object.as_os_str()]);
    let sources = host::root().join("examples/echo-platform/src");
    host::finish(cmd(&assembler, args).dir(sources), &format!("{assembler} {source}"))?;

    let mut args: Vec<&OsStr> = program.link.iter().chain(PLAINEST).map(OsStr::new).collect();
    args.extend(["-o".as_ref(), linked.as_os_str(), object.as_os_str()]);
    host::finish(cmd(&linker, args), &format!("{linker} {name}.o"))?;
    fs::read(&linked).with_context(|| format!("cannot read {}", linked.display()))
}

fn committed(program: &Program) -> PathBuf {
    host::root().join("examples/echo-platform/bin").join(program.name)
}
