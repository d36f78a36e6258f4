//! Images brought from elsewhere, with what hangs on them: within a registry, between registries, to and from one that
//! has no referrers API; and a layer that is larger than the memory it may take.
#![allow(clippy::unwrap_used, reason = "what a test does not expect may panic")]

mod support;

use std::process::Command;
use std::time::Duration;

use futures_util::stream;
use manifests::apply::bring;
use manifests::config::Attestations;
use manifests::events::Events;
use manifests::model::digest::Digest;
use manifests::model::reference::Repository;
use manifests::observe::{CopyState, observe_copy};
use manifests::plan::{CopyRole, Missing};
use manifests::registry::{Options, Registry, fallback_tag};
use serde_json::{Value, json};
use support::{DebianRegistry, Hands, OCI_CONFIG, OCI_IMAGE, OCI_INDEX, Workspace};

fn digest(descriptor: &Value) -> Digest {
    descriptor["digest"].as_str().unwrap().parse().unwrap()
}

/// An image, and everything that can hang on it.
struct Signed {
    image: Value,
    /// A bill of material, by the image's digest.
    referrer: Value,
    /// A signature of the bill of material.
    nested: Value,
    /// cosign's signature of the image, under its tag.
    cosign: Value,
}

impl Signed {
    async fn push(hands: &Hands, repository: &str, tag: &str) -> Self {
        let image = hands.image(repository, tag, json!({ "architecture": "amd64", "os": "linux" })).await;
        let referrer = artifact(hands, repository, "a bill of material", Some(&image)).await;
        let nested = artifact(hands, repository, "a signature of it", Some(&referrer)).await;
        let cosign = artifact(hands, repository, "a signature of cosign's", None).await;
        let signature = format!("{}.sig", fallback_tag(&digest(&image)));
        let bytes = hands.served(repository, digest(&cosign).as_str()).await.unwrap();
        hands.manifest(repository, &signature, &bytes).await;
        Self { image, referrer, nested, cosign }
    }

    fn cosign_tag(&self) -> String {
        format!("{}.sig", fallback_tag(&digest(&self.image)))
    }

    async fn hangs_in(&self, hands: &Hands, repository: &str) -> bool {
        let client = Registry::new(Options::default()).unwrap();
        let there = Repository { host: hands.host().to_owned(), path: repository.to_owned() };
        let on = async |subject: &Value| {
            let referrers = client.referrers(&there, &digest(subject)).await.unwrap();
            referrers.iter().map(|one| one.digest.clone()).collect::<Vec<_>>()
        };
        let found = (on(&self.image).await, on(&self.referrer).await);
        let signed = client.head_manifest(&there, &self.cosign_tag()).await.unwrap().map(|head| head.digest);
        if (&found, &signed) == (&(Vec::new(), Vec::new()), &None) {
            return false;
        }
        assert_eq!(found, (vec![digest(&self.referrer)], vec![digest(&self.nested)]));
        assert_eq!(signed, Some(digest(&self.cosign)));
        for named in [&self.referrer, &self.nested, &self.cosign] {
            let served = hands.served(repository, digest(named).as_str()).await.unwrap();
            let layer: Digest = digest(&served["layers"][0]);
            assert!(client.has_blob(&there, &layer).await.unwrap(), "{named} is whole");
        }
        true
    }
}

/// Something that is no image; under the fallback tag, too, where the registry does not list it itself.
async fn artifact(hands: &Hands, repository: &str, content: &str, subject: Option<&Value>) -> Value {
    let config = hands.blob(repository, "application/vnd.oci.empty.v1+json", b"{}").await;
    let layer = hands.blob(repository, "text/plain", content.as_bytes()).await;
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_IMAGE, "artifactType": "application/vnd.example.note",
        "config": config, "layers": [layer], "annotations": { "note": content },
    });
    if let Some(subject) = subject {
        manifest["subject"] = subject.clone();
    }
    let own = Digest::of(&serde_json::to_vec(&manifest).unwrap());
    let pushed = hands.manifest(repository, own.as_str(), &manifest).await;
    if let Some(subject) = subject {
        let client = Registry::new(Options::default()).unwrap();
        let there = Repository { host: hands.host().to_owned(), path: repository.to_owned() };
        if client.listed_referrers(&there, &digest(subject)).await.unwrap().is_none() {
            let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [pushed] });
            hands.manifest(repository, &fallback_tag(&digest(subject)), &index).await;
        }
    }
    pushed
}

/// One image at `from`, to be listed at `to`.
fn declaration(from: &Hands, to: &Hands) -> String {
    format!(
        "[target.app]\nrepository = \"{}/o/app\"\ntags = [\"1\"]\nplatforms = [\"linux/amd64\"]\nimage = \"{}/o/image:1\"\n",
        to.host(),
        from.host()
    )
}

