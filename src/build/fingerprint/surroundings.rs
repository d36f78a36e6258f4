//! What a build takes from around it: variables of the environment, and the proxies that the engine's client passes on
//! from its configuration. I/O.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use serde_json::Value;

/// The environment of the engine's client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    variables: BTreeMap<OsString, OsString>,
}

impl Surroundings {
    /// That of this process, which the engine's client gets.
    pub fn here() -> Self {
        std::env::vars_os().collect()
    }

    /// The value of a variable, if it is set.
    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// `proxies` of the client's configuration as JSON, if it has any: `docker build` makes build arguments of them
    /// (<https://docs.docker.com/engine/cli/proxy/>). It may hold credentials.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    pub(super) fn proxies(&self) -> Result<Option<String>, String> {
        let folder = match self.variable("DOCKER_CONFIG").filter(|folder| !folder.is_empty()) {
            Some(folder) => PathBuf::from(folder),
            None => match self.variable("HOME").map(PathBuf::from).or_else(|| etcetera::home_dir().ok()) {
                Some(home) => home.join(".docker"),
                None => return Ok(None),
            },
        };
        let file = folder.join("config.json");
        let text = match std::fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("could not read {}: {error}", file.display())),
        };
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let Ok(Value::Object(config)) = serde_json::from_slice(&text) else {
            return Err(format!("{} is not a JSON object", file.display()));
        };
        // Go reads keys in any case.
        let proxies =
            config.iter().find(|(key, value)| key.eq_ignore_ascii_case("proxies") && !value.is_null());
        Ok(proxies.map(|(_, value)| value.to_string()))
    }
}

impl FromIterator<(OsString, OsString)> for Surroundings {
    fn from_iter<T: IntoIterator<Item = (OsString, OsString)>>(variables: T) -> Self {
        Self { variables: variables.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_those_of_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let at: Surroundings = [("DOCKER_CONFIG".into(), folder.path().into())].into_iter().collect();
        assert_eq!(at.proxies(), Ok(None));
        for (config, expected) in [
            ("", Some(None)),
            ("{}", Some(None)),
            ("{\"proxies\": null}", Some(None)),
            (
                "{\"Proxies\":{\"default\":{\"httpProxy\":\"a\"}}}",
                Some(Some("{\"default\":{\"httpProxy\":\"a\"}}")),
            ),
            ("[", None),
        ] {
            std::fs::write(folder.path().join("config.json"), config).unwrap();
            let read = at.proxies().ok();
            assert_eq!(read, expected.map(|text| text.map(str::to_owned)), "{config}");
        }
    }
}
