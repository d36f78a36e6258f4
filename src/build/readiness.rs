//! An engine that was found able to build, and compared with what is declared, before anything is built.

use std::path::Path;

use anyhow::Result;

use crate::config::Declaration;
use crate::engine::doctor::{loopback_is_declared, require};
use crate::engine::{Engine, Request, Runnable};
use crate::events::Events;

/// An engine, and what it and this machine can do.
#[derive(Debug)]
pub(crate) struct Readiness {
    /// The engine.
    pub engine: Engine,
    /// Which platforms this machine runs.
    pub runnable: Runnable,
    /// Whether the engine's daemon reaches registries on this machine's loopback.
    pub engine_reaches_loopback: bool,
}

/// Finds the engine, `explicit` or none, and compares its settings with the declared registries.
///
/// # Errors
///
/// There is none that can build, or its settings do not let it reach a declared registry.
pub(crate) async fn ready(
    explicit: Option<&Path>,
    declaration: &Declaration,
    events: &Events,
) -> Result<Readiness> {
    let engine = Engine::find(&Request { explicit }).await?;
    events.stage("Engine", &engine.describe());
    let info = engine.info().await?;
    let runnable = engine.runnable(&info).await;
    // Where it does not matter nobody is made to come by.
    let engine_reaches_loopback = !loopback_is_declared(declaration) || engine.reaches_loopback().await?;
    require(&info, engine_reaches_loopback, declaration)?;
    Ok(Readiness { engine, runnable, engine_reaches_loopback })
}
