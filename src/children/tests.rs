//! Children that end by themselves, are ended, and leave things behind.

use std::sync::{Arc, Mutex};

use super::*;

fn sh(script: &str) -> Program {
    Program::new("/bin/sh").args(["-c", script])
}

fn recorder() -> (Lines, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    (Arc::new(move |line: &str| sink.lock().unwrap().push(line.to_owned())), seen)
}

/// The number that a script writes to `path`, once it is there.
async fn number_in(path: &Path) -> i32 {
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim().parse().unwrap(),
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn gone(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    while rustix::process::test_kill_process(pid).is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn lines_come_in_order_from_both_streams() {
    let (lines, seen) = recorder();
    let script = "echo one; echo two >&2; printf '1%%\\r2%%\\n'; printf three; exit 3";
    let ended = sh(script).lines(lines).merged().await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["one", "two", "2%", "three"]);
    assert_eq!((ended.success, ended.stdout.as_str()), (false, "one\ntwo\n1%\r2%\nthree"));
    assert_eq!(ended.status, "exit status: 3");
}

#[tokio::test]
async fn streams_can_be_kept_apart() {
    let ended = sh("echo one; echo two >&2").apart().await.unwrap();
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str(), ended.success), ("one\n", "two\n", true));
}

#[tokio::test]
async fn a_missing_program_or_folder_is_named() {
    let error = Program::new("no-such-engine").apart().await.unwrap_err();
    let shown = crate::error::render(&error);
    assert!(shown.contains("could not start no-such-engine") && shown.contains("hint: is"), "{shown}");
    let error = sh("true").folder("/no/such/folder").apart().await.unwrap_err();
    assert!(error.to_string().contains("in /no/such/folder: there is no such folder"), "{error}");
}

#[tokio::test]
async fn names_with_a_slash_are_relative_to_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/sh", folder.path().join("here")).unwrap();
    let program = Program::new("./here").args(["-c", "echo $A; pwd"]).env("A", "b").folder(folder.path());
    let ended = program.apart().await.unwrap();
    let folder = folder.path().canonicalize().unwrap();
    assert_eq!(ended.stdout, format!("b\n{}\n", folder.display()));
}

#[tokio::test]
async fn dropping_ends_the_whole_group() {
    let folder = tempfile::tempdir().unwrap();
    let (pid, cleaned) = (folder.path().join("pid"), folder.path().join("cleaned"));
    // The grandchild holds the pipe open, as a builder's helper would, and heeds no TERM.
    let script =
        format!("sh -c 'trap \"\" TERM; echo $$ > {}; while :; do sleep 1; done' & wait", pid.display());
    let cleanup = sh(&format!("echo 1 > {}", cleaned.display()));
    let work = sh(&script).cleanup(cleanup, |ended| ended.success).merged();
    let grandchild = tokio::select! {
        _ = work => panic!("it should still run"),
        pid = number_in(&pid) => pid,
    };
    gone(grandchild).await;
    number_in(&cleaned).await;
}

#[tokio::test]
async fn what_takes_too_long_is_ended_and_its_words_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let cleaned = folder.path().join("cleaned");
    // It works the second time.
    let cleanup = sh(&format!("test -e {0} && exit; echo 1 > {0}; exit 1", cleaned.display()));
    let program = sh("echo begun; exec sleep 600")
        .timeout(Duration::from_secs(2))
        .cleanup(cleanup, |ended| ended.success);
    let ended = program.apart().await.unwrap();
    assert!(ended.timed_out && !ended.success, "{ended:?}");
    assert_eq!(ended.stdout, "begun\n");
    assert!(cleaned.exists());
}

#[tokio::test]
async fn what_a_child_leaves_behind_does_not_keep_it_from_ending() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let ended = sh(&format!("sleep 600 & echo $! > {}; echo done", pid.display())).merged().await.unwrap();
    assert_eq!((ended.success, ended.stdout.as_str()), (true, "done\n"));
    gone(number_in(&pid).await).await;
}

#[test]
fn a_command_is_shown_as_one_would_type_it() {
    let program = Program::new("docker").args(["run", "a b", "", "it's", "--x=y"]);
    assert_eq!(program.shown(), r"docker run 'a b' '' 'it'\''s' --x=y");
}

/// 300 MB and a last line.
const MUCH: &str = "head -c 300000000 /dev/zero | tr '\\0' x; echo; echo end";

#[tokio::test]
async fn of_what_is_shown_head_and_tail_are_kept() {
    let ended = sh(MUCH).abridged().merged().await.unwrap();
    assert!(ended.success, "{}", ended.status);
    assert!(ended.stdout.len() <= 2 * ENDS + 100, "{}", ended.stdout.len());
    let shown: Vec<&str> = ended.stdout.lines().collect();
    let left_out = 300_000_005 - 2 * ENDS;
    assert_eq!(shown[1..], [&format!("[… {left_out} bytes left out …]"), &"x".repeat(ENDS - 5), "end"]);

    // Found where it is left out; each line is passed on.
    let (lines, seen) = recorder();
    let script = "head -c 1000000 /dev/zero; echo; echo here; head -c 1000000 /dev/zero; echo; echo end";
    let ended = sh(script).lines(lines).seek("here").abridged().apart().await.unwrap();
    assert!(ended.found && !ended.stdout.contains("here"));
    let short = seen.lock().unwrap().iter().filter(|line| line.len() < 10).cloned().collect::<Vec<_>>();
    assert_eq!(short, ["here", "end"]);
}

#[tokio::test]
async fn what_writes_more_than_is_read_is_ended() {
    // It would go on forever.
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!("echo $$ > {}; while :; do echo secret secret secret; done", pid.display());
    for to in ["", ">&2"] {
        let error = sh(&format!("({script}) {to}")).at_most(1 << 20).apart().await.unwrap_err();
        let stream = if to.is_empty() { "stdout" } else { "stderr" };
        let expected = format!("/bin/sh was ended: it wrote more than 1 MiB to {stream}");
        assert_eq!(crate::error::render(&error), format!("error: {expected}\n"));
        gone(number_in(&pid).await).await;
    }
    // Also where it ends by itself.
    let error = sh("head -c 2000000 /dev/zero").at_most(1 << 20).apart().await.unwrap_err();
    assert!(error.to_string().contains("more than 1 MiB to stdout"), "{error}");
    let ended = sh("head -c 1048576 /dev/zero").at_most(1 << 20).apart().await.unwrap();
    assert_eq!(ended.stdout.len(), 1 << 20);
}
