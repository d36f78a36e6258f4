//! What runs before images are built, and before their inputs are looked at, as its outputs are among them:
//! `build.before` and `build.cargo`, always.

use std::path::Path;

use anyhow::Result;
use futures_util::future::join_all;
use tokio::sync::{Mutex, Semaphore};

use crate::build::cargo;
use crate::build::pipeline::{Pushes, all_failures, lines};
use crate::config::Target;
use crate::engine::BuildJob;
use crate::events::Events;

/// Runs what the images in `work`, given with their target and their position in it, declare; `jobs` at once.
///
/// # Errors
///
/// After all have ended, one error that names every platform that failed and why.
pub(crate) async fn lay(root: &Path, work: &[(&Target, usize)], jobs: usize, events: &Events) -> Result<()> {
    let work: Vec<_> = work
        .iter()
        .filter_map(|(target, index)| {
            let image = &target.images[*index];
            let build = image.build.as_ref()?;
            (!build.before.is_empty() || build.cargo.is_some()).then_some((*target, image, build))
        })
        .collect();
    let several = work.iter().any(|(target, ..)| target.name != work[0].0.name);
    let permits = Semaphore::new(jobs.max(1));
    // Cargo locks its target folder, and compiles on all cores by itself.
    let cargo_turn = Mutex::new(());
    let runs = join_all(work.iter().map(|(target, image, build)| {
        let name = match several {
            true => format!("{} {}", target.name, image.platform),
            false => image.platform.to_string(),
        };
        let (permits, cargo_turn) = (&permits, &cargo_turn);
        async move {
            let job = BuildJob {
                target: target.name.clone(),
                platform: image.platform.clone(),
                reference: image.reference.clone(),
                root: root.to_owned(),
                build: (*build).clone(),
            };
            let task = events.task(name.clone(), &target.name, image.platform.to_string());
            let result = async {
                let _permit = permits.acquire().await?;
                if !build.before.is_empty() {
                    task.stage("running `before`");
                    job.run_before(lines(&task, "before")).await?;
                }
                if let Some(program) = &build.cargo {
                    let _turn = cargo_turn.lock().await;
                    task.stage("building the program");
                    let (platform, context) = (&image.platform, build.context.as_path());
                    let job = cargo::Job { root, cargo: program, platform, context };
                    cargo::build(job, lines(&task, "cargo")).await?;
                }
                anyhow::Ok(())
            };
            match result.await {
                Ok(()) => {
                    task.done("ready to be built");
                    Ok(())
                }
                Err(error) => {
                    task.failed();
                    Err((name, error))
                }
            }
        }
    }))
    .await;
    let failures: Vec<_> = runs.into_iter().filter_map(Result::err).collect();
    if failures.is_empty() { Ok(()) } else { Err(all_failures(failures, work.len(), &Pushes::default())) }
}
