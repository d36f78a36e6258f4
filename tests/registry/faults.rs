//! Troubles that pass, and those that do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use manifests::config::RegistrySettings;
use manifests::model::digest::Digest;
use manifests::model::reference::Repository;
use manifests::registry::{Kind, Options, Registry, RetryPolicy};
use tokio::net::TcpListener;

use crate::scripted::{Fault, LIST, OCI_INDEX, Reply, Server, listening, options, registry};

#[tokio::test]
async fn passing_troubles_are_waited_out() {
    for trouble in [
        Reply::status(408),
        Reply::error(429, "TOOMANYREQUESTS"),
        Reply::error(429, "TOOMANYREQUESTS").header("retry-after", "0"),
        Reply::error(429, "TOOMANYREQUESTS").header("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"),
        Reply::error(403, "TOOMANYREQUESTS"),
        Reply::error(500, "UNKNOWN"),
        Reply::status(502),
        Reply::status(503).header("retry-after", "0"),
        Reply::cut(),
        Reply::status(200).header("content-type", OCI_INDEX).body(LIST).fault(Fault::CutBody),
    ] {
        let first = trouble.clone();
        let server = Server::start(move |seen, _| (seen.before < 2).then(|| first.clone())).await;
        let digest = server.store.put_manifest("o/app", "1", OCI_INDEX, LIST);
        let (registry, waits) = listening();
        let fetched = registry.get_manifest(&server.repository("o/app"), "1").await;
        let fetched = fetched.unwrap_or_else(|error| panic!("{trouble:?}: {error}")).unwrap();
        assert_eq!(fetched.digest, digest);
        assert_eq!(server.log().len(), 3, "{trouble:?}");
        let waits = waits.lock().unwrap();
        assert_eq!(waits.len(), 2);
        assert_eq!(waits[0].host, server.address.to_string());
        assert!(waits[0].reason.starts_with("could not read "), "{}", waits[0]);
    }
}

#[tokio::test]
async fn retries_end() {
    for (trouble, kind, writes) in [
        (Reply::error(503, "UNAVAILABLE"), Kind::Unavailable { retry_after: None }, 1),
        (Reply::error(429, "TOOMANYREQUESTS"), Kind::RateLimited { retry_after: None }, 4),
        (Reply::cut(), Kind::Interrupted, 1),
    ] {
        let answer = trouble.clone();
        let server = Server::start(move |_, _| Some(answer.clone())).await;
        let error = registry().head_manifest(&server.repository("o/app"), "1").await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(server.log().len(), 4, "once and three times more: {trouble:?}");
        assert!(error.hint().is_some());
        // A write that may have been carried out is looked for first, and the look retries as any read does.
        let error =
            registry().put_manifest(&server.repository("o/app"), "1", OCI_INDEX, LIST).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(server.count("PUT", ""), writes, "{trouble:?}");
        assert!(server.log().len() <= 4 + 1 + 4, "{:?}", server.log());
    }
}

#[tokio::test]
async fn a_registry_that_asks_for_too_long_a_wait_is_not_waited_for() {
    let wait = Duration::from_secs(3600);
    for (status, kind) in [
        (429, Kind::RateLimited { retry_after: Some(wait) }),
        (503, Kind::Unavailable { retry_after: Some(wait) }),
    ] {
        let server =
            Server::start(move |_, _| Some(Reply::status(status).header("retry-after", "3600"))).await;
        let error = registry().head_manifest(&server.repository("o/app"), "1").await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.hint().unwrap().contains("3600 s"), "{:?}", error.hint());
        assert_eq!(server.log().len(), 1);
    }
}

