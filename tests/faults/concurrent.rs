//! Many runs at once against one registry: of different targets, and of the same one.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::Arc;

use manifests::error::render;
use manifests::model::digest::Digest;
use tokio::task::JoinSet;

use crate::content::{Content, image, list};
use crate::fault::Fault;
use crate::scenarios::{Scenario, scenario};
use crate::support::Workspace;
use crate::world::{RETRY_POLICY, Template, World, declaration, reconcile, registry, scratch};

const AMD64: &str = "linux/amd64";
const ARM64: &str = "linux/arm64";
const TARGETS: usize = 64;
const SAME: usize = 8;

/// What a run of the target `name` publishes: two images of that name, one of them in another repository.
fn target(name: &str, tag: &str) -> String {
    format!(
        r#"
[target.{name}]
repository = "{{0}}/many/{tag}"
tags = ["1.0", "latest"]
image = "{{0}}/images/{name}:{{arch}}"
platforms = ["{AMD64}", "{ARM64}"]
"#
    )
}

fn images(name: &str) -> [Content; 2] {
    let repository = format!("images/{name}");
    [(AMD64, "amd64"), (ARM64, "arm64")]
        .map(|(platform, tag)| image(platform, name, 40).tagged(tag).within(0, &repository))
}

/// The list that the run publishes.
fn expected(name: &str) -> Digest {
    let [amd64, arm64] = images(name);
    list(vec![(AMD64, amd64), (ARM64, arm64)]).digest()
}

/// A registry that holds the images of all.
async fn world(names: &[String]) -> World {
    let contents = names.iter().flat_map(|name| images(name)).collect();
    let scenario = Scenario { contents, ..scenario(&target("unused", "unused")) };
    let template = Template::fill(&scenario).await;
    World::start(&scenario, &template, Some(Fault::Status500)).await
}

async fn serves(world: &World, repository: &str) -> Vec<Option<Digest>> {
    let mut served = Vec::new();
    for tag in ["1.0", "latest"] {
        let path = format!("/v2/many/{repository}/manifests/{tag}");
        assert_eq!(world.backdoors[0].missing(&path).await, Vec::<String>::new());
        served.push(world.backdoors[0].get(&path).await.map(|(_, bytes)| Digest::of(&bytes)));
    }
    served
}

/// All runs at once, in one process; what each came to, in the order of `texts`.
async fn run_all(world: &World, texts: Vec<String>) -> Vec<Result<(), String>> {
    let cache = scratch();
    let mut running = JoinSet::new();
    let barrier = Arc::new(tokio::sync::Barrier::new(texts.len()));
    for (number, text) in texts.into_iter().enumerate() {
        let declaration = declaration(&text, world.hosts());
        let (barrier, cache) = (barrier.clone(), cache.path().to_owned());
        running.spawn(async move {
            let registry = registry(cache, RETRY_POLICY, || {});
            barrier.wait().await;
            let result = reconcile(&registry, &declaration).await;
            (number, result.map(drop).map_err(|error| render(&error)))
        });
    }
    let mut results = running.join_all().await;
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn different_targets_do_not_disturb_each_other() {
    let names: Vec<String> = (0..TARGETS).map(|number| format!("t{number}")).collect();
    let world = world(&names).await;
    let texts: Vec<String> = names.iter().map(|name| target(name, name)).collect();
    for result in run_all(&world, texts.clone()).await {
        assert_eq!(result, Ok(()));
    }
    for name in &names {
        assert_eq!(serves(&world, name).await, vec![Some(expected(name)); 2]);
    }
    assert_eq!(world.wrongs().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_list_may_be_published_by_many_at_once() {
    let name = "same".to_owned();
    let world = world(std::slice::from_ref(&name)).await;
    for result in run_all(&world, vec![target(&name, &name); SAME]).await {
        assert_eq!(result, Ok(()));
    }
    assert_eq!(serves(&world, &name).await, vec![Some(expected(&name)); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_different_lists_for_one_tag_one_is_served_and_the_others_are_told() {
    let names: Vec<String> = (0..SAME).map(|number| format!("t{number}")).collect();
    let world = world(&names).await;
    let texts: Vec<String> = names.iter().map(|name| target(name, "one")).collect();
    let results = run_all(&world, texts.clone()).await;
    judge(&world, &names, &results).await;
    // Who was told runs again, alone, and is served.
    let again = run_all(&world, texts[..1].to_vec()).await;
    assert_eq!(again, [Ok(())]);
    assert_eq!(serves(&world, "one").await, vec![Some(expected("t0")); 2]);
}

/// Each tag serves one of the lists, whole; somebody won, and nobody heard anything but the documented errors.
async fn judge(world: &World, names: &[String], results: &[Result<(), String>]) {
    let lists: BTreeSet<Digest> = names.iter().map(|name| expected(name)).collect();
    for served in serves(world, "one").await {
        assert!(served.is_some_and(|digest| lists.contains(&digest)));
    }
    for result in results {
        let Err(error) = result else { continue };
        assert!(error.contains("was moved by somebody else") || error.contains("was overtaken"), "{error}");
    }
    assert_eq!(world.wrongs().await, Vec::<String>::new());
}

/// Runs `manifests reconcile TARGET` for all names at once, each a process, with one cache for all.
async fn reconcile_processes(world: &World, declaration: &str, names: &[String]) -> Vec<Result<(), String>> {
    let cache = scratch();
    let text = declaration.replace("{0}", &world.hosts()[0]);
    let workspace = Workspace::new(&[("manifests.toml", &text)]);
    let mut running = Vec::new();
    for name in names {
        let mut command = Command::new(env!("CARGO_BIN_EXE_manifests"));
        command.args(["reconcile", name]).current_dir(workspace.path()).env("XDG_CACHE_HOME", cache.path());
        command.env("DOCKER_CONFIG", workspace.docker_config()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        running.push(tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()));
    }
    let mut results = Vec::new();
    for child in running {
        let output = child.await.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code();
        results.push(if code == Some(0) { Ok(()) } else { Err(format!("exit code {code:?}: {stderr}")) });
    }
    results
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_a_registry_and_a_cache() {
    let different: Vec<String> = (0..TARGETS - SAME).map(|number| format!("d{number}")).collect();
    let same: Vec<String> = (0..SAME).map(|number| format!("s{number}")).collect();
    let all: Vec<String> = different.iter().chain(&same).cloned().collect();
    let world = world(&all).await;
    let text: String = different.iter().map(|name| target(name, name)).collect();
    let rivals = same.iter().map(|name| target(name, "one"));
    // One file may not declare a tag twice: each rival has its own.
    let (first, second) = tokio::join!(
        reconcile_processes(&world, &text, &different),
        rivals_at_once(&world, rivals.zip(&same).collect())
    );
    for result in first {
        assert_eq!(result, Ok(()));
    }
    for name in &different {
        assert_eq!(serves(&world, name).await, vec![Some(expected(name)); 2]);
    }
    judge(&world, &same, &second).await;
}

async fn rivals_at_once(world: &World, rivals: Vec<(String, &String)>) -> Vec<Result<(), String>> {
    let runs = rivals.iter().map(|(text, name)| async move {
        let mut results = reconcile_processes(world, text, std::slice::from_ref(*name)).await;
        results.remove(0)
    });
    futures_util::future::join_all(runs).await
}
