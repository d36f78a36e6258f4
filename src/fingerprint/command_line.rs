//! What `build.extra-args`, `secrets` and `ssh` say, as far as a fingerprint needs it. Pure.

use std::collections::BTreeMap;

/// What further arguments change about the build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extra {
    pub(super) dockerfile: Option<String>,
    pub(super) stage: Option<String>,
    pub(super) arguments: BTreeMap<String, String>,
    pub(super) contexts: BTreeMap<String, String>,
}

impl Extra {
    pub(super) fn of(arguments: &[String]) -> Self {
        let mut extra = Self::default();
        let mut rest = arguments.iter().map(String::as_str);
        while let Some(argument) = rest.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value)),
                _ if argument.len() > 2 && argument.starts_with("-f") => ("-f", Some(&argument[2..])),
                _ => (argument, None),
            };
            let mut value = || value.or_else(|| rest.next()).unwrap_or_default().to_owned();
            let pair = |text: String| {
                let (name, value) = text.split_once('=').unwrap_or((&text, ""));
                (name.to_owned(), value.to_owned())
            };
            match name {
                "-f" | "--file" => extra.dockerfile = Some(value()),
                "--target" => extra.stage = Some(value()),
                "--build-arg" => extra.arguments.extend([pair(value())]),
                "--build-context" => extra.contexts.extend([pair(value())]),
                _ => {}
            }
        }
        extra
    }
}

/// The id in `id=x,src=y`, or all of `default` or `name=path`, as `--ssh` takes it.
pub(super) fn secret_id(text: &str) -> String {
    let id = text.split(',').find_map(|part| part.trim().strip_prefix("id="));
    id.unwrap_or_else(|| text.split(['=', ',']).next().unwrap_or_default()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_in_every_form() {
        let of = |line: &str| Extra::of(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let extra = of("--network none -f D --target=s --build-arg A=1=2 --build-context x=../y");
        assert_eq!(extra.dockerfile.as_deref(), Some("D"));
        assert_eq!(extra.stage.as_deref(), Some("s"));
        assert_eq!(extra.arguments["A"], "1=2");
        assert_eq!(extra.contexts["x"], "../y");
        assert_eq!(of("-fD").dockerfile.as_deref(), Some("D"));
        assert_eq!(of("--file=D").dockerfile.as_deref(), Some("D"));
        assert_eq!(of("--network none"), Extra::default());
    }

    #[test]
    fn a_secret_is_its_id() {
        for (text, id) in [
            ("id=token,src=/home/me/token", "token"),
            ("type=env,id=token,env=TOKEN", "token"),
            ("default", "default"),
            ("key=/home/me/.ssh/id", "key"),
        ] {
            assert_eq!(secret_id(text), id);
        }
    }
}
