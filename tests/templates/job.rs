//! A job: a machine with a checkout of its own, on which scripts are run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::project::Project;

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failure,
    Skipped,
}

impl Outcome {
    pub(crate) fn of(success: bool) -> Self {
        if success { Self::Success } else { Self::Failure }
    }
}

/// Variables of a job's environment.
pub(crate) type Variables = BTreeMap<String, String>;

/// A machine that has a home, the programs of a job's image, and a folder for the checkout.
pub(crate) struct Job {
    folder: TempDir,
    environment: Variables,
    /// What all scripts said so far.
    pub(crate) output: String,
}

impl Job {
    pub(crate) fn new(project: &Project) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (home, programs) = (folder.path().join("home"), folder.path().join("bin"));
        for folder in [&home.join(".docker"), &programs, &folder.path().join("checkout")] {
            fs::create_dir_all(folder).unwrap();
        }
        let settings = project.workspace.docker_config().join("config.json");
        if settings.exists() {
            fs::copy(settings, home.join(".docker/config.json")).unwrap();
        }
        // `cargo xtask` as it is in a workspace that adopted it: that it becomes so has a test of its own.
        let manifests = env!("CARGO_BIN_EXE_manifests");
        program(&programs, "cargo", &format!("test \"$1\" = xtask && shift && exec {manifests:?} \"$@\""));
        for name in ["apk", "apt-get"] {
            program(&programs, name, "echo \"stand-in: ${0##*/} $*\"");
        }

        let command = project.workspace.command(&[]);
        let inherited = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut environment: Variables = inherited
            .map(|(name, value)| (name.to_str().unwrap().to_owned(), value.to_str().unwrap().to_owned()))
            .collect();
        let path = format!("{}:{}", programs.display(), environment["PATH"]);
        environment.insert("PATH".to_owned(), path);
        environment.insert("HOME".to_owned(), home.display().to_string());
        environment.insert("DOCKER_CONFIG".to_owned(), home.join(".docker").display().to_string());
        Self { folder, environment, output: String::new() }
    }

    /// Where the job's scripts run.
    pub(crate) fn checkout(&self) -> PathBuf {
        self.folder.path().join("checkout")
    }

    /// Clones the project's repository as the forge has it, at a branch or tag.
    pub(crate) fn check_out(&self, project: &Project, reference: &str) {
        let from = project.forge.repository();
        let clone = ["clone", "--quiet", "--branch", reference];
        let mut git = Command::new("git");
        git.args(["-c", "advice.detachedHead=false"]).args(clone).arg(from).arg(self.checkout());
        assert!(git.status().unwrap().success(), "git clone --branch {reference}");
    }

    /// Runs a script with the shell of the runner, `bash OPTIONS FILE`; whether it succeeded.
    pub(crate) fn run(&mut self, script: &str, options: &[&str], variables: &Variables) -> bool {
        let file = self.folder.path().join("script.sh");
        fs::write(&file, script).unwrap();
        let ended = Command::new("bash")
            .args(options)
            .arg(&file)
            .current_dir(self.checkout())
            .env_clear()
            .envs(&self.environment)
            .envs(variables)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = [&ended.stdout, &ended.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        let _ = writeln!(self.output, "$ {script}\n{}{}", said[0], said[1]);
        ended.status.success()
    }
}

fn program(folder: &Path, name: &str, script: &str) {
    let file = folder.join(name);
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Copies a file, or all that is in a folder, to the same place below another folder; whether there was anything.
pub(crate) fn copy(from: &Path, to: &Path) -> bool {
    if from.is_dir() {
        let entries = fs::read_dir(from).unwrap().map(|entry| entry.unwrap().file_name());
        return entries
            .map(|name| copy(&from.join(&name), &to.join(&name)))
            .fold(false, |any, one| any | one);
    }
    if from.is_file() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
    from.is_file()
}
