//! Tokens, counted: how many are asked for when many requests set out together, and what a refusal costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use manifests::registry::{Credentials, Kind, Options, Registry, Secret};

use crate::auth::{BASIC, PASSWORD, guarded, head_all, password, token, with};
use crate::scripted::{LIST, OCI_INDEX, Reply, Server, entry, options};

/// Requests that came without anything.
fn unasked(server: &Server) -> usize {
    let requests = server.seen().into_iter().filter(|seen| !seen.target.starts_with("/token"));
    requests.filter(|seen| seen.header("authorization").is_none()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_that_set_out_together_fetch_one_token() {
    let server = guarded(|_| None).await;
    // Logged in: a challenge is expected, so one request goes ahead to hear it.
    head_all(&password(&server), &server, 64).await;
    assert_eq!((server.count("GET", "/token"), unasked(&server)), (1, 1));
    assert_eq!(server.log().len(), 1 + 1 + 64);

    // Nobody: over plain HTTP few registries ask, and nothing waits for one that does.
    let server = guarded(|_| None).await;
    head_all(&with(Credentials::default()), &server, 64).await;
    assert_eq!(server.count("GET", "/token"), 1);
    // No more of them than are under way at once had left when the challenge came.
    assert!((1..=32).contains(&unasked(&server)), "{}", unasked(&server));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_requests_whose_token_was_revoked_fetch_one_new_one() {
    let revoked = Arc::new(AtomicUsize::new(0));
    let given = Arc::new(AtomicUsize::new(0));
    let (valid, counted) = (revoked.clone(), given.clone());
    let address = Arc::new(std::sync::OnceLock::<String>::new());
    let known = address.clone();
    let server = Server::start(move |seen, _| {
        if seen.target.starts_with("/token") {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            return Some(Reply::status(200).body(format!(r#"{{"token":"t{number}","expires_in":300}}"#)));
        }
        let good = format!("Bearer t{}", valid.load(Ordering::SeqCst));
        (seen.header("authorization") != Some(&good)).then(|| {
            let realm = known.get().unwrap();
            let challenge = format!(r#"Bearer realm="http://{realm}/token",error="invalid_token""#);
            Reply::status(401).header("www-authenticate", challenge)
        })
    })
    .await;
    address.set(server.address.to_string()).unwrap();
    let registry = password(&server);
    head_all(&registry, &server, 20).await;
    revoked.store(1, Ordering::SeqCst);
    head_all(&registry, &server, 20).await;
    assert_eq!(given.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_expired_token_is_replaced_once_whatever_the_status_says() {
    const EXPIRED: &str = "Your authorization token has expired. Reauthenticate and try again.";
    const DENIED: &str = "requested access to the resource is denied";
    for (status, message, good_from, tokens) in [
        // ECR Public's answer (aws/containers-roadmap#2835).
        (400, EXPIRED, Some(1), 2..=2),
        (403, EXPIRED, Some(1), 2..=2),
        // It is said of every token: bounded.
        (400, EXPIRED, None, 2..=2),
        (403, EXPIRED, None, 2..=3),
        // Nothing is said of the token, which is good: one to create what may be absent, and no more.
        (400, DENIED, None, 1..=1),
        (403, DENIED, None, 1..=2),
    ] {
        let (good, given) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (valid, counted) = (good.clone(), given.clone());
        let address = Arc::new(std::sync::OnceLock::<String>::new());
        let known = address.clone();
        let server = Server::start(move |seen, _| {
            if seen.target.starts_with("/token") {
                let number = counted.fetch_add(1, Ordering::SeqCst);
                return Some(Reply::status(200).body(format!(r#"{{"token":"t{number}","expires_in":300}}"#)));
            }
            let good = format!("Bearer t{}", valid.load(Ordering::SeqCst));
            match seen.header("authorization") {
                None => {
                    let challenge = format!(r#"Bearer realm="http://{}/token""#, known.get().unwrap());
                    Some(Reply::status(401).header("www-authenticate", challenge))
                }
                Some(held) if held == good => None,
                Some(_) => {
                    let said = format!(r#"{{"errors":[{{"code":"DENIED","message":"{message}"}}]}}"#);
                    Some(Reply::status(status).header("content-type", "application/json").body(said))
                }
            }
        })
        .await;
        address.set(server.address.to_string()).unwrap();
        let registry = password(&server);
        let repository = server.repository("o/app");
        assert!(registry.get_manifest(&repository, "1").await.unwrap().is_none());
        good.store(good_from.unwrap_or(usize::MAX), Ordering::SeqCst);
        let again = registry.get_manifest(&repository, "1").await;
        assert_eq!(again.is_ok(), good_from.is_some(), "{status} {message}: {again:?}");
        let given = given.load(Ordering::SeqCst);
        assert!(tokens.contains(&given), "{status} {message}: {given} tokens, {:?}", server.log());
    }
}

#[tokio::test]
async fn a_token_that_is_good_for_ever_is_used_and_no_reason_to_stop() {
    let server = guarded(|seen| {
        let mut reply = token(seen, 0);
        let body = String::from_utf8(reply.body).unwrap();
        reply.body = body.replace(":0}", ":18446744073709551615}").into_bytes();
        Some(reply)
    })
    .await;
    let registry = password(&server);
    head_all(&registry, &server, 2).await;
    head_all(&registry, &server, 2).await;
    assert_eq!(server.count("GET", "/token"), 1);
}

#[tokio::test]
async fn what_one_token_does_not_reach_takes_no_others_with_it() {
    // A token server that leaves out what the account may not do, as the document says.
    let server = guarded(|seen| {
        let mut reply = token(seen, 300);
        let body = String::from_utf8(reply.body).unwrap();
        reply.body = body.replace("repository:o/app-3:pull", "nothing").into_bytes();
        Some(reply)
    })
    .await;
    let registry = password(&server);
    let heads = (0..8).map(|n| {
        let (registry, repository) = (registry.clone(), server.repository(&format!("o/app-{n}")));
        async move { registry.head_manifest(&repository, "1").await }
    });
    for (n, result) in join_all(heads).await.into_iter().enumerate() {
        match result {
            Ok(head) => assert!(n != 3 && head.is_none(), "{n}"),
            Err(error) => assert!(n == 3 && error.is_unreadable(), "{n}: {error:?}"),
        }
    }
    // One together; for the one that is not reached one for nothing else, and one with which it could be created.
    assert_eq!(server.count("GET", "/token"), 3, "{:?}", server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_server_that_reads_one_scope_gives_one_token_for_each() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (under_way, highest) = (now.clone(), most.clone());
    let server = guarded(move |seen| {
        highest.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        under_way.fetch_sub(1, Ordering::SeqCst);
        let mut first = seen.clone();
        let second = seen.target.match_indices("&scope=").nth(1);
        first.target.truncate(second.map_or(seen.target.len(), |(at, _)| at));
        Some(token(&first, 300))
    })
    .await;
    let registry = password(&server);
    head_all(&registry, &server, 8).await;
    let tokens = server.count("GET", "/token");
    assert!(tokens <= 9, "one together, and at most one for each: {tokens}");
    assert!(most.load(Ordering::SeqCst) > 1, "those for each are fetched side by side");
    head_all(&registry, &server, 8).await;
    assert_eq!(server.count("GET", "/token"), tokens);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_first_request_without_an_answer_keeps_nobody_waiting() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (under_way, highest) = (now.clone(), most.clone());
    let server = Server::start(move |_, _| {
        highest.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        under_way.fetch_sub(1, Ordering::SeqCst);
        Some(Reply::cut())
    })
    .await;
    let registry = password(&server);
    let heads = (0..8).map(|n| {
        let (registry, repository) = (registry.clone(), server.repository("o/app"));
        async move { registry.head_manifest(&repository, &n.to_string()).await }
    });
    assert!(join_all(heads).await.into_iter().all(|result| result.is_err()));
    assert!(most.load(Ordering::SeqCst) > 1);
}

#[tokio::test]
async fn an_identity_token_goes_as_a_password_where_nothing_can_be_posted() {
    for refusal in [404, 405] {
        // "me:", as the entries of some clouds have it, is not what is sent: the token is for nobody in particular.
        let server = guarded(move |seen| match (seen.method.as_str(), seen.header("authorization")) {
            ("POST", _) => Some(Reply::status(refusal)),
            // ":r&t"
            (_, Some("Basic OnImdA==")) => None,
            _ => Some(Reply::status(401)),
        })
        .await;
        let host = server.address.to_string();
        let registry = with(entry(&host, r#"{"auth":"bWU6","identitytoken":"r&t"}"#));
        assert_eq!(registry.head_manifest(&server.repository("o/app"), "1").await.unwrap(), None);
        assert_eq!((server.count("POST", "/token"), server.count("GET", "/token")), (1, 1), "{refusal}");
        assert!(server.log().iter().all(|line| !line.contains("account=")), "{:?}", server.log());
    }
    // Refused is refused.
    let server = guarded(|seen| (seen.method == "POST").then(|| Reply::error(401, "UNAUTHORIZED"))).await;
    let registry = with(entry(&server.address.to_string(), r#"{"identitytoken":"r&t"}"#));
    let error = registry.head_manifest(&server.repository("o/app"), "1").await.unwrap_err();
    assert_eq!((error.kind(), error.credential_source()), (Kind::Unauthorized, Some("DOCKER_AUTH_CONFIG")));
    assert_eq!(server.count("GET", "/token"), 0);
}

#[tokio::test]
async fn a_part_of_a_registry_may_have_an_account_of_its_own() {
    // A token is for its account only.
    let server = guarded(|seen| {
        let account = match seen.header("authorization") {
            Some(BASIC) => "me",
            // "you:hunter2"
            Some("Basic eW91Omh1bnRlcjI=") => "you",
            _ => return Some(Reply::status(401)),
        };
        let foreign = if account == "me" { "Fteam%2F" } else { "Fother%2F" };
        seen.target.contains(foreign).then(|| Reply::status(403))
    })
    .await;
    let host = server.address.to_string();
    let config = format!(
        r#"{{"auths":{{"{host}":{PASSWORD},"{host}/o/team":{{"username":"you","password":"hunter2"}}}}}}"#
    );
    let credentials = Credentials { docker_auth_config: Some(Secret::new(config)), ..Credentials::default() };
    let registry = with(credentials);
    let paths = ["o/team/a", "o/team/b", "o/other/a", "o/teams", "o/team"];
    let heads = paths.map(|path| {
        let (registry, repository) = (registry.clone(), server.repository(path));
        async move { registry.head_manifest(&repository, "1").await }
    });
    assert!(try_join_all(heads).await.unwrap().iter().all(Option::is_none));
    let tokens = server.seen().into_iter().filter(|seen| seen.target.starts_with("/token"));
    let mut accounts: Vec<_> = tokens.map(|seen| seen.target.contains("account=you")).collect();
    accounts.sort();
    assert_eq!(accounts, [false, true], "one token for each account: {:?}", server.log());
}

#[tokio::test]
async fn a_secret_that_an_answer_repeats_goes_no_further() {
    let repeats = |seen: &crate::scripted::Seen| {
        let sent = seen.header("authorization").unwrap_or_default();
        let message = format!("no {sent} nor hunter2 nor refresh-1234");
        Reply::status(401).body(format!(r#"{{"errors":[{{"code":"UNAUTHORIZED","message":"{message}"}}]}}"#))
    };
    let tokens = guarded(move |seen| Some(repeats(seen))).await;
    let basic =
        Server::start(move |seen, _| Some(repeats(seen).header("www-authenticate", "Basic realm=\"r\"")))
            .await;
    let refresh = r#"{"identitytoken":"refresh-1234"}"#;
    let secrets = ["hunter2", "bWU6"];
    for (server, credential, secrets) in [
        (&tokens, PASSWORD, &secrets[..]),
        (&basic, PASSWORD, &secrets),
        (&tokens, refresh, &["refresh-1234"]),
    ] {
        let registry = Registry::new(Options {
            credentials: entry(&server.address.to_string(), credential),
            ..options()
        });
        let registry = registry.unwrap();
        let error = registry.put_manifest(&server.repository("o/a"), "1", OCI_INDEX, LIST).await.unwrap_err();
        let text = format!("{error} {error:?} {:?} {:?}", error.said(), error.hint());
        assert!(text.contains("UNAUTHORIZED: no "), "{text}");
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
    }
}

#[tokio::test]
async fn the_failure_of_a_token_server_is_not_repeated_by_the_request_that_needs_the_token() {
    for status in [429, 503] {
        let server = guarded(move |_| Some(Reply::status(status))).await;
        let error = password(&server).head_manifest(&server.repository("o/app"), "1").await.unwrap_err();
        assert_eq!(error.status(), Some(status), "{error}");
        assert_eq!(server.count("GET", "/token"), options().retry_policy.retries + 1);
    }
}
