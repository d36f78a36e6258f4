//! Pushing a blob monolithically; Pushing a blob in chunks; Cancel a blob upload.

use std::convert::Infallible;

use anyhow::Result;
use bytes::Bytes;
use futures_util::stream;

use super::support::{Answer, Registry, Send, noise, sha256, sha512};

async fn start(registry: &Registry) -> Result<String> {
    let started = registry.call("POST", "a/blobs/uploads/").await?.expect(202)?;
    Ok(started.header("location").to_owned())
}

async fn chunk(registry: &Registry, location: &str, first: usize, bytes: &[u8]) -> Result<Answer> {
    let range = format!("{first}-{}", first + bytes.len() - 1);
    registry.request("PATCH", location).header("content-range", range).body(bytes.to_vec()).answer().await
}

/// A body of unknown length.
fn streamed(pieces: Vec<Vec<u8>>) -> reqwest::Body {
    let pieces = pieces.into_iter().map(|piece| Ok::<_, Infallible>(Bytes::from(piece)));
    reqwest::Body::wrap_stream(stream::iter(pieces))
}

#[tokio::test]
async fn a_blob_in_a_single_post() -> Result<()> {
    let registry = Registry::start().await?;
    for (bytes, digest) in
        [(b"bytes".to_vec(), sha256(b"bytes")), (Vec::new(), sha256(b"")), (b"x".to_vec(), sha512(b"x"))]
    {
        let path = format!("a/blobs/uploads/?digest={digest}");
        let pushed = registry.request("POST", &path).body(bytes.clone()).answer().await?.expect(201)?;
        assert_eq!(pushed.header("location"), format!("/v2/a/blobs/{digest}"));
        assert_eq!(pushed.header("docker-content-digest"), digest);
        assert_eq!(registry.call("GET", pushed.header("location")).await?.expect(200)?.body, bytes);
    }
    let path = format!("a/blobs/uploads/?digest={}", sha256(b"other bytes"));
    let refused = registry.request("POST", &path).body("bytes").answer().await?;
    refused.expect_error(400, "DIGEST_INVALID")?;
    registry.call("HEAD", &format!("a/blobs/{}", sha256(b"other bytes"))).await?.expect(404)?;
    Ok(())
}

#[tokio::test]
async fn post_then_put() -> Result<()> {
    let registry = Registry::start().await?;
    let started = registry.call("POST", "a/blobs/uploads/").await?.expect(202)?;
    let id = started.header("location").rsplit('/').next().unwrap_or_default().to_owned();
    assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{id} is no UUID");
    let digest = sha256(b"bytes");
    let close = format!("{}?digest={digest}", started.header("location"));
    let pushed = registry.request("PUT", &close).body("bytes").answer().await?.expect(201)?;
    assert_eq!(pushed.header("location"), format!("/v2/a/blobs/{digest}"));
    // The session is over.
    registry.call("GET", started.header("location")).await?.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
    registry.request("PUT", &close).body("bytes").answer().await?.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
    Ok(())
}

#[tokio::test]
async fn chunks_in_order() -> Result<()> {
    let registry = Registry::start().await?;
    let bytes = noise(2, 3000);
    let location = start(&registry).await?;
    let first = chunk(&registry, &location, 0, &bytes[..1000]).await?.expect(202)?;
    assert_eq!(first.header("range"), "0-999");
    let second = chunk(&registry, first.header("location"), 1000, &bytes[1000..1500]).await?.expect(202)?;
    assert_eq!(second.header("range"), "0-1499");
    let status = registry.call("GET", second.header("location")).await?.expect(204)?;
    assert_eq!(status.header("range"), "0-1499");
    // The last chunk may come with the request that closes.
    let close = format!("{}?digest={}", status.header("location"), sha256(&bytes));
    let request = registry.request("PUT", &close).header("content-range", "1500-2999");
    let pushed = request.body(bytes[1500..].to_vec()).answer().await?.expect(201)?;
    assert!(registry.call("GET", pushed.header("location")).await?.expect(200)?.body == bytes);
    Ok(())
}

