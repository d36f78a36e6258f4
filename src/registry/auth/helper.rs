//! Credential helpers: `docker-credential-NAME get` (docker/docker-credential-helpers, "Development").

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use serde::Deserialize;

use super::super::secret::Secret;
use super::credentials::Credential;
use crate::children::Program;
use crate::go_json;

/// What helpers say for an address that they hold nothing for: the first two by protocol, the others as seen of helpers
/// that pass on what their store says (docker/docker-credential-helpers, `credentials/error.go`).
const NOTHING: [&str; 5] = [
    "credentials not found in native keychain",
    "credentials server URL is missing",
    "no credentials server URL",
    "credentials not found",
    "the specified item could not be found in the keychain",
];

/// `null` and a missing member are as good as an empty one.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Answer {
    username: Option<String>,
    secret: Option<String>,
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
        if says_nothing(&output.stdout) || (output.stdout.trim().is_empty() && says_nothing(&output.stderr)) {
            return Ok(None);
        }
        let said = output.stderr.lines().find(|line| !line.trim().is_empty());
        let why = said.unwrap_or("it says nothing on stderr");
        return Err(format!("{program} failed ({}): {}", output.status, why.trim()));
    }
    read(&output.stdout).map_err(|()| format!("{program} did not answer with credentials in JSON"))
}

/// Whether what a failing helper prints is that it holds nothing.
fn says_nothing(text: &str) -> bool {
    let said = text.trim().trim_end_matches('.');
    NOTHING.iter().any(|nothing| said.eq_ignore_ascii_case(nothing))
}

/// The credentials in a helper's answer. None in an empty one: nobody is logged in.
fn read(text: &str) -> Result<Option<Credential>, ()> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let Answer { username, secret } = go_json::from_slice(text.as_bytes()).map_err(drop)?;
    let secret = secret.filter(|secret| !secret.is_empty());
    Ok(secret.map(|secret| Credential::from_pair(username.unwrap_or_default(), Secret::new(secret))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_secret_is_nobody() {
        let password =
            |name: &str| Ok(Some(Credential::Password { name: name.to_owned(), password: Secret::new("s") }));
        for (text, expected) in [
            (r#"{"ServerURL":"r.corp","Username":"me","Secret":"s"}"#, password("me")),
            (r#"{"Username":null,"Secret":"s"}"#, password("")),
            (r#"{"Username":"<token>","Secret":"s"}"#, Ok(Some(Credential::Identity(Secret::new("s"))))),
            ("", Ok(None)),
            (" \n", Ok(None)),
            ("null", Ok(None)),
            ("{}", Ok(None)),
            (r#"{"ServerURL":"r.corp","Username":"","Secret":""}"#, Ok(None)),
            (r#"{"Username":"me","Secret":null}"#, Ok(None)),
            ("me:s", Err(())),
            ("[]", Err(())),
            (r#"{"Username":"me","Secret":7}"#, Err(())),
            (r#"{"Username":"me","Secret":"s""#, Err(())),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_a_helper_says_when_it_holds_nothing() {
        for (text, expected) in [
            ("credentials not found in native keychain\n", true),
            ("Credentials server URL is missing", true),
            ("The specified item could not be found in the keychain.", true),
            ("error getting credentials: pass is not initialized", false),
            ("", false),
        ] {
            assert_eq!(says_nothing(text), expected, "{text}");
        }
    }
}
