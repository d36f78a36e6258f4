//! Credential helpers: `docker-credential-NAME get` (docker/docker-credential-helpers, "Development").

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::time::Duration;

use duct::cmd;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;

use super::super::secret::Secret;
use super::credentials::Credential;

/// What helpers say, by protocol, for an address that they hold nothing for.
const NOTHING: [&str; 2] = ["credentials not found in native keychain", "credentials server URL is missing"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks the helper `name` for the credentials of `address`. Blocks.
///
/// An error names the helper and what is wrong with it; nothing that a failing helper printed on stdout is repeated.
pub(crate) fn ask(
    name: &str,
    address: &str,
    path: Option<&OsStr>,
    limit: Duration,
) -> Result<Option<Credential>, String> {
    let program = format!("docker-credential-{name}");
    let search: OsString = path.map(OsStr::to_owned).unwrap_or_default();
    let found =
        which::which_in(&program, Some(search), "/").map_err(|_| format!("{program} is not on PATH"))?;
    // A group of its own: a helper may be a script, and ending only that would leave its child, and us waiting.
    let handle = cmd(found, ["get"])
        .stdin_bytes(format!("{address}\n"))
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .before_spawn(|command| {
            command.process_group(0);
            Ok(())
        })
        .start()
        .map_err(|error| format!("{program} does not start: {error}"))?;
    let output = match handle.wait_timeout(limit) {
        Ok(Some(output)) => output,
        Ok(None) => {
            let groups = handle.pids().into_iter().filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
            for group in groups {
                // Gone already is as good.
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = handle.wait();
            return Err(format!("{program} gave no answer within {} s", limit.as_secs()));
        }
        Err(error) => return Err(format!("{program} failed: {error}")),
    };
    if !output.status.success() {
        let stdout = String::from_utf8_lossy(&output.stdout);
        if NOTHING.iter().any(|nothing| stdout.trim().eq_ignore_ascii_case(nothing)) {
            return Ok(None);
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        let why = stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing on stderr");
        return Err(format!("{program} failed ({}): {}", output.status, why.trim()));
    }
    let answer: Answer = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("{program} did not answer with credentials in JSON"))?;
    Ok(Some(Credential::from_pair(answer.username, Secret::new(answer.secret))))
}
