//! Pulling blobs; Checking if content exists in the registry; Mounting a blob from another repository.

use anyhow::Result;

use super::support::{Registry, Send, noise, sha256};

#[tokio::test]
async fn a_blob_is_pulled_as_it_was_pushed() -> Result<()> {
    let registry = Registry::start().await?;
    for length in [0, 1, 70_000, 5_000_000] {
        let bytes = noise(length as u64, length);
        let digest = registry.push_blob("a/b", &bytes).await?;
        let path = format!("a/b/blobs/{digest}");
        let pulled = registry.call("GET", &path).await?.expect(200)?;
        assert_eq!(pulled.header("docker-content-digest"), digest);
        assert_eq!(pulled.header("content-length"), length.to_string());
        assert!(pulled.body == bytes, "{length} bytes came back differently");

        let checked = registry.call("HEAD", &path).await?.expect(200)?;
        assert_eq!(checked.header("docker-content-digest"), digest);
        assert_eq!(checked.header("content-length"), length.to_string());
        assert!(checked.body.is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn ranges_are_served_in_part() -> Result<()> {
    let registry = Registry::start().await?;
    let bytes = noise(1, 1000);
    let path = format!("a/blobs/{}", registry.push_blob("a", &bytes).await?);
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=900-", 900, 999),
        ("bytes=900-5000", 900, 999),
        ("bytes=-10", 990, 999),
    ] {
        let part = registry.request("GET", &path).header("range", range).answer().await?.expect(206)?;
        assert_eq!(part.body, bytes[first..=last], "{range}");
        assert_eq!(part.header("content-range"), format!("bytes {first}-{last}/1000"));
    }
    for range in ["bytes=1000-", "bytes=500-100", "bytes=-0"] {
        let part = registry.request("GET", &path).header("range", range).answer().await?.expect(416)?;
        assert_eq!(part.header("content-range"), "bytes */1000", "{range}");
    }
    // What a server may ignore, and a condition that does not hold (RFC 9110).
    for (name, value) in [("range", "bytes=0-1,5-6"), ("range", "lines=0-1")] {
        let whole = registry.request("GET", &path).header(name, value).answer().await?.expect(200)?;
        assert_eq!(whole.body, bytes);
    }
    let etag = registry.call("HEAD", &path).await?.header("etag").to_owned();
    for (condition, status) in [(etag.as_str(), 206), ("\"another\"", 200)] {
        let request =
            registry.request("GET", &path).header("range", "bytes=0-1").header("if-range", condition);
        request.answer().await?.expect(status)?;
    }
    Ok(())
}

#[tokio::test]
async fn repositories_are_isolated() -> Result<()> {
    let registry = Registry::start().await?;
    let digest = registry.push_blob("one", b"shared bytes").await?;
    registry.call("HEAD", &format!("two/blobs/{digest}")).await?.expect(404)?;
    registry.call("HEAD", &format!("one/two/blobs/{digest}")).await?.expect(404)?;
    // Bytes of a manifest are no blob.
    let manifest = registry.push_image("one", "v1", b"layer").await?;
    registry.call("HEAD", &format!("one/blobs/{}", sha256(&manifest))).await?.expect(404)?;
    Ok(())
}

#[tokio::test]
async fn a_blob_is_mounted_from_another_repository() -> Result<()> {
    let registry = Registry::start().await?;
    let digest = registry.push_blob("from/here", b"bytes").await?;
    for (name, from) in [("named", "&from=from/here"), ("anonymous", "")] {
        let path = format!("{name}/blobs/uploads/?mount={digest}{from}");
        let mounted = registry.call("POST", &path).await?.expect(201)?;
        assert_eq!(mounted.header("location"), format!("/v2/{name}/blobs/{digest}"));
        assert_eq!(mounted.header("docker-content-digest"), digest);
        let pulled = registry.call("GET", mounted.header("location")).await?.expect(200)?;
        assert_eq!(pulled.body, b"bytes");
    }
    // The copies do not depend on where they came from.
    registry.call("DELETE", &format!("from/here/blobs/{digest}")).await?.expect(202)?;
    registry.call("GET", &format!("named/blobs/{digest}")).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_mounted_becomes_an_upload() -> Result<()> {
    let registry = Registry::start().await?;
    let digest = registry.push_blob("elsewhere", b"bytes").await?;
    let absent = sha256(b"absent");
    for (mount, from) in [
        (&digest, "&from=not/there"),
        (&digest, "&from=Not%20A%20Name"),
        (&absent, "&from=elsewhere"),
        (&absent, ""),
    ] {
        let path = format!("a/blobs/uploads/?mount={mount}{from}");
        let started = registry.call("POST", &path).await?.expect(202)?;
        registry.call("HEAD", &format!("a/blobs/{mount}")).await?.expect(404)?;
        registry.call("GET", started.header("location")).await?.expect(204)?;
    }
    let started = registry.call("POST", &format!("a/blobs/uploads/?mount={absent}")).await?;
    let close = format!("{}?digest={absent}", started.header("location"));
    registry.request("PUT", &close).body("absent").answer().await?.expect(201)?;
    registry.call("POST", "a/blobs/uploads/?mount=nonsense").await?.expect_error(400, "DIGEST_INVALID")?;
    Ok(())
}
