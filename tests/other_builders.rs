//! What other builders push, listed as it should be: indexes with attestations, nested ones, artifacts among the
//! entries, variants that a configuration leaves out, two versions of Windows.
#![allow(clippy::unwrap_used, reason = "what a test does not expect may panic")]

mod support;

use std::process::Output;

use serde_json::{Value, json};
use support::{Hands, OCI_IMAGE, OCI_INDEX};

fn digests(list: &Value) -> Vec<&str> {
    list["manifests"].as_array().unwrap().iter().map(|entry| entry["digest"].as_str().unwrap()).collect()
}

const TWO: &str = r#"
[target.app]
repository = "HOST/app"
tags = ["1"]
image = "HOST/app-{arch}:1"
platforms = ["linux/amd64", "linux/arm64"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn attestations_come_along_and_go_along() {
    let hands = Hands::new().await;
    let amd64 = hands.attested("app-amd64", "1", json!({ "architecture": "amd64", "os": "linux" })).await;
    let arm64 = hands.attested("app-arm64", "1", json!({ "architecture": "arm64", "os": "linux" })).await;
    hands.reconcile(TWO).await;
    let list = hands.served("app", "1").await.unwrap();
    let expected: Vec<&str> = [&amd64.0, &amd64.1, &arm64.0, &arm64.1]
        .iter()
        .map(|entry| entry["digest"].as_str().unwrap())
        .collect();
    assert_eq!(digests(&list), expected);
    assert_eq!(list["mediaType"], OCI_INDEX);
    for digest in expected {
        assert!(hands.served("app", digest).await.is_some(), "{digest} is in the list's repository");
    }

    // Again: nothing to do, and nothing written.
    let before = hands.requests().len();
    hands.reconcile(TWO).await;
    let since = hands.requests().split_off(before);
    assert!(!since.is_empty());
    assert!(since.iter().all(|request| matches!(request.method.as_str(), "GET" | "HEAD")), "{since:?}");

    // Left out on demand. Alone they are no reason to rewrite a list: with another image they go.
    let dropping = format!("{TWO}attestations = \"drop\"\n");
    hands
        .attested("app-arm64", "1", json!({ "architecture": "arm64", "os": "linux", "created": "later" }))
        .await;
    hands.reconcile(&dropping).await;
    assert_eq!(digests(&hands.served("app", "1").await.unwrap()).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_looked_into_one_level_for_exactly_one_entry() {
    let hands = Hands::new().await;
    let mut amd64 = hands.image("app", "a", json!({ "architecture": "amd64", "os": "linux" })).await;
    amd64["platform"] = json!({ "architecture": "amd64", "os": "linux" });
    let mut arm64 = hands.image("app", "b", json!({ "architecture": "arm64", "os": "linux" })).await;
    arm64["platform"] = json!({ "architecture": "arm64", "os": "linux", "variant": "v8" });
    let artifact = hands.image("app", "c", json!({ "architecture": "amd64", "os": "linux", "x": 1 })).await;
    let inner = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [amd64, arm64] });
    let mut nested = hands.manifest("app", "inner", &inner).await;

    // Both platforms, and an entry without one, in one index: each declared image finds its own.
    let mixed = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [artifact, amd64, arm64] });
    hands.manifest("app", "mixed", &mixed).await;
    let declared = |tag: &str| {
        format!(
            "[target.app]\nrepository = \"HOST/app\"\ntags = [\"1\"]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
             platform.\"linux/amd64\".image = \"HOST/app:{tag}\"\nplatform.\"linux/arm64\".image = \"HOST/app:b\"\n"
        )
    };
    hands.reconcile(&declared("mixed")).await;
    let list = hands.served("app", "1").await.unwrap();
    assert_eq!(digests(&list), [amd64["digest"].as_str().unwrap(), arm64["digest"].as_str().unwrap()]);

    let refused = |output: Output, words: &str| {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(words), "{words:?} is not in: {stderr}");
    };
    nested["platform"] = json!({ "architecture": "amd64", "os": "linux" });
    let outer = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [nested] });
    hands.manifest("app", "outer", &outer).await;
    refused(hands.run(&declared("outer"), &["reconcile"]).await, "only one level is looked into");

    let mut second = hands.image("app", "d", json!({ "architecture": "amd64", "os": "linux", "y": 1 })).await;
    second["platform"] = json!({ "architecture": "amd64", "os": "linux" });
    let doubled = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [amd64, second] });
    hands.manifest("app", "doubled", &doubled).await;
    let both = format!("{}, {}", amd64["digest"].as_str().unwrap(), second["digest"].as_str().unwrap());
    refused(hands.run(&declared("doubled"), &["reconcile"]).await, &both);

    let without = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [arm64] });
    hands.manifest("app", "without", &without).await;
    refused(
        hands.run(&declared("without"), &["reconcile"]).await,
        "without linux/amd64; it lists linux/arm64/v8",
    );
    assert_eq!(hands.served("app", "1").await, Some(list), "nothing was changed by what was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_declared_is_published_when_a_configuration_says_less() {
    let hands = Hands::new().await;
    let arm = hands.image("app", "1-linux-arm-v7", json!({ "architecture": "arm", "os": "linux" })).await;
    hands
        .reconcile(
            "[target.app]\nrepository = \"HOST/app\"\ntags = [\"1\"]\nplatforms = [\"linux/arm/v7\"]\n",
        )
        .await;
    let list = hands.served("app", "1").await.unwrap();
    assert_eq!(list["manifests"][0]["digest"], arm["digest"]);
    assert_eq!(
        list["manifests"][0]["platform"],
        json!({ "architecture": "arm", "os": "linux", "variant": "v7" })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_of_windows_are_two_platforms() {
    let hands = Hands::new().await;
    let windows = |version: &str| json!({ "architecture": "amd64", "os": "windows", "os.version": version });
    hands.image("app", "ltsc2019", windows("10.0.17763.6414")).await;
    hands.image("app", "ltsc2022", windows("10.0.20348.2762")).await;
    let declaration = "[target.app]\nrepository = \"HOST/app\"\ntags = [\"1\"]\n\
        platform.\"windows(10.0.17763)/amd64\".image = \"HOST/app:ltsc2019\"\n\
        platform.\"windows(10.0.20348)/amd64\".image = \"HOST/app:ltsc2022\"\n";
    hands.reconcile(declaration).await;
    let list = hands.served("app", "1").await.unwrap();
    let versions: Vec<&Value> =
        list["manifests"].as_array().unwrap().iter().map(|entry| &entry["platform"]["os.version"]).collect();
    assert_eq!(versions, ["10.0.17763", "10.0.20348"]);

    // Undeclared, the version is the configuration's; the wrong one is refused.
    let single = "[target.one]\nrepository = \"HOST/one\"\ntags = [\"1\"]\n\
        platform.\"windows/amd64\".image = \"HOST/app:ltsc2022\"\n";
    hands.reconcile(single).await;
    let list = hands.served("one", "1").await.unwrap();
    assert_eq!(list["manifests"][0]["platform"]["os.version"], "10.0.20348.2762");
    let wrong = single.replace("windows/amd64", "windows(10.0.17763)/amd64").replace("one", "two");
    let output = hands.run(&wrong, &["reconcile"]).await;
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("its configuration says os.version 10.0.20348.2762")
    );
    assert_eq!(hands.served("two", "1").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_image_is_not_listed() {
    let hands = Hands::new().await;
    let config = hands.blob("app", "application/vnd.cncf.helm.config.v1+json", b"{}").await;
    let chart = json!({ "schemaVersion": 2, "mediaType": OCI_IMAGE, "config": config, "layers": [] });
    hands.manifest("app", "1-linux-amd64", &chart).await;
    let output = hands
        .run(
            "[target.app]\nrepository = \"HOST/app\"\ntags = [\"1\"]\nplatforms = [\"linux/amd64\"]\n",
            &["reconcile"],
        )
        .await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("application/vnd.cncf.helm.config.v1+json\", which is no image's"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_configuration_holds_decides_where_its_type_does_not() {
    const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
    const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    let hands = Hands::new().await;
    let image: &[u8] = br#"{"architecture":"amd64","os":"linux"}"#;
    for (media_type, config_type, config, refusal) in [
        (DOCKER_IMAGE, DOCKER_CONFIG, image, None),
        (OCI_IMAGE, "application/vnd.oci.image.config.v1+json; charset=utf-8", image, None),
        // What Docker before 1.11.1 wrote, and what moby takes for it.
        (DOCKER_IMAGE, "application/octet-stream", image, None),
        (DOCKER_IMAGE, "application/json", image, None),
        (DOCKER_IMAGE, "text/html", image, None),
        (DOCKER_IMAGE, "", image, None),
        (OCI_IMAGE, "application/json", image, Some("\"application/json\", which is no image's")),
        (DOCKER_IMAGE, "text/plain", image, Some("\"text/plain\", which is no image's")),
        (DOCKER_IMAGE, "application/octet-stream", b"\x7fELF", Some("which is no image's")),
        (DOCKER_IMAGE, "application/json", b"{}", Some("which is no image's")),
    ] {
        let config = hands.blob("app", config_type, config).await;
        let manifest = json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [] });
        hands.manifest("app", "1-linux-amd64", &manifest).await;
        // Such an image at the tag itself is replaced by a list; what is none is not.
        hands.manifest("app", "1", &manifest).await;
        let declaration =
            "[target.app]\nrepository = \"HOST/app\"\ntags = [\"1\"]\nplatforms = [\"linux/amd64\"]\n";
        let output = hands.run(declaration, &["reconcile"]).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), refusal.is_none(), "{media_type}, {config_type:?}: {stderr}");
        assert!(stderr.contains(refusal.unwrap_or_default()), "{media_type}, {config_type:?}: {stderr}");
        let served = hands.served("app", "1").await.unwrap();
        assert_eq!(served["manifests"].is_array(), refusal.is_none(), "{media_type}, {config_type:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_registry_serves_is_shown_beside_any_declaration() {
    let hands = Hands::new().await;
    hands.image("app", "1", json!({ "architecture": "amd64", "os": "linux" })).await;
    let (repository, reference) = (format!("{}/app", hands.host()), format!("{}/app:1", hands.host()));
    for (declaration, is_valid) in [
        (TWO, true),
        ("", true),
        ("# nothing yet\n", true),
        ("[registry.\"registry.corp\"]\nmax-connections = 1\n", true),
        ("[target.app", false),
        ("[target.app]\nrepositori = \"HOST/app\"\n", false),
    ] {
        for args in [["inspect", &reference], ["tags", &repository]] {
            let output = hands.run(declaration, &args).await;
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !output.stdout.is_empty(), "{args:?} {declaration}: {stderr}");
            let warned = stderr
                .contains("warning: manifests.toml is not valid, so its `[registry]` settings are not used");
            assert_eq!(warned, !is_valid, "{args:?} {declaration}: {stderr}");
            // Named, it is wanted.
            let named = [&args[..], &["--config", "manifests.toml"]].concat();
            let output = hands.run(declaration, &named).await;
            assert_eq!(output.status.code(), Some(if is_valid { 0 } else { 2 }), "{named:?} {declaration}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_with_two_repositories_serves_the_same_list_in_both() {
    let hands = Hands::new().await;
    let other = Hands::new().await;
    hands.image("app", "1-linux-amd64", json!({ "architecture": "amd64", "os": "linux" })).await;
    let declaration = format!(
        "[target.app]\nrepository = [\"HOST/app\", \"{}/mirror\"]\ntags = [\"1\", \"latest\"]\nplatforms = [\"linux/amd64\"]\n",
        other.host()
    );
    hands.reconcile(&declaration).await;
    let list = hands.served("app", "1").await;
    assert!(list.is_some());
    assert_eq!((&other.served("mirror", "1").await, &other.served("mirror", "latest").await), (&list, &list));
    let output = hands.run(&declaration, &["plan", "--exit-code"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}
