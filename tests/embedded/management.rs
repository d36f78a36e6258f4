//! Deleting tags; Deleting Manifests; Deleting Blobs.

use anyhow::Result;

use super::support::{OCI_IMAGE, Registry, image, sha256};

#[tokio::test]
async fn deleting_a_tag_leaves_the_manifest_and_other_tags() -> Result<()> {
    let registry = Registry::start().await?;
    let manifest = registry.push_image("a", "one", b"layer").await?;
    registry.push_image("a", "two", b"layer").await?;
    registry.call("DELETE", "a/manifests/one").await?.expect(202)?;
    registry.call("GET", "a/manifests/one").await?.expect_error(404, "MANIFEST_UNKNOWN")?;
    registry.call("DELETE", "a/manifests/one").await?.expect_error(404, "MANIFEST_UNKNOWN")?;
    registry.call("GET", "a/manifests/two").await?.expect(200)?;
    registry.call("GET", &format!("a/manifests/{}", sha256(&manifest))).await?.expect(200)?;
    assert_eq!(registry.call("GET", "a/tags/list").await?.json()?["tags"], serde_json::json!(["two"]));
    Ok(())
}

#[tokio::test]
async fn deleting_a_manifest_takes_all_its_tags() -> Result<()> {
    let registry = Registry::start().await?;
    let manifest = registry.push_image("a", "one", b"layer").await?;
    registry.push_image("a", "two", b"layer").await?;
    registry.push_image("a", "other", b"other layer").await?;
    registry.push_image("b", "one", b"layer").await?;
    let digest = sha256(&manifest);
    registry.call("DELETE", &format!("a/manifests/{digest}")).await?.expect(202)?;
    for reference in ["one", "two", &digest] {
        let path = format!("a/manifests/{reference}");
        registry.call("GET", &path).await?.expect_error(404, "MANIFEST_UNKNOWN")?;
    }
    assert_eq!(registry.call("GET", "a/tags/list").await?.json()?["tags"], serde_json::json!(["other"]));
    // Its blobs stay, and so does another repository's manifest of the same bytes.
    registry.call("HEAD", &format!("a/blobs/{}", sha256(b"layer"))).await?.expect(200)?;
    assert_eq!(registry.call("GET", "b/manifests/one").await?.expect(200)?.body, manifest);
    Ok(())
}

#[tokio::test]
async fn deleting_a_blob_is_a_matter_of_one_repository() -> Result<()> {
    let registry = Registry::start().await?;
    let digest = registry.push_blob("a", b"bytes").await?;
    registry.push_blob("b", b"bytes").await?;
    let file = registry.root().join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    registry.call("DELETE", &format!("a/blobs/{digest}")).await?.expect(202)?;
    registry.call("HEAD", &format!("a/blobs/{digest}")).await?.expect(404)?;
    registry.call("DELETE", &format!("a/blobs/{digest}")).await?.expect_error(404, "BLOB_UNKNOWN")?;
    registry.call("GET", &format!("b/blobs/{digest}")).await?.expect(200)?;
    assert!(file.exists());
    registry.call("DELETE", &format!("b/blobs/{digest}")).await?.expect(202)?;
    assert!(!file.exists(), "nobody holds the bytes any more, but they are still on disk");
    // It can come again, and a manifest cannot do without it.
    let manifest = image(b"bytes", &[]).to_string();
    let refused = registry.put_manifest("a", "v1", OCI_IMAGE, manifest.clone()).await?;
    refused.expect_error(404, "MANIFEST_BLOB_UNKNOWN")?;
    registry.push_blob("a", b"bytes").await?;
    registry.put_manifest("a", "v1", OCI_IMAGE, manifest).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn an_emptied_repository_is_still_known() -> Result<()> {
    let registry = Registry::start().await?;
    let manifest = registry.push_image("a", "v1", b"layer").await?;
    registry.call("DELETE", &format!("a/manifests/{}", sha256(&manifest))).await?.expect(202)?;
    for blob in [&b"{}"[..], b"layer"] {
        registry.call("DELETE", &format!("a/blobs/{}", sha256(blob))).await?.expect(202)?;
    }
    assert_eq!(
        registry.call("GET", "a/tags/list").await?.expect(200)?.json()?["tags"],
        serde_json::json!([])
    );
    let registry = registry.restart().await?;
    registry.call("GET", "a/tags/list").await?.expect(200)?;
    Ok(())
}
