//! Paths in options of the engine's command line: like all others they are relative to the declaration's folder, wherever
//! the command runs. Pure.

use std::path::{Path, PathBuf};

/// What the lock is called; it lies beside `manifests.toml`.
pub const LOCK_NAME: &str = "manifests.lock";

/// Where releases of the workspace at `root` keep what they need between runs; it need not exist.
/// [`working_folder`](crate::workspace::working_folder) makes it.
pub(crate) fn working_folder_of(root: &Path) -> PathBuf {
    root.join("target").join("manifests")
}

/// `--secret`: the file of `src` or `source`.
pub(super) fn secret(option: &str, root: &Path) -> String {
    match fields(option).any(|(key, value)| key == "type" && value != "file") {
        true => option.to_owned(),
        false => with_rooted(option, &["src", "source"], root),
    }
}

/// `--cache-from` and `--cache-to`: the folder of the type `local`.
pub(super) fn cache(option: &str, root: &Path) -> String {
    match fields(option).any(|(key, value)| key == "type" && value == "local") {
        true => with_rooted(option, &["src", "dest"], root),
        false => option.to_owned(),
    }
}

/// `--ssh`: the keys or the socket behind the name.
pub(super) fn ssh(option: &str, root: &Path) -> String {
    let Some((name, paths)) = option.split_once('=') else { return option.to_owned() };
    let paths: Vec<String> = paths.split(',').map(|path| absolute(path, root)).collect();
    format!("{name}={}", paths.join(","))
}

/// Takes `-f` and `--file` out of further arguments. Of several the last counts, as for the engine; what comes from
/// standard input stays.
pub(super) fn take_dockerfile(arguments: &mut Vec<String>) -> Option<String> {
    let mut found = None;
    let mut kept = Vec::new();
    let mut rest = std::mem::take(arguments).into_iter();
    while let Some(argument) = rest.next() {
        let value = match argument.as_str() {
            "-f" | "--file" => rest.next(),
            other => {
                let value = other.strip_prefix("--file=");
                let short = || other.strip_prefix("-f").map(|value| value.strip_prefix('=').unwrap_or(value));
                value.or_else(short).map(str::to_owned)
            }
        };
        match value {
            Some(value) if value != "-" => found = Some(value),
            Some(value) => kept.extend(["--file".to_owned(), value]),
            None => kept.push(argument),
        }
    }
    *arguments = kept;
    found
}

fn fields(option: &str) -> impl Iterator<Item = (&str, &str)> {
    option.split(',').filter_map(|field| field.trim().split_once('='))
}

fn with_rooted(option: &str, keys: &[&str], root: &Path) -> String {
    let field = |field: &str| match field.split_once('=') {
        Some((key, value)) if keys.contains(&key.trim()) => format!("{key}={}", absolute(value, root)),
        _ => field.to_owned(),
    };
    option.split(',').map(field).collect::<Vec<_>>().join(",")
}

/// As it is where it is absolute already, or where the root is nothing that such an option can hold.
fn absolute(path: &str, root: &Path) -> String {
    match root.to_str() {
        Some(text) if !path.is_empty() && !text.contains([',', '"']) => {
            root.join(path).to_string_lossy().into_owned()
        }
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_those_of_the_declarations_folder() {
        type Rooted = fn(&str, &Path) -> String;
        let table: &[(Rooted, &str, &str)] = &[
            (secret, "id=token", "id=token"),
            (secret, "id=token,src=token.txt", "id=token,src=/p/token.txt"),
            (secret, "type=file,id=token,source=a/b", "type=file,id=token,source=/p/a/b"),
            (secret, "id=token,src=/run/token", "id=token,src=/run/token"),
            (secret, "type=env,id=token,src=TOKEN", "type=env,id=token,src=TOKEN"),
            (secret, "id=token,env=TOKEN", "id=token,env=TOKEN"),
            (ssh, "default", "default"),
            (ssh, "default=key,/k", "default=/p/key,/k"),
            (cache, "r.test/app:cache", "r.test/app:cache"),
            (cache, "type=local,dest=c,mode=max", "type=local,dest=/p/c,mode=max"),
            (cache, "type=registry,ref=r.test/app,src=c", "type=registry,ref=r.test/app,src=c"),
        ];
        for (rooted, option, expected) in table {
            assert_eq!(rooted(option, Path::new("/p")), *expected);
        }
    }

    #[test]
    fn the_dockerfile_of_further_arguments_is_found_in_every_form() {
        for (line, dockerfile, rest) in [
            ("--network none", None, "--network none"),
            ("-f D --network none", Some("D"), "--network none"),
            ("--network none --file D", Some("D"), "--network none"),
            ("--file=D", Some("D"), ""),
            ("-fD -f=E", Some("E"), ""),
            ("-f -", None, "--file -"),
            ("--force-rm", None, "--force-rm"),
            ("-f", None, "-f"),
        ] {
            let mut arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(take_dockerfile(&mut arguments).as_deref(), dockerfile, "{line}");
            assert_eq!(arguments.join(" "), rest, "{line}");
        }
    }
}
