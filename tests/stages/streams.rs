//! Runs that lose a stream: closed, full, or with nobody who reads it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use crate::account::Project;
use crate::fixture::run;
use crate::support::Workspace;

/// How a stream is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// `>&-`
    Closed,
    /// As a full disk.
    Full,
    /// Nobody reads the pipe.
    Broken,
}

const LOSSES: [Loss; 3] = [Loss::Closed, Loss::Full, Loss::Broken];
const STREAMS: [&[i32]; 3] = [&[1], &[2], &[1, 2]];

/// Runs a command without some of its streams, and gives its exit code and what came out of the others.
fn without(command: &mut Command, loss: Loss, streams: &[i32]) -> (Option<i32>, String) {
    let stream = |number| -> Stdio {
        match loss {
            _ if !streams.contains(&number) => Stdio::piped(),
            Loss::Full => File::options().write(true).open("/dev/full").unwrap().into(),
            Loss::Broken => OwnedFd::from(std::io::pipe().unwrap().1).into(),
            // Closed by the shell.
            Loss::Closed => Stdio::null(),
        }
    };
    let output = command.stdin(Stdio::null()).stdout(stream(1)).stderr(stream(2)).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// The command, for a shell that closes streams first where that is how they are lost.
fn command(workspace: &Workspace, args: &[&str], loss: Loss, streams: &[i32]) -> Command {
    let mut command = workspace.command(args);
    if loss == Loss::Closed {
        let closed: String = streams.iter().map(|number| format!(" {number}>&-")).collect();
        let program = command.get_program().to_owned();
        let mut shell = workspace.command(&[]);
        std::mem::swap(&mut command, &mut shell);
        let environment: Vec<_> =
            shell.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
        command = Command::new("sh");
        command.args(["-c", &format!("exec \"$0\" \"$@\"{closed}")]).arg(program).args(args);
        command.current_dir(workspace.path()).env_clear().envs(environment);
    }
    command
}

#[test]
fn every_command_ends_as_documented_whatever_stream_is_gone() {
    let project = Project::new();
    run(&project.workspace, &["reconcile"]).ends(0, &[]);
    let (app, image) = (format!("{}:1.0.0", project.app), format!("{}:amd64", project.app));
    let other = format!("{}/other:1", project.registry.host());
    // With the exit code, and whether the command is there for what it writes to stdout.
    let commands: [(&[&str], i32, bool); 22] = [
        (&["--help"], 0, true),
        (&["--version"], 0, true),
        (&["no-such-command"], 2, false),
        (&["check"], 0, true),
        (&["schema"], 0, true),
        (&["completions", "bash"], 0, true),
        (&["plan"], 0, true),
        (&["release", "--allow-dirty"], 0, false),
        (&["release", "--allow-dirty", "--format", "json"], 0, false),
        (&["release", "--rehearse"], 0, false),
        (&["reconcile"], 0, false),
        (&["build"], 2, false),
        (&["verify", "--format", "json"], 0, true),
        (&["promote", "--from", "1.0.0", "--tag", "latest"], 0, false),
        (&["unpublish", "app"], 2, false),
        (&["inspect", &app], 0, true),
        (&["tags", &project.app], 0, true),
        (&["import", &app], 1, false),
        (&["manifest", "inspect", &app], 0, true),
        (&["manifest", "push", &app], 0, false),
        (&["manifest", "create", "--amend", &other, &image], 0, false),
        (&["manifest", "annotate", "--os", "linux", "--arch", "amd64", &other, &image], 0, false),
    ];
    for (args, code, for_data) in commands {
        for (loss, streams) in LOSSES.into_iter().flat_map(|loss| STREAMS.map(|streams| (loss, streams))) {
            let (ended, said) = without(&mut command(&project.workspace, args, loss, streams), loss, streams);
            let undelivered = for_data && loss == Loss::Full && streams.contains(&1);
            let expected = if undelivered { 1 } else { code };
            assert_eq!(ended, Some(expected), "{args:?} without {streams:?}, {loss:?}: {said}");
        }
        let mut closed = command(&project.workspace, args, Loss::Closed, &[0]);
        assert_eq!(closed.output().unwrap().status.code(), Some(code), "{args:?} without stdin");
    }
}

#[test]
fn what_is_published_is_locked_whatever_stream_is_gone() {
    let project = Project::new();
    let mut version = 0;
    for format in ["text", "json"] {
        for (loss, streams) in LOSSES.into_iter().flat_map(|loss| STREAMS.map(|streams| (loss, streams))) {
            version += 1;
            let tag = format!("1.{version}.0");
            project.change(&tag);
            let args = ["release", "--allow-dirty", "--verbose", "--format", format];
            let (code, said) = without(&mut command(&project.workspace, &args, loss, streams), loss, streams);
            assert_eq!(code, Some(0), "{format} without {streams:?}, {loss:?}: {said}");
            assert_eq!(project.locked(), project.served(&[&tag, "latest"]), "{said}");
            assert_eq!(
                said.contains("could not write all of the result"),
                loss == Loss::Full && streams == [1],
                "{said}"
            );
        }
    }
    // The reader leaves after the first line.
    project.change("2.0.0");
    let mut command = command(&project.workspace, &["release", "--allow-dirty"], Loss::Broken, &[]);
    let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = std::io::BufReader::new(running.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut stderr, &mut String::new()).unwrap();
    drop((stderr, running.stdout.take()));
    assert_eq!(running.wait().unwrap().code(), Some(0));
    assert_eq!(project.locked(), project.served(&["2.0.0", "latest"]));
}
