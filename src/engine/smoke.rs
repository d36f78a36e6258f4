//! Runs an image before it is pushed: it is what it claims to be.

use std::time::Duration;

use anyhow::Result;

use super::build::indent;
use super::children::Captured;
use super::{Engine, Lines};
use crate::config::Smoke;
use crate::error::Failure;
use crate::platform::Platform;

impl Engine {
    /// `docker run --rm --platform P IMAGE COMMAND…`, within the declared time.
    ///
    /// # Errors
    ///
    /// It takes too long, ends with a status other than 0, or does not print what is expected; the container is gone
    /// in every case.
    pub async fn smoke(&self, image_id: &str, platform: &Platform, smoke: &Smoke, lines: Lines) -> Result<()> {
        // A container outlives the CLI that started it: it needs a name to be ended by.
        let name = container_name(image_id);
        let for_engine = platform.for_engine();
        let mut arguments = vec!["run", "--rm", "--name", &name, "--platform", &for_engine, image_id];
        arguments.extend(smoke.command.iter().map(String::as_str));
        let mut container = Container { engine: self, name: &name, gone: false };
        let run = tokio::time::timeout(smoke.timeout, self.capture(&arguments)).await;
        // A run that ended by itself has removed its container, by `--rm`.
        container.gone = run.is_ok();
        drop(container);

        let what = format!("the smoke run of {platform}, `{}`,", shown(&smoke.command));
        let Ok(captured) = run else {
            return Err(Failure::new(format!("{what} did not end within {}", seconds(smoke.timeout)))
                .hint("raise `smoke.timeout`, or let the command end by itself")
                .into());
        };
        let captured = captured?;
        for line in captured.stdout.lines().chain(captured.stderr.lines()) {
            lines(line);
        }
        if !captured.success {
            let failure = Failure::new(format!("{what} ended with {}{}", captured.status, output(&captured)));
            return Err(if captured.stderr.contains("exec format error") {
                failure.hint(format!(
                    "the image holds a program for another platform than {platform}, or this machine has no emulator \
                     for it (`doctor`)"
                ))
            } else {
                failure
            }
            .into());
        }
        match &smoke.expect {
            Some(expected) if !captured.stdout.contains(expected.as_str()) => Err(Failure::new(format!(
                "{what} did not print what is expected\n  expected: {expected:?}\n  found: {:?}",
                captured.stdout.trim_end()
            ))
            .hint("is this the image of another platform?")
            .into()),
            _ => Ok(()),
        }
    }
}

/// A container that must not outlive the run: the CLI that started it is not the one that keeps it alive.
struct Container<'a> {
    engine: &'a Engine,
    name: &'a str,
    gone: bool,
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if !self.gone {
            // It may have ended this very moment, which is as well.
            let removal = duct::cmd(&self.engine.program, ["rm", "--force", "--volumes", self.name]);
            let _ = removal.stdin_null().stdout_null().stderr_null().unchecked().run();
        }
    }
}

/// Unique among concurrent runs of this process and others.
fn container_name(image_id: &str) -> String {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    let image = image_id.strip_prefix("sha256:").unwrap_or(image_id);
    format!("manifests-smoke-{}-{}-{nanos}", std::process::id(), &image[..image.len().min(8)])
}

fn shown(command: &[String]) -> String {
    if command.is_empty() { "its own command".to_owned() } else { command.join(" ") }
}

fn seconds(time: Duration) -> String {
    format!("{}s", time.as_secs_f64())
}

fn output(captured: &Captured) -> String {
    [("stdout", &captured.stdout), ("stderr", &captured.stderr)]
        .iter()
        .filter(|(_, text)| !text.trim().is_empty())
        .map(|(name, text)| format!("\n  {name}:\n{}", indent(text)))
        .collect()
}
