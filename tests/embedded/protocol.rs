//! Determining Support, Endpoints, Error Codes: what holds for every request.

use anyhow::Result;

use super::support::{Registry, Send, sha256};

#[tokio::test]
async fn the_base_says_that_the_specification_is_implemented() -> Result<()> {
    let registry = Registry::start().await?;
    for path in ["/v2/", "/v2"] {
        let answer = registry.call("GET", path).await?.expect(200)?;
        assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
    }
    registry.call("HEAD", "/v2/").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn names_follow_the_specifications_expression() -> Result<()> {
    let registry = Registry::start().await?;
    let long = "a".repeat(256);
    for name in ["A", "a..b", "a___b", "-a", "a-", "_a", "a//b", "a/.b", "a%2f..%2fb", "a b", &long] {
        let path = format!("{name}/manifests/latest");
        registry.call("GET", &path).await?.expect_error(400, "NAME_INVALID")?;
        let path = format!("{name}/blobs/uploads/");
        registry.call("POST", &path).await?.expect_error(400, "NAME_INVALID")?;
    }
    for name in ["a", "a.b_c__d--e/f/g/h/i/j", "tags/list", "a/blobs/uploads", "blobs", "0"] {
        let digest = registry.push_blob(name, name.as_bytes()).await?;
        let pulled = registry.call("GET", &format!("{name}/blobs/{digest}")).await?.expect(200)?;
        assert_eq!(pulled.body, name.as_bytes());
    }
    Ok(())
}

#[tokio::test]
async fn unknown_names_and_content_are_not_found() -> Result<()> {
    let registry = Registry::start().await?;
    let digest = sha256(b"nobody has this");
    registry.push_image("known", "v1", b"layer").await?;
    for (name, manifest_code) in [("unknown/name", "NAME_UNKNOWN"), ("known", "MANIFEST_UNKNOWN")] {
        for reference in ["absent", &digest, "blake3:00"] {
            let path = format!("{name}/manifests/{reference}");
            registry.call("GET", &path).await?.expect_error(404, manifest_code)?;
            registry.call("DELETE", &path).await?.expect_error(404, manifest_code)?;
            assert!(registry.call("HEAD", &path).await?.expect(404)?.body.is_empty());
        }
        let path = format!("{name}/blobs/{digest}");
        registry.call("GET", &path).await?.expect_error(404, "BLOB_UNKNOWN")?;
        registry.call("DELETE", &path).await?.expect_error(404, "BLOB_UNKNOWN")?;
        registry.call("HEAD", &path).await?.expect(404)?;
    }
    registry.call("GET", "unknown/name/tags/list").await?.expect_error(404, "NAME_UNKNOWN")?;
    Ok(())
}

#[tokio::test]
async fn malformed_digests_are_refused() -> Result<()> {
    let registry = Registry::start().await?;
    registry.push_image("a", "v1", b"layer").await?;
    for digest in ["sha256:baddigeststring", "sha256:", &sha256(b"x").to_uppercase()] {
        for path in
            [format!("a/blobs/{digest}"), format!("a/manifests/{digest}"), format!("a/referrers/{digest}")]
        {
            registry.call("GET", &path).await?.expect_error(400, "DIGEST_INVALID")?;
        }
        let path = format!("a/blobs/uploads/?digest={digest}");
        registry.call("POST", &path).await?.expect_error(400, "DIGEST_INVALID")?;
    }
    Ok(())
}

#[tokio::test]
async fn digests_may_be_escaped_in_the_path() -> Result<()> {
    let registry = Registry::start().await?;
    let digest = registry.push_blob("a", b"blob").await?;
    registry.call("GET", &format!("a/blobs/{}", digest.replace(':', "%3A"))).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn other_methods_are_refused_with_those_allowed() -> Result<()> {
    let registry = Registry::start().await?;
    let digest = sha256(b"");
    for (path, allowed) in [
        (format!("a/blobs/{digest}"), "GET, HEAD, DELETE"),
        ("a/blobs/uploads/".to_owned(), "POST"),
        ("a/manifests/latest".to_owned(), "GET, HEAD, PUT, DELETE"),
        ("a/tags/list".to_owned(), "GET, HEAD"),
        (format!("a/referrers/{digest}"), "GET, HEAD"),
    ] {
        let answer = registry.call("OPTIONS", &path).await?.expect_error(405, "UNSUPPORTED")?;
        assert_eq!(answer.header("allow"), allowed, "{path}");
    }
    registry.call("GET", "/v1/").await?.expect(404)?;
    registry.call("GET", "a/unheard-of/endpoint").await?.expect(404)?;
    Ok(())
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() -> Result<()> {
    let registry = Registry::start().await?;
    let body = vec![0; 512 * 1024];
    for _ in 0..20 {
        let request = registry.request("PATCH", "a/blobs/uploads/no-such-upload").body(body.clone());
        request.answer().await?.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
    }
    Ok(())
}
