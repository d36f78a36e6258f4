//! A credential helper that does not answer, and somebody who does not want to wait for it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::auth::guarded;
use crate::support::Workspace;

/// Says which processes it and its child are, and heeds no request to end.
const HANGS: &str = "#!/bin/sh\ntrap '' INT TERM\nsleep 600 &\necho \"$$ $!\" > pids.new\nmv pids.new pids\nwhile :; do wait; done\n";

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_helper_that_hangs_with_all_that_it_started() {
    let server = guarded(|_| None).await;
    let host = server.address.to_string();
    let workspace = Workspace::new(&[("bin/docker-credential-hang", HANGS)]);
    let helper = workspace.path().join("bin/docker-credential-hang");
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let config = json!({ "credHelpers": { &host: "hang" } }).to_string();
    fs::write(workspace.docker_config().join("config.json"), config).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let folders = [workspace.path().join("bin")].into_iter().chain(std::env::split_paths(&path));
    let child = workspace
        .command(&["tags", &format!("{host}/o/app")])
        .env("PATH", std::env::join_paths(folders).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();

    let pids = loop {
        if let Ok(pids) = fs::read_to_string(workspace.path().join("pids")) {
            break pids;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await.unwrap().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("ended by Ctrl-C; nothing was published"), "{stderr}");
    for pid in pids.split_whitespace() {
        while Path::new("/proc").join(pid).exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
