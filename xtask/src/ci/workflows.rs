//! The files that CI services read, and the scripts that stand in files: checked by the services' schemas, by zizmor for
//! what a workflow should not do, and by shellcheck. Scripts within the files are checked by `tests/templates`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use duct::cmd;

use crate::host;

/// Two linters from PyPI: the schemas come with the first, and neither asks the network when it runs.
const LINTERS: [&str; 2] = ["check-jsonschema==0.39.0", "zizmor==1.32.0"];

/// Checks all of them.
pub(super) fn lint() -> Result<()> {
    let programs = install()?;
    let run = |program: &str, args: &[&str], files: &[String]| {
        // shellcheck is the system's.
        let path =
            Some(programs.join(program)).filter(|own| own.exists()).or_else(|| host::find_program(program));
        let path = path.with_context(|| format!("no {program}, although it was installed"))?;
        let all: Vec<&str> = args.iter().copied().chain(files.iter().map(String::as_str)).collect();
        host::finish(cmd(path, &all).dir(host::root()), &format!("{program} {}", all.join(" ")))
    };
    let mut workflows = files(".github/workflows", ".yml")?;
    workflows.push("ci/github.yml".to_owned());
    let action = ["action.yml".to_owned()];
    run("check-jsonschema", &["--builtin-schema", "vendor.github-workflows"], &workflows)?;
    run("check-jsonschema", &["--builtin-schema", "vendor.github-actions"], &action)?;
    let gitlab = ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", "ci/gitlab.yml"];
    run("check-jsonschema", &gitlab, &[])?;
    workflows.extend(action);
    run("zizmor", &["--quiet", "--offline", "--config", ".github/zizmor.yml"], &workflows)?;
    run("shellcheck", &["--external-sources", ".ci/run"], &files("ci", ".sh")?)
}

/// The files of a folder of this repository with this ending, as paths from its root.
fn files(folder: &str, ending: &str) -> Result<Vec<String>> {
    let entries = fs::read_dir(host::root().join(folder)).with_context(|| format!("cannot list {folder}"))?;
    let mut files = entries
        .map(|entry| Ok(format!("{folder}/{}", entry?.file_name().to_string_lossy())))
        .collect::<Result<Vec<String>>>()?;
    files.retain(|file| file.ends_with(ending));
    files.sort();
    Ok(files)
}

/// Installs the linters into a folder of ours, unless they are there in these versions. Gives the folder of programs.
fn install() -> Result<PathBuf> {
    let folder = host::target_dir().join("ci/linters");
    let (stamp, versions) = (folder.join("installed"), LINTERS.join("\n"));
    let programs = folder.join("bin");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == versions) {
        return Ok(programs);
    }
    host::finish(cmd!("virtualenv", "--clear", "--quiet", &folder), "virtualenv")?;
    let pip = programs.join("pip");
    let mut install = vec!["install", "--quiet", "--disable-pip-version-check"];
    install.extend(LINTERS);
    host::retry("installing linters", || {
        host::finish(cmd(&pip, &install), &format!("pip {}", install.join(" ")))
    })?;
    // Last: what broke off is installed again.
    fs::write(&stamp, versions).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(programs)
}
