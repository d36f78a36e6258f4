//! Manifests and discovery, answered well and badly.

use manifests::model::digest::Digest;
use manifests::model::manifest::Descriptor;
use manifests::registry::{Kind, LARGEST_MANIFEST};

use crate::scripted::{Fault, LIST, OCI_INDEX, Reply, Server, registry};

#[tokio::test]
async fn head_brings_digest_size_and_type_in_one_request() {
    let server = Server::plain().await;
    let digest = server.store.put_manifest("o/app", "1", OCI_INDEX, LIST);
    let head = registry().head_manifest(&server.repository("o/app"), "1").await.unwrap().unwrap();
    assert_eq!((head.digest, head.size, head.media_type.as_str()), (digest, LIST.len() as u64, OCI_INDEX));
    assert_eq!(server.log(), ["HEAD /v2/o/app/manifests/1"]);
    let accept = server.seen()[0].header("accept").unwrap().to_owned();
    for media_type in [
        OCI_INDEX,
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    ] {
        assert!(accept.contains(media_type), "{accept}");
    }
}

#[tokio::test]
async fn head_that_is_refused_or_says_too_little_becomes_get() {
    for refusal in [
        Reply::status(405),
        Reply::status(501),
        Reply::status(200).header("content-type", OCI_INDEX),
        Reply::status(200).header("docker-content-digest", Digest::of(LIST).to_string()),
    ] {
        let answer = refusal.clone();
        let server = Server::start(move |seen, _| (seen.method == "HEAD").then(|| answer.clone())).await;
        let digest = server.store.put_manifest("o/app", "1", OCI_INDEX, LIST);
        let head = registry().head_manifest(&server.repository("o/app"), "1").await;
        let head = head.unwrap_or_else(|error| panic!("{refusal:?}: {error}")).unwrap();
        assert_eq!(
            (head.digest, head.size, head.media_type.as_str()),
            (digest, LIST.len() as u64, OCI_INDEX)
        );
        assert_eq!(server.log(), ["HEAD /v2/o/app/manifests/1", "GET /v2/o/app/manifests/1"]);
    }
}

#[tokio::test]
async fn a_head_that_says_404_to_everything_is_not_believed() {
    // Nexus answers 404 to the HEAD of what it serves to a GET.
    let nexus =
        Server::start(|seen, _| (seen.is("HEAD", "o/nexus/manifests")).then(|| Reply::status(404))).await;
    let digest = nexus.store.put_manifest("o/nexus", "1", OCI_INDEX, LIST);
    nexus.store.put_manifest("o/app", "1", OCI_INDEX, LIST);
    let registry = registry();
    for (path, lookup, expected, gets) in [
        ("o/nexus", "1", true, 1),
        ("o/nexus", digest.as_str(), true, 1),
        ("o/nexus", "2", false, 1),
        // Not known yet of this repository; then it is, of tags.
        ("o/app", "2", false, 1),
        ("o/app", "1", true, 0),
        ("o/app", "3", false, 0),
        ("o/app", digest.as_str(), true, 0),
    ] {
        let before = nexus.count("GET", "");
        let head = registry.head_manifest(&nexus.repository(path), lookup).await.unwrap();
        assert_eq!(head.map(|head| head.digest), expected.then(|| digest.clone()), "{path} {lookup}");
        assert_eq!(nexus.count("GET", "") - before, gets, "{path} {lookup}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_referrer_is_written_after_its_subject_where_it_must_be() {
    // GitLab refuses a manifest whose subject is not there.
    for strict in [true, false] {
        let server = Server::start(move |seen, store| {
            let body: serde_json::Value = serde_json::from_slice(&seen.body).ok()?;
            let subject = body["subject"]["digest"].as_str()?;
            (strict
                && seen.is("PUT", "/team/app/manifests/")
                && store.manifest("team/app", subject).is_none())
            .then(|| Reply::error(404, "MANIFEST_BLOB_UNKNOWN"))
        })
        .await;
        let host = server.address.to_string();
        let client = registry();
        crate::commands::put_images(&client, &host).await;
        let from = server.repository("team/app-amd64");
        let image = client.head_manifest(&from, "1").await.unwrap().unwrap().digest;
        // A signature of the image, and one of the signature.
        let mut subject = image.clone();
        let config = server.store.put_blob("team/app-amd64", b"{}");
        let mut chain = Vec::new();
        for _ in 0..2 {
            let kind = "application/vnd.oci.image.manifest.v1+json";
            let body = format!(
                r#"{{"schemaVersion":2,"mediaType":"{kind}","artifactType":"a/b","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{config}","size":2}},"layers":[],"subject":{{"mediaType":"{kind}","digest":"{subject}","size":7}}}}"#
            );
            let referrer = server.store.put_manifest("team/app-amd64", "unused", kind, body.as_bytes());
            let index = format!(
                r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"{kind}","digest":"{referrer}","size":{},"artifactType":"a/b"}}]}}"#,
                body.len()
            );
            let tag = format!("sha256-{}", subject.hex());
            server.store.put_manifest("team/app-amd64", &tag, OCI_INDEX, index.as_bytes());
            chain.push((subject, referrer.clone()));
            subject = referrer;
        }
        let workspace =
            crate::support::Workspace::new(&[("manifests.toml", &crate::commands::declaration(&host))]);
        crate::commands::ok(&workspace, &["reconcile"], &[]).await;
        let list = server.repository("team/app");
        for (subject, referrer) in chain {
            let found = client.referrers(&list, &subject).await.unwrap();
            assert_eq!(found.iter().map(|one| &one.digest).collect::<Vec<_>>(), [&referrer]);
            assert!(server.store.manifest("team/app", referrer.as_str()).is_some());
        }
        // No tag was written before the last of them.
        let puts: Vec<String> =
            server.log().into_iter().filter(|line| line.starts_with("PUT /v2/team/app/manifests/")).collect();
        let first_tag = puts.iter().position(|line| !line.contains("sha256")).unwrap();
        let last_referrer = puts.iter().rposition(|line| line.ends_with(subject.as_str())).unwrap();
        assert!(last_referrer < first_tag, "{puts:#?}");
        let first_of = |digest: &str| puts.iter().rposition(|line| line.ends_with(digest)).unwrap();
        assert_eq!(first_of(image.as_str()) < last_referrer, strict, "{puts:#?}");
    }
}

