//! Addresses that a registry names in `Link` and `Location`: followed in every form, or an error; never the end of a
//! list.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use manifests::config::RegistrySettings;
use manifests::model::digest::Digest;
use manifests::registry::{Copied, Kind, Registry};

use crate::debian::Debian;
use crate::scripted::{LIST, OCI_INDEX, Reply, Seen, Server, options, registry};
use crate::support::{Workspace, certificates};

fn json(body: &str) -> Reply {
    Reply::status(200).header("content-type", "application/json").body(body)
}

/// A registry whose lists of tags and referrers have two pages, linked with `links`, in which `{host}` is its own address
/// and `{path}` that of the second page.
async fn in_pages(links: &[&str]) -> Server {
    let links: Vec<String> = links.iter().map(|link| (*link).to_owned()).collect();
    let address = Arc::new(OnceLock::<String>::new());
    let known = address.clone();
    let server = Server::start(move |seen, _| {
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        let (items, reply): (_, fn(&str) -> Reply) = if path.ends_with("/tags/list") {
            ([r#"{"tags":["1","2"]}"#, r#"{"tags":["3"]}"#], json)
        } else if path.contains("/referrers/") {
            let one = concat!(
                r#"{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":7,"digest":"sha256:"#,
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                r#""}]}"#
            );
            ([one, r#"{"schemaVersion":2,"manifests":null}"#], json)
        } else {
            return None;
        };
        if query.contains("last=2") {
            return Some(reply(items[1]));
        }
        let fill = |link: &String| {
            link.replace("{host}", known.get().unwrap()).replace("{path}", &format!("{path}?last=2"))
        };
        Some(links.iter().fold(reply(items[0]), |reply, link| reply.header("link", fill(link))))
    })
    .await;
    address.set(server.address.to_string()).unwrap();
    server
}

#[tokio::test]
async fn every_page_is_read_or_there_is_no_list() {
    let whole = Ok(3);
    for (links, expected) in [
        (&[r#"<{path}>; rel="next""#][..], whole),
        (&["<{path}>; rel=next"], whole),
        (&["<http://{host}{path}>; rel=\"next\""], whole),
        (&["{path}; rel=\"next\""], whole),
        (&["http://{host}{path}; rel=\"next\""], whole),
        (&["<{path}>"], whole),
        (&["{path}"], whole),
        (&["</first>; rel=first, <{path}>; rel=\"last next\""], whole),
        (&["</first>; rel=first", "<{path}>; rel=next"], whole),
        (&[], Ok(2)),
        (&["</first>; rel=first"], Ok(2)),
        // Nothing is known of what follows.
        (&["<{path}; rel=next"], Err(Kind::Protocol)),
        (&["<>; rel=next"], Err(Kind::Protocol)),
        (&["<{path}>; rel=next, </other>; rel=next"], Err(Kind::Protocol)),
        (&["<http://127.0.0.2:1{path}>; rel=next"], Err(Kind::Protocol)),
        (&["<ftp://{host}{path}>; rel=next"], Err(Kind::Protocol)),
    ] {
        let server = in_pages(links).await;
        let (registry, repository) = (registry(), server.repository("o/app"));
        let tags = registry.tags(&repository).await;
        let found = tags.map(|tags| tags.unwrap().len()).map_err(|error| error.kind());
        assert_eq!(found, expected, "{links:?}");
        let pages = if expected == whole { 2 } else { 1 };
        assert_eq!(server.count("GET", "/tags/list"), pages, "{links:?}");
        let referrers = registry.referrers(&repository, &Digest::of(b"x")).await;
        assert_eq!(referrers.is_ok(), expected.is_ok(), "{links:?}");
        assert_eq!(server.count("GET", "/referrers/"), pages, "{links:?}");
        assert_eq!(registry.few_tags(&repository).await.is_some(), expected == Ok(2), "{links:?}");
    }
}

#[tokio::test]
async fn a_list_that_does_not_end_or_says_nothing_is_an_error() {
    let server = Server::start(|seen, _| {
        let number = seen.target.rsplit('=').next().unwrap().parse::<usize>().unwrap_or_default();
        let next = |body: String| {
            let path = seen.target.split('?').next().unwrap();
            json(&body).header("link", format!("<{path}?n={}>; rel=next", number + 1))
        };
        Some(match seen.target.split("/tags/").next().unwrap() {
            "/v2/o/itself" => json(r#"{"tags":["a"]}"#).header("link", format!("<{}>", seen.target)),
            "/v2/o/empty-pages" => next(r#"{"tags":[]}"#.to_owned()),
            "/v2/o/long-pages" => next(format!(r#"{{"tags":["{number}"],"x":"{}"}}"#, "x".repeat(8 << 20))),
            "/v2/o/null" => json(r#"{"name":"o/null","tags":null}"#),
            "/v2/o/empty" => Reply::status(200),
            "/v2/o/html" => Reply::status(200).header("content-type", "text/html").body("<html></html>"),
            "/v2/o/cut" => json(r#"{"tags":["a""#),
            "/v2/o/other" => json(r#"{"items":["a"]}"#),
            "/v2/o/array" => json("[]"),
            "/v2/o/numbers" => json(r#"{"tags":[1]}"#),
            "/v2/o/accepted" => Reply::status(202).body(r#"{"tags":[]}"#),
            _ => return None,
        })
    })
    .await;
    let registry = registry();
    for (path, expected) in [
        ("o/itself", Err(Kind::Protocol)),
        ("o/empty-pages", Err(Kind::Protocol)),
        ("o/long-pages", Err(Kind::TooLarge)),
        ("o/empty", Err(Kind::Protocol)),
        ("o/html", Err(Kind::Protocol)),
        ("o/cut", Err(Kind::Protocol)),
        ("o/other", Err(Kind::Protocol)),
        ("o/array", Err(Kind::Protocol)),
        ("o/numbers", Err(Kind::Protocol)),
        ("o/accepted", Err(Kind::Protocol)),
        // So CNCF distribution says that a repository has lost all its tags.
        ("o/null", Ok(())),
    ] {
        let repository = server.repository(path);
        let tags = registry.tags(&repository).await;
        assert_eq!(tags.map(drop).map_err(|error| error.kind()), expected, "{path}");
        // But a tag that is served shows that it is not so.
        server.store.put_manifest(path, "1", OCI_INDEX, LIST);
        let all = registry.all_tags(&repository, ["1"]).await;
        assert_eq!(all.unwrap_err().kind(), expected.err().unwrap_or(Kind::Protocol), "{path}");
    }
    assert_eq!((server.count("GET", "o/itself"), server.count("GET", "o/empty-pages")), (2, 2));
    assert!(server.count("GET", "o/long-pages") < 20);
}

/// A registry with the lists `1` and `2` of one image, of which it lists the tags that `listed` gives.
async fn publishes_two(listed: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> (Server, Workspace) {
    let server = Server::start(move |seen, _| seen.target.contains("/tags/list").then(|| listed(seen))).await;
    let host = server.address.to_string();
    crate::commands::put_images(&registry(), &host).await;
    let workspace = Workspace::new(&[("manifests.toml", &crate::commands::declaration(&host))]);
    (server, workspace)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_by_a_list_of_tags_that_is_not_whole() {
    for (first_page, says) in [
        (r#"{"tags":["2"]}"#, "the list lacks `1`"),
        (r#"{"name":"team/app","tags":null}"#, "the list lacks `1`"),
        ("", "not what it should be"),
        ("<html></html>", "not what it should be"),
    ] {
        let (server, workspace) = publishes_two(move |_| json(first_page)).await;
        crate::commands::ok(&workspace, &["reconcile"], &[]).await;
        let output = crate::commands::run(&workspace, &["unpublish", "app", "--yes"], &[]).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{first_page}: {stderr}");
        assert!(stderr.contains(says), "{first_page}: {stderr}");
        assert_eq!(server.count("DELETE", ""), 0, "{first_page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_not_list_tags_does_not_move_the_newest_one_back() {
    let closed = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let refuses = closed.clone();
    let server = Server::start(move |seen, _| {
        let level = refuses.load(std::sync::atomic::Ordering::SeqCst);
        let is_list = seen.target.contains("/tags/list");
        let is_latest = seen.target.ends_with("/manifests/latest");
        match level {
            0 if is_list => Some(json(r#"{"tags":[]}"#)),
            1 if is_list => Some(Reply::error(403, "DENIED")),
            2 if is_list || is_latest => Some(Reply::error(403, "DENIED")),
            _ => None,
        }
    })
    .await;
    let host = server.address.to_string();
    crate::commands::put_images(&registry(), &host).await;
    let declare = |version: &str| {
        format!(
            r#"
            [target.app]
            repository = "{host}/team/app"
            tags = ["{version}", {{ name = "latest", policy = "newest" }}]
            image = "{host}/team/app-{{arch}}:1"
            platforms = ["linux/amd64", "linux/arm64"]
            format = "oci"
            annotations = {{ "org.opencontainers.image.version" = "{version}" }}
            "#
        )
    };
    let workspace = Workspace::new(&[("manifests.toml", &declare("2.0.0"))]);
    crate::commands::ok(&workspace, &["reconcile"], &[]).await;
    let latest = || server.store.manifest("team/app", "latest").unwrap().1;
    let newest = latest();

    // Whatever the list does not say: refused, or without what is served.
    for level in [1, 0] {
        closed.store(level, std::sync::atomic::Ordering::SeqCst);
        let old = if level == 0 { "1.1.4" } else { "1.1.5" };
        workspace.write("manifests.toml", &declare(old));
        let plan = crate::commands::ok(&workspace, &["plan"], &[]).await;
        assert!(plan.contains("2.0.0 is released and newer than"), "{plan}");
        assert!(plan.contains("was compared with the version that it serves, 2.0.0"), "{plan}");
        crate::commands::ok(&workspace, &["reconcile"], &[]).await;
        assert_eq!(latest(), newest);
        assert!(server.store.manifest("team/app", old).is_some());
    }

    closed.store(2, std::sync::atomic::Ordering::SeqCst);
    workspace.write("manifests.toml", &declare("1.1.6"));
    let output = crate::commands::run(&workspace, &["reconcile"], &[]).await;
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((latest(), server.store.manifest("team/app", "1.1.6")), (newest, None));
}

#[tokio::test]
async fn uploads_go_on_wherever_the_registry_says() {
    for (location, expected) in [
        ("{path}", Ok(Copied::Sent)),
        ("http://{host}{path}", Ok(Copied::Sent)),
        ("//{host}{path}", Ok(Copied::Sent)),
        ("http://u:p@{host}{path}#f", Ok(Copied::Sent)),
        ("", Err(Kind::Protocol)),
        ("ftp://{host}{path}", Err(Kind::Protocol)),
        ("http://", Err(Kind::Protocol)),
    ] {
        let address = Arc::new(OnceLock::<String>::new());
        let known = address.clone();
        let server = Server::start(move |seen, store| {
            let mut reply = (seen.method == "POST").then(|| store.reply(seen))?;
            let (_, place) = reply.headers.iter_mut().find(|(name, _)| name == "location")?;
            *place = location.replace("{path}", place).replace("{host}", known.get()?);
            Some(reply)
        })
        .await;
        address.set(server.address.to_string()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"layer").unwrap();
        let to = server.repository("o/app");
        let sent = registry().upload_file(&to, &Digest::of(b"layer"), 5, file.path()).await;
        assert_eq!(sent.map_err(|error| error.kind()), expected, "{location}");
        let given = server.seen().into_iter().filter(|seen| seen.headers.contains_key("authorization"));
        assert_eq!(given.count(), 0, "{location}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_tls_an_upload_to_plain_http_at_the_same_host_stays_in_tls() {
    // CNCF distribution names the address that it is told it has.
    let section = "  host: http://127.0.0.1:1\n  tls: { certificate: {}/server.pem, key: {}/server.key }";
    let debian = Debian::start(section, certificates);
    let host = debian.host();
    let mut options = options();
    let settings = RegistrySettings { ca_file: Some(debian.path("ca.pem")), ..RegistrySettings::default() };
    options.registries.insert(host.clone(), settings);
    let registry = Registry::new(options).unwrap();
    let repository = format!("{host}/o/app").parse().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"layer").unwrap();
    let (digest, other) = (Digest::of(b"layer"), Digest::of(b"other"));
    assert_eq!(registry.upload_file(&repository, &digest, 5, file.path()).await.unwrap(), Copied::Sent);
    // Given up: the file is not what it was said to be. The registry hears of it, and at once.
    let begun = std::time::Instant::now();
    let error = registry.upload_file(&repository, &other, 5, file.path()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let deletes = debian.requests().into_iter().filter(|line| line.contains("DELETE"));
    assert_eq!(deletes.count(), 1, "{:?}", debian.requests());
}

#[tokio::test]
async fn a_refused_piece_needs_no_second_connection() {
    const MIB: usize = 1 << 20;
    let whole: Vec<u8> = (0..20 * MIB).map(|n| (n % 239) as u8).collect();
    let digest = Digest::of(&whole);
    for refusal in [400, 405, 413] {
        // The whole breaks off, the pieces are refused: what was begun is given up, and the whole sent once more.
        let target = Server::start(move |seen, _| {
            let first = seen.method == "PUT" && seen.target.contains("uploads/1?");
            (seen.method == "PATCH").then(|| Reply::status(refusal)).or(first.then(Reply::cut))
        })
        .await;
        let mut options = options();
        let settings = RegistrySettings { max_connections: 1, ..RegistrySettings::default() };
        options.registries.insert(target.address.to_string(), settings);
        let registry = Registry::new(options).unwrap();
        let from = target.repository("o/from");
        target.store.put_blob("o/from", &whole);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &whole).unwrap();
        let to = target.repository("o/app");
        let sending = registry.upload_file(&to, &digest, whole.len() as u64, file.path());
        let sent = tokio::time::timeout(Duration::from_secs(60), sending).await;
        let sent = sent.unwrap_or_else(|_| panic!("{refusal}: it waits for itself"));
        // Too much is too much, in a piece as well.
        assert_eq!(sent.is_ok(), refusal != 413, "{refusal}: {sent:?}");
        assert_eq!(target.store.sessions(), 0, "{refusal}");
        // The place is free again.
        assert!(registry.has_blob(&from, &digest).await.unwrap());
    }
}