#[tokio::test]
async fn answers_that_stay_the_same_are_not_asked_for_again() {
    for (status, kind) in [
        (400, Kind::Rejected),
        (401, Kind::Unauthorized),
        (403, Kind::Denied),
        (404, Kind::NotFound),
        (413, Kind::TooLarge),
    ] {
        let server = Server::start(move |_, _| Some(Reply::status(status))).await;
        let error =
            registry().put_manifest(&server.repository("o/app"), "1", OCI_INDEX, LIST).await.unwrap_err();
        assert_eq!((error.kind(), error.status()), (kind, Some(status)));
        assert_eq!(error.method(), "PUT");
        assert_eq!(server.log().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_looked_up_before_it_is_sent_again() {
    for lost in [Reply::cut(), Reply::status(500), Reply::status(504)] {
        // Carried out, and the answer lost.
        let answer = lost.clone();
        let server = Server::start(move |seen, store| {
            (seen.method == "PUT").then(|| {
                store.reply(seen);
                answer.clone()
            })
        })
        .await;
        let digest =
            registry().put_manifest(&server.repository("o/app"), "1", OCI_INDEX, LIST).await.unwrap();
        assert_eq!(digest, Digest::of(LIST));
        assert_eq!(server.log(), ["PUT /v2/o/app/manifests/1", "HEAD /v2/o/app/manifests/1"]);

        // Lost on the way.
        let answer = lost.clone();
        let server =
            Server::start(move |seen, _| (seen.method == "PUT" && seen.before == 0).then(|| answer.clone()))
                .await;
        registry().put_manifest(&server.repository("o/app"), "1", OCI_INDEX, LIST).await.unwrap();
        assert_eq!(
            server.log(),
            ["PUT", "HEAD", "GET", "PUT"].map(|method| format!("{method} /v2/o/app/manifests/1"))
        );
        assert_eq!(server.store.manifest("o/app", "1").unwrap().1, LIST);
    }
}

#[tokio::test]
async fn what_was_written_may_take_a_moment_to_be_served() {
    let server =
        Server::start(|seen, _| (seen.method != "PUT" && seen.before < 2).then(|| Reply::status(404))).await;
    let (registry, waits) = listening();
    let repository = server.repository("o/app");
    let digest = registry.put_manifest(&repository, "1", OCI_INDEX, LIST).await.unwrap();
    assert_eq!(registry.head_written(&repository, "1").await.unwrap().unwrap().digest, digest);
    assert_eq!((server.count("HEAD", ""), waits.lock().unwrap().len()), (3, 2));
    // Never is not forever.
    assert_eq!(registry.head_written(&repository, "2").await.unwrap(), None);
    assert_eq!(server.count("HEAD", "/2"), 4);
}

#[tokio::test]
async fn a_silent_registry_is_a_timeout() {
    let server =
        Server::start(|_, _| Some(Reply::status(200).fault(Fault::Slow(Duration::from_secs(600))))).await;
    let retry_policy =
        RetryPolicy { silence: Duration::from_millis(50), retries: 1, ..options().retry_policy };
    let registry = Registry::new(Options { retry_policy, ..options() }).unwrap();
    let error = registry.head_manifest(&server.repository("o/app"), "1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert_eq!(server.log().len(), 2);
}

#[tokio::test]
async fn nobody_listening_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let repository = Repository { host: host.clone(), path: "o/app".to_owned() };
    let error = registry().head_manifest(&repository, "1").await.unwrap_err();
    assert_eq!((error.kind(), error.status(), error.host()), (Kind::Connect, None, host.as_str()));
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn where_nobody_was_ever_reached_one_request_finds_out_for_all() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let hour = Duration::from_secs(3600);
    let moment = Duration::from_millis(1);
    for (host, delay, expected) in [
        // Any wait would outlast the test.
        (format!("127.0.0.1:{port}"), hour, 0),
        (format!("localhost:{port}"), hour, 0),
        (format!("[::1]:{port}"), hour, 0),
        ("registry.invalid:5000".to_owned(), hour, 0),
        // The same port under an address that is not loopback by name: it may be starting.
        (format!("0.0.0.0:{port}"), moment, 2),
    ] {
        let waits = Arc::new(AtomicUsize::new(0));
        let heard = waits.clone();
        let retry_policy = RetryPolicy { delay, longest: hour, retries: 5, ..options().retry_policy };
        let on_wait = move |_: &manifests::registry::Wait| {
            heard.fetch_add(1, Ordering::SeqCst);
        };
        let mut options = Options { retry_policy, waits: Arc::new(on_wait), ..options() };
        let settings = RegistrySettings { plain_http: Some(true), ..RegistrySettings::default() };
        options.registries.insert(host.clone(), settings);
        let registry = Registry::new(options).unwrap();
        let all = (0..30).map(|n| {
            let (registry, host) = (registry.clone(), host.clone());
            async move {
                let repository = Repository { host, path: format!("o/app-{n}") };
                registry.head_manifest(&repository, "1").await.unwrap_err()
            }
        });
        let all = futures_util::future::join_all(all);
        let errors = tokio::time::timeout(Duration::from_secs(60), all).await.expect("it does not wait");
        assert!(errors.iter().all(|error| error.kind() == Kind::Connect), "{errors:?}");
        assert_eq!(waits.load(Ordering::SeqCst), expected, "{host}: {}", errors[0]);
        // Each says what it was about.
        assert!(errors[29].subject().contains("app-29"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_host_gets_no_more_requests_at_once_than_declared() {
    // Unlimited, the same requests do meet: the limit is what keeps them apart.
    assert!(most_at_once(RegistrySettings::default()).await > 1);
    assert_eq!(most_at_once(RegistrySettings { max_connections: 1, ..RegistrySettings::default() }).await, 1);
}

async fn most_at_once(settings: RegistrySettings) -> usize {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (under_way, highest) = (now.clone(), most.clone());
    let server = Server::start(move |_, _| {
        highest.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        under_way.fetch_sub(1, Ordering::SeqCst);
        None
    })
    .await;
    let mut options = options();
    options.registries.insert(server.address.to_string(), settings);
    let registry = Registry::new(options).unwrap();
    let repository = server.repository("o/app");
    for n in 0..16 {
        server.store.put_manifest("o/app", &n.to_string(), OCI_INDEX, LIST);
    }
    let heads = (0..16).map(|n| {
        let (registry, repository) = (registry.clone(), repository.clone());
        async move { registry.head_manifest(&repository, &n.to_string()).await }
    });
    try_join_all(heads).await.unwrap();
    assert_eq!(server.log().len(), 16);
    most.load(Ordering::SeqCst)
}