#[tokio::test]
async fn absent_is_none_everywhere() {
    let server = Server::plain().await;
    let (registry, repository) = (registry(), server.repository("o/app"));
    let digest = Digest::of(b"nothing");
    assert_eq!(registry.head_manifest(&repository, "1").await.unwrap(), None);
    assert_eq!(registry.get_manifest(&repository, digest.as_str()).await.unwrap(), None);
    assert_eq!(registry.tags(&repository).await.unwrap(), None);
    assert!(registry.referrers(&repository, &digest).await.unwrap().is_empty());
    assert!(!registry.has_blob(&repository, &digest).await.unwrap());
    assert!(!registry.delete_manifest(&repository, "1").await.unwrap());
    let error = registry.get_blob(&repository, &digest, 7).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (Kind::NotFound, Some(404)));
    assert_eq!(error.said()[0].code, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn a_web_server_is_not_an_empty_registry() {
    let server = Server::start(|_, _| Some(Reply::status(404).header("content-type", "text/html"))).await;
    let error = registry().head_manifest(&server.repository("o/app"), "1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Protocol);
    assert!(error.to_string().contains("no registry"), "{error}");

    // Behind a proxy that dresses up a registry's 404 it is still one.
    let dressed = Server::start(|seen, _| {
        (seen.target != "/v2/").then(|| Reply::status(404).header("content-type", "text/html; charset=utf-8"))
    });
    let dressed = dressed.await;
    assert_eq!(registry().head_manifest(&dressed.repository("o/app"), "1").await.unwrap(), None);
}

#[tokio::test]
async fn bytes_are_checked_against_the_lookup_and_the_header() {
    let other = Digest::of(b"other");
    let named = other.to_string();
    let server = Server::start(move |seen, _| {
        let reply = Reply::status(200).header("content-type", OCI_INDEX).body(LIST);
        match seen.target.rsplit('/').next().unwrap() {
            "wrong-header" => Some(reply.header("docker-content-digest", named.clone())),
            "silent" => Some(reply),
            digest if digest.starts_with("sha256:") && seen.method == "GET" => Some(reply),
            digest if digest.starts_with("sha256:") => {
                let of_another = Digest::of(b"another").to_string();
                Some(
                    Reply::status(200)
                        .header("docker-content-digest", of_another)
                        .header("content-type", "x"),
                )
            }
            _ => None,
        }
    })
    .await;
    let (registry, repository) = (registry(), server.repository("o/app"));
    for lookup in ["wrong-header", other.as_str()] {
        let error = registry.get_manifest(&repository, lookup).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "{lookup}");
        assert!(error.to_string().contains(other.as_str()), "{error}");
        assert!(error.to_string().contains(Digest::of(LIST).as_str()), "{error}");
    }
    let error = registry.head_manifest(&repository, other.as_str()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    let silent = registry.get_manifest(&repository, "silent").await.unwrap().unwrap();
    assert_eq!((silent.digest, &silent.bytes[..]), (Digest::of(LIST), LIST));
    // A wrong answer is not asked for again in the hope of a better one.
    assert_eq!(server.count("GET", "wrong-header"), 1);
}

#[tokio::test]
async fn an_endless_manifest_is_cut_off() {
    let server = Server::start(|_, _| {
        Some(Reply::status(200).header("content-type", OCI_INDEX).fault(Fault::Endless))
    })
    .await;
    let repository = server.repository("o/app");
    let error = registry().get_manifest(&repository, "1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge);
    assert!(error.to_string().contains(&LARGEST_MANIFEST.to_string()), "{error}");
    let error = registry().get_blob(&repository, &Digest::of(b"x"), 1).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge);
    let error = registry().get_blob(&repository, &Digest::of(b"x"), 1 << 40).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge);
}

#[tokio::test]
async fn put_sends_exactly_these_bytes_and_needs_no_headers_back() {
    let server = Server::start(|seen, store| {
        (seen.method == "PUT").then(|| {
            store.reply(seen);
            Reply::status(201)
        })
    })
    .await;
    let (registry, repository) = (registry(), server.repository("o/app"));
    // Not the shortest way to write it: a registry stores bytes, not meaning.
    let bytes = b"{ \"schemaVersion\" : 2,\n\t\"manifests\":[] } ";
    let digest = registry.put_manifest(&repository, "1", OCI_INDEX, bytes).await.unwrap();
    assert_eq!(digest, Digest::of(bytes));
    registry.put_manifest(&repository, digest.as_str(), OCI_INDEX, bytes).await.unwrap();
    let (media_type, stored) = server.store.manifest("o/app", "1").unwrap();
    assert_eq!((media_type.as_str(), &stored[..]), (OCI_INDEX, &bytes[..]));
    assert_eq!(server.log().len(), 2);
}

#[tokio::test]
async fn put_refuses_what_cannot_be_right() {
    let other = Digest::of(b"other");
    let named = other.to_string();
    let server = Server::start(move |seen, _| match seen.target.rsplit('/').next() {
        Some("altered") => Some(Reply::status(201).header("docker-content-digest", named.clone())),
        Some("refused") => Some(Reply::error(400, "MANIFEST_INVALID")),
        _ => None,
    })
    .await;
    let (registry, repository) = (registry(), server.repository("o/app"));
    let error = registry.put_manifest(&repository, "altered", OCI_INDEX, LIST).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().contains(other.as_str()), "{error}");
    let error = registry.put_manifest(&repository, "refused", OCI_INDEX, LIST).await.unwrap_err();
    assert_eq!((error.kind(), error.said()[0].code.as_str()), (Kind::Rejected, "MANIFEST_INVALID"));
    assert_eq!(server.count("PUT", ""), 2);
    let error = registry.put_manifest(&repository, other.as_str(), OCI_INDEX, LIST).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    let large = vec![b' '; LARGEST_MANIFEST + 1];
    let error = registry.put_manifest(&repository, "1", OCI_INDEX, &large).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge);
    assert_eq!(server.count("PUT", ""), 2, "neither of the last two was sent");
}

