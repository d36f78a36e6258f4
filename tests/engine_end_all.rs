//! The end of a whole run. Alone in its process: nothing can be started afterwards.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use manifests::children::{Lines, Program, end_all};

#[tokio::test]
async fn every_child_ends_with_all_that_it_started_and_is_cleaned_up_after() {
    let folder = tempfile::tempdir().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut work = Vec::new();
    for index in 0..3 {
        let sink = Arc::clone(&seen);
        let lines: Lines = Arc::new(move |line: &str| sink.lock().unwrap().push(line.to_owned()));
        // The second one and its child heed no TERM.
        let trap = if index == 1 { "trap '' TERM;" } else { "" };
        let script = format!("{trap} sleep 600 & echo $!; while :; do wait; done");
        let cleanup = Program::new("touch").args([folder.path().join(index.to_string())]);
        let program =
            Program::new("sh").args(["-c", &script]).lines(lines).cleanup(cleanup, |ended| ended.success);
        work.push(tokio::spawn(program.merged()));
    }
    while seen.lock().unwrap().len() < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    tokio::task::spawn_blocking(|| end_all(Duration::from_millis(500))).await.unwrap();
    for index in 0..3 {
        assert!(folder.path().join(index.to_string()).exists(), "cleaned up after {index}");
    }
    for work in work {
        assert_eq!(work.await.unwrap().unwrap_err().to_string(), "interrupted");
    }
    let pids = seen.lock().unwrap().clone();
    for pid in pids {
        while Path::new("/proc").join(&pid).exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(Program::new("true").merged().await.unwrap_err().to_string(), "interrupted");
}
