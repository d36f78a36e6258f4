//! A project that adopts `manifests`, in a folder of its own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Folder and git repository of a project, and a home without anybody's settings; both go when this is dropped.
pub struct Workspace {
    folder: TempDir,
}

impl Workspace {
    /// A repository with the files, paths relative to it, in its first commit; `target/` is ignored.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let workspace = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        fs::create_dir_all(workspace.path()).expect("the project's folder is created");
        fs::create_dir_all(workspace.docker_config()).expect("docker's folder is created");
        allow_plugins_of_the_user(&workspace.docker_config());

        workspace.write(".gitignore", "/target\n");
        for (path, contents) in files {
            workspace.write(path, contents);
        }
        workspace.git(&["init", "--quiet", "--initial-branch=main"]);
        workspace.git(&["config", "user.name", "Somebody"]);
        workspace.git(&["config", "user.email", "somebody@example.com"]);
        workspace.git(&["add", "."]);
        workspace.git(&["commit", "--quiet", "--message=First"]);
        workspace
    }

    /// The root of the repository.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// The folder of docker's settings and credentials that [`Self::manifests`] runs with.
    pub fn docker_config(&self) -> PathBuf {
        self.home().join(".docker")
    }

    /// Writes a file and the folders above it; commits nothing.
    pub fn write(&self, path: &str, contents: &str) {
        let file = self.path().join(path);
        let folder = file.parent().expect("a path below the repository");
        fs::create_dir_all(folder).unwrap_or_else(|error| panic!("cannot create {folder:?}: {error}"));
        fs::write(&file, contents).unwrap_or_else(|error| panic!("cannot write {file:?}: {error}"));
    }

    /// Reads a file.
    pub fn read(&self, path: &str) -> String {
        let file = self.path().join(path);
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("cannot read {file:?}: {error}"))
    }

    /// Runs git in the repository and returns its stdout without the final newline.
    pub fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .envs(self.environment())
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("cannot start git: {error}\n{}", super::HINT));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`git {}` failed: {stderr}", args.join(" "));
        String::from_utf8(output.stdout).expect("git's stdout is UTF-8").trim_end().to_owned()
    }

    /// `manifests ARGS…` in the repository, not yet started. Of this process's environment it has what leads to
    /// programs, the engine and the Rust toolchain.
    pub fn manifests(&self, args: &[&str]) -> snapbox::cmd::Command {
        snapbox::cmd::Command::from_std(self.command(args))
    }

    /// The same for those who want the process.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_manifests"));
        command.args(args).current_dir(self.path()).env_clear().envs(self.environment());
        command
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let mut variables = vec![
            ("HOME", self.home()),
            ("DOCKER_CONFIG", self.docker_config()),
            ("NO_COLOR", "1".into()),
            ("LC_ALL", "C".into()),
            // The same commit from the same files, whenever and by whomever.
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_AUTHOR_DATE", "2024-07-16T12:00:00Z".into()),
            ("GIT_COMMITTER_DATE", "2024-07-16T12:00:00Z".into()),
        ];
        let handed_on = ["PATH", "TMPDIR", "DOCKER_HOST"];
        variables.extend(handed_on.into_iter().filter_map(|name| Some((name, env::var_os(name)?.into()))));
        // The toolchain is found by these or below the home, which is another one here.
        for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            let below_home = || Some(env::home_dir()?.join(folder));
            variables
                .extend(env::var_os(name).map(PathBuf::from).or_else(below_home).map(|path| (name, path)));
        }
        variables
    }
}

/// buildx may be installed for the user only, below the settings that the workspace replaces.
fn allow_plugins_of_the_user(docker_config: &Path) {
    let below_home = || Some(env::home_dir()?.join(".docker"));
    let users = env::var_os("DOCKER_CONFIG").map(PathBuf::from).or_else(below_home);
    let Some(plugins) = users.map(|folder| folder.join("cli-plugins")).filter(|folder| folder.is_dir())
    else {
        return;
    };
    let config = serde_json::json!({ "cliPluginsExtraDirs": [plugins] });
    fs::write(docker_config.join("config.json"), config.to_string()).expect("docker's settings are written");
}
