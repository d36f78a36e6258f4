//! What `build.extra-args`, `secrets` and `ssh` say, as far as a fingerprint needs it. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// What further arguments change about the build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extra {
    pub(super) dockerfile: Option<String>,
    pub(super) stage: Option<String>,
    /// `--build-arg NAME=VALUE`.
    pub(super) arguments: BTreeMap<String, String>,
    /// `--build-arg NAME`, whose value is that of the environment.
    pub(super) passed: BTreeSet<String>,
    pub(super) contexts: BTreeMap<String, String>,
    /// Options that are not understood: they may have read anything.
    pub(super) unknown: Vec<String>,
}

/// Options with a value that do not change what else counts: the arguments themselves count as they stand.
const WITH_VALUE: &[&str] = &[
    "--add-host",
    "--allow",
    "--annotation",
    "--attest",
    "--builder",
    "--cache-from",
    "--cache-to",
    "--cgroup-parent",
    "--cpu-period",
    "--cpu-quota",
    "--cpu-shares",
    "--cpuset-cpus",
    "--cpuset-mems",
    "--iidfile",
    "--isolation",
    "--label",
    "--memory",
    "--memory-swap",
    "--metadata-file",
    "--network",
    "--no-cache-filter",
    "--output",
    "--progress",
    "--provenance",
    "--sbom",
    "--secret",
    "--security-opt",
    "--shm-size",
    "--ssh",
    "--tag",
    "--ulimit",
    "-c",
    "-m",
    "-o",
    "-t",
];

/// The same without a value, or with one behind an equals sign.
const ALONE: &[&str] = &[
    "--check",
    "--compress",
    "--debug",
    "--disable-content-trust",
    "--force-rm",
    "--load",
    "--no-cache",
    "--pull",
    "--push",
    "--quiet",
    "--rm",
    "--squash",
    "-D",
    "-q",
];

impl Extra {
    pub(super) fn of(arguments: &[String]) -> Self {
        let mut extra = Self::default();
        let mut rest = arguments.iter().map(String::as_str);
        while let Some(argument) = rest.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value)),
                _ if !argument.starts_with("--") && argument.len() > 2 && argument.is_char_boundary(2) => {
                    let (name, value) = argument.split_at(2);
                    (name, Some(value.strip_prefix('=').unwrap_or(value)))
                }
                _ => (argument, None),
            };
            if ALONE.contains(&name) && (value.is_none() || name.starts_with("--")) {
                continue;
            }
            let Some(value) = value.or_else(|| rest.next()) else {
                extra.unknown.push(argument.to_owned());
                break;
            };
            match (name, value.split_once('=')) {
                ("-f" | "--file", _) => extra.dockerfile = Some(value.to_owned()),
                ("--target", _) => extra.stage = Some(value.to_owned()),
                ("--build-arg", Some((name, value))) => {
                    extra.arguments.insert(name.to_owned(), value.to_owned());
                }
                ("--build-arg", None) => {
                    extra.passed.insert(value.to_owned());
                }
                ("--build-context", Some((name, value))) => {
                    extra.contexts.insert(name.to_owned(), value.to_owned());
                }
                (name, _) if WITH_VALUE.contains(&name) => {}
                // What follows it may be its value, or the next option.
                _ => {
                    extra.unknown.push(argument.to_owned());
                    break;
                }
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
        let extra =
            of("--network none -f D --target=s --build-arg A=1=2 --build-arg B --build-context x=../y -q");
        assert_eq!(extra.dockerfile.as_deref(), Some("D"));
        assert_eq!(extra.stage.as_deref(), Some("s"));
        assert_eq!(extra.arguments, BTreeMap::from([("A".to_owned(), "1=2".to_owned())]));
        assert_eq!(extra.passed, BTreeSet::from(["B".to_owned()]));
        assert_eq!(extra.contexts["x"], "../y");
        assert_eq!(extra.unknown, [] as [&str; 0]);
        assert_eq!(of("-fD").dockerfile.as_deref(), Some("D"));
        assert_eq!(of("--file=D").dockerfile.as_deref(), Some("D"));
        for nothing in
            ["--network none", "--label --target", "--no-cache --pull=false -t x", "--network=none"]
        {
            assert_eq!(of(nothing), Extra::default(), "{nothing}");
        }
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for (line, unknown) in [
            ("--platform linux/arm64", "--platform"),
            ("--ignorefile=x", "--ignorefile=x"),
            ("--network none other", "other"),
            ("-qf x", "-qf"),
            ("--", "--"),
            ("--build-context x", "--build-context"),
            ("--target", "--target"),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(Extra::of(&words).unknown, [unknown], "{line}");
        }
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
