//! Listing Tags; Listing Referrers.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::support::{OCI_CONFIG, OCI_IMAGE, OCI_INDEX, Registry, descriptor, image, sha256};

async fn tags(registry: &Registry, path: &str) -> Result<(Vec<String>, String)> {
    let answer = registry.call("GET", path).await?.expect(200)?;
    let body = answer.json()?;
    assert_eq!(body["name"], "a/b");
    let tags = serde_json::from_value(body["tags"].clone())?;
    Ok((tags, answer.header("link").to_owned()))
}

/// The target of a `Link` to the next page.
fn next(link: &str) -> Option<String> {
    Some(link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?.to_owned())
}

#[tokio::test]
async fn tags_are_listed_in_order_and_in_pages() -> Result<()> {
    let registry = Registry::start().await?;
    registry.push_blob("a/b", b"{}").await?;
    assert_eq!(tags(&registry, "a/b/tags/list").await?, (vec![], String::new()));
    let manifest = image(b"{}", &[]).to_string();
    for tag in ["b", "B", "a", "_", "10", "9", "a.b"] {
        registry.put_manifest("a/b", tag, OCI_IMAGE, manifest.clone()).await?.expect(201)?;
    }
    let sorted = ["10", "9", "B", "_", "a", "a.b", "b"];
    for (query, expected, more) in [
        ("", &sorted[..], false),
        ("?n=100", &sorted[..], false),
        ("?n=7", &sorted[..], false),
        ("?n=3", &sorted[..3], true),
        ("?n=0", &[], false),
        ("?last=B", &sorted[3..], false),
        ("?n=2&last=B", &sorted[3..5], true),
        ("?last=C", &sorted[3..], false),
        ("?n=2&last=b", &[], false),
    ] {
        let (listed, link) = tags(&registry, &format!("a/b/tags/list{query}")).await?;
        assert_eq!(listed, expected, "{query}");
        assert_eq!(next(&link).is_some(), more, "{query}: {link}");
    }
    let mut all = Vec::new();
    let mut path = Some("a/b/tags/list?n=2".to_owned());
    while let Some(current) = path {
        let (listed, link) = tags(&registry, &current).await?;
        all.extend(listed);
        path = next(&link);
    }
    assert_eq!(all, sorted);
    for n in ["-1", "x"] {
        registry.call("GET", &format!("a/b/tags/list?n={n}")).await?.expect(400)?;
    }
    Ok(())
}

/// Pushes a manifest with a subject and returns its digest.
async fn refer(registry: &Registry, manifest: Value, media_type: &str) -> Result<String> {
    let manifest = manifest.to_string();
    registry
        .put_manifest("a", &sha256(manifest.as_bytes()), media_type, manifest.clone())
        .await?
        .expect(201)?;
    Ok(sha256(manifest.as_bytes()))
}

async fn referrers(registry: &Registry, path: &str) -> Result<(Vec<Value>, String)> {
    let answer = registry.call("GET", path).await?.expect(200)?;
    assert_eq!(answer.header("content-type"), OCI_INDEX);
    let body = answer.json()?;
    assert_eq!((&body["schemaVersion"], &body["mediaType"]), (&json!(2), &json!(OCI_INDEX)));
    let manifests = body["manifests"].as_array().cloned().context("no manifests")?;
    Ok((manifests, answer.header("oci-filters-applied").to_owned()))
}

#[tokio::test]
async fn referrers_are_described_and_filtered() -> Result<()> {
    let registry = Registry::start().await?;
    let path = format!("a/referrers/{}", sha256(b"subject"));
    // Also of a repository and a subject that nobody knows.
    assert_eq!(referrers(&registry, &path).await?, (vec![], String::new()));

    registry.push_blob("a", b"{}").await?;
    let subject = descriptor(OCI_IMAGE, b"subject");
    let mut typed = image(b"{}", &[]);
    typed["subject"] = subject.clone();
    typed["artifactType"] = json!("text/x+y");
    typed["annotations"] = json!({ "key": "value" });
    let mut untyped = image(b"{}", &[]);
    untyped["subject"] = subject.clone();
    untyped["artifactType"] = json!("");
    let list = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": subject });
    let mut unrelated = image(b"{}", &[]);
    unrelated["subject"] = descriptor(OCI_IMAGE, b"another subject");

    let typed_digest = refer(&registry, typed.clone(), OCI_IMAGE).await?;
    let untyped_digest = refer(&registry, untyped.clone(), OCI_IMAGE).await?;
    let list_digest = refer(&registry, list.clone(), OCI_INDEX).await?;
    refer(&registry, unrelated, OCI_IMAGE).await?;

    let typed = json!({ "mediaType": OCI_IMAGE, "digest": typed_digest, "size": typed.to_string().len(),
        "artifactType": "text/x+y", "annotations": { "key": "value" } });
    let untyped = json!({ "mediaType": OCI_IMAGE, "digest": untyped_digest, "size": untyped.to_string().len(),
        "artifactType": OCI_CONFIG });
    let list = json!({ "mediaType": OCI_INDEX, "digest": list_digest, "size": list.to_string().len() });
    let (all, filters) = referrers(&registry, &path).await?;
    assert_eq!(filters, "");
    assert_eq!(all.len(), 3);
    for expected in [&typed, &untyped, &list] {
        assert!(all.contains(expected), "{expected} is not in {all:?}");
    }
    for (filter, expected) in
        [("text/x%2By", vec![typed]), (&OCI_CONFIG.replace('+', "%2B"), vec![untyped]), ("text/none", vec![])]
    {
        let filtered = referrers(&registry, &format!("{path}?artifactType={filter}")).await?;
        assert_eq!(filtered, (expected, "artifactType".to_owned()));
    }
    // A deleted manifest refers to nothing.
    registry.call("DELETE", &format!("a/manifests/{typed_digest}")).await?.expect(202)?;
    assert_eq!(referrers(&registry, &path).await?.0.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_list_of_referrers_comes_in_pages_no_larger_than_a_manifest() -> Result<()> {
    let registry = Registry::start().await?;
    registry.push_blob("a", b"{}").await?;
    let mut pushed = Vec::new();
    for i in 0..5 {
        let mut manifest = image(b"{}", &[]);
        manifest["subject"] = descriptor(OCI_IMAGE, b"subject");
        manifest["artifactType"] = json!("text/x+y");
        manifest["annotations"] = json!({ "large": format!("{i}").repeat(1_500_000) });
        pushed.push(refer(&registry, manifest, OCI_IMAGE).await?);
    }
    pushed.sort();
    let mut listed = Vec::new();
    let mut pages = 0;
    let mut path = Some(format!("a/referrers/{}?artifactType=text/x%2By", sha256(b"subject")));
    while let Some(current) = path {
        let answer = registry.call("GET", &current).await?.expect(200)?;
        assert!(answer.body.len() <= 4 * 1024 * 1024);
        assert_eq!(answer.header("oci-filters-applied"), "artifactType");
        let manifests = answer.json()?["manifests"].as_array().cloned().context("no manifests")?;
        listed.extend(
            manifests.iter().filter_map(|manifest| manifest["digest"].as_str().map(ToOwned::to_owned)),
        );
        pages += 1;
        path = next(answer.header("link"));
    }
    assert_eq!((listed, pages), (pushed, 3));
    Ok(())
}
