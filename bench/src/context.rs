//! How long it takes to tell whether a build context is still the same: many small files, and few large ones.

use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use manifests::build::fingerprint::gather;
use manifests::config::Build;
use manifests::model::platform::Platform;
use serde::Serialize;

/// One line of the result.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) files: u64,
    pub(crate) mib: u64,
    /// Of the fastest run, with what the system keeps of the files in memory.
    pub(crate) seconds: f64,
}

/// How many files a folder of a context has.
const A_FOLDER: u64 = 1000;

/// Takes the fingerprint of a context of `files` files of one kibibyte, and of one file of `mib` MiB.
pub(crate) fn measure(times: u32, files: u64, mib: u64) -> Result<Vec<Row>> {
    let many = tempfile::tempdir()?;
    for number in 0..files {
        let folder = many.path().join(format!("{}", number / A_FOLDER));
        if number % A_FOLDER == 0 {
            fs::create_dir(&folder)?;
        }
        fs::write(folder.join(format!("{number}")), [u8::try_from(number % 251)?; 1024])?;
    }
    let large = tempfile::tempdir()?;
    // Zeros that take no place on the disk take as long to hash as anything else.
    File::create(large.path().join("large"))?.set_len(mib << 20)?;
    Ok(vec![
        Row { files, mib: files >> 10, seconds: fastest(times, many.path())? },
        Row { files: 1, mib, seconds: fastest(times, large.path())? },
    ])
}

fn fastest(times: u32, context: &Path) -> Result<f64> {
    fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY . /\n")?;
    let build = Build { context: context.to_owned(), ..Build::default() };
    let platform: Platform = "linux/amd64".parse()?;
    let mut best = f64::MAX;
    for _ in 0..times {
        let started = Instant::now();
        let gathered = gather(&[(&build, &platform)]);
        best = best.min(started.elapsed().as_secs_f64());
        anyhow::ensure!(
            gathered.iter().all(|gathered| gathered.undecided().is_empty()),
            "the fingerprint of {} was not taken",
            context.display()
        );
    }
    Ok(best)
}
