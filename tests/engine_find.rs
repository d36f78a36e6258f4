//! What the engine adapter finds out about this machine before it does anything.
#![allow(clippy::unwrap_used, reason = "tests say what they expect, in their helpers too")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use manifests::config::{
    Attestations, BinaryCheck, Build, Declaration, Format, Image, RegistrySettings, Target, Undeclared,
};
use manifests::engine::doctor::{self, Check, State};
use manifests::engine::{Engine, Request};
use manifests::error::render;
use manifests::model::platform::Platform;

async fn engine() -> Engine {
    Engine::find(&Request { explicit: None }).await.unwrap_or_else(|error| panic!("{}", render(&error)))
}

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

#[tokio::test]
async fn the_daemon_of_this_machine_is_looked_at() {
    let engine = engine().await;
    let info = engine.info().await.unwrap_or_else(|error| panic!("{}", render(&error)));
    assert_eq!(info.os, "linux");
    assert!(info.is_insecure("127.0.0.1:5000") && !info.is_insecure("docker.io"), "{info:?}");
    // The other tests push to a registry on loopback.
    assert!(engine.reaches_loopback().await.unwrap());
    let runnable = engine.runnable(&info).await;
    assert!(runnable.can_run(&platform("linux/amd64")) && !runnable.can_run(&platform("windows/amd64")));
}

#[tokio::test]
async fn a_cli_that_cannot_build_says_what_it_lacks() {
    let error = Engine::find(&Request { explicit: Some(Path::new("/no/such/docker")) }).await.unwrap_err();
    let text = render(&error);
    assert!(text.contains("/no/such/docker: does not say its version"), "{text}");
    assert!(text.contains("hint: install Docker"), "{text}");

    let folder = tempfile::tempdir().unwrap();
    let script = r#"[ $1 = version ] || exit 1
        echo '{"Client":{"Version":"28.2.2","ApiVersion":"1.50"},"Server":{"Version":"28.2.2","Os":"linux"}}'"#;
    let fake = executable(folder.path(), script);
    let text = render(&Engine::find(&Request { explicit: Some(&fake) }).await.unwrap_err());
    assert!(text.contains("version 28.2.2 without the buildx plugin"), "{text}");
    assert!(text.contains("hint: install the buildx plugin"), "{text}");
}

/// A program of that script.
fn executable(folder: &Path, script: &str) -> PathBuf {
    let (text, program) = (folder.join("text"), folder.join("docker"));
    std::fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
    // Written by another process: a child that another test starts meanwhile would hold the file open, and a file that
    // is open for writing cannot be run.
    assert!(Command::new("install").args(["-m", "755"]).args([&text, &program]).status().unwrap().success());
    program
}

#[tokio::test]
async fn a_daemon_that_is_down_is_said_to_be_down() {
    let folder = tempfile::tempdir().unwrap();
    let docker = support::docker().display();
    let down = executable(folder.path(), &format!("DOCKER_HOST=unix:///no/such.sock exec {docker} \"$@\""));
    let text = render(&Engine::find(&Request { explicit: Some(&down) }).await.unwrap_err());
    assert!(text.contains("but its daemon does not answer: "), "{text}");
    assert!(text.contains("\nhint: start the daemon"), "{text}");
}

#[tokio::test]
async fn the_doctor_finds_what_this_machine_lacks() {
    let image = |host: &str, platform: &str| Image {
        platform: platform.parse().unwrap(),
        reference: format!("{host}/app:1").parse().unwrap(),
        build: Some(Build::default()),
        smoke: None,
        annotations: BTreeMap::new(),
    };
    let plain = RegistrySettings { plain_http: Some(true), ..RegistrySettings::default() };
    let declaration = Declaration {
        path: "/src/manifests.toml".into(),
        root: "/src".into(),
        revision: None,
        targets: vec![Target {
            name: "app".to_owned(),
            repositories: vec!["127.0.0.1:1/app".parse().unwrap()],
            tags: Vec::new(),
            images: vec![image("127.0.0.1:1", "linux/amd64"), image("registry.invalid", "windows/amd64")],
            undeclared: Undeclared::Known,
            attestations: Attestations::Keep,
            format: Format::Auto,
            annotations: BTreeMap::new(),
            binary_check: BinaryCheck::Error,
            version: None,
        }],
        unresolved: BTreeMap::new(),
        registries: BTreeMap::from([("registry.invalid".to_owned(), plain)]),
    };
    let checks = doctor::checks(&Request { explicit: None }, &declaration).await;
    let state = |name: &str| checks.iter().find(|check| check.name == name).map(|check| check.state);
    let builds = |check: &Check| check.name.starts_with("CLI ") && check.state == State::Fine;
    assert!(checks.iter().any(builds), "{checks:#?}");
    for (name, expected) in [
        ("daemon", State::Fine),
        ("daemon and 127.0.0.1:1", State::Fine),
        ("daemon and registry.invalid", State::Wrong),
        ("running linux/amd64", State::Fine),
        ("running windows/amd64", State::Wrong),
    ] {
        assert_eq!(state(name), Some(expected), "{name}: {checks:#?}");
    }
    assert!(checks.iter().all(|check| check.state == State::Fine || check.fix.is_some()), "{checks:#?}");
}
