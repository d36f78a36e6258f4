//! `cargo xtask book`: builds the documentation with mdBook, follows every link in it, and opens every page in a browser.

mod browser;
mod links;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;
use duct::cmd;

use crate::host;

/// The version that is installed; another one may draw other pages and know other warnings.
const MDBOOK: &str = "0.5.4";

/// Builds the book of docs/ into target/book. Warnings are errors; every link and anchor has to lead somewhere; every page
/// is opened in headless Chromium, where nothing may fail and nothing may be asked of another machine.
#[derive(Parser)]
#[command(name = "book", bin_name = "cargo xtask book")]
struct Args {
    /// Do not open the pages in Chromium
    #[arg(long)]
    no_browser: bool,
}

/// Runs the task with the arguments of this process.
pub(crate) fn run() -> Result<()> {
    let args = Args::parse_from(std::env::args().skip(1));
    let pages = built()?;
    if !args.no_browser {
        browser::open_each(&pages)?;
    }
    eprintln!("{}", folder().join("index.html").display());
    Ok(())
}

/// All of it, for `cargo xtask ci`.
pub(crate) fn check() -> Result<()> {
    browser::open_each(&built()?)
}

fn folder() -> PathBuf {
    host::target_dir().join("book")
}

/// The pages of a book without warnings and broken links.
fn built() -> Result<Vec<PathBuf>> {
    build()?;
    let pages = pages(&folder())?;
    links::check(&folder(), &pages)?;
    Ok(pages)
}

fn build() -> Result<()> {
    let program = mdbook()?;
    // What an earlier build left behind would let links to it pass.
    if folder().exists() {
        fs::remove_dir_all(folder()).with_context(|| format!("cannot empty {}", folder().display()))?;
    }
    let build = cmd!(&program, "build", host::root().join("docs"), "--dest-dir", folder());
    let ended = build.env("NO_COLOR", "1").stderr_to_stdout().stdout_capture().unchecked().run();
    let ended = ended.with_context(|| format!("cannot start {}", program.display()))?;
    let said = String::from_utf8_lossy(&ended.stdout);
    eprint!("{said}");
    if !ended.status.success() || said.lines().any(|line| line.contains("WARN") || line.contains("ERROR")) {
        bail!("mdbook did not build docs/ without warnings: {}", ended.status);
    }
    Ok(())
}

/// mdBook, installed below target/ when this version is not there. Its lock file is its own: none of its 120 crates is
/// built with ours. A build without optimisation takes half the time and still makes the book in a second.
fn mdbook() -> Result<PathBuf> {
    let root = host::target_dir().join(format!("ci/mdbook-{MDBOOK}"));
    let program = root.join("bin/mdbook");
    if program.exists() {
        return Ok(program);
    }
    let objects = host::target_dir().join("ci/mdbook-build");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let features = ["--no-default-features", "--features", "search"];
    let install = ["install", "mdbook", "--version", MDBOOK, "--locked", "--debug", "--root"];
    let args = install.map(Into::into).into_iter().chain([root.into_os_string(), "--target-dir".into()]);
    let args = args.chain([objects.clone().into_os_string()]).chain(features.map(Into::into));
    // Lints and flags of our build are not mdBook's.
    let install = cmd(cargo, args).dir(host::target_dir()).env_remove("RUSTFLAGS");
    host::finish(install, &format!("cargo install mdbook --version {MDBOOK}"))?;
    fs::remove_dir_all(&objects).with_context(|| format!("cannot remove {}", objects.display()))?;
    Ok(program)
}

/// The pages below a folder, in order.
fn pages(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(pages(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "html") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