#[tokio::test]
async fn chunks_out_of_order_are_refused_and_change_nothing() -> Result<()> {
    let registry = Registry::start().await?;
    let bytes = noise(3, 300);
    let location = start(&registry).await?;
    chunk(&registry, &location, 100, &bytes[100..200]).await?.expect(416)?;
    chunk(&registry, &location, 0, &bytes[..100]).await?.expect(202)?;
    for first in [0, 50, 200] {
        let refused = chunk(&registry, &location, first, &bytes[first..first + 100]).await?;
        let refused = refused.expect_error(416, "BLOB_UPLOAD_INVALID")?;
        assert_eq!(refused.header("range"), "0-99");
        let status = registry.call("GET", refused.header("location")).await?.expect(204)?;
        assert_eq!(status.header("range"), "0-99");
    }
    let close = format!("{location}?digest={}", sha256(&bytes));
    let early =
        registry.request("PUT", &close).header("content-range", "200-299").body(bytes[200..].to_vec());
    early.answer().await?.expect(416)?;
    chunk(&registry, &location, 100, &bytes[100..]).await?.expect(202)?;
    registry.call("PUT", &close).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn a_chunk_is_as_long_as_it_says() -> Result<()> {
    let registry = Registry::start().await?;
    let location = start(&registry).await?;
    for (range, status, code) in [
        ("0-9", 400, "SIZE_INVALID"),
        ("bytes 0-4/5", 400, "BLOB_UPLOAD_INVALID"),
        ("0-", 400, "BLOB_UPLOAD_INVALID"),
        ("4-0", 400, "BLOB_UPLOAD_INVALID"),
    ] {
        let request = registry.request("PATCH", &location).header("content-range", range).body("bytes");
        request.answer().await?.expect_error(status, code)?;
    }
    // Also when the length only shows at the end of the body.
    for range in ["0-9", "0-2"] {
        let body = streamed(vec![b"by".to_vec(), b"tes".to_vec()]);
        let request = registry.request("PATCH", &location).header("content-range", range).body(body);
        request.answer().await?.expect_error(400, "SIZE_INVALID")?;
    }
    chunk(&registry, &location, 0, b"bytes").await?.expect(202)?;
    registry.call("PUT", &format!("{location}?digest={}", sha256(b"bytes"))).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn a_stream_of_unknown_length() -> Result<()> {
    let registry = Registry::start().await?;
    let bytes = noise(4, 4_000_000);
    let location = start(&registry).await?;
    let pieces = |bytes: &[u8]| streamed(bytes.chunks(300_000).map(<[u8]>::to_vec).collect());
    let request = registry.request("PATCH", &location).body(pieces(&bytes[..3_000_000]));
    let sent = request.answer().await?.expect(202)?;
    assert_eq!(sent.header("range"), "0-2999999");
    let close = format!("{}?digest={}", sent.header("location"), sha256(&bytes));
    registry.request("PUT", &close).body(pieces(&bytes[3_000_000..])).answer().await?.expect(201)?;
    let pulled = registry.call("GET", &format!("a/blobs/{}", sha256(&bytes))).await?.expect(200)?;
    assert!(pulled.body == bytes);
    Ok(())
}

#[tokio::test]
async fn a_wrong_digest_stores_nothing() -> Result<()> {
    let registry = Registry::start().await?;
    for digest in [sha256(b"other"), sha512(b"other")] {
        let location = start(&registry).await?;
        chunk(&registry, &location, 0, b"bytes").await?.expect(202)?;
        let close = format!("{location}?digest={digest}");
        registry.call("PUT", &close).await?.expect_error(400, "DIGEST_INVALID")?;
        registry.call("HEAD", &format!("a/blobs/{digest}")).await?.expect(404)?;
        registry.call("HEAD", &format!("a/blobs/{}", sha256(b"bytes"))).await?.expect(404)?;
    }
    // No digest, or none that could be checked, leaves the session as it is.
    let location = start(&registry).await?;
    for query in ["", "?digest=sha256:00", "?digest=blake3:00"] {
        registry.call("PUT", &format!("{location}{query}")).await?.expect_error(400, "DIGEST_INVALID")?;
    }
    registry.call("PUT", &format!("{location}?digest={}", sha256(b""))).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn sha512_announced_or_not() -> Result<()> {
    let registry = Registry::start().await?;
    for (query, digest) in [
        ("?digest-algorithm=sha512", sha512(b"bytes")),
        ("", sha512(b"bytes")),
        ("?digest-algorithm=sha512", sha256(b"bytes")),
    ] {
        let started = registry.call("POST", &format!("a/blobs/uploads/{query}")).await?.expect(202)?;
        let location = started.header("location");
        chunk(&registry, location, 0, b"by").await?.expect(202)?;
        chunk(&registry, location, 2, b"tes").await?.expect(202)?;
        registry.call("PUT", &format!("{location}?digest={digest}")).await?.expect(201)?;
        let pulled = registry.call("GET", &format!("a/blobs/{digest}")).await?.expect(200)?;
        assert_eq!((pulled.header("docker-content-digest"), &pulled.body[..]), (&digest[..], &b"bytes"[..]));
        registry.call("DELETE", &format!("a/blobs/{digest}")).await?.expect(202)?;
    }
    let path = "a/blobs/uploads/?digest-algorithm=md5";
    registry.call("POST", path).await?.expect_error(400, "DIGEST_INVALID")?;
    Ok(())
}

#[tokio::test]
async fn an_upload_is_cancelled() -> Result<()> {
    let registry = Registry::start().await?;
    let location = start(&registry).await?;
    chunk(&registry, &location, 0, b"bytes").await?.expect(202)?;
    registry.call("DELETE", &location).await?.expect(204)?;
    for method in ["GET", "PATCH", "DELETE"] {
        registry.call(method, &location).await?.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
    }
    Ok(())
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository() -> Result<()> {
    let registry = Registry::start().await?;
    let location = start(&registry).await?;
    let elsewhere = location.replacen("/v2/a/", "/v2/b/", 1);
    registry.call("GET", &elsewhere).await?.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
    registry.call("GET", "a/blobs/uploads/..%2f..%2flock").await?.expect(404)?;
    registry.call("GET", "a/blobs/uploads/lock").await?.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
    Ok(())
}

#[tokio::test]
async fn many_write_the_same_blob_at_once() -> Result<()> {
    let registry = Registry::start().await?;
    let bytes = noise(5, 300_000);
    let pushes = (0..16).map(|i| {
        let (client, bytes) = (registry.client.clone(), bytes.clone());
        tokio::spawn(async move { client.push_blob(&format!("r{}", i % 4), &bytes).await })
    });
    for push in pushes.collect::<Vec<_>>() {
        push.await??;
    }
    for i in 0..4 {
        let pulled = registry.call("GET", &format!("r{i}/blobs/{}", sha256(&bytes))).await?.expect(200)?;
        assert!(pulled.body == bytes);
    }
    Ok(())
}
