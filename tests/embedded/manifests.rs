//! Pulling manifests; Pushing Manifests; Pushing Manifests with Subject.

use anyhow::Result;
use serde_json::{Value, json};

use super::support::{
    OCI_CONFIG, OCI_IMAGE, OCI_INDEX, Registry, Send, descriptor, image, index, sha256, sha512,
};

const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";

/// A registry whose repository `a` holds the blobs `{}` and `layer`.
async fn with_blobs() -> Result<Registry> {
    let registry = Registry::start().await?;
    registry.push_blob("a", b"{}").await?;
    registry.push_blob("a", b"layer").await?;
    Ok(registry)
}

#[tokio::test]
async fn a_manifest_is_pulled_byte_for_byte_by_tag_and_digest() -> Result<()> {
    let registry = with_blobs().await?;
    // Spaces and unknown fields are part of it.
    let mut value = image(b"{}", &[b"layer"]);
    value["x-own"] = json!("kept");
    let bytes = format!("\n {value:#}\n");
    let digest = sha256(bytes.as_bytes());
    let pushed = registry.put_manifest("a", "v1", OCI_IMAGE, bytes.clone()).await?.expect(201)?;
    assert_eq!(pushed.header("docker-content-digest"), digest);
    assert_eq!(pushed.header("location"), format!("/v2/a/manifests/{digest}"));
    for reference in ["v1", &digest] {
        let path = format!("a/manifests/{reference}");
        let pulled = registry.call("GET", &path).await?.expect(200)?;
        assert_eq!(pulled.text(), bytes);
        let checked = registry.call("HEAD", &path).await?.expect(200)?;
        assert!(checked.body.is_empty());
        for answer in [pulled, checked] {
            assert_eq!(answer.header("docker-content-digest"), digest);
            assert_eq!(answer.header("content-type"), OCI_IMAGE);
            assert_eq!(answer.header("content-length"), bytes.len().to_string());
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_common_type_is_taken() -> Result<()> {
    let registry = with_blobs().await?;
    let mut docker = image(b"{}", &[b"layer"]);
    docker["mediaType"] = DOCKER_IMAGE.into();
    let docker = docker.to_string();
    let list = json!({ "schemaVersion": 2, "mediaType": DOCKER_LIST,
        "manifests": [descriptor(DOCKER_IMAGE, docker.as_bytes())] });
    let artifact =
        json!({ "mediaType": ARTIFACT, "artifactType": "text/x", "blobs": [descriptor("text/x", b"layer")] });
    let nested =
        json!({ "schemaVersion": 2, "manifests": [descriptor(DOCKER_LIST, list.to_string().as_bytes())] });
    for (media_type, bytes) in [
        (DOCKER_IMAGE, docker),
        (DOCKER_LIST, list.to_string()),
        (ARTIFACT, artifact.to_string()),
        (OCI_INDEX, nested.to_string()),
        (OCI_INDEX, r#"{ "schemaVersion": 2, "manifests": [] }"#.to_owned()),
        (OCI_INDEX, r#"{ "schemaVersion": 2, "manifests": null }"#.to_owned()),
        ("application/vnd.example+json", r#"{ "anything": 1 }"#.to_owned()),
    ] {
        registry.put_manifest("a", "v1", media_type, bytes.clone()).await?.expect(201)?;
        let pulled = registry.call("GET", "a/manifests/v1").await?.expect(200)?;
        assert_eq!((pulled.header("content-type"), pulled.text()), (media_type, bytes));
    }
    Ok(())
}

#[tokio::test]
async fn the_type_is_the_headers_and_the_body_agrees() -> Result<()> {
    let registry = with_blobs().await?;
    let manifest = image(b"{}", &[b"layer"]).to_string();
    for content_type in [DOCKER_IMAGE, OCI_INDEX, "application/json"] {
        let refused = registry.put_manifest("a", "v1", content_type, manifest.clone()).await?;
        refused.expect_error(400, "MANIFEST_INVALID")?;
    }
    // Parameters are ignored; without the header the body says it.
    let with_parameter = format!("{OCI_IMAGE}; charset=utf-8");
    registry.put_manifest("a", "v1", &with_parameter, manifest.clone()).await?.expect(201)?;
    registry.request("PUT", "a/manifests/v2").body(manifest).answer().await?.expect(201)?;
    for tag in ["v1", "v2"] {
        let pulled = registry.call("HEAD", &format!("a/manifests/{tag}")).await?.expect(200)?;
        assert_eq!(pulled.header("content-type"), OCI_IMAGE);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_manifest_is_refused() -> Result<()> {
    let registry = with_blobs().await?;
    let good = image(b"{}", &[b"layer"]);
    let with = |field: &str, value: Value| {
        let mut manifest = good.clone();
        manifest[field] = value;
        manifest.to_string()
    };
    let mut wrong_size = descriptor(OCI_CONFIG, b"{}");
    wrong_size["size"] = json!(3);
    let mut wrong_digest = descriptor(OCI_CONFIG, b"{}");
    wrong_digest["digest"] = json!("sha256:nonsense");
    for manifest in [
        "no JSON".to_owned(),
        "[]".to_owned(),
        String::new(),
        with("schemaVersion", json!(1)),
        with("layers", json!("none")),
        with("config", Value::Null),
        with("config", wrong_size),
        with("config", wrong_digest),
        // Reads as two things at once.
        with("manifests", json!([])),
        good.to_string().replacen('{', r#"{"layers":[],"#, 1),
    ] {
        let refused = registry.put_manifest("a", "v1", OCI_IMAGE, manifest).await?;
        refused.expect_error(400, "MANIFEST_INVALID")?;
    }
    let schema_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let refused = registry.put_manifest("a", "v1", schema_1, r#"{ "schemaVersion": 1 }"#).await?;
    refused.expect_error(400, "MANIFEST_INVALID")?;
    registry.call("GET", "a/manifests/v1").await?.expect(404)?;
    Ok(())
}

#[tokio::test]
async fn tags_and_digests_are_validated() -> Result<()> {
    let registry = with_blobs().await?;
    let manifest = image(b"{}", &[b"layer"]).to_string();
    for tag in [".a", "-a", "a+b", &"a".repeat(129)] {
        let refused = registry.put_manifest("a", tag, OCI_IMAGE, manifest.clone()).await?;
        refused.expect_error(400, "MANIFEST_INVALID")?;
    }
    for tag in ["_", "A.b-C_9", &"a".repeat(128)] {
        registry.put_manifest("a", tag, OCI_IMAGE, manifest.clone()).await?.expect(201)?;
    }
    for digest in [sha256(b"other"), sha512(b"other"), "sha256:bad".to_owned(), "md5:00".to_owned()] {
        let refused = registry.put_manifest("a", &digest, OCI_IMAGE, manifest.clone()).await?;
        refused.expect_error(400, "DIGEST_INVALID")?;
    }
    for digest in [sha256(manifest.as_bytes()), sha512(manifest.as_bytes())] {
        let pushed = registry.put_manifest("a", &digest, OCI_IMAGE, manifest.clone()).await?.expect(201)?;
        assert_eq!(pushed.header("docker-content-digest"), digest);
        let pulled = registry.call("GET", &format!("a/manifests/{digest}")).await?.expect(200)?;
        assert_eq!(pulled.header("docker-content-digest"), digest);
    }
    Ok(())
}

#[tokio::test]
async fn several_tags_with_one_push_by_digest() -> Result<()> {
    let registry = with_blobs().await?;
    let manifest = image(b"{}", &[b"layer"]).to_string();
    let digest = sha256(manifest.as_bytes());
    let wanted = ["1", "1.2", "1.2.3", "latest", "a", "b", "c", "d", "e", "f"];
    let query = wanted.map(|tag| format!("tag={tag}")).join("&");
    let pushed =
        registry.put_manifest("a", &format!("{digest}?{query}"), OCI_IMAGE, manifest.clone()).await?;
    let pushed = pushed.expect(201)?;
    let set: Vec<_> =
        pushed.headers.get_all("oci-tag").iter().filter_map(|value| value.to_str().ok()).collect();
    assert_eq!(set, wanted);
    for tag in wanted {
        let pulled = registry.call("HEAD", &format!("a/manifests/{tag}")).await?.expect(200)?;
        assert_eq!(pulled.header("docker-content-digest"), digest);
    }
    // All or none.
    let refused =
        registry.put_manifest("a", &format!("{digest}?tag=new&tag=-bad"), OCI_IMAGE, manifest).await?;
    refused.expect_error(400, "MANIFEST_INVALID")?;
    registry.call("HEAD", "a/manifests/new").await?.expect(404)?;
    Ok(())
}

#[tokio::test]
async fn a_manifest_waits_for_its_blobs() -> Result<()> {
    let registry = Registry::start().await?;
    registry.push_blob("a", b"{}").await?;
    registry.push_blob("elsewhere", b"layer one").await?;
    let manifest = image(b"{}", &[b"layer one", b"layer two"]).to_string();
    let refused = registry.put_manifest("a", "v1", OCI_IMAGE, manifest.clone()).await?;
    let refused = refused.expect_error(404, "MANIFEST_BLOB_UNKNOWN")?;
    // One error for each that is absent, and each is named.
    assert_eq!(refused.json()?["errors"].as_array().map(Vec::len), Some(2));
    for layer in [&b"layer one"[..], b"layer two"] {
        assert!(refused.text().contains(&sha256(layer)), "{}", refused.text());
    }
    registry.call("HEAD", "a/manifests/v1").await?.expect(404)?;
    registry.push_blob("a", b"layer one").await?;
    registry.push_blob("a", b"layer two").await?;
    registry.put_manifest("a", "v1", OCI_IMAGE, manifest).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn an_index_waits_for_its_manifests_unless_sparse_is_allowed() -> Result<()> {
    for allow_sparse in [false, true] {
        let registry = Registry::start_as(|options| options.allow_sparse = allow_sparse).await?;
        let present = registry.push_image("a", "v1", b"layer").await?;
        let elsewhere = registry.push_image("b", "v1", b"other layer").await?;
        let list = index(&[&present, &elsewhere]).to_string();
        let answer = registry.put_manifest("a", "list", OCI_INDEX, list.clone()).await?;
        if allow_sparse {
            answer.expect(201)?;
            let sparse_image = image(b"{}", &[b"absent layer"]).to_string();
            registry.put_manifest("a", "v3", OCI_IMAGE, sparse_image).await?.expect(201)?;
            continue;
        }
        let refused = answer.expect_error(404, "MANIFEST_BLOB_UNKNOWN")?;
        assert!(refused.text().contains(&sha256(&elsewhere)) && !refused.text().contains(&sha256(&present)));
        registry.call("HEAD", "a/manifests/list").await?.expect(404)?;
        registry.push_image("a", "v2", b"other layer").await?;
        registry.put_manifest("a", "list", OCI_INDEX, list).await?.expect(201)?;
    }
    Ok(())
}

#[tokio::test]
async fn an_index_may_list_blobs_as_build_caches_do() -> Result<()> {
    let registry = with_blobs().await?;
    let cache = |layer: &[u8]| {
        let layer = descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", layer);
        json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [layer] }).to_string()
    };
    registry.put_manifest("a", "cache", OCI_INDEX, cache(b"layer")).await?.expect(201)?;
    let refused = registry.put_manifest("a", "cache", OCI_INDEX, cache(b"absent")).await?;
    refused.expect_error(404, "MANIFEST_BLOB_UNKNOWN")?;
    Ok(())
}

#[tokio::test]
async fn layers_from_elsewhere_may_be_absent() -> Result<()> {
    let registry = with_blobs().await?;
    let mut foreign = descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", b"windows");
    foreign["urls"] = json!(["https://example.com/layer"]);
    let mut manifest = image(b"{}", &[b"layer"]);
    manifest["layers"] = json!([foreign, descriptor("application/x", b"layer")]);
    registry.put_manifest("a", "v1", OCI_IMAGE, manifest.to_string()).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn a_subject_may_be_absent_and_is_acknowledged() -> Result<()> {
    let registry = with_blobs().await?;
    let mut manifest = image(b"{}", &[b"layer"]);
    manifest["subject"] = descriptor(OCI_IMAGE, b"comes later");
    let pushed = registry.put_manifest("a", "v1", OCI_IMAGE, manifest.to_string()).await?.expect(201)?;
    assert_eq!(pushed.header("oci-subject"), sha256(b"comes later"));
    let pushed = registry.push_image("a", "v2", b"layer").await?;
    let again = registry.put_manifest("a", "v2", OCI_IMAGE, pushed).await?.expect(201)?;
    assert_eq!(again.header("oci-subject"), "");
    Ok(())
}

#[tokio::test]
async fn four_mebibytes_are_taken_and_no_more() -> Result<()> {
    const MAX: usize = 4 * 1024 * 1024;
    let registry = with_blobs().await?;
    let padded = |length: usize| {
        let mut manifest = image(b"{}", &[b"layer"]).to_string().into_bytes();
        manifest.resize(length, b' ');
        manifest
    };
    registry.put_manifest("a", "v1", OCI_IMAGE, padded(MAX)).await?.expect(201)?;
    let pulled = registry.call("GET", "a/manifests/v1").await?.expect(200)?;
    assert_eq!(pulled.body.len(), MAX);
    // The length is only known at the end.
    let pieces = padded(MAX + 1)
        .chunks(64 * 1024)
        .map(|piece| Ok::<_, anyhow::Error>(piece.to_vec()))
        .collect::<Vec<_>>();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let request = registry.request("PUT", "a/manifests/v2").header("content-type", OCI_IMAGE).body(body);
    request.answer().await?.expect_error(413, "SIZE_INVALID")?;
    registry.call("HEAD", "a/manifests/v2").await?.expect(404)?;
    Ok(())
}

#[tokio::test]
async fn a_tag_moves_and_writers_do_not_disturb_each_other() -> Result<()> {
    let registry = with_blobs().await?;
    let manifests: Vec<String> = (0..8)
        .map(|i| {
            let mut manifest = image(b"{}", &[b"layer"]);
            manifest["annotations"] = json!({ "writer": i.to_string() });
            manifest.to_string()
        })
        .collect();
    let writes = manifests.iter().enumerate().flat_map(|(i, manifest)| {
        [("shared".to_owned(), manifest.clone()), (format!("own-{i}"), manifest.clone())]
    });
    let writes = writes.map(|(tag, manifest)| {
        let client = registry.client.clone();
        tokio::spawn(async move { client.put_manifest("a", &tag, OCI_IMAGE, manifest).await?.expect(201) })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await??;
    }
    for (i, manifest) in manifests.iter().enumerate() {
        let pulled = registry.call("GET", &format!("a/manifests/own-{i}")).await?.expect(200)?;
        assert_eq!(pulled.text(), *manifest);
    }
    let shared = registry.call("GET", "a/manifests/shared").await?.expect(200)?;
    assert!(manifests.contains(&shared.text()));
    Ok(())
}

#[tokio::test]
async fn a_push_on_a_condition_is_refused_when_it_does_not_hold() -> Result<()> {
    let registry = with_blobs().await?;
    let one = image(b"{}", &[b"layer"]).to_string();
    let two = format!(" {one}");
    let (of_one, of_two) = (sha256(one.as_bytes()), sha256(two.as_bytes()));
    let put = |tag: &'static str, bytes: &str, header: &'static str, value: String| {
        let request = registry.request("PUT", &format!("a/manifests/{tag}"));
        let request = request.header("content-type", OCI_IMAGE).header(header, value);
        request.body(bytes.to_owned()).answer()
    };
    // No condition, first; then each with what the tag serves after it.
    registry.put_manifest("a", "x", OCI_IMAGE, one.clone()).await?.expect(201)?;
    let quoted = |digest: &str| format!("\"{digest}\"");
    for (bytes, header, value, status, after) in [
        (&one, "if-match", "*".to_owned(), 412, None),
        (&one, "if-match", quoted(&of_one), 412, None),
        (&one, "if-none-match", "*".to_owned(), 201, Some(&of_one)),
        (&two, "if-none-match", "*".to_owned(), 412, Some(&of_one)),
        (&two, "if-match", quoted(&of_two), 412, Some(&of_one)),
        (&two, "if-match", format!("W/{}", quoted(&of_one)), 412, Some(&of_one)),
        (&two, "if-match", "sha256".to_owned(), 400, Some(&of_one)),
        (&two, "if-match", quoted(&of_one), 201, Some(&of_two)),
        (&one, "if-match", format!("{}, {}", quoted(&of_one), quoted(&of_two)), 201, Some(&of_one)),
        (&two, "if-match", "*".to_owned(), 201, Some(&of_two)),
    ] {
        let answer = put("v1", bytes, header, value.clone()).await?;
        assert_eq!(answer.status, status, "{header}: {value}: {}", answer.text());
        if status == 201 {
            assert_eq!(answer.header("etag"), quoted(&sha256(bytes.as_bytes())));
        }
        let there = registry.call("HEAD", "a/manifests/v1").await?;
        assert_eq!(
            there.header("docker-content-digest"),
            after.map_or("", |digest| digest),
            "{header}: {value}"
        );
        assert_eq!(there.header("etag"), after.map(|digest| quoted(digest)).unwrap_or_default());
    }
    let known = registry.request("GET", "a/manifests/v1").header("if-none-match", quoted(&of_two));
    assert!(known.answer().await?.expect(304)?.body.is_empty());
    Ok(())
}

#[tokio::test]
async fn of_many_that_make_one_tag_one_does() -> Result<()> {
    let registry = with_blobs().await?;
    let manifest = image(b"{}", &[b"layer"]).to_string();
    for round in 0..5 {
        let pushes = (0..16).map(|n| {
            let request = registry.request("PUT", &format!("a/manifests/round-{round}"));
            let request = request.header("content-type", OCI_IMAGE).header("if-none-match", "*");
            tokio::spawn(request.body(format!("{}{manifest}", " ".repeat(n))).answer())
        });
        let mut made = Vec::new();
        for push in pushes.collect::<Vec<_>>() {
            let answer = push.await??;
            match answer.status {
                201 => made.push(answer.header("docker-content-digest").to_owned()),
                _ => drop(answer.expect_error(412, "PRECONDITION_FAILED")?),
            }
        }
        let there = registry.call("GET", &format!("a/manifests/round-{round}")).await?.expect(200)?;
        assert_eq!(made, [there.header("docker-content-digest")]);
    }
    Ok(())
}
