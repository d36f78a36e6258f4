//! Runs that a signal ends, and rehearsals that are served until one does.

use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::account::Project;
use crate::fixture::run;
use crate::support::Workspace;

/// A run whose `before` has started two programs, one of which heeds no HUP; with their process ids.
fn running_children(hup_ignored: bool) -> (Workspace, std::process::Child, Vec<Pid>) {
    let script = "(trap '' HUP QUIT TERM; echo $$ >> target/pids; while :; do sleep 1; done) & sleep 600 & echo $! >> target/pids; wait";
    let text = format!(
        "[target.app]\nrepository = \"localhost:1/app\"\ntags = [\"1\"]\nplatforms = [\"linux/amd64\"]\n\
         build = {{ context = \".\", before = [\"sh\", \"-c\", \"\"\"{script}\"\"\"] }}\n"
    );
    let workspace =
        Workspace::new(&[("manifests.toml", &text), ("Dockerfile", "FROM scratch\n"), ("target/x", "")]);
    let mut command = workspace.command(&["release"]);
    if hup_ignored {
        let program = command.get_program().to_owned();
        let environment: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        command = Command::new("sh");
        command.args(["-c", "trap '' HUP; exec \"$0\" release"]).arg(program);
        command.current_dir(workspace.path()).env_clear().envs(environment);
    }
    let running = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let pids = loop {
        let text = std::fs::read_to_string(workspace.path().join("target/pids")).unwrap_or_default();
        let pids: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        if pids.len() == 2 && text.ends_with('\n') {
            break pids.into_iter().filter_map(Pid::from_raw).collect();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    (workspace, running, pids)
}

#[test]
fn every_signal_that_ends_a_run_ends_what_it_started() {
    for (signal, code, name) in [
        (Signal::HUP, 129, "SIGHUP"),
        (Signal::INT, 130, "Ctrl-C"),
        (Signal::QUIT, 131, "SIGQUIT"),
        (Signal::TERM, 143, "SIGTERM"),
    ] {
        let (_workspace, running, children) = running_children(false);
        let pid = Pid::from_raw(i32::try_from(running.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let output = running.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(&format!("ended by {name}; nothing was published")), "{stderr}");
        children.into_iter().for_each(gone);
    }
}

/// Waits until a process has ended.
fn gone(process: Pid) {
    while test_kill_process(process).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_run_under_nohup_outlives_its_terminal() {
    let (_workspace, mut running, children) = running_children(true);
    let pid = Pid::from_raw(i32::try_from(running.id()).unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(143), "the first signal was not the end");
    children.into_iter().for_each(gone);
}

/// A served rehearsal, which is ended when this is dropped.
struct Served(std::process::Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_served_rehearsal_stands_in_nobodys_way() {
    let project = Project::new();
    let mut command = project.workspace.command(&["release", "--rehearse", "--keep-serving"]);
    let mut served = Served(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let stderr = std::io::BufReader::new(served.0.stderr.take().unwrap());
    let mut said = std::io::BufRead::lines(stderr).map_while(Result::ok);
    let line = said.find(|line| line.contains("Serving")).expect("it serves");
    let drained = std::thread::spawn(move || said.count());

    run(&project.workspace, &["reconcile"]).ends(0, &[]);
    run(&project.workspace, &["promote", "--from", "1.0.0", "--tag", "x"]).ends(0, &[]);
    let log = project.workspace.path().join("target/manifests/rehearsal/requests.log");
    let before = std::fs::read_to_string(&log).unwrap();
    let plan = run(&project.workspace, &["plan", "--rehearse"]);
    plan.ends(0, &[]);
    assert!(plan.stdout.contains("= :1.0.0"), "{}", plan.stdout);
    let after = std::fs::read_to_string(&log).unwrap();
    assert!(after.starts_with(&before) && after.len() > before.len(), "the live log goes on");
    let pid = served.0.id().to_string();
    let host = line.split_whitespace().nth(1).unwrap();
    run(&project.workspace, &["release", "--rehearse"])
        .ends(1, &[&format!("process {pid} serves a rehearsal"), host, "plan --rehearse"]);

    drop(served);
    drained.join().unwrap();
    run(&project.workspace, &["release", "--rehearse"]).ends(0, &[]);
}
