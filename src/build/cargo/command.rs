//! How a program is built: arguments and environment. Pure.

use std::path::{Path, PathBuf};

use crate::children::Program;
use crate::config::{CargoBuild, CargoTool};

/// Separates flags in `CARGO_ENCODED_RUSTFLAGS`, so that they may hold spaces.
const SEPARATOR: &str = "\u{1f}";

/// Folders whose names must not come into a program, or another clone would build other bytes.
pub(super) struct Remapped {
    pub(super) workspace: PathBuf,
    pub(super) target: PathBuf,
    /// Where cargo keeps the sources of dependencies.
    pub(super) home: Option<PathBuf>,
}

impl Remapped {
    /// rustc takes the last prefix that fits: from the outermost to the innermost.
    fn flags(&self) -> Vec<String> {
        let flag = |path: &Path, name: &str| format!("--remap-path-prefix={}={name}", path.display());
        let mut flags: Vec<String> = self.home.iter().map(|home| flag(home, "/cargo")).collect();
        flags.push(flag(&self.workspace, "/workspace"));
        flags.push(flag(&self.target, "/target"));
        flags
    }

    /// Where a program lies here that was built in a container under other paths.
    pub(super) fn host_path(&self, built: &Path, triple: &str, cargo: &CargoBuild) -> PathBuf {
        let folder = if cargo.profile == "dev" { "debug" } else { &cargo.profile };
        self.target.join(triple).join(folder).join(built.file_name().unwrap_or_default())
    }
}

/// The command line. Flags that the environment sets for the compiler stay: one source of flags hides the others from
/// cargo, so the new ones go where the old ones are.
pub(super) fn command(
    root: &Path,
    cargo: &CargoBuild,
    triple: &str,
    remapped: &Remapped,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Program {
    let program = match cargo.with {
        CargoTool::Cargo => Program::new("cargo").args(["build"]),
        CargoTool::Cross => Program::new("cross").args(["build"]),
        CargoTool::Zigbuild => Program::new("cargo").args(["zigbuild"]),
    };
    let mut arguments = vec!["--package", &cargo.package, "--bin", &cargo.bin, "--profile", &cargo.profile];
    let features = cargo.features.join(",");
    if !features.is_empty() {
        arguments.extend(["--features", &features]);
    }
    arguments.extend(["--target", triple, "--message-format", "json-render-diagnostics"]);
    let program = program.args(arguments).folder(root);

    let encoded = environment("CARGO_ENCODED_RUSTFLAGS");
    let plain = environment("RUSTFLAGS");
    let given: Option<Vec<String>> = match (encoded, plain) {
        (Some(flags), _) => Some(flags.split(SEPARATOR).map(str::to_owned).collect()),
        (None, Some(flags)) => Some(flags.split(' ').map(str::to_owned).collect()),
        (None, None) => None,
    };
    match given {
        Some(flags) => {
            let flags = flags.into_iter().filter(|flag| !flag.is_empty()).chain(remapped.flags());
            program.env("CARGO_ENCODED_RUSTFLAGS", flags.collect::<Vec<_>>().join(SEPARATOR))
        }
        None => {
            let flags = toml::Value::from(remapped.flags());
            program.args(["--config".to_owned(), format!("target.{triple}.rustflags={flags}")])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Libc;

    fn shown(with: CargoTool, environment: &[(&str, &str)]) -> String {
        let cargo = CargoBuild {
            package: "app".to_owned(),
            bin: "serve".to_owned(),
            profile: "release".to_owned(),
            features: vec!["a".to_owned(), "b".to_owned()],
            libc: Libc::Musl,
            with,
        };
        let remapped = Remapped {
            workspace: "/src/my app".into(),
            target: "/src/my app/target".into(),
            home: Some("/home/me/.cargo".into()),
        };
        let variable = |name: &str| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let program = command(Path::new("/src"), &cargo, "x86_64-unknown-linux-musl", &remapped, &variable);
        program.shown()
    }

    #[test]
    fn paths_of_this_machine_are_remapped() {
        let line = shown(CargoTool::Cargo, &[]);
        assert!(
            line.starts_with(
                "cargo build --package app --bin serve --profile release --features a,b --target \
                 x86_64-unknown-linux-musl --message-format json-render-diagnostics --config "
            ),
            "{line}"
        );
        assert!(line.contains("--remap-path-prefix=/src/my app=/workspace"), "{line}");
        assert!(shown(CargoTool::Cross, &[]).starts_with("cross build "));
        assert!(shown(CargoTool::Zigbuild, &[]).starts_with("cargo zigbuild "));
        // What hides `--config` from cargo is added to instead.
        assert!(!shown(CargoTool::Cargo, &[("RUSTFLAGS", "-C opt-level=s")]).contains("--config"));
    }
}
