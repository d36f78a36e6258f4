//! Credential helpers: `docker-credential-NAME get` (docker/docker-credential-helpers, "Development").

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use serde::Deserialize;

use super::credentials::Credential;
use crate::children::Program;
use crate::model::go_json;
use crate::model::secret::Secret;

/// What helpers say for an address that they hold nothing for: the first two by protocol, the others as seen of helpers
/// that pass on what their store says (docker/docker-credential-helpers, `credentials/error.go`).
const NOTHING: [&str; 6] = [
    "credentials not found in native keychain",
    "credentials server URL is missing",
    "no credentials server URL",
    "credentials not found",
    "the specified item could not be found in the keychain",
    "element not found",
];
/// The same, followed by the address (docker/docker-credential-helpers#177).
const NOTHING_FOR: &str = "no stored credential for ";

/// Credentials are small; a helper that writes more is none.
const LONGEST_ANSWER: usize = 1 << 20;

/// `null` and a missing member are as good as an empty one.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Answer {
    username: Option<String>,
    secret: Option<String>,
}

/// Asks the helper `name` for the credentials of `address`. Blocks.
///
/// An error names the helper and what is wrong with it, in its own words: by protocol those are on stdout, which is left
/// out where it may be credentials.
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
    let asked = Program::new(found).args(["get"]).stdin(format!("{address}\n")).timeout(limit);
    let asked = asked.at_most(LONGEST_ANSWER).apart_here();
    let output = asked.map_err(|error| format!("{program}: {error:#}"))?;
    if output.timed_out {
        return Err(format!("{program} gave no answer within {} s", limit.as_secs()));
    }
    if !output.success {
        if says_nothing(&output.stdout) || (output.stdout.trim().is_empty() && says_nothing(&output.stderr)) {
            return Ok(None);
        }
        let why = complaint(&output.stdout, &output.stderr);
        return Err(format!("{program} failed ({}): {why}", output.status));
    }
    read(&output.stdout).map_err(|()| format!("{program} did not answer with credentials in JSON"))
}

/// What a failing helper says is wrong: by protocol on stdout, where there may be credentials, too.
fn complaint<'a>(stdout: &'a str, stderr: &'a str) -> &'a str {
    let first = |text: &'a str| text.lines().map(str::trim).find(|line| !line.is_empty());
    let plain = || first(stdout).filter(|_| !stdout.contains('{'));
    first(stderr).or_else(plain).unwrap_or("it does not say why")
}

/// Whether what a failing helper prints is that it holds nothing.
fn says_nothing(text: &str) -> bool {
    let said = text.trim().trim_end_matches('.');
    let start = said.get(..NOTHING_FOR.len()).unwrap_or_default();
    NOTHING.iter().any(|nothing| said.eq_ignore_ascii_case(nothing))
        || (start.eq_ignore_ascii_case(NOTHING_FOR) && !said.contains('\n'))
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
    fn what_a_helper_complains_of() {
        for (stdout, stderr, expected) in [
            ("", "the keyring is locked\n", "the keyring is locked"),
            ("s3cret\n", "\n the keyring is locked\nagain", "the keyring is locked"),
            ("pass not initialized: try \"pass init\"\nmore", "", "pass not initialized: try \"pass init\""),
            (r#"{"Username":"me","Secret":"s3cret"}"#, "", "it does not say why"),
            ("{\n\"Secret\": \"s3cret\"", " \n", "it does not say why"),
            ("", "", "it does not say why"),
        ] {
            assert_eq!(complaint(stdout, stderr), expected, "{stdout}");
        }
    }

    #[test]
    fn what_a_helper_says_when_it_holds_nothing() {
        for (text, expected) in [
            ("credentials not found in native keychain\n", true),
            ("Credentials server URL is missing", true),
            ("The specified item could not be found in the keychain.", true),
            ("Element not found.\r\n", true),
            ("No stored credential for https://registry.corp", true),
            ("No stored credential for r.corp\nerror: the store is locked", false),
            ("error getting credentials: pass is not initialized", false),
            ("", false),
        ] {
            assert_eq!(says_nothing(text), expected, "{text}");
        }
    }
}