#[tokio::test]
async fn tags_follow_links_and_nothing_else() {
    let server = Server::start(|seen, _| {
        let json = |text: &str| Reply::status(200).header("content-type", "application/json").body(text);
        match seen.target.as_str() {
            "/v2/o/app/tags/list?n=1000" => Some(
                json(r#"{"name":"o/app","tags":["b","a"]}"#)
                    .header("link", r#"</v2/o/app/tags/list?n=1000&last=a>; rel="next""#),
            ),
            "/v2/o/app/tags/list?n=1000&last=a" => Some(json(r#"{"tags":["c"]}"#)),
            "/v2/o/none/tags/list?n=1000" => Some(json(r#"{"name":"o/none","tags":null}"#)),
            "/v2/o/away/tags/list?n=1000" => {
                Some(json(r#"{"tags":[]}"#).header("link", r#"<http://0.0.0.0:1/v2/>; rel="next""#))
            }
            "/v2/o/round/tags/list?n=1000" => {
                Some(json(r#"{"tags":[]}"#).header("link", r#"</v2/o/round/tags/list?n=1000>; rel="next""#))
            }
            "/v2/o/half/tags/list?n=1000" => {
                Some(json(r#"{"tags":["a"]}"#).header("link", r#"</v2/o/half/tags/list?gone>; rel="next""#))
            }
            // Page after page, each with another link.
            target if target.starts_with("/v2/o/endless/") => {
                let next = format!("</v2/o/endless/tags/list?last={}>; rel=\"next\"", target.len());
                Some(json(r#"{"tags":["a"]}"#).header("link", next))
            }
            "/v2/o/nonsense/tags/list?n=1000" => Some(json("[]")),
            _ => None,
        }
    })
    .await;
    let registry = registry();
    let tags = async |path: &str| registry.tags(&server.repository(path)).await;
    assert_eq!(tags("o/app").await.unwrap().unwrap(), ["b", "a", "c"]);
    assert_eq!(tags("o/none").await.unwrap().unwrap(), [""; 0]);
    for wrong in ["o/away", "o/round", "o/endless", "o/nonsense"] {
        assert_eq!(tags(wrong).await.unwrap_err().kind(), Kind::Protocol, "{wrong}");
    }
    assert_eq!(tags("o/half").await.unwrap_err().kind(), Kind::NotFound, "half a list is none");
    assert_eq!((server.count("GET", "o/round"), server.count("GET", "o/endless")), (1, 2));
}

#[tokio::test]
async fn referrers_come_from_the_api_or_from_the_fallback_tag() {
    let subject = Digest::of(b"subject");
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{subject}","size":7,"artifactType":"a/b"}}]}}"#
    );
    let body = index.clone();
    let server = Server::start(move |seen, _| {
        seen.target
            .contains("o/api/referrers/")
            .then(|| Reply::status(200).header("content-type", OCI_INDEX).body(body.clone()))
    })
    .await;
    let registry = registry();
    let api = registry.referrers(&server.repository("o/api"), &subject).await.unwrap();
    assert_eq!((api.len(), api[0].size, &api[0].digest), (1, 7, &subject));

    let tag = format!("sha256-{}", subject.hex());
    server.store.put_manifest("o/old", &tag, OCI_INDEX, index.as_bytes());
    assert_eq!(registry.referrers(&server.repository("o/old"), &subject).await.unwrap(), api);
}

fn descriptor(content: &str) -> Descriptor {
    let bytes = content.as_bytes();
    Descriptor::new("application/vnd.oci.image.manifest.v1+json", Digest::of(bytes), bytes.len() as u64)
}

#[tokio::test]
async fn without_the_api_referrers_are_kept_under_the_fallback_tag() {
    let server = Server::plain().await;
    let (registry, repository, subject) = (registry(), server.repository("o/app"), Digest::of(b"subject"));
    let tag = format!("sha256-{}", subject.hex());
    let others = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","x":"kept","manifests":[{}]}}"#,
        serde_json::to_string(&descriptor("theirs")).unwrap()
    );
    server.store.put_manifest("o/app", &tag, OCI_INDEX, others.as_bytes());
    // Side by side, as the copies of several images are: each keeps what the others wrote.
    let ours: Vec<Descriptor> = ["a", "b", "c"].map(descriptor).to_vec();
    let writes =
        ours.iter().map(|one| registry.attach_referrers(&repository, &subject, std::slice::from_ref(one)));
    futures_util::future::try_join_all(writes).await.unwrap();
    let mut found = registry.referrers(&repository, &subject).await.unwrap();
    assert_eq!(found.remove(0), descriptor("theirs"));
    found.sort_by_key(|one| ours.iter().position(|our| our == one));
    assert_eq!(found, ours);
    let (media_type, bytes) = server.store.manifest("o/app", &tag).unwrap();
    assert_eq!(media_type, OCI_INDEX);
    assert!(String::from_utf8_lossy(&bytes).contains(r#""x": "kept""#));

    let writes = server.count("PUT", "");
    registry.attach_referrers(&repository, &subject, &ours).await.unwrap();
    assert_eq!(server.count("PUT", ""), writes, "what is listed is not written again");

    // The tag may be somebody's image.
    let taken = Digest::of(b"taken");
    let image = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"c","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;
    server.store.put_manifest("o/app", &format!("sha256-{}", taken.hex()), "", image);
    assert!(registry.referrers(&repository, &taken).await.unwrap().is_empty());
    let error = registry.attach_referrers(&repository, &taken, &ours).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Protocol, "{error}");
}

#[tokio::test]
async fn a_list_of_referrers_that_somebody_overwrites_is_written_again() {
    let subject = Digest::of(b"subject");
    let tag = format!("sha256-{}", subject.hex());
    // Twice somebody else's write comes right after ours and undoes it.
    let server = Server::start(move |seen, store| {
        (seen.method == "PUT" && seen.before < 2).then(|| {
            let reply = store.reply(seen);
            store.put_manifest("o/app", &tag, OCI_INDEX, LIST);
            reply
        })
    })
    .await;
    let (registry, repository) = (registry(), server.repository("o/app"));
    registry.attach_referrers(&repository, &subject, &[descriptor("a")]).await.unwrap();
    assert_eq!(registry.referrers(&repository, &subject).await.unwrap(), [descriptor("a")]);
    assert_eq!(server.count("PUT", ""), 3);
}

#[tokio::test]
async fn few_tags_come_in_one_request_or_not_at_all() {
    let server = Server::start(|seen, _| {
        let json = |body: &str| Reply::status(200).header("content-type", "application/json").body(body);
        Some(match seen.target.trim_end_matches("/tags/list?n=1000") {
            "/v2/o/few" => json(r#"{"tags":["a","b"]}"#),
            "/v2/o/none" => json(r#"{"tags":null}"#),
            "/v2/o/many" => {
                json(r#"{"tags":["a"]}"#).header("link", "</v2/o/many/tags/list?last=a>; rel=\"next\"")
            }
            "/v2/o/denied" => Reply::error(403, "DENIED"),
            _ => Reply::error(404, "NAME_UNKNOWN"),
        })
    })
    .await;
    let registry = registry();
    let few = async |path: &str| registry.few_tags(&server.repository(path)).await;
    assert_eq!(few("o/few").await, Some(vec!["a".to_owned(), "b".to_owned()]));
    for path in ["o/none", "o/many", "o/denied", "o/absent"] {
        assert_eq!(few(path).await, None, "{path}");
    }
}

#[tokio::test]
async fn deleting_says_what_a_registry_cannot() {
    let server = Server::start(|seen, _| match (seen.method.as_str(), seen.target.rsplit('/').next()) {
        ("DELETE", Some("never")) => Some(Reply::error(405, "UNSUPPORTED")),
        ("DELETE", Some("tag")) => Some(Reply::error(400, "DIGEST_INVALID")),
        _ => None,
    })
    .await;
    let (registry, repository) = (registry(), server.repository("o/app"));
    server.store.put_manifest("o/app", "1", OCI_INDEX, LIST);
    assert!(registry.delete_manifest(&repository, "1").await.unwrap());
    assert_eq!(registry.head_manifest(&repository, "1").await.unwrap(), None);
    for lookup in ["never", "tag"] {
        let error = registry.delete_manifest(&repository, lookup).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported, "{lookup}");
    }
}

#[tokio::test]
async fn a_registry_that_sends_fewer_tags_at_once_is_asked_for_as_many_as_it_likes() {
    let server = Server::start(|seen, _| {
        let page = |body: &str| Some(Reply::status(200).body(body));
        match seen.target.split_once("/tags/list")?.1 {
            "?n=1000" => Some(Reply::error(400, "PAGINATION_NUMBER_INVALID")),
            "" => page(r#"{"name":"o/app","tags":["1"]}"#)
                .map(|page| page.header("link", "</v2/o/app/tags/list?n=1&last=1>; rel=\"next\"")),
            _ => page(r#"{"name":"o/app","tags":["2"]}"#),
        }
    })
    .await;
    let tags = registry().tags(&server.repository("o/app")).await.unwrap().unwrap();
    assert_eq!(tags, ["1", "2"]);
    let refusing = Server::start(|_, _| Some(Reply::status(400))).await;
    assert!(registry().tags(&refusing.repository("o/app")).await.is_err());
}
