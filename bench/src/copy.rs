//! What it takes to bring an image with one large layer from one registry to another.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;
use manifests::model::platform::Platform;
use serde::Serialize;

use crate::fixture::Fixture;
use crate::measure::run;

/// The result.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Copy {
    /// The layer's size.
    pub(crate) layer_mib: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// The most memory the program had, in MiB.
    pub(crate) peak_mib: f64,
}

/// Copies an image whose layer has `mib` MiB between two registries next door.
pub(crate) fn measure(runtime: &tokio::runtime::Runtime, binary: &Path, mib: u64) -> Result<Copy> {
    let (from, to) = runtime.block_on(async {
        anyhow::Ok((Fixture::on_disk(Duration::ZERO).await?, Fixture::on_disk(Duration::ZERO).await?))
    })?;
    let workspace = to.workspace("copy")?;
    let layer = workspace.join("layer");
    // Of zeros that take no place on the disk.
    File::create(&layer)?.set_len(mib << 20)?;
    let platform: Platform = "linux/amd64".parse()?;
    runtime.block_on(from.image_of("app", "1", &platform, "", &layer))?;
    let text = format!(
        "[target.app]\nrepository = \"{}/app\"\ntags = [\"1\"]\nplatform.\"{platform}\".image = \"{}/app:1\"\n",
        to.host(),
        from.host()
    );
    fs::write(workspace.join("manifests.toml"), text)?;
    let mut command = Command::new(binary);
    command.args(["reconcile", "--quiet"]).current_dir(&workspace).env("HOME", &workspace);
    let started = Instant::now();
    let peak_mib = run(command)?;
    Ok(Copy { layer_mib: mib, seconds: started.elapsed().as_secs_f64(), peak_mib })
}
