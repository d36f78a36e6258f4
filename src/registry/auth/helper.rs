//! Credential helpers: `docker-credential-NAME get` (docker/docker-credential-helpers, "Development").

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use serde::Deserialize;

use super::super::secret::Secret;
use super::credentials::Credential;
use crate::children::Program;
use crate::go_json;

/// What helpers say, by protocol, for an address that they hold nothing for.
const NOTHING: [&str; 2] = ["credentials not found in native keychain", "credentials server URL is missing"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
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
    // The run ends with all that it started, a helper that hangs as well.
    let asked = Program::new(found).args(["get"]).stdin(format!("{address}\n")).timeout(limit).apart_here();
    let output = asked.map_err(|error| format!("{program}: {error:#}"))?;
    if output.timed_out {
        return Err(format!("{program} gave no answer within {} s", limit.as_secs()));
    }
    if !output.success {
        if NOTHING.iter().any(|nothing| output.stdout.trim().eq_ignore_ascii_case(nothing)) {
            return Ok(None);
        }
        let said = output.stderr.lines().find(|line| !line.trim().is_empty());
        let why = said.unwrap_or("it says nothing on stderr");
        return Err(format!("{program} failed ({}): {}", output.status, why.trim()));
    }
    let answer: Answer = go_json::from_slice(output.stdout.as_bytes())
        .map_err(|_| format!("{program} did not answer with credentials in JSON"))?;
    Ok(Some(Credential::from_pair(answer.username, Secret::new(answer.secret))))
}