async fn plan(hands: &Hands, declaration: &str, arguments: &[&str]) -> String {
    let output = hands.run(declaration, &[&["plan"], arguments].concat()).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The whole way from one registry to the other, which may be the same.
async fn survives(from: &Hands, to: &Hands) {
    let signed = Signed::push(from, "o/image", "1").await;
    let declared = declaration(from, to);

    let planned: Value = serde_json::from_str(&plan(to, &declared, &["--format", "json"]).await).unwrap();
    let copies = planned["targets"][0]["repositories"][0]["copies"].as_array().unwrap();
    let roles: Vec<_> =
        copies.iter().map(|copy| (copy["role"].as_str().unwrap(), copy["digest"].clone())).collect();
    assert_eq!(
        roles,
        [
            ("referrer", signed.referrer["digest"].clone()),
            ("referrer", signed.cosign["digest"].clone()),
            ("referrer", signed.nested["digest"].clone()),
            ("content", signed.image["digest"].clone()),
        ]
    );
    assert_eq!(copies[0]["subject"], signed.image["digest"]);
    assert_eq!(copies[1]["tag"], signed.cosign_tag().as_str());

    assert_eq!(to.served("o/app", "1").await, None, "a plan writes nothing");
    to.reconcile(&declared).await;
    assert!(signed.hangs_in(to, "o/app").await);
    assert_eq!(to.served("o/app", "1").await.unwrap()["manifests"][0]["digest"], signed.image["digest"]);
    let unchanged: Value = serde_json::from_str(&plan(to, &declared, &["--format", "json"]).await).unwrap();
    assert_eq!(unchanged["targets"][0]["changes"], false, "{unchanged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_on_an_image_survives_within_a_registry_and_costs_nothing_once_it_is_there() {
    let hands = Hands::new().await;
    survives(&hands, &hands).await;
    let before = hands.requests().len();
    hands.reconcile(&declaration(&hands, &hands)).await;
    let since = hands.requests().split_off(before);
    let looks = |path: &str| path.contains("/referrers/") || path.contains("/tags/") || path.contains(".sig");
    assert!(
        since.iter().all(|one| !looks(&one.path) && one.method != "PUT" && one.method != "POST"),
        "{since:?}"
    );
    assert!(!since.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_on_an_image_survives_between_registries() {
    survives(&Hands::new().await, &Hands::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_on_an_image_survives_to_and_from_a_registry_without_the_referrers_api() {
    let debian = DebianRegistry::start();
    let (old, new) = (Hands::at(&debian.host()), Hands::new().await);
    survives(&old, &new).await;
    let other = DebianRegistry::start();
    survives(&new, &Hands::at(&other.host())).await;

    // skopeo reads the list with its image, and cosign's tag, and checks every digest.
    let image = new.served("o/app", "1").await.unwrap()["manifests"][0]["digest"].clone();
    let folder = tempfile::tempdir().unwrap();
    for lookup in ["1".to_owned(), format!("{}.sig", fallback_tag(&image.as_str().unwrap().parse().unwrap()))]
    {
        let from = format!("docker://{}/o/app:{lookup}", other.host());
        let to = format!("dir:{}", folder.path().join(&lookup).display());
        let output = Command::new("skopeo")
            .args(["copy", "--all", "--quiet", "--src-tls-verify=false", &from, &to])
            .output()
            .unwrap_or_else(|error| panic!("skopeo: {error}; `cargo xtask ci` installs it"));
        assert!(output.status.success(), "{lookup}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_on_an_image_stays_behind_on_demand() {
    let (from, to) = (Hands::new().await, Hands::new().await);
    let signed = Signed::push(&from, "o/image", "1").await;
    let declared = format!("{}attestations = \"drop\"\n", declaration(&from, &to));
    let before = from.requests().len();
    assert!(!plan(&to, &declared, &[]).await.contains("referrer"));
    to.reconcile(&declared).await;
    assert!(!signed.hangs_in(&to, "o/app").await);
    let since = from.requests().split_off(before);
    assert!(since.iter().all(|one| !one.path.contains("/referrers/")), "nothing is looked for: {since:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_what_comes_along_and_whose_signatures_stay() {
    let (from, to) = (Hands::new().await, Hands::new().await);
    let signed = Signed::push(&from, "o/image", "1").await;
    let theirs = artifact(&to, "o/app", "somebody else's signature", None).await;
    let bytes = to.served("o/app", digest(&theirs).as_str()).await.unwrap();
    to.manifest("o/app", &signed.cosign_tag(), &bytes).await;

    let declared = declaration(&from, &to);
    let short = |one: &Value| digest(one).short();
    let line = format!(
        "+ referrer     {} of {} from {}/o/image\n",
        short(&signed.referrer),
        short(&signed.image),
        from.host()
    );
    let text = plan(&to, &declared, &[]).await;
    assert!(text.contains(&line), "{text}");
    let note = format!("{}/o/app:{} serves something else", to.host(), signed.cosign_tag());
    assert!(text.contains(&note), "{text}");
    let markdown = plan(&to, &declared, &["--format", "markdown"]).await;
    assert!(
        markdown.contains(&format!("| `+` | `referrer` | {} of ", short(&signed.referrer))),
        "{markdown}"
    );

    to.reconcile(&declared).await;
    assert_eq!(to.served("o/app", &signed.cosign_tag()).await, Some(bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_copied_as_it_is_with_what_hangs_on_it_and_on_its_images() {
    let (from, to) = (Hands::new().await, Hands::new().await);
    let signed = Signed::push(&from, "o/list", "1-amd64").await;
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [signed.image] });
    let list = from.manifest("o/list", "1", &index).await;
    let statement = artifact(&from, "o/list", "about the list", Some(&list)).await;
    // A referrer that is an index itself, of something that nothing else names.
    let part = from.image("o/list", "part", json!({ "architecture": "arm64", "os": "linux" })).await;
    let mut bundle =
        json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [part], "subject": list });
    bundle["artifactType"] = "application/vnd.example.bundle".into();
    let bundle = from.manifest("o/list", "bundle", &bundle).await;

    let client = Registry::new(Options::default()).unwrap();
    let repository = |hands: &Hands| Repository { host: hands.host().to_owned(), path: "o/list".to_owned() };
    let (source, destination) = (repository(&from), repository(&to));
    let look = async |keep| {
        observe_copy(&client, &source, &digest(&list), &destination, keep, CopyState::Finished)
            .await
            .unwrap()
            .unwrap()
            .missing()
    };
    let dropped: Vec<_> = look(Attestations::Drop).await.copies.into_iter().map(|copy| copy.role).collect();
    assert_eq!(dropped, [CopyRole::Content, CopyRole::Content]);

    let missing = look(Attestations::Keep).await;
    bring(&client, &missing.copies, &destination, &Events::ignored()).await.unwrap();
    assert!(signed.hangs_in(&to, "o/list").await);
    let on_list = client.referrers(&destination, &digest(&list)).await.unwrap();
    let mut on_list: Vec<Digest> = on_list.into_iter().map(|one| one.digest).collect();
    let mut expected = vec![digest(&statement), digest(&bundle)];
    on_list.sort();
    expected.sort();
    assert_eq!(on_list, expected);
    assert!(to.served("o/list", digest(&part).as_str()).await.is_some());
    assert!(to.served("o/list", digest(&list).as_str()).await.is_some());
    assert_eq!(look(Attestations::Keep).await, Missing::default());
    let nowhere = Digest::of(b"nowhere");
    assert_eq!(
        observe_copy(&client, &source, &nowhere, &destination, Attestations::Keep, CopyState::Finished)
            .await
            .unwrap(),
        None
    );
}

/// The digest of so many zeros, by a program that is quick at it.
fn zeros(size: usize) -> Digest {
    let script = format!("head -c {size} /dev/zero | sha256sum");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    format!("sha256:{}", &String::from_utf8(output.stdout).unwrap()[..64]).parse().unwrap()
}

/// The most memory that the process had so far, in KiB.
fn peak(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?
        .trim()
        .strip_suffix(" kB")?
        .trim()
        .parse()
        .ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_of_any_size_is_copied_in_constant_memory() {
    const MIB: usize = 1 << 20;
    const SIZE: usize = 256 * MIB;
    // Its own program is quicker at checking what it gets than this one is in a test.
    let debian = DebianRegistry::start();
    let (from, to) = (Hands::at(&debian.host()), Hands::new().await);
    let layer = zeros(SIZE);
    let chunk = bytes::Bytes::from(vec![0; MIB]);
    let zeros = stream::iter((0..SIZE / MIB).map(move |_| Ok::<_, std::io::Error>(chunk.clone())));
    from.upload("o/image", &layer, reqwest::Body::wrap_stream(zeros)).await;
    let config = from.blob("o/image", OCI_CONFIG, br#"{"architecture":"amd64","os":"linux"}"#).await;
    let layer =
        json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": SIZE });
    let image = json!({ "schemaVersion": 2, "mediaType": OCI_IMAGE, "config": config, "layers": [layer] });
    from.manifest("o/image", "1", &image).await;

    let workspace = Workspace::new(&[("manifests.toml", &declaration(&from, &to))]);
    let mut child = workspace.command(&["reconcile", "--quiet"]).spawn().unwrap();
    let mut most = 0;
    let status = loop {
        most = peak(child.id()).unwrap_or(0).max(most);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(status.success());
    assert_eq!(to.served("o/app", "1").await.unwrap()["manifests"].as_array().unwrap().len(), 1);
    println!("{} MiB at most, for a layer of {} MiB", most / 1024, SIZE / MIB);
    assert!(0 < most && most < 64 * 1024, "{most} KiB");
}
