//! Runs an image before it is pushed: it is what it claims to be.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;

use super::{Engine, indent};
use crate::children::{Ended, Lines};
use crate::config::Smoke;
use crate::error::Failure;
use crate::model::platform::Platform;
use crate::model::reference::Reference;

impl Engine {
    /// `docker run --rm --platform P IMAGE COMMAND…`, within the declared time; `image` is what the engine knows it by,
    /// `reference` what people do.
    ///
    /// # Errors
    ///
    /// It takes too long, ends with a status other than 0, or does not print what is expected; the container is gone
    /// in every case.
    pub async fn smoke(
        &self,
        image: &str,
        reference: &Reference,
        platform: &Platform,
        smoke: &Smoke,
        lines: Lines,
    ) -> Result<()> {
        // A container outlives the CLI that started it: it needs a name to be ended by.
        let name = container_name();
        let for_engine = platform.for_engine();
        let options = ["run", "--rm", "--name", &name, "--platform", &for_engine, image];
        let run = self.command(options.into_iter().chain(smoke.command.iter().map(String::as_str)));
        let run = match &smoke.expect {
            Some(expected) => run.seek(expected),
            None => run,
        };
        let ended = run
            .abridged()
            .lines(lines)
            .timeout(smoke.timeout)
            // It names what it removed; that there was nothing to remove is no failure to newer versions.
            .cleanup(self.command(["rm", "--force", "--volumes", &name]), |ended| {
                !ended.stdout.trim().is_empty()
            })
            .apart()
            .await?;
        verdict(reference, platform, smoke, &ended).map_err(Into::into)
    }
}

/// What a run that ended comes to. Pure.
fn verdict(image: &Reference, platform: &Platform, smoke: &Smoke, ended: &Ended) -> Result<(), Failure> {
    let what = format!("the smoke run of {image} for {platform}, `{}`,", shown(&smoke.command));
    if ended.timed_out {
        let time = seconds(smoke.timeout);
        return Err(Failure::new(format!("{what} did not end within {time}{}", output(ended)))
            .hint("raise `smoke.timeout`, or let the command end by itself"));
    }
    if !ended.success {
        let failure = Failure::new(format!("{what} ended with {}{}", ended.status, output(ended)));
        // The kernel's words, passed on by every runtime; on them depends no more than the hint.
        return Err(match ended.stderr.to_ascii_lowercase().contains("exec format error") {
            true => failure.hint(format!(
                "the image holds a program for another platform than {platform}, or this machine has no emulator for \
                 it: `doctor` says how to get one"
            )),
            false => failure,
        });
    }
    match &smoke.expect {
        Some(expected) if !ended.found => Err(Failure::new(format!(
            "{what} did not print what is expected\n  expected: {expected:?}\n  found: {:?}{}",
            last_lines(&ended.stdout),
            section("stderr", &ended.stderr)
        ))
        .hint("is it the image of another platform? `smoke.expect` is looked for in stdout")),
        _ => Ok(()),
    }
}

/// Unique among concurrent runs of this process and others.
fn container_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now();
    let nanos = now.duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    format!("manifests-smoke-{}-{nanos}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn shown(command: &[String]) -> String {
    if command.is_empty() { "its own command".to_owned() } else { command.join(" ") }
}

fn seconds(time: Duration) -> String {
    format!("{}s", time.as_secs_f64())
}

fn output(ended: &Ended) -> String {
    section("stdout", &ended.stdout) + &section("stderr", &ended.stderr)
}

fn section(name: &str, text: &str) -> String {
    if text.trim().is_empty() { String::new() } else { format!("\n  {name}:\n{}", indent(last_lines(text))) }
}

/// The end of an output: what went wrong is said there.
fn last_lines(text: &str) -> &str {
    const LINES: usize = 50;
    const BYTES: usize = 16 << 10;
    let text = text.trim_end();
    let by_bytes = text.len().saturating_sub(BYTES);
    let by_bytes = (by_bytes..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let by_lines = text.rmatch_indices('\n').nth(LINES - 1).map_or(0, |(at, _)| at + 1);
    &text[by_bytes.max(by_lines)..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::WithoutEmulator;
    use crate::error::render;

    fn message(stdout: &str, stderr: &str, status: &str, timed_out: bool) -> String {
        let smoke = Smoke {
            command: vec!["cat".to_owned(), "/os.txt".to_owned()],
            expect: Some("aarch64".to_owned()),
            timeout: Duration::from_millis(1500),
            without_emulator: WithoutEmulator::Fail,
        };
        let ended = Ended {
            success: status == "exit status: 0",
            status: status.to_owned(),
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
            timed_out,
            found: stdout.contains("aarch64"),
        };
        let platform = "linux/arm64".parse().unwrap();
        verdict(&"r.corp/app:1".parse().unwrap(), &platform, &smoke, &ended)
            .map_or_else(|f| render(&f.into()), |()| String::new())
    }

    #[test]
    fn a_run_must_end_well_in_time_and_print_what_is_expected() {
        let what = "error: the smoke run of r.corp/app:1 for linux/arm64, `cat /os.txt`,";
        assert_eq!(message("Linux aarch64\n", "warning", "exit status: 0", false), "");
        assert_eq!(
            message("Linux x86_64\n", "", "exit status: 0", false),
            format!(
                "{what} did not print what is expected\n  expected: \"aarch64\"\n  found: \"Linux x86_64\"\n\
                 hint: is it the image of another platform? `smoke.expect` is looked for in stdout\n"
            )
        );
        assert_eq!(
            message("half\n", "aarch64\n", "exit status: 2", false),
            format!("{what} ended with exit status: 2\n  stdout:\n    half\n  stderr:\n    aarch64\n")
        );
        assert_eq!(
            message("half\n", "", "signal: 15 (SIGTERM)", true),
            format!(
                "{what} did not end within 1.5s\n  stdout:\n    half\n\
                 hint: raise `smoke.timeout`, or let the command end by itself\n"
            )
        );
        // Of a long output the end is shown.
        let lines: String = (0..70).map(|line| format!("line {line}\n")).collect();
        let long = message(&lines, "", "exit status: 2", false);
        assert!(
            !long.contains("line 19\n") && long.contains("    line 20\n") && long.ends_with("line 69\n"),
            "{long}"
        );
        let wide = message(&"ü".repeat(20_000), "", "exit status: 2", false);
        assert_eq!(wide.matches('ü').count(), 8_192);
        let refused = message("", "exec /bin/cat: exec format error", "exit status: 255", false);
        assert!(refused.contains("hint: the image holds a program for another platform"), "{refused}");
    }
}
